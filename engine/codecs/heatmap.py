"""What codecs with one heatmap per keypoint have in common: their grid, targets, losses and peaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.codecs.base import WEIGHTS, Array, Codec, Outputs
from engine.errors import ModelError, TrainingError

Float64Array = npt.NDArray[np.float64]
HEATMAP = "heatmap"


@dataclass(frozen=True)
class HeatmapCodec(Codec):
    """Keypoints <-> heatmaps (B, K, h, w) of ``input_size / stride`` cells.

    A target is a separable bump, so codecs give it as its factors (``encode_factors``): they are a hundredth of the
    maps, and are multiplied on the device that trains.

    Attributes:
        stride: crop pixels per cell.
    """

    output_names: ClassVar[tuple[str, ...]] = (HEATMAP,)

    stride: int = 4

    def __post_init__(self) -> None:
        if self.stride < 1 or any(side < self.stride or side % self.stride for side in self.input_size):
            raise ModelError(f"codec {self.name!r}: stride {self.stride} does not divide the input {self.input_size}")

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Width and height of the heatmaps."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    def encode_factors(
        self, keypoints: npt.ArrayLike, visible: npt.ArrayLike
    ) -> tuple[Float64Array, Float64Array, Array]:
        """The targets of K keypoints as factors: a heatmap is the product of a column (K, h) and a row (K, w).

        Returns:
            columns, rows, and weights (K,) float32.

        Raises:
            TrainingError: models with this codec cannot be trained.
        """
        raise TrainingError(f"models with the codec {self.name!r} cannot be trained; start from one and use 'gaussian'")

    def encode(self, keypoints: npt.ArrayLike, visible: npt.ArrayLike) -> tuple[Array, Array]:
        """As the base; the target is heatmaps (K, h, w) float32."""
        columns, rows, weights = self.encode_factors(keypoints, visible)
        return (columns[:, :, None] * rows[:, None, :]).astype(np.float32), weights

    def encode_batch(self, keypoints: npt.ArrayLike, visible: npt.ArrayLike) -> dict[str, Array]:
        """As the base; the targets are "columns" (B, K, h) and "rows" (B, K, w)."""
        labelled = np.asarray(visible)
        batch, count = labelled.shape
        columns, rows, weights = self.encode_factors(np.asarray(keypoints).reshape(-1, 2), labelled.reshape(-1))
        return {
            "columns": columns.astype(np.float32).reshape(batch, count, -1),
            "rows": rows.astype(np.float32).reshape(batch, count, -1),
            WEIGHTS: weights.reshape(batch, count),
        }

    def loss(self, outputs: Outputs, targets: Mapping[str, Tensor], foreground_weight: float = 0.0) -> Tensor:
        """As the base: :func:`heatmap_loss`."""
        return heatmap_loss(heatmaps_of(outputs).float(), target_maps(targets), targets[WEIGHTS], foreground_weight)

    def published_loss(self, outputs: Outputs, targets: Mapping[str, Tensor]) -> Tensor:
        """As the base: :func:`keypoint_mse`."""
        return keypoint_mse(heatmaps_of(outputs).float(), target_maps(targets), targets[WEIGHTS])

    @property
    def separation(self) -> float:
        """As the base: two and a half cells."""
        return 2.5 * self.stride

    def candidates(self, outputs: Outputs, count: int) -> tuple[Tensor, Tensor]:
        """As the base: the highest peaks of each heatmap, to about a quarter of a cell (``decode`` is finer)."""
        maps = heatmaps_of(outputs).float().clamp(0, 1)
        heights, cells = peaks(maps, count)
        columns = maps.shape[-1]
        positions = torch.stack([cells % columns, cells // columns], -1)
        return self.to_crop(positions + _quarter_shifts(maps, cells)), heights

    def to_crop(self, cells: Tensor) -> Tensor:
        """Fractional cells (..., 2) -> crop pixels."""
        return cells * self.stride


# -- losses -----------------------------------------------------------------------------------------------------------


def target_maps(targets: Mapping[str, Tensor]) -> Tensor:
    """(B, K, h, w) heatmaps from the factors of ``HeatmapCodec.encode_batch``."""
    return targets["columns"][..., :, None] * targets["rows"][..., None, :]


def heatmap_loss(predicted: Tensor, target: Tensor, weights: Tensor, foreground_weight: float) -> Tensor:
    """Mean squared error in which cells under a keypoint weigh more; 0 where no keypoint counts.

    A Gaussian covers about one cell in a hundred. Unweighted, an empty map is nearly right, and training on few labels
    never leaves it.

    Args:
        predicted, target: (B, K, h, w).
        weights: (B, K), 0 for a keypoint without a label.
        foreground_weight: the weight of a cell is 1 + this * target.
    """
    cells = (1 + foreground_weight * target) * (predicted - target) ** 2
    per_map = cells.mean(dim=(2, 3))
    return (per_map * weights).sum() / weights.sum().clamp(min=1)


def keypoint_mse(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean squared error over all cells of all maps; a map of weight 0 counts as one without error.

    This is MMPose's KeypointMSELoss with target weights: the more keypoints are labelled, the larger the loss.

    Args:
        predicted, target: (B, K, h, w).
        weights: (B, K).
    """
    return ((predicted - target) ** 2 * weights[..., None, None]).mean()


# -- reading heatmaps -------------------------------------------------------------------------------------------------


def heatmaps_of(outputs: Outputs) -> Tensor:
    """The (B, K, h, w) heatmaps among the outputs of a network."""
    return outputs if isinstance(outputs, Tensor) else outputs[HEATMAP]


def take_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, K, h, w) at flat cells (B, K) -> (B, K)."""
    return maps.flatten(2).gather(2, cells[..., None])[..., 0]


def peak_cells(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of each map (B, K, h, w), the first in reading order, and its flat cell; both (B, K)."""
    flat = maps.flatten(2)
    values = flat.amax(2)
    # torch.max does not define which of several equal cells it returns; the published decoders take the first.
    cells = torch.where(flat == values[..., None], torch.arange(flat.shape[2], device=flat.device), flat.shape[2])
    return values, cells.amin(2).clamp(max=flat.shape[2] - 1)


def peaks(maps: Tensor, count: int, radius: int = 2) -> tuple[Tensor, Tensor]:
    """The ``count`` highest local maxima of each map (B, K, h, w), within ``radius`` cells around.

    Returns:
        heights and flat cells, both (B, K, C), highest first; C is ``count`` or the number of cells; heights are 0
        after the last peak.
    """
    highest_near = torch.nn.functional.max_pool2d(maps, 2 * radius + 1, stride=1, padding=radius)
    local_maxima = torch.where(maps == highest_near, maps, torch.zeros_like(maps)).flatten(2)
    heights, cells = local_maxima.topk(min(count, local_maxima.shape[2]), dim=2)
    return heights, cells


def _quarter_shifts(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, K, C, 2): a quarter of a cell from each peak towards its higher neighbor, along x and y."""
    rows, columns = maps.shape[-2:]
    x, y = cells % columns, cells // columns
    flat = maps.flatten(2)

    def at(dx: int, dy: int) -> Tensor:
        return flat.gather(2, (y + dy).clamp(0, rows - 1) * columns + (x + dx).clamp(0, columns - 1))

    return torch.stack([torch.sign(at(1, 0) - at(-1, 0)), torch.sign(at(0, 1) - at(0, -1))], -1) * 0.25
