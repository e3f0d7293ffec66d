"""Arrays of numbers drawn by QPainter in one call, without a Python object for each line or sprite.

QPainter's C++ functions take a pointer to the first of many; PySide exposes them with an object standing for it.
The object made here points into the numpy array, whose rows have the memory layout of the Qt class (all fields double).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import shiboken6
from PySide6.QtCore import QLineF, QRectF
from PySide6.QtGui import QPainter, QPixmap

Floats = npt.NDArray[np.float64]


def draw_lines(painter: QPainter, lines: Floats) -> None:
    """Draw (n, 4) rows x1, y1, x2, y2 with the painter's pen."""
    if len(lines):
        array = np.ascontiguousarray(lines, dtype=np.float64)  # kept alive by this frame while Qt reads it
        first = cast(QLineF, shiboken6.wrapInstance(array.ctypes.data, QLineF))
        painter.drawLines(first, len(array))


def draw_rects(painter: QPainter, rects: Floats) -> None:
    """Draw (n, 4) rows x, y, width, height with the painter's pen and brush."""
    painter.drawRects([QRectF(*row) for row in rects.tolist()])


class Sprites:
    """Places to stamp at; positions are snapped to device pixels, so that stamps stay crisp and take the quick road.

    Args:
        centres: (n, 2) logical pixels.
        ratio: device pixels to the logical one.
    """

    def __init__(self, centres: Floats, ratio: float) -> None:
        # x, y, source left, top, width, height, scale x, y, rotation, opacity
        self._fragments = np.zeros((len(centres), 10))
        self._fragments[:, :2] = (np.floor(centres * ratio) + 0.5) / ratio
        self._fragments[:, 6:8] = 1.0 / ratio
        self._fragments[:, 9] = 1.0
        self._address = self._fragments.ctypes.data

    def draw(self, painter: QPainter, pixmap: QPixmap, first: int, end: int) -> None:
        """Stamp a pixmap of odd size, given in device pixels, at the places ``first`` to ``end``."""
        self._fragments[first:end, 4] = pixmap.width()
        self._fragments[first:end, 5] = pixmap.height()
        address = self._address + first * self._fragments.strides[0]
        fragment = cast(QPainter.PixmapFragment, shiboken6.wrapInstance(address, QPainter.PixmapFragment))
        painter.drawPixmapFragments(fragment, end - first, pixmap)
