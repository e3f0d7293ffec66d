"""The picture under the poses: kept as 32-bit pixels, with halved copies for looking from afar."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

from poseapp.canvas.style import PictureStyle

Pixels = npt.NDArray[np.uint8]

NEAREST_FROM = 2.0
"""Device pixels to the image pixel from which on pixels are drawn as squares: then one wants to see them."""
_SMALLEST = 64


class Picture:
    """An image and how it is drawn. Pixel centres lie at integers, so it spans -0.5 .. width - 0.5.

    Args:
        rgb: (h, w, 3) uint8, not kept.
        style: brightness, contrast and gamma, worked in by a table.
    """

    def __init__(self, rgb: Pixels, style: PictureStyle | None = None) -> None:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"the picture must be (h, w, 3) uint8, not {rgb.shape} {rgb.dtype}")
        self.height, self.width = rgb.shape[:2]
        table = tone_table(style or PictureStyle())
        if table is not None:
            rgb = cv2.LUT(rgb, table)
        # Qt's RGB32 is BGRA in memory: the only format the raster engine copies without converting.
        self._levels: list[tuple[Pixels, QImage]] = [_level(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA))]

    @property
    def bounds(self) -> QRectF:
        """In image pixels."""
        return QRectF(-0.5, -0.5, self.width, self.height)

    def paint(self, painter: QPainter, exposed: QRectF, scale: float) -> None:
        """Draw the part inside ``exposed`` (image pixels) with a painter in image coordinates.

        ``scale`` is device pixels to the image pixel: nearest neighbour from NEAREST_FROM on, else smooth.
        """
        target = exposed.intersected(self.bounds)
        if target.isEmpty():
            return
        image = self._at(scale)
        across, down = image.width() / self.width, image.height() / self.height
        # Whole source pixels, so that the parts of two repaints meet without a seam.
        left, top = int((target.left() + 0.5) * across), int((target.top() + 0.5) * down)
        right = min(int(np.ceil((target.right() + 0.5) * across)) + 1, image.width())
        bottom = min(int(np.ceil((target.bottom() + 0.5) * down)) + 1, image.height())
        left, top = max(left - 1, 0), max(top - 1, 0)
        source = QRectF(left, top, right - left, bottom - top)
        place = QRectF(left / across - 0.5, top / down - 0.5, source.width() / across, source.height() / down)
        one_to_one = abs(scale - 1.0) < 1e-9
        smooth = scale < NEAREST_FROM and not one_to_one
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(place, image, source)

    def _at(self, scale: float) -> QImage:
        """The smallest halved copy that still has a pixel for every device pixel; made when first asked for."""
        level = 0
        while scale * 2 ** (level + 1) <= 1.0 and min(self._size(level + 1)) >= _SMALLEST:
            level += 1
        while len(self._levels) <= level:
            width, height = self._size(len(self._levels))
            smaller = cv2.resize(self._levels[-1][0], (width, height), interpolation=cv2.INTER_AREA)
            self._levels.append(_level(smaller))
        return self._levels[level][1]

    def _size(self, level: int) -> tuple[int, int]:
        return max(self.width >> level, 1), max(self.height >> level, 1)


def tone_table(style: PictureStyle) -> Pixels | None:
    """(256,) uint8 table for a view setting, or None when it changes nothing."""
    if style == PictureStyle():
        return None
    value = np.linspace(0.0, 1.0, 256) ** (1.0 / max(style.gamma, 0.05))
    value = (value - 0.5) * style.contrast + 0.5 + style.brightness
    return np.round(np.clip(value, 0.0, 1.0) * 255).astype(np.uint8)


def rgb_of(image: QImage | Pixels) -> Pixels:
    """(h, w, 3) uint8 from a QImage, or from an array that may be grey or have alpha."""
    if isinstance(image, QImage):
        plain = image.convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(plain.constBits(), dtype=np.uint8).reshape(plain.height(), plain.bytesPerLine())
        return np.ascontiguousarray(rows[:, : plain.width() * 3].reshape(plain.height(), plain.width(), 3))
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[:, :, :3])


def _level(bgra: Pixels) -> tuple[Pixels, QImage]:
    """Pixels and the image that wraps them; the pixels must outlive the image."""
    height, width = bgra.shape[:2]
    return bgra, QImage(bgra.data, width, height, bgra.strides[0], QImage.Format.Format_RGB32)


__all__: Sequence[str] = ["NEAREST_FROM", "Picture", "rgb_of", "tone_table"]
