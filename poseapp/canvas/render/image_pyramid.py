"""Pictures too large to be taken over at once: what is in sight is taken out of them, smaller copies come later."""

from __future__ import annotations

import threading
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QRectF, Qt, Signal
from PySide6.QtGui import QImage

from poseapp.canvas.render.image_item import SMALLEST, Picture, Pixels, tone_table, wrapped
from poseapp.canvas.render.style import PictureStyle

LARGE = 10_000_000
"""Pixels from which on making a picture ready would be felt."""


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
            found = self._copies[level][top:bottom, left:right]
        else:
            step = 1 << level
            found = self._copies[0][top * step : bottom * step : step, left * step : right * step : step]
        _, image = wrapped(self._toned(found))
        return image.copy(), QRectF(0, 0, right - left, bottom - top)

    def _pick(self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Pixels:
        wide = self._copies[0][int(rows[0]) : int(rows[-1]) + 1].take(columns, axis=1)
        return self._toned(wide.take(rows - int(rows[0]), axis=0))

    def _toned(self, rgb: Pixels) -> Pixels:
        """(h, w, 4) BGRA in the tones of the style."""
        rgb = np.ascontiguousarray(rgb)
        found = rgb if self._table is None else cv2.LUT(rgb, self._table)
        return np.asarray(cv2.cvtColor(found, cv2.COLOR_RGB2BGRA), dtype=np.uint8)


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
