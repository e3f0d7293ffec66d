"""The picture under the poses, with halved copies for looking from afar.

:class:`Picture` converts all of it to 32-bit pixels. :class:`LargePicture` converts only what is in sight, and a thread
makes its smaller copies.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QTransform

from poseapp.app.canvas_style import PictureStyle
from poseapp.canvas.render.viewport import ViewPort

Pixels = npt.NDArray[np.uint8]

NEAREST_FROM = 2.0
"""Device pixels to the image pixel from which on pixels are drawn as squares: then one wants to see them."""
SMALLEST = 64
LARGE = 10_000_000
"""Pixels from which on making a picture ready would be felt."""


class Picture:
    """An image and how it is drawn. Pixel centers lie at integers, so it spans -0.5 .. width - 0.5.

    Args:
        rgb: (h, w, 3) uint8, not kept.
        style: brightness, contrast and gamma, worked in by a table.
        instead_of: a picture that is not painted any more; its memory is taken where it fits, for fresh memory costs
            as much as what is done with it.
    """

    def __init__(self, rgb: Pixels, style: PictureStyle | None = None, instead_of: Picture | None = None) -> None:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"the picture must be (h, w, 3) uint8, not {rgb.shape} {rgb.dtype}")
        self.height, self.width = rgb.shape[:2]
        table = tone_table(style or PictureStyle())
        if table is not None:
            rgb = cv2.LUT(rgb, table)
        # Qt's RGB32 is BGRA in memory: the only format the raster engine copies without converting.
        self._spare = [] if instead_of is None else instead_of._give_memory()
        self._levels: list[tuple[Pixels, QImage]] = []
        self._levels.append(wrapped(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA, dst=self._memory(0))))

    def paint(self, painter: QPainter, view: ViewPort, draft: bool = False) -> None:
        """Draw what lies in ``view.clip``, whatever transform the painter has; it is given back as it came.

        ``draft``: pixels are picked, not blended, which is five times as fast.
        """
        painter.save()
        painter.setWorldTransform(QTransform())
        if view.scale * view.ratio >= NEAREST_FROM:
            self._paint_squares(painter, view)
        else:
            self._paint_smooth(painter, view, draft)
        painter.restore()

    def _paint_squares(self, painter: QPainter, view: ViewPort) -> None:
        """Every device pixel takes the image pixel that it lies in.

        The painter's own enlarging rounds differently for every part, which would leave seams where parts meet.
        """
        left, top, right, bottom = view.clip
        columns, x = _nearest(left, right, view.dx, view.scale, view.ratio, self.width)
        rows, y = _nearest(top, bottom, view.dy, view.scale, view.ratio, self.height)
        if not len(columns) or not len(rows):
            return
        _part, image = wrapped(self._pick(rows, columns))
        image.setDevicePixelRatio(view.ratio)
        painter.drawImage(QPointF(x / view.ratio, y / view.ratio), image)

    def _paint_smooth(self, painter: QPainter, view: ViewPort, draft: bool) -> None:
        level = self._level_for(view.scale * view.ratio)
        width, height = self._size(level)
        across, down = width / self.width, height / self.height
        x1, y1, x2, y2 = view.image_clip
        # Whole source pixels and one more all around, so that the parts of two repaints meet without a seam.
        left, top = max(math.floor((x1 + 0.5) * across) - 1, 0), max(math.floor((y1 + 0.5) * down) - 1, 0)
        right = min(math.ceil((x2 + 0.5) * across) + 1, width)
        bottom = min(math.ceil((y2 + 0.5) * down) + 1, height)
        if right <= left or bottom <= top:
            return
        target = QRectF(
            (left / across - 0.5) * view.scale + view.dx,
            (top / down - 0.5) * view.scale + view.dy,
            (right - left) / across * view.scale,
            (bottom - top) / down * view.scale,
        )
        one_to_one = abs(view.scale * view.ratio - 1.0) < 1e-9
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not (one_to_one or draft))
        image, source = self._part(level, left, top, right, bottom)
        painter.drawImage(target, image, source)

    def _level_for(self, scale: float) -> int:
        """The smallest halved copy that still has a pixel for every device pixel."""
        level = 0
        while scale * 2 ** (level + 1) <= 1.0 and min(self._size(level + 1)) >= SMALLEST:
            level += 1
        return level

    def _part(self, level: int, left: int, top: int, right: int, bottom: int) -> tuple[QImage, QRectF]:
        """An image that holds this part of a halved copy, and where in the image it is."""
        return self._at(level), QRectF(left, top, right - left, bottom - top)

    def _pick(self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Pixels:
        """(rows, columns, 4) BGRA of the full picture; both ascend."""
        pixels = self._levels[0][0].view(np.uint32)[:, :, 0]
        first = int(rows[0])
        wide = pixels[first : int(rows[-1]) + 1].take(columns, axis=1)
        picked = np.ascontiguousarray(wide.take(rows - first, axis=0))
        return picked.view(np.uint8).reshape(len(rows), len(columns), 4)

    def _at(self, level: int) -> QImage:
        """A halved copy, made when first asked for."""
        while len(self._levels) <= level:
            width, height = self._size(len(self._levels))
            larger, memory = self._levels[-1][0], self._memory(len(self._levels))
            smaller = cv2.resize(larger, (width, height), dst=memory, interpolation=cv2.INTER_AREA)
            self._levels.append(wrapped(smaller))
        return self._levels[level][1]

    def _memory(self, level: int) -> Pixels | None:
        """Memory of the right size that the picture before has left, or None."""
        width, height = self._size(level)
        if level >= len(self._spare) or self._spare[level].shape != (height, width, 4):
            return None
        return self._spare[level]

    def _give_memory(self) -> list[Pixels]:
        """The memory of all levels; this picture cannot be painted any more."""
        buffers = [pixels for pixels, _ in self._levels] or self._spare
        self._levels, self._spare = [], []
        return buffers

    def _size(self, level: int) -> tuple[int, int]:
        return max(self.width >> level, 1), max(self.height >> level, 1)


def _nearest(
    low: float, high: float, offset: float, scale: float, ratio: float, size: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Along one axis: the image pixel under each device pixel from ``low`` to ``high`` (logical pixels) that lies in
    the picture, and the first such device pixel."""
    device = np.arange(math.floor(low * ratio), math.ceil(high * ratio))
    nearest = np.floor(((device + 0.5) / ratio - offset) / scale + 0.5).astype(np.int64)
    inside = np.flatnonzero((nearest >= 0) & (nearest < size))
    return nearest[inside], int(device[inside[0]]) if len(inside) else 0


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
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    return np.ascontiguousarray(image[:, :, :3])


def wrapped(bgra: Pixels) -> tuple[Pixels, QImage]:
    """Pixels and the image that wraps them; the pixels must outlive the image."""
    height, width = bgra.shape[:2]
    return bgra, QImage(bgra.data, width, height, bgra.strides[0], QImage.Format.Format_RGB32)


__all__: Sequence[str] = ["NEAREST_FROM", "SMALLEST", "Picture", "rgb_of", "tone_table", "wrapped"]


class _Ready(QObject):
    ready = Signal()


class LargePicture(Picture):
    """As :class:`Picture`, for pictures of any size without a pause.

    The halved copies for looking from afar are made in a thread. Until they are there, every second (fourth, ...)
    pixel stands in for them.

    Args:
        rgb: (h, w, 3) uint8, kept and not changed.
        style: brightness, contrast and gamma.
        changed: called in the UI thread when finer copies have come.
    """

    def __init__(self, rgb: Pixels, style: PictureStyle | None, changed: Callable[[], None]) -> None:
        self.height, self.width = rgb.shape[:2]
        self._spare, self._levels = [], []
        self._table = tone_table(style or PictureStyle())
        self._copies: list[Pixels] = [rgb]
        self._is_stopped = False
        self._ready = _Ready()
        self._ready.ready.connect(changed, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._halve, name="poseapp-halving", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the copy that it makes now: the picture is not painted any more."""
        self._is_stopped = True

    def _halve(self) -> None:
        level = 1
        while min(self._size(level)) >= SMALLEST:
            if self._is_stopped:
                return
            self._copies.append(
                np.asarray(cv2.resize(self._copies[-1], self._size(level), interpolation=cv2.INTER_AREA), np.uint8)
            )
            level += 1
        self._ready.ready.emit()

    def _part(self, level: int, left: int, top: int, right: int, bottom: int) -> tuple[QImage, QRectF]:
        if level < len(self._copies):
            pixels = self._copies[level][top:bottom, left:right]
        else:
            step = 1 << level
            pixels = self._copies[0][top * step : bottom * step : step, left * step : right * step : step]
        _, image = wrapped(self._toned(pixels))
        return image.copy(), QRectF(0, 0, right - left, bottom - top)

    def _pick(self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Pixels:
        wide = self._copies[0][int(rows[0]) : int(rows[-1]) + 1].take(columns, axis=1)
        return self._toned(wide.take(rows - int(rows[0]), axis=0))

    def _toned(self, rgb: Pixels) -> Pixels:
        """(h, w, 4) BGRA in the tones of the style."""
        rgb = np.ascontiguousarray(rgb)
        toned = rgb if self._table is None else cv2.LUT(rgb, self._table)
        return np.asarray(cv2.cvtColor(toned, cv2.COLOR_RGB2BGRA), dtype=np.uint8)


def make_picture(
    rgb: Pixels | None, style: PictureStyle, instead_of: Picture | None, changed: Callable[[], None]
) -> Picture | None:
    """The way to paint a picture of its size; ``instead_of`` is not painted any more."""
    if isinstance(instead_of, LargePicture):
        instead_of.stop()
    if rgb is None:
        return None
    if rgb.shape[0] * rgb.shape[1] >= LARGE:
        return LargePicture(rgb, style, changed)
    return Picture(rgb, style, instead_of)
