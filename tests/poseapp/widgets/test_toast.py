"""Messages stand in the corner of the canvas and leave what is below it in sight."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from poseapp.app.theme import DARK
from poseapp.widgets.toast import MARGIN, Toasts


def place_of(toasts: Toasts, host: QWidget) -> QRect:
    return QRect(toasts.mapTo(host, QPoint(0, 0)), toasts.size())


def test_messages_stand_in_the_corner_of_their_ground(qtbot: QtBot) -> None:
    host, ground, below = QWidget(), QWidget(), QWidget()
    qtbot.addWidget(host)
    column = QVBoxLayout(host)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(ground, 1)
    column.addWidget(below)
    below.setFixedHeight(150)
    host.resize(900, 700)
    toasts = Toasts(host, DARK)
    toasts.stand_in(ground)
    host.show()
    toasts.show_message("Twelve poses", "good")
    toasts.show_message(
        "And a longer one, which says what to do about it in some more words than fit in a line", "error"
    )
    assert place_of(toasts, host).bottom() + 1 == 550 - MARGIN
    assert place_of(toasts, host).right() + 1 == 900 - MARGIN
    below.setFixedHeight(300)
    qtbot.waitUntil(lambda: ground.height() == 400)
    assert place_of(toasts, host).bottom() + 1 == 400 - MARGIN
    ground.hide()
    qtbot.waitUntil(lambda: place_of(toasts, host).bottom() + 1 == 700 - MARGIN)
    toasts.clear()
    assert toasts.isHidden()
