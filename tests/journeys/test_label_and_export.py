"""A COCO file is opened, corrected by mouse and keys, and exported: only what was touched differs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.app.application import make_application
from poseapp.dialogs.export_coco import ExportCocoDialog
from poseapp.window.main_window import MainWindow

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier
NAMES = ["head", "left_hand", "right_hand", "foot"]
POINTS = [[100.25, 60.0, 2], [150, 90, 2], [50, 90, 1], [100, 180, 2]]


def dataset() -> dict[str, Any]:
    """Two pictures, three poses, and what other tools put into such files."""

    def annotation(index: int, image: int, shift: float, **more: Any) -> dict[str, Any]:
        keypoints = [v for x, y, seen in POINTS for v in (x + shift, y, seen)]
        return {
            "id": index,
            "image_id": image,
            "category_id": 7,
            "keypoints": keypoints,
            "num_keypoints": 4,
            "bbox": [40 + shift, 50, 120, 140],
            "area": 16800.5,
            "iscrowd": 0,
            **more,
        }

    return {
        "info": {"description": "made by hand", "year": 2024},
        "licenses": [{"id": 1, "name": "none"}],
        "images": [
            {"id": 31, "file_name": "one.png", "width": 320, "height": 240, "license": 1, "weather": "sunny"},
            {"id": 12, "file_name": "two.png", "width": 320, "height": 240},
        ],
        "annotations": [
            annotation(501, 31, 0.0, segmentation=[[40, 50, 160, 50, 160, 190]], mood={"calm": 0.25}),
            annotation(502, 31, 130.0),
            annotation(77, 12, 20.0, track_id=4),
        ],
        "categories": [{"id": 7, "name": "figure", "keypoints": NAMES, "skeleton": [[1, 4], [2, 1], [3, 1]]}],
        "tool": "somebody's own",
    }


@pytest.fixture
def window(tmp_path: Path, qtbot: QtBot) -> Any:
    for name, shade in (("one", 70), ("two", 120)):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((240, 320, 3), shade, np.uint8))
    (tmp_path / "labels.json").write_text(json.dumps(dataset()), encoding="utf-8")
    make_application()
    created = MainWindow()
    created.show()
    created.resize(1280, 800)
    created.open_paths([tmp_path / "labels.json"])
    qtbot.waitUntil(lambda: created.canvas.image_size == (320, 240) and not created.runner.active(), timeout=10_000)
    created.canvas.setFocus()
    yield created
    created.close()
    created.deleteLater()


def at(window: MainWindow, x: float, y: float) -> QPoint:
    return window.canvas.to_view(x, y).toPoint()


def drag(window: MainWindow, start: tuple[float, float], end: tuple[float, float]) -> None:
    view, a, b = window.canvas.viewport(), at(window, *start), at(window, *end)
    QTest.mouseMove(view, a)
    QTest.mousePress(view, Qt.MouseButton.LeftButton, NONE, a)
    for share in (0.25, 0.5, 0.75, 1.0):
        QTest.mouseMove(view, a + (b - a) * share)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, NONE, b)


def key(window: MainWindow, which: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
    QTest.keyClick(window.canvas, which, modifier)


def export(window: MainWindow, target: Path, qtbot: QtBot) -> dict[str, Any]:
    key(window, Qt.Key.Key_E, CONTROL)
    (dialog,) = (d for d in window.findChildren(ExportCocoDialog) if d.isVisible())
    dialog.path.setText(str(target))
    QTest.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: target.exists() and not window.runner.active(), timeout=10_000)
    result: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return result


def test_untouched_labels_come_out_as_they_went_in(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    assert export(window, tmp_path / "out.json", qtbot) == dataset()


def test_corrections_by_mouse_and_keys_are_what_changes(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    session, view = window.session, window.canvas.viewport()

    drag(window, (100.25, 60), (120, 75))  # the head of the first pose
    moved = session.instances[0].keypoints[0].copy()
    assert np.abs(moved - [120, 75]).max() < 1.0
    key(window, Qt.Key.Key_Z, CONTROL)
    assert session.instances[0].keypoints[0].tolist() == [100.25, 60.0]
    key(window, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert session.instances[0].keypoints[0].tolist() == moved.tolist()

    QTest.mouseMove(view, at(window, 100, 180))
    QTest.mouseClick(view, Qt.MouseButton.RightButton, NONE, at(window, 100, 180))  # the foot: occluded
    assert session.instances[0].visibility.tolist() == [2, 2, 1, 1]

    key(window, Qt.Key.Key_2)
    key(window, Qt.Key.Key_Delete)  # the second pose
    assert len(session.instances) == 1

    key(window, Qt.Key.Key_D)  # the second picture
    key(window, Qt.Key.Key_1)
    key(window, Qt.Key.Key_X)  # left and right change places
    key(window, Qt.Key.Key_Z, CONTROL)
    key(window, Qt.Key.Key_Y, CONTROL)

    expected = copy.deepcopy(dataset())
    first, _, third = expected["annotations"]
    first["keypoints"][0:2] = moved.tolist()
    first["keypoints"][11] = 1
    third["keypoints"][3:9] = [*third["keypoints"][6:9], *third["keypoints"][3:6]]
    del expected["annotations"][1]
    assert export(window, tmp_path / "out.json", qtbot) == expected


def test_everything_can_be_undone_after_a_restart(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    drag(window, (100.25, 60), (120, 75))
    key(window, Qt.Key.Key_2)
    key(window, Qt.Key.Key_Delete)
    window.close()
    again = MainWindow()
    again.show()
    again.open_paths([tmp_path / "labels.pose"])
    qtbot.waitUntil(lambda: again.canvas.image_size == (320, 240) and not again.runner.active(), timeout=10_000)
    again.canvas.setFocus()
    assert len(again.session.instances) == 1
    key(again, Qt.Key.Key_Z, CONTROL)
    key(again, Qt.Key.Key_Z, CONTROL)
    assert export(again, tmp_path / "out.json", qtbot) == dataset()
    again.close()
    again.deleteLater()
