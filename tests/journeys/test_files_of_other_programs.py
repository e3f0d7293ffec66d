"""Labels of another program are opened, corrected by mouse, and exported for the same program or another one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.formats.registry import format_named, read_labels
from poseapp.app.application import make_application
from poseapp.project.opening import open_any, open_with_report
from poseapp.window.main_window import MainWindow
from tests.journeys.test_label_and_export import drag

WIDTH, HEIGHT = 320, 240
YAML = "train: ../train/images\nkpt_shape: [2, 3]\nflip_idx: [0, 1]\nnc: 1\nnames: ['mouse']\n"
CVAT = (
    "<annotations><version>1.1</version><meta/>"
    '<image id="0" name="a.png" width="320" height="240"><points label="eye" points="2.0,3.0"/></image></annotations>'
)
ROW = "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.75 0.25 1\n"


@pytest.fixture
def opened(qtbot: QtBot) -> Iterator[Callable[[Path], MainWindow]]:
    make_application()
    window = MainWindow()
    window.show()
    window.resize(1280, 800)

    def open_path(path: Path) -> MainWindow:
        window.open_paths([path])
        qtbot.waitUntil(
            lambda: window.canvas.image_size == (WIDTH, HEIGHT) and not window.runner.active(), timeout=10_000
        )
        window.canvas.setFocus()
        return window

    yield open_path
    window.close()
    window.deleteLater()


def test_a_yolo_folder_is_corrected_and_exported_as_yolo_again(
    tmp_path: Path, opened: Callable[[Path], MainWindow], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mice"
    for split in ("train/images", "train/labels"):
        (folder / split).mkdir(parents=True)
    (folder / "data.yaml").write_text(YAML)
    (folder / "train/labels/a_jpg.rf.1.txt").write_text(ROW)
    assert cv2.imwrite(str(folder / "train/images/a_jpg.rf.1.png"), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    window = opened(folder)
    assert window.session.instances[0].keypoints.tolist() == [[80, 120], [240, 60]]

    drag(window, (80, 120), (100, 140))
    moved = window.session.instances[0].keypoints.tolist()
    assert np.abs(np.array(moved) - [[100, 140], [240, 60]]).max() < 1

    target = tmp_path / "out"
    title = format_named("yolo").title
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *a: (str(target), next(f for f in a[-1].split(";;") if title in f))
    )
    window.run("export_labels")
    qtbot.waitUntil(lambda: bool(list(tmp_path.glob("out*"))) and not window.runner.active(), timeout=10_000)
    with read_labels(next(tmp_path.glob("out*"))) as labels:
        (instance,) = labels.instances()
        assert np.allclose(instance.keypoints, moved, atol=1e-3)
        assert instance.visibility.tolist() == [2, 1]
        assert [category.name for category in labels.categories] == ["mouse"]
    assert (folder / "train/labels/a_jpg.rf.1.txt").read_text() == ROW  # the folder itself is only read


def test_predictions_of_another_program_join_a_labelled_project(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    (tmp_path / "job.xml").write_text(CVAT)
    pose = {"image_id": "a.png", "category_id": 1, "keypoints": [100.0, 200.0, 0.9] * 17, "score": 2.5}
    results = tmp_path / "alphapose-results.json"
    results.write_text(json.dumps([pose]))
    with open_any(tmp_path / "job.xml") as store:
        home = store.path
        before = [instance.keypoints.tolist() for _, instance in store.all_instances()]
    store, report = open_with_report([home, results])
    with store:
        assert not report.offers
        assert store.frame_count() == 1
        instances = [instance for _, instance in store.all_instances()]
        assert [instance.keypoints.tolist() for instance in instances[:1]] == before
        assert len(instances) == 2
        assert store.undo_text() is not None
    store, _ = open_with_report([home, results])  # a second time nothing is added
    with store:
        assert len(list(store.all_instances())) == 2
