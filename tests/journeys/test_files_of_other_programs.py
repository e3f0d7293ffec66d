"""Labels of another program are opened, corrected by mouse, and exported for the same program or another one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.formats.registry import read_labels
from poseapp.app.application import make_application
from poseapp.dialogs.export_labels import ExportLabelsDialog
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


def export(window: MainWindow, qtbot: QtBot, name: str, target: Path) -> None:
    """Export the labels in a format with the dialog."""
    window.run("export_labels")
    dialog = window.findChild(ExportLabelsDialog)
    assert dialog is not None
    dialog.format.setFocus()
    qtbot.keyClick(dialog.format, Qt.Key.Key_Home)
    while dialog.format.currentData() != name:
        assert dialog.format.currentIndex() < dialog.format.count() - 1
        qtbot.keyClick(dialog.format, Qt.Key.Key_Down)
    dialog.path.selectAll()
    qtbot.keyClicks(dialog.path, str(target))
    qtbot.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)


def test_a_yolo_folder_is_corrected_and_exported_as_yolo_again(
    tmp_path: Path, opened: Callable[[Path], MainWindow], qtbot: QtBot
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
    export(window, qtbot, "yolo", target)
    qtbot.waitUntil(lambda: bool(list(tmp_path.glob("out*"))) and not window.runner.active(), timeout=10_000)
    with read_labels(next(tmp_path.glob("out*"))) as labels:
        (instance,) = labels.instances()
        assert np.allclose(instance.keypoints, moved, atol=1e-3)
        assert instance.visibility.tolist() == [2, 1]
        assert [category.name for category in labels.categories] == ["mouse"]
    assert (folder / "train/labels/a_jpg.rf.1.txt").read_text() == ROW  # the folder itself is only read


def write_video(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(frames):
            picture = np.full((HEIGHT, WIDTH, 3), 20 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def track(track_id: int, x: float) -> str:
    """A track of two keypoints with keyframes 0 and 4; it moves by 8 pixels to the right."""
    frames = "".join(
        f'<skeleton frame="{n}" keyframe="1"><points label="nose" points="{x + 2 * n},50"/>'
        f'<points label="tail" points="{x + 2 * n},90" occluded="1"/></skeleton>'
        for n in (0, 4)
    )
    return f'<track id="{track_id}" label="mouse">{frames}</track>'


def test_tracks_of_a_cvat_video_are_corrected_and_exported_for_deeplabcut(
    tmp_path: Path, opened: Callable[[Path], MainWindow], qtbot: QtBot
) -> None:
    write_video(tmp_path / "v.mp4", 6)
    meta = "<meta><task><stop_frame>4</stop_frame><source>v.mp4</source></task></meta>"
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{meta}{track(0, 60)}{track(1, 200)}</annotations>")
    window = opened(path)
    store = window.session.store
    assert store is not None
    assert (store.summary().labelled, store.summary().predicted) == (4, 6)
    assert sorted(i.track is not None for i in window.session.instances) == [True, True]

    drag(window, (60, 50), (80, 70))
    export(window, qtbot, "deeplabcut", tmp_path / "out.csv")
    qtbot.waitUntil(lambda: (tmp_path / "out.csv").exists() and not window.runner.active(), timeout=10_000)
    with read_labels(tmp_path / "out.csv") as labels:
        frames = [frame.index for frame in labels.frames()]
        noses = sorted(
            (frames[i.frame], *np.round(i.keypoints[0]).tolist()) for i in labels.instances() if i.keypoints is not None
        )
        assert len(labels.tracks) == 2
    # Frames between the keyframes are predictions, which an export leaves out unless it is asked for them.
    assert noses == [(0, 80, 70), (0, 200, 50), (4, 68, 50), (4, 208, 50)]


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
