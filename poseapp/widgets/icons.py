"""Icons of the program's own family, drawn in the theme's colours for each state and screen density."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from poseapp.app.theme import Tokens
from resources import resource_path

_SIDES = (16, 20, 24, 32, 40, 60)


@cache
def _source(name: str) -> str:
    return resource_path(f"icons/{name}.svg").read_text(encoding="utf-8")


def pixmap(name: str, colour: str, side: int = 20, ratio: float = 1.0) -> QPixmap:
    """An icon as a square picture of ``side`` logical pixels."""
    picture = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    drawing = QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))
    drawing.render(painter, QRectF(0, 0, picture.width(), picture.height()))
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


def icon(name: str, colours: Tokens) -> QIcon:
    """An icon with its disabled and checked looks."""
    made = QIcon()
    for side in _SIDES:
        made.addPixmap(pixmap(name, colours.text_soft, side), QIcon.Mode.Normal, QIcon.State.Off)
        made.addPixmap(pixmap(name, colours.text, side), QIcon.Mode.Active, QIcon.State.Off)
        made.addPixmap(pixmap(name, colours.accent, side), QIcon.Mode.Normal, QIcon.State.On)
        made.addPixmap(pixmap(name, colours.accent, side), QIcon.Mode.Active, QIcon.State.On)
        made.addPixmap(pixmap(name, colours.line_strong, side), QIcon.Mode.Disabled, QIcon.State.Off)
    return made


def program_icon() -> QIcon:
    return QIcon(str(resource_path("icons/poseapp.png")))
