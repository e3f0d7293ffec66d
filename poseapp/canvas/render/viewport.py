"""How the picture lies on the screen, as plain numbers. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ViewPort:
    """How image pixels become logical screen pixels: ``screen = image * scale + (dx, dy)``.

    ``clip`` is left, top, right, bottom of what is to be painted; ``ratio`` device pixels to the logical one.
    """

    scale: float
    dx: float
    dy: float
    clip: tuple[float, float, float, float]
    ratio: float = 1.0

    def to_screen(self, points: Floats) -> Floats:
        """(..., 2) image pixels to (..., 2) screen pixels."""
        mapped: Floats = points * self.scale + (self.dx, self.dy)
        return mapped

    @property
    def image_clip(self) -> tuple[float, float, float, float]:
        """The clip in image pixels."""
        left, top, right, bottom = self.clip
        return (
            (left - self.dx) / self.scale,
            (top - self.dy) / self.scale,
            (right - self.dx) / self.scale,
            (bottom - self.dy) / self.scale,
        )
