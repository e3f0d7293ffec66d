"""Labels that changed outside are asked about when their file is opened again; each answer does what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from poseapp.dialogs.prompt import AskDialog
from poseapp.window.main_window import MainWindow


def annotation(index: int, x: float) -> dict[str, Any]:
    points = [x, 10, 2, x + 5, 20, 2, x + 9, 30, 1]
    return {
        "id": index, "image_id": 1, "category_id": 1, "keypoints": points, "num_keypoints": 3,
        "bbox": [x, 10, 9, 20], "area": 180, "iscrowd": 0,
    }  # fmt: skip


def write(path: Path, *annotations: dict[str, Any]) -> None:
    category = {"id": 1, "name": "mouse", "keypoints": ["nose", "ear", "tail"], "skeleton": [[1, 2]]}
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]
    path.write_text(json.dumps({"images": images, "annotations": list(annotations), "categories": [category]}))


@pytest.fixture
def labels(tmp_path: Path, window: MainWindow, qtbot: QtBot) -> Path:
    """A label file that was opened in the window and has got a second pose since; the project is closed again."""
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    path = tmp_path / "labels.json"
    write(path, annotation(1, 5))
    open_and_wait(window, path, qtbot)
    assert poses(window) == 1
    window.run("close_project")
    write(path, annotation(1, 5), annotation(2, 30))
    return path


def open_and_wait(window: MainWindow, path: Path, qtbot: QtBot) -> None:
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=10_000)


def poses(window: MainWindow) -> int:
    store = window.session.store
    assert store is not None
    return len(list(store.all_instances()))


def question(qtbot: QtBot) -> AskDialog:
    def shown() -> list[AskDialog]:
        return [w for w in QApplication.topLevelWidgets() if isinstance(w, AskDialog) and w.isVisible()]

    qtbot.waitUntil(lambda: bool(shown()), timeout=10_000)
    (dialog,) = shown()
    return dialog


def text_of(dialog: AskDialog) -> str:
    return "\n".join(label.text() for label in dialog.findChildren(QLabel))


def no_question() -> bool:
    return not any(isinstance(w, AskDialog) and w.isVisible() for w in QApplication.topLevelWidgets())


@pytest.fixture
def ask(labels: Path, window: MainWindow, qtbot: QtBot) -> Callable[[], AskDialog]:
    def open_again() -> AskDialog:
        window.open_paths([labels])
        return question(qtbot)

    return open_again


def test_new_labels_are_taken_in_as_one_step(
    ask: Callable[[], AskDialog], window: MainWindow, labels: Path, qtbot: QtBot
) -> None:
    dialog = ask()
    assert "1 new pose" in text_of(dialog)
    dialog.do.click()
    qtbot.waitUntil(lambda: poses(window) == 2 and not window.runner.active(), timeout=10_000)
    window.run("undo")
    assert poses(window) == 1
    window.run("redo")
    assert poses(window) == 2
    window.run("close_project")
    open_and_wait(window, labels, qtbot)
    assert poses(window) == 2
    assert no_question()


def test_labels_that_are_left_are_asked_about_again_when_the_file_changes_again(
    ask: Callable[[], AskDialog], window: MainWindow, labels: Path, qtbot: QtBot
) -> None:
    dialog = ask()
    assert dialog.choice is not None
    dialog.choice.setCurrentIndex(1)
    dialog.do.click()
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=10_000)
    assert poses(window) == 1
    window.run("close_project")
    project = labels.with_suffix(".pose")
    open_and_wait(window, project, qtbot)
    assert no_question()
    assert poses(window) == 1
    window.run("close_project")
    write(labels, annotation(1, 5), annotation(2, 30), annotation(3, 50))
    window.open_paths([project])
    dialog = question(qtbot)
    assert "2 new poses" in text_of(dialog)
    dialog.reject()


def test_cancel_changes_nothing_and_asks_again(ask: Callable[[], AskDialog], window: MainWindow, qtbot: QtBot) -> None:
    ask().reject()
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=10_000)
    assert poses(window) == 1
    window.run("close_project")
    ask().reject()
    assert poses(window) == 1


def test_an_unchanged_file_adds_nothing_and_asks_nothing(
    ask: Callable[[], AskDialog], window: MainWindow, labels: Path, qtbot: QtBot
) -> None:
    ask().do.click()
    qtbot.waitUntil(lambda: poses(window) == 2 and not window.runner.active(), timeout=10_000)
    window.open_paths([labels])
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=10_000)
    assert poses(window) == 2
    assert no_question()
