"""Arrays of numbers drawn by QPainter in one call, without a Python object for each line or sprite.

QPainter's C++ functions take a pointer to the first of many; PySide exposes them with an object standing for it.
The object made here points into the numpy array, whose rows have the memory layout of the Qt class (all fields double).
"""

from __future__ import annotations

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
        painter.drawLines(shiboken6.wrapInstance(array.ctypes.data, QLineF), len(array))


def draw_rects(painter: QPainter, rects: Floats) -> None:
    """Draw (n, 4) rows x, y, width, height with the painter's pen and brush."""
    painter.drawRects([QRectF(*row) for row in rects.tolist()])


def draw_sprites(painter: QPainter, pixmap: QPixmap, centres: Floats, ratio: float) -> None:
    """Draw the pixmap (of ``ratio`` device pixels to the logical one) centred at (n, 2) logical positions.

    Positions are snapped to device pixels: the sprites stay crisp and take the raster engine's quick road.
    """
    if not len(centres):
        return
    width, height = pixmap.width(), pixmap.height()
    fragments = np.zeros((len(centres), 10))  # x, y, source left, top, width, height, scale x, y, rotation, opacity
    corner = np.round(centres * ratio - (width / 2.0, height / 2.0))
    fragments[:, 0] = (corner[:, 0] + width / 2.0) / ratio
    fragments[:, 1] = (corner[:, 1] + height / 2.0) / ratio
    fragments[:, 4], fragments[:, 5] = width, height
    fragments[:, 6] = fragments[:, 7] = 1.0 / ratio
    fragments[:, 9] = 1.0
    first = shiboken6.wrapInstance(fragments.ctypes.data, QPainter.PixmapFragment)
    painter.drawPixmapFragments(first, len(fragments), pixmap)
