"""Unbiased heatmaps (UDP): Huang et al., "The Devil is in the Details: Delving into Unbiased Data
Processing for Human Pose Estimation" (CVPR 2020), Gaussian form, as MMPose 1.x computes it.

Lengths are measured between the centers of the first and the last pixel, so that the crop is ``W - 1`` wide and the
map ``w - 1``. It belongs to the crop of the same paper (``engine.geometry.udp_affine``).
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
from engine.codecs.heatmap import Float64Array, HeatmapCodec, heatmaps_of, peak_cells
from engine.codecs.msra import blurred

LOG_RANGE = (1e-3, 50.0)
# Added to the diagonal of the Hessian: one step of float32 at 1.
RIDGE = float(np.finfo(np.float32).eps)


@register_codec
@dataclass(frozen=True)
class UDPCodec(HeatmapCodec):
    """Encode: a Gaussian around the exact position, cut to a square around the rounded cell.

    Decode: one Newton step on the logarithm of the blurred map, borders included. The result is a share of the map
    times the *whole* width of the crop. This fits the way back into the image, which also uses the whole width of the
    box; it is up to one pixel off the crop's own pixel centers.

    Attributes:
        sigma: cells.
        blur_kernel_size: cells, odd.
        shift_heatmap: in the flip test, move the mirrored maps one cell to the right; off, because with this
            geometry the cells lie symmetrically.
    """

    name: ClassVar[str] = "udp"
    has_published_loss: ClassVar[bool] = True

    sigma: float = 2.0
    blur_kernel_size: int = 11
    shift_heatmap: bool = False

    @property
    def _steps(self) -> Float64Array:
        """Crop pixels to a cell along x and y, from pixel center to pixel center."""
        return (np.array(self.input_size, np.float64) - 1) / (np.array(self.heatmap_size, np.float64) - 1)

    def encode_factors(
        self, keypoints: npt.ArrayLike, visible: npt.ArrayLike
    ) -> tuple[Float64Array, Float64Array, Array]:
        """As the base; where ``visible`` is below 0.5 the map is empty and the weight keeps that value."""
        width, height = self.heatmap_size
        weights = np.array(visible, np.float32)
        skipped = weights < 0.5
        cells = np.where(skipped[:, None], 0.0, np.asarray(keypoints, np.float64)) / self._steps
        middle = np.trunc(cells + 0.5)
        reach = 3 * self.sigma
        low, high = np.trunc(middle - reach), np.trunc(middle + reach + 1)
        outside = (low >= np.array([width, height])).any(1) | (high < 0).any(1)
        weights[outside & ~skipped] = 0
        x, y = np.arange(width) - cells[:, :1], np.arange(height) - cells[:, 1:]
        row, column = np.exp(-(x**2) / (2 * self.sigma**2)), np.exp(-(y**2) / (2 * self.sigma**2))
        row = row * (np.abs(np.arange(width) - middle[:, :1]) <= reach)
        column = column * (np.abs(np.arange(height) - middle[:, 1:]) <= reach)
        column[skipped | outside] = 0
        return column, row, weights

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        maps = heatmaps_of(outputs).float()
        rows, columns = maps.shape[-2:]
        scores, cells = peak_cells(maps)
        x, y = cells % columns, cells // columns
        is_empty = scores <= 0
        # A map without a positive value counts as cell (-1, -1), whose neighbourhood is that of the padded corner.
        x, y = torch.where(is_empty, -1, x), torch.where(is_empty, -1, y)
        positions = torch.stack([x, y], -1) + self._newton(maps, x, y)
        size = torch.tensor(self.input_size, dtype=positions.dtype, device=positions.device)
        cells_wide = torch.tensor([columns - 1, rows - 1], dtype=positions.dtype, device=positions.device)
        return positions / cells_wide * size, scores

    def to_crop(self, cells: Tensor) -> Tensor:
        size = torch.tensor(self.input_size, dtype=torch.float32, device=cells.device)
        columns, rows = self.heatmap_size
        return cells / torch.tensor([columns - 1, rows - 1], dtype=torch.float32, device=cells.device) * size

    def flip_back(self, outputs: Outputs, flip_indices: Tensor) -> Outputs:
        back = heatmaps_of(outputs).flip(-1)[:, flip_indices]
        if self.shift_heatmap:
            back = torch.cat([back[..., :1], back[..., :-1]], -1)
        return back

    def _newton(self, maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        _, keypoints, rows, columns = maps.shape
        logs = torch.log(blurred(maps, self.blur_kernel_size).clamp(*LOG_RANGE))
        logs = F.pad(logs, (1, 1, 1, 1), mode="replicate")
        # As in the published decoder, the maps of a person are one array: the neighbors before the corner of a map
        # without a peak are those of the map before it.
        flat, span = logs.flatten(1), (rows + 2) * (columns + 2)
        start = torch.arange(keypoints, device=maps.device) * span
        here = start + (y + 1) * (columns + 2) + x + 1

        def at(dx: int, dy: int) -> Tensor:
            return flat.gather(1, (here + dy * (columns + 2) + dx) % (span * keypoints))

        middle = at(0, 0)
        gx, gy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
        hxx = at(1, 0) - 2 * middle + at(-1, 0) + RIDGE
        hyy = at(0, 1) - 2 * middle + at(0, -1) + RIDGE
        hxy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * middle - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
        gx, gy, hxx, hyy, hxy = (value.double() for value in (gx, gy, hxx, hyy, hxy))
        determinant = hxx * hyy - hxy**2
        safe = torch.where(determinant == 0, torch.ones_like(determinant), determinant)
        step = torch.stack([hxy * gy - hyy * gx, hxy * gx - hxx * gy], -1) / safe[..., None]
        return torch.where((determinant == 0)[..., None], torch.zeros_like(step), step).to(maps.dtype)
