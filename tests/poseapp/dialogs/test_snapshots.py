"""Snapshots from the window: taken in the background, restored as a step."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.dialogs.snapshots import SnapshotsDialog
from poseapp.project import edits
from poseapp.window.main_window import MainWindow


def _dialog(window: MainWindow) -> SnapshotsDialog:
    window.run("snapshots")
    (dialog,) = [d for d in window.findChildren(SnapshotsDialog) if d.isVisible()]
    return dialog


def test_a_snapshot_is_taken_restored_and_deleted(opened: MainWindow, qtbot: QtBot) -> None:
    dialog = _dialog(opened)
    assert not dialog.restore_button.isEnabled()
    QTest.keyClicks(dialog.name, "first")
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 1 and not opened.runner.active(), timeout=5000)
    assert dialog.table.item(0, 0).text() == "first"
    for position in (1, 2):  # not cut off: of two of one day the time tells which is which
        assert dialog.table.columnWidth(position) >= dialog.table.sizeHintForColumn(position)
    frame = opened.session.frame
    assert frame is not None
    opened.session.apply(edits.delete_instances(frame, opened.session.instances))
    assert opened.session.instances == ()
    qtbot.mouseClick(dialog.restore_button, Qt.MouseButton.LeftButton)
    assert len(opened.session.instances) == 2
    opened.refresh_actions_now()
    assert opened.actions_by_id["undo"].text() == "Undo restore snapshot first"
    opened.run("undo")
    assert opened.session.instances == ()
    qtbot.mouseClick(dialog.delete_button, Qt.MouseButton.LeftButton)
    assert dialog.table.rowCount() == 0
    dialog.close()


def test_a_snapshot_is_opened_as_a_project(opened: MainWindow, qtbot: QtBot) -> None:
    dialog = _dialog(opened)
    qtbot.mouseClick(dialog.take_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 1 and not opened.runner.active(), timeout=5000)
    chosen = dialog.chosen()
    assert chosen is not None
    qtbot.mouseClick(dialog.open_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: opened.session.path == chosen.path and not opened.runner.active(), timeout=5000)
    qtbot.waitUntil(lambda: opened.canvas.image_size == (320, 240), timeout=5000)
