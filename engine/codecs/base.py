"""What every codec has in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.contract.errors import ModelError, TrainingError

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
