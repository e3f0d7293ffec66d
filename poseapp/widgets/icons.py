"""The icons of the program, drawn in the colors of the theme for each state and screen density."""

from __future__ import annotations

from functools import cache, lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from poseapp.app.theme import Tokens
from resources import resource_path

_SIDES = (16, 20, 24, 32, 40, 60)


@cache
def _source(name: str) -> str:
    return resource_path(f"icons/{name}.svg").read_text(encoding="utf-8")


def pixmap(name: str, color: str, side: int = 20, ratio: float = 1.0) -> QPixmap:
    """An icon as a square pixmap of ``side`` logical pixels."""
    return _drawn(_renderer(name, color), side, ratio)


def _renderer(name: str, color: str) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(_source(name).replace("currentColor", color).encode()))


def _drawn(renderer: QSvgRenderer, side: int, ratio: float = 1.0) -> QPixmap:
    picture = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer.render(painter, QRectF(0, 0, picture.width(), picture.height()))
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


@lru_cache(maxsize=512)  # two themes: a window asks for most icons again with each change of what it shows
def icon(name: str, colors: Tokens) -> QIcon:
    """An icon with its disabled and checked looks. The same one for the same colors: it must not be changed."""
    looks = (
        (colors.text_soft, [(QIcon.Mode.Normal, QIcon.State.Off)]),
        (colors.text, [(QIcon.Mode.Active, QIcon.State.Off)]),
        (colors.accent, [(QIcon.Mode.Normal, QIcon.State.On), (QIcon.Mode.Active, QIcon.State.On)]),
        (colors.line_strong, [(QIcon.Mode.Disabled, QIcon.State.Off)]),
    )
    result = QIcon()
    for color, modes in looks:
        renderer = _renderer(name, color)
        for side in _SIDES:
            picture = _drawn(renderer, side)
            for mode, state in modes:
                result.addPixmap(picture, mode, state)
    return result


def program_icon() -> QIcon:
    return QIcon(str(resource_path("icons/poseapp.png")))
