"""Heatmaps with a Gaussian at the exact keypoint: the codec of fine-tuned MoveNets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.codecs.base import Array, Outputs, register_codec
from engine.codecs.heatmap import Float64Array, HeatmapCodec, heatmaps_of, peak_cells, take_cells
from engine.errors import ModelError

# A keypoint more than this many sigmas outside the crop leaves no trace in the map and is not trained.
REACH = 3.0
# Values below this are noise around zero; the logarithm is taken of at least this.
FLOOR = 1e-4


@register_codec
@dataclass(frozen=True)
class GaussianCodec(HeatmapCodec):
    """Cell i covers crop pixels ``stride * i`` to ``stride * i + stride - 1``; its center is at ``stride * i + 1.5``
    for stride 4.

    Encode: exp(-d^2 / (2 sigma^2)), d in cells to the keypoint, not rounded. Decode: blur with a Gaussian of ``blur``
    cells, take the highest cell, refine by the parabola through the logarithms of it and its neighbours (exact for a
    Gaussian, blurred or not), each axis by itself; score = the unblurred height there, clamped to 0..1.

    Attributes:
        sigma: cells.
        blur: cells; 0 = none.
    """

    name: ClassVar[str] = "gaussian"

    sigma: float = 1.7
    blur: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sigma > 0 or not self.blur >= 0:
            raise ModelError(f"codec 'gaussian': sigma {self.sigma} and blur {self.blur} must not be negative")

    def encode_factors(
        self, keypoints: npt.ArrayLike, visible: npt.ArrayLike
    ) -> tuple[Float64Array, Float64Array, Array]:
        width, height = self.heatmap_size
        labelled = np.asarray(visible) > 0
        cells = self._to_cells(np.where(labelled[:, None], np.asarray(keypoints, np.float64), 0.0))
        rows = np.exp(-((np.arange(width) - cells[:, :1]) ** 2) / (2 * self.sigma**2))
        columns = np.exp(-((np.arange(height) - cells[:, 1:]) ** 2) / (2 * self.sigma**2))
        reach = REACH * self.sigma
        inside = ((cells > -reach) & (cells < np.array([width, height]) - 1 + reach)).all(1)
        weights = (labelled & inside).astype(np.float32)
        return columns * weights[:, None], rows, weights

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        maps = heatmaps_of(outputs).float()
        smooth = gaussian_blur(maps, self.blur)
        _, cells = peak_cells(smooth)
        rows, columns = maps.shape[-2:]
        logs = torch.log(smooth.clamp(min=FLOOR))
        x, y = cells % columns, cells // columns
        dx = _parabola(logs, y, x, 0, 1, columns, x)
        dy = _parabola(logs, y, x, 1, 0, rows, y)
        position = torch.stack([x + dx, y + dy], -1)
        return position * self.stride + (self.stride - 1) / 2, take_cells(maps, cells).clamp(0, 1)

    def to_crop(self, cells: Tensor) -> Tensor:
        return cells * self.stride + (self.stride - 1) / 2

    def flip_back(self, outputs: Outputs, flip_indices: Tensor) -> Outputs:
        # The cells lie symmetrically in the crop: no shift is needed.
        return heatmaps_of(outputs).flip(-1)[:, flip_indices]

    def _to_cells(self, keypoints: Float64Array) -> Float64Array:
        return (keypoints - (self.stride - 1) / 2) / self.stride


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur (B, K, h, w) with a Gaussian of ``sigma`` cells; outside, the value at the border is repeated."""
    if sigma == 0:
        return maps
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-(torch.arange(-radius, radius + 1, device=maps.device).float() ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(maps.dtype)
    flat = maps.flatten(0, 1)[:, None]
    padded = F.pad(flat, (radius, radius, radius, radius), mode="replicate")
    smooth = F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))
    return smooth.reshape(maps.shape)


def _parabola(logs: Tensor, y: Tensor, x: Tensor, step_y: int, step_x: int, size: int, along: Tensor) -> Tensor:
    """The vertex, from -1 to 1, of the parabola through three cells in a row; 0 at the border and on plateaus."""
    rows, columns = logs.shape[-2:]

    def at(offset: int) -> Tensor:
        row = (y + offset * step_y).clamp(0, rows - 1)
        column = (x + offset * step_x).clamp(0, columns - 1)
        return take_cells(logs, row * columns + column)

    before, here, after = at(-1), at(0), at(1)
    bend = before - 2 * here + after
    inner = (along > 0) & (along < size - 1) & (bend < -1e-6)
    vertex = (before - after) / (2 * torch.where(inner, bend, torch.ones_like(bend)))
    return torch.where(inner, vertex.clamp(-1, 1), torch.zeros_like(vertex))
