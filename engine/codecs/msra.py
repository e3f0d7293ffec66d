"""The heatmaps of the top-down models "Simple Baselines" and HRNet, and their unbiased variant (DARK).

Sources: Xiao, Wu & Wei, "Simple Baselines for Human Pose Estimation and Tracking" (ECCV 2018); Zhang et al.,
"Distribution-Aware Coordinate Representation for Human Pose Estimation" (CVPR 2020). Borders, roundings and the
position of a keypoint that is not found are those of MMPose 1.x, with which the published figures were measured.
"""

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

LOG_FLOOR = 1e-10


@register_codec
@dataclass(frozen=True)
class MSRACodec(HeatmapCodec):
    """Cell i is at crop pixel ``stride * i``.

    Encode: a Gaussian at the rounded cell, cut to a square of 3 sigma; ``unbiased``: at the keypoint itself, not cut.
    Decode: the highest cell, moved a quarter of a cell towards the higher neighbour; ``unbiased``: one Newton step on
    the logarithm of the blurred map. A map without a positive value gives cell (-1, -1).

    Attributes:
        sigma: cells.
        unbiased: encode and decode without rounding (DARK).
        blur_kernel_size: cells, odd; only for ``unbiased``.
        shift_heatmap: in the flip test, move the mirrored maps one cell to the right: the cells do not lie
            symmetrically in the crop.
    """

    name: ClassVar[str] = "msra"
    has_published_loss: ClassVar[bool] = True

    sigma: float = 2.0
    unbiased: bool = False
    blur_kernel_size: int = 11
    shift_heatmap: bool = True

    def encode_factors(
        self, keypoints: npt.ArrayLike, visible: npt.ArrayLike
    ) -> tuple[Float64Array, Float64Array, Array]:
        """As the base; where ``visible`` is below 0.5 the map is empty and the weight keeps that value."""
        width, height = self.heatmap_size
        weights = np.array(visible, np.float32)
        skipped = weights < 0.5
        cells = np.where(skipped[:, None], 0.0, np.asarray(keypoints, np.float64)) / self.stride
        # Truncated, not rounded down: the difference shows for points left of or above the crop.
        middle = cells if self.unbiased else np.trunc(cells + 0.5)
        reach = 3 * self.sigma
        low, high = middle - reach, middle + reach + 1
        outside = (low >= np.array([width, height])).any(1) | (high < 0).any(1)
        weights[outside & ~skipped] = 0
        x, y = np.arange(width) - middle[:, :1], np.arange(height) - middle[:, 1:]
        row, column = np.exp(-(x**2) / (2 * self.sigma**2)), np.exp(-(y**2) / (2 * self.sigma**2))
        if not self.unbiased:
            row, column = row * (np.abs(x) <= reach), column * (np.abs(y) <= reach)
        column[skipped | outside] = 0
        return column, row, weights

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        maps = heatmaps_of(outputs).float()
        columns = maps.shape[-1]
        scores, cells = peak_cells(maps)
        x, y = cells % columns, cells // columns
        step = self._newton(maps, x, y) if self.unbiased else self._quarter(maps, x, y)
        positions = torch.stack([x, y], -1) + step
        positions = torch.where((scores > 0)[..., None], positions, torch.full_like(positions, -1.0))
        return positions * self.stride, scores

    def flip_back(self, outputs: Outputs, flip_indices: Tensor) -> Outputs:
        back = heatmaps_of(outputs).flip(-1)[:, flip_indices]
        if self.shift_heatmap:
            back = torch.cat([back[..., :1], back[..., :-1]], -1)
        return back

    @staticmethod
    def _quarter(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        rows, columns = maps.shape[-2:]
        # As published: no shift along x in columns 0 and 1 nor in row 0, and likewise along y.
        along_x = (x > 1) & (x < columns - 1) & (y > 0) & (y < rows)
        along_y = (y > 1) & (y < rows - 1) & (x > 0) & (x < columns)
        dx = torch.sign(_at(maps, x + 1, y) - _at(maps, x - 1, y)) * along_x
        dy = torch.sign(_at(maps, x, y + 1) - _at(maps, x, y - 1)) * along_y
        return torch.stack([dx, dy], -1) * 0.25

    def _newton(self, maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        rows, columns = maps.shape[-2:]
        logs = torch.log(blurred(maps, self.blur_kernel_size).clamp(min=LOG_FLOOR))

        def at(dx: int, dy: int) -> Tensor:
            return _at(logs, x + dx, y + dy)

        gx, gy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
        hxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
        hyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
        hxy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
        determinant = hxx * hyy - hxy**2
        usable = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2) & (determinant != 0)
        safe = torch.where(usable, determinant, torch.ones_like(determinant))
        step = torch.stack([hyy * gx - hxy * gy, hxx * gy - hxy * gx], -1) / -safe[..., None]
        return torch.where(usable[..., None], step, torch.zeros_like(step))


def _at(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(B, K, h, w) at cells (B, K), clamped to the map; callers do not use what is outside."""
    rows, columns = maps.shape[-2:]
    return take_cells(maps, y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1))


def blurred(maps: Tensor, kernel_size: int) -> Tensor:
    """Gaussian blur with zeros outside, each map scaled back to its old maximum; sigma follows the kernel's size."""
    radius = (kernel_size - 1) // 2
    sigma = 0.3 * (radius - 1) + 0.8
    kernel = torch.exp(-(torch.arange(-radius, radius + 1, device=maps.device).double() ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(maps.dtype)
    flat = F.pad(maps.flatten(0, 1)[:, None], (radius, radius, radius, radius))
    smooth = F.conv2d(F.conv2d(flat, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1)).reshape(maps.shape)
    highest = smooth.flatten(2).amax(2)[..., None, None]
    scale = maps.flatten(2).amax(2)[..., None, None] / torch.where(highest == 0, torch.ones_like(highest), highest)
    return smooth * scale
