"""Small questions, asked and answered with the keys."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.dialogs.prompt import AskDialog
from poseapp.window.main_window import MainWindow


def test_a_typed_number_replaces_the_one_that_stands_there(opened: MainWindow, qtbot: QtBot) -> None:
    opened.session.go_to(opened.session.frames[0])
    opened.run("go_to_frame")
    dialog = opened.findChild(AskDialog)
    assert isinstance(dialog, AskDialog)
    assert dialog.number is not None
    assert dialog.number.lineEdit().selectedText() == "1"
    QTest.keyClicks(dialog.number, "3")
    QTest.keyClick(dialog.number, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: opened.session.position() == 2)
