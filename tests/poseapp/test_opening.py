"""What is opened, dropped or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from poseapp.main_window import MainWindow


def drop(path: Path, target: QWidget) -> bool:
    """Drop a file on a widget as a file manager does; True when it was taken."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    place = QPointF(target.rect().center())
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(place.toPoint(), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(target, enter)
    if not enter.isAccepted():
        return False
    event = QDropEvent(place, Qt.DropAction.CopyAction, data, left, none)
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


def test_a_video_is_refused_with_a_way_out(opened: MainWindow, tmp_path: Path) -> None:
    clip = tmp_path / "clip.MP4"
    clip.write_bytes(b"")
    before = opened.session.path
    opened.open_paths([clip])
    (text,) = opened.toasts.messages()
    assert text.startswith("clip.MP4")
    assert "pictures" in text
    assert opened.session.path == before


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
