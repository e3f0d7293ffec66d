"""What every codec has in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.errors import ModelError, TrainingError

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Outputs: TypeAlias = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class Codec:
    """Keypoints in a crop <-> what a network gives, in one object, so that training and prediction cannot disagree.

    Shapes: B crops, K keypoints, heatmaps of h x w cells. Keypoints are crop pixels (x, y), pixel centres at integers.

    Attributes:
        input_size: width and height of the crop.
        stride: crop pixels to a cell; heatmaps are ``input_size / stride``.
    """

    name: ClassVar[str] = ""

    input_size: tuple[int, int]
    stride: int = 4

    def __post_init__(self) -> None:
        if self.stride < 1 or any(side < self.stride or side % self.stride for side in self.input_size):
            raise ModelError(f"codec {self.name!r}: stride {self.stride} does not divide the input {self.input_size}")

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Width and height of the heatmaps."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters; the input size belongs to the network and is kept beside them."""
        return {"name": self.name, **{key: value for key, value in asdict(self).items() if key != "input_size"}}

    def encode(self, keypoints: npt.ArrayLike, visible: npt.ArrayLike) -> tuple[Array, Array]:
        """Training target.

        Args:
            keypoints: (K, 2).
            visible: (K,), above 0 where the point is labelled.

        Returns:
            heatmaps (K, h, w) float32 and weights (K,) float32, 0 where the map must not count.
        """
        raise TrainingError(f"models with the codec {self.name!r} cannot be trained; start from one and use 'gaussian'")

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Network outputs of a batch -> keypoints (B, K, 2) float32 and scores (B, K) in 0..1."""
        raise NotImplementedError

    def candidates(self, outputs: Outputs, count: int) -> tuple[Tensor, Tensor]:
        """The highest peaks of each heatmap, best first: places (B, K, C, 2) and heights (B, K, C) in 0..1.

        C is ``count`` or, on small maps, fewer; where a map has fewer peaks than C, the height is 0. Places are exact
        to about a quarter of a cell, those of :meth:`decode` are finer.
        """
        maps = heatmaps_of(outputs).float().clamp(0, 1)
        heights, cells = peaks(maps, count)
        columns = maps.shape[-1]
        whole = torch.stack([cells % columns, cells // columns], -1)
        return self.place_of(whole + _lean(maps, cells)), heights

    def place_of(self, cells: Tensor) -> Tensor:
        """Cells (..., 2), as fractions of them, -> crop pixels."""
        return cells * self.stride

    def expected(self, outputs: Outputs, points: Tensor, fixed: Tensor) -> Tensor | None:
        """Where a network that tells persons apart expects the points of the person that has the fixed ones.

        Args:
            points: (B, K, 2) crop pixels; only those that ``fixed`` (B, K) marks are read.

        Returns:
            (B, K, 2) crop pixels; None for networks that have one person a crop.
        """
        return None

    def flip_back(self, outputs: Outputs, flip_indices: Tensor) -> Outputs:
        """What the network gave for mirrored crops, as if the crops had not been mirrored.

        Args:
            flip_indices: (K,) ``Schema.flip_indices``.
        """
        raise NotImplementedError

    def combine(self, direct: Outputs, mirrored: Outputs, flip_indices: Tensor) -> Outputs:
        """Flip test: the mean of the outputs for crops and for mirrored crops, in the geometry of the crops."""
        return _mean(direct, self.flip_back(mirrored, flip_indices))


def _mean(a: Outputs, b: Outputs) -> Outputs:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return (a + b) / 2
    assert isinstance(a, Mapping)
    assert isinstance(b, Mapping)
    return {key: (a[key] + b[key]) / 2 for key in a}


def heatmaps_of(outputs: Outputs) -> Tensor:
    """The (B, K, h, w) heatmaps of a network with a single head."""
    return outputs if isinstance(outputs, Tensor) else outputs["heatmap"]


def take_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, K, h, w) at flat cells (B, K) -> (B, K)."""
    return maps.flatten(2).gather(2, cells[..., None])[..., 0]


def peak_cells(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of each map (B, K, h, w), the first in reading order, and its flat cell; both (B, K)."""
    flat = maps.flatten(2)
    values = flat.amax(2)
    # torch.max does not promise which of equal cells it names; the first is what the field's decoders take.
    cells = torch.where(flat == values[..., None], torch.arange(flat.shape[2], device=flat.device), flat.shape[2])
    return values, cells.amin(2).clamp(max=flat.shape[2] - 1)


def peaks(maps: Tensor, count: int, reach: int = 2) -> tuple[Tensor, Tensor]:
    """The ``count`` highest cells of each map (B, K, h, w) that nothing within ``reach`` cells is above.

    Returns:
        heights and flat cells, both (B, K, C), best first; C is ``count`` or the number of cells; 0 past the last peak.
    """
    around = torch.nn.functional.max_pool2d(maps, 2 * reach + 1, stride=1, padding=reach)
    lone = torch.where(maps == around, maps, torch.zeros_like(maps)).flatten(2)
    heights, cells = lone.topk(min(count, lone.shape[2]), dim=2)
    return heights, cells


def _lean(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, K, C, 2) the quarter of a cell by which a peak lies towards its higher neighbour, along x and y."""
    rows, columns = maps.shape[-2:]
    x, y = cells % columns, cells // columns
    flat = maps.flatten(2)

    def at(dx: int, dy: int) -> Tensor:
        return flat.gather(2, (y + dy).clamp(0, rows - 1) * columns + (x + dx).clamp(0, columns - 1))

    return torch.stack([torch.sign(at(1, 0) - at(-1, 0)), torch.sign(at(0, 1) - at(0, -1))], -1) * 0.25
