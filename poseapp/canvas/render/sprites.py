"""Small pictures of points, drawn once for each look and then stamped."""

from __future__ import annotations

import math
from enum import IntEnum
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QPixmap

from poseapp.canvas.render.colors import unpack


class PointLook(IntEnum):
    """How a point is drawn."""

    FILLED = 0
    """Set by a person, visible."""
    HOLED = 1
    """Set by a person, occluded: a thick ring with a hole."""
    HOLLOW = 2
    """Predicted, visible: a thin ring."""
    HOLLOW_BROKEN = 3
    """Predicted, occluded: a thin ring of four arcs."""


def color_of(packed: int, alpha: float = 1.0) -> QColor:
    """The Qt color of a packed one."""
    red, green, blue = unpack(packed)
    return QColor(red, green, blue, round(255 * min(max(alpha, 0.0), 1.0)))


@lru_cache(maxsize=2048)
def point_sprite(look: PointLook, diameter: float, color: int, outline: int, alpha: float, ratio: float) -> QPixmap:
    """A point of the given diameter in logical pixels, for a screen of ``ratio`` device pixels to the logical one.

    The pixmap's own ratio is left at 1; its size is odd, so that the middle is a pixel.
    """
    side = 2 * math.ceil((diameter / 2 + 2.0) * ratio) + 1
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(side / 2, side / 2)
    painter.scale(ratio, ratio)
    painter.setOpacity(alpha)
    _PAINT[look](painter, diameter / 2, color_of(color), outline)
    painter.end()
    return pixmap


def _filled(painter: QPainter, radius: float, color: QColor, outline: int) -> None:
    painter.setPen(QPen(color_of(outline, 0.85), 1.3))
    painter.setBrush(color)
    painter.drawEllipse(QPointF(0, 0), radius, radius)


def _holed(painter: QPainter, radius: float, color: QColor, outline: int) -> None:
    painter.setPen(QPen(color_of(outline, 0.85), 1.3))
    painter.setBrush(color)
    painter.drawEllipse(QPointF(0, 0), radius, radius)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color_of(outline))
    hole = max(radius * 0.52, 1.1)
    painter.drawEllipse(QPointF(0, 0), hole, hole)


def _hollow(painter: QPainter, radius: float, color: QColor, outline: int) -> None:
    width = max(min(radius * 0.4, 1.7), 1.1)
    _ring(painter, radius, width + 1.8, QPen(color_of(outline, 0.6)))
    _ring(painter, radius, width, QPen(color))


def _hollow_broken(painter: QPainter, radius: float, color: QColor, outline: int) -> None:
    width = max(min(radius * 0.4, 1.7), 1.1)
    _ring(painter, radius, width + 1.8, QPen(color_of(outline, 0.45)))
    pen = QPen(color, width)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.setPen(pen)
    painter.setBrush(QBrush(Qt.BrushStyle.NoBrush))
    inner = radius - width / 2
    for quarter in range(4):
        painter.drawArc(QRectF(-inner, -inner, 2 * inner, 2 * inner), (quarter * 90 + 45 - 27) * 16, 54 * 16)


def _ring(painter: QPainter, radius: float, width: float, pen: QPen) -> None:
    """A ring whose color's outer edge, whatever the width of its outline, lies at the radius of a filled point."""
    middle = radius - max(min(radius * 0.4, 1.7), 1.1) / 2
    pen.setWidthF(width)
    painter.setPen(pen)
    painter.setBrush(QBrush(Qt.BrushStyle.NoBrush))
    painter.drawEllipse(QPointF(0, 0), middle, middle)


_PAINT = {
    PointLook.FILLED: _filled,
    PointLook.HOLED: _holed,
    PointLook.HOLLOW: _hollow,
    PointLook.HOLLOW_BROKEN: _hollow_broken,
}
assert set(_PAINT) == set(PointLook)
