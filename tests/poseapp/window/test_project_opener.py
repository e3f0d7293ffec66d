"""What is opened, dropped or refused."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from engine.utils.context import Context
from poseapp.dialogs.prompt import AskDialog
from poseapp.jobs.base import Lane, Progress
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import HEIGHT, WIDTH, X264, Clip, make, number_in


def drop(path: Path, target: QWidget) -> bool:
    """Drop a file on a widget as a file manager does; True when it was taken."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    position = QPointF(target.rect().center())
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(position.toPoint(), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(target, enter)
    if not enter.isAccepted():
        return False
    event = QDropEvent(position, Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(target, event)
    return event.isAccepted()


def test_a_dropped_folder_becomes_a_project(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    folder = project.parent / "photos"
    folder.mkdir()
    (project.parent / "a.png").rename(folder / "a.png")
    assert drop(folder, window)
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    assert [frame.name for frame in window.session.store.frames()] == ["a.png"]
    assert window.session.path == folder / "photos.pose"


def test_the_canvas_leaves_drops_to_the_window(opened: MainWindow) -> None:
    assert not opened.canvas.acceptDrops()
    assert not opened.canvas.viewport().acceptDrops()


def test_a_video_becomes_a_project_whose_frames_are_shown_exactly(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    path = make(Clip("Clip.MP4", "libx264", X264, frames=90), tmp_path)
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    store = window.session.store
    assert store is not None
    assert window.session.path == tmp_path / "Clip.pose"
    assert len(store.frames()) == 90
    assert {(frame.width, frame.height) for frame in store.frames()} == {(WIDTH, HEIGHT)}
    shown: dict[int, int] = {}
    window.loader.loaded.connect(lambda key, pixels: shown.update({key.index: number_in(pixels)}))
    frames = window.session.frames
    for position in (40, 41, 42, 41, 40, 39, 89, 3, 88):
        window.session.go_to(frames[position])
        qtbot.waitUntil(lambda expected=position: expected in shown, timeout=5000)
    assert all(index == value for index, value in shown.items())
    thumbnails: dict[int, tuple[int, ...]] = {}
    window.loader.thumbnail_loaded.connect(lambda key, pixels: thumbnails.update({key.index: pixels.shape}))
    window.loader.request_thumbnail(frames[70], path)
    qtbot.waitUntil(lambda: 70 in thumbnails, timeout=5000)
    assert window.toasts.messages() == []
    window.open_paths([path])
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)
    assert len(store.frames()) == 90


def test_a_video_that_cannot_be_read_is_told_and_nothing_changes(
    opened: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "clip.MP4").write_bytes(b"")
    before = opened.session.path
    opened.open_paths([folder / "clip.MP4"])
    qtbot.waitUntil(lambda: bool(opened.toasts.messages()) and not opened.runner.active(), timeout=5000)
    assert "clip.MP4: is empty" in opened.toasts.messages()[0]
    assert opened.session.path == before
    assert [path.name for path in folder.iterdir()] == ["clip.MP4"]


@pytest.mark.parametrize("name", ["notes.txt", "broken.pose", "labels.csv"])
def test_what_cannot_be_opened_is_named_and_nothing_changes(
    opened: MainWindow, tmp_path: Path, qtbot: QtBot, name: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / name).write_bytes(b"neither one nor the other")
    before, frames = opened.session.path, list(opened.session.frames)
    opened.open_paths([folder / name])
    qtbot.waitUntil(lambda: bool(opened.toasts.messages()) and not opened.runner.active(), timeout=5000)
    assert name in opened.toasts.messages()[0]
    assert (opened.session.path, list(opened.session.frames)) == (before, frames)
    assert [path.name for path in folder.iterdir()] == [name]


def test_opening_what_is_open_changes_nothing(opened: MainWindow, project: Path) -> None:
    store = opened.session.store
    opened.open_paths([project])
    assert opened.session.store is store
    assert opened.toasts.messages() == []


def test_a_video_dropped_together_with_the_open_project_is_taken_in(
    opened: MainWindow, project: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    video = make(Clip("film.mp4", "libx264", X264, frames=9), tmp_path)
    opened.session.go_to(opened.session.frames[1])
    here = opened.session.frame
    opened.open_paths([video, project])
    qtbot.waitUntil(lambda: len(opened.session.frames) == 3 + 9 and not opened.runner.active(), timeout=8000)
    assert opened.session.path == project
    assert opened.session.frame == here


def test_what_cannot_be_taken_in_leaves_the_project_as_it_was(
    opened: MainWindow, project: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"no video" * 1000)
    opened.open_paths([project, video])
    qtbot.waitUntil(lambda: opened.session.path == project and not opened.runner.active(), timeout=8000)
    assert len(opened.session.frames) == 3
    assert any("film.mp4" in text for text in opened.toasts.messages())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_with_names_that_are_not_utf8_is_opened_and_shown(
    window: MainWindow, project: Path, qtbot: QtBot
) -> None:
    folder = project.parent / os.fsdecode(b"m\xe4use")
    folder.mkdir()
    (project.parent / "a.png").rename(folder / os.fsdecode(b"f_\xfc.png"))
    window.open_paths([folder])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    qtbot.waitUntil(lambda: window.canvas.image_size != (0, 0), timeout=5000)
    store = window.session.store
    assert store is not None
    assert [frame.name for frame in store.frames()] == ["f_\udcfc.png"]
    assert window.windowTitle()
    assert window.toasts.messages() == []
    # Every list is painted with the name.
    assert not window.grab().isNull()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_control_characters_of_names_are_shown_as_escapes(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    folder = project.parent / "mi\x1b]0;owned\x07\nce"
    folder.mkdir()
    (project.parent / "a.png").rename(folder / "a\x1b[31m\u202e.png")
    (folder / "b\x1b[2J.mp4").write_bytes(b"no video" * 1000)
    window.open_paths([folder])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    assert window.windowTitle() == "mi\\x1b]0;owned\\x07 ce - poseapp"
    model = window.media.model
    index = model.index(0)
    roles = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole)
    for role in roles:
        assert str(model.data(index, role)).startswith("a\\x1b[31m\\u202e.png")
    window.tell("cannot read b\x1b[2J.mp4", "warning")
    for label in window.findChildren(QLabel):
        assert "\x1b" not in label.text()
    store = window.session.store
    assert store is not None
    assert [frame.name for frame in store.frames()] == ["a\x1b[31m\u202e.png"]  # kept as it is


def test_labels_of_another_size_are_asked_about_once_and_fitted(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 160, "height": 120}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [100, 80, 2], "bbox": [90, 70, 20, 20]}
        ],
        "categories": [{"id": 1, "name": "dot", "keypoints": ["p"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(data))
    window.open_paths([tmp_path / "labels.json"])
    qtbot.waitUntil(lambda: bool(window.findChildren(AskDialog)), timeout=5000)
    (dialog,) = window.findChildren(AskDialog)
    assert window.session.path is None
    assert dialog.choice.currentText() == "Fit the labels to the images"
    dialog.do.click()
    qtbot.waitUntil(lambda: window.session.path is not None and not window.runner.active(), timeout=5000)
    assert window.session.instances[0].box.tolist() == [45, 35, 55, 45]
    assert not [d for d in window.findChildren(AskDialog) if d.isVisible()]


class _Behind:
    """A job that says when all before it in its lane have ended."""

    lane = Lane.IO
    title = "Behind"

    def __init__(self) -> None:
        self.runs = threading.Event()

    def run(self, context: Context) -> Iterator[Progress]:
        self.runs.set()
        yield Progress(1, 1, self.title)


def test_a_window_that_is_closed_while_a_project_opens_closes_quietly(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    path = make(Clip("film.mp4", "libx264", X264, frames=3), tmp_path)
    window.open_paths([path])
    behind = _Behind()
    window.runner.submit(behind)
    assert behind.runs.wait(20)  # the project is ready; the window, whose events wait, does not know yet
    with qtbot.capture_exceptions() as exceptions:
        window.close()
    assert exceptions == []
    assert window.session.path is None
