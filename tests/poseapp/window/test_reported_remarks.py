"""What the window tells is so: sizes, counts, and what a model found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from poseapp.commands import model
from poseapp.commands.file import write_coco
from poseapp.dialogs.export_coco import ExportWish
from poseapp.jobs.inference import ModelChoice
from poseapp.window.main_window import MainWindow

CHOICE = ModelChoice("movenet_lightning", device="cpu")


@pytest.fixture
def photo(window: MainWindow, resources_dir: Path, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """The window with a folder of one photograph."""
    shutil.copyfile(resources_dir / "sample/astronaut.jpg", tmp_path / "astronaut.jpg")
    window.open_paths([tmp_path])
    qtbot.waitUntil(lambda: window.canvas.pixels is not None and not window.runner.active(), timeout=10_000)
    return window


@pytest.fixture
def told(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(window, "tell", lambda text, kind="info": texts.append(text))
    return texts


def test_the_size_of_a_picture_of_a_folder_is_told_once_it_is_read(photo: MainWindow, qtbot: QtBot) -> None:
    width, height = photo.canvas.image_size
    qtbot.waitUntil(lambda: f"{width} × {height}" in photo.status.place.text(), timeout=5000)


def test_what_is_labelled_already_is_not_called_nothing(photo: MainWindow, told: list[str], qtbot: QtBot) -> None:
    frame = photo.session.frame
    assert frame is not None

    def run() -> str:
        told.clear()
        assert model.run_on(photo.context, [frame], CHOICE, 0.2) is not None
        qtbot.waitUntil(lambda: not photo.runner.active(), timeout=60_000)
        return told[-1]

    assert run().startswith("1 pose in 1 image")
    photo.run("accept_all")
    assert run() == "Everything the model found is already labelled."
    assert len(photo.session.instances) == 1


def test_an_export_counts_poses_apart_from_what_only_goes_through(
    window: MainWindow, told: list[str], resources_dir: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    shutil.copyfile(resources_dir / "sample/astronaut.jpg", tmp_path / "a.jpg")
    pose = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "keypoints": [5, 6, 2], "bbox": [1, 1, 9, 9]}
    crowd = pose | {"id": 2, "iscrowd": 1, "keypoints": [0, 0, 0], "segmentation": {"size": [9, 9], "counts": [81]}}
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 512, "height": 512}],
        "annotations": [pose, crowd],
        "categories": [{"id": 1, "name": "dot", "keypoints": ["middle"], "skeleton": []}],
    }
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(data))
    window.open_paths([source])
    qtbot.waitUntil(lambda: window.canvas.pixels is not None and not window.runner.active(), timeout=10_000)
    told.clear()
    write_coco(window.context, ExportWish(target))
    qtbot.waitUntil(lambda: not window.runner.active() and bool(told), timeout=10_000)
    assert told == [f"Exported 1 image with 1 pose to {target} (and 1 records without points, as they came)"]
    assert json.loads(target.read_text()) == data
