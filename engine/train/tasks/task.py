"""What the loop needs to know of a network that is being trained, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from engine.models.checkpoint import CheckpointInfo
from engine.train.config import TaskConfig


@dataclass(frozen=True)
class Batch:
    """Tensors by name (on the CPU until the loop moves them) and the annotations or images they came from."""

    tensors: dict[str, Tensor]
    ids: list[int | str]


@dataclass(frozen=True)
class Validation:
    """Result of a validation.

    Attributes:
        loss: as in training.
        error: what decides which epoch is best; lower is better, 0 is perfect.
        slack: relative uncertainty of ``error``: one standard error of the mean, by the number of points measured.
        metrics: figures for people.
    """

    loss: float
    error: float
    slack: float
    metrics: dict[str, float] = field(default_factory=dict)


class TrainTask(Protocol):
    """One network with its data. The loop asks for batches and losses; it knows neither poses nor boxes."""

    what: str
    network: nn.Module
    config: TaskConfig
    train_count: int
    val_count: int
    best_file: Path
    last_file: Path
    state_file: Path
    fingerprint: str

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """One training sample; called from worker threads."""

    def collate(self, samples: Sequence[Any]) -> Batch:
        """Samples to tensors."""

    def loss(self, tensors: dict[str, Tensor]) -> Tensor:
        """Scalar loss of a batch that lies on the device."""

    def validate(self) -> Validation:
        """Measure on the validation set; the network is in evaluation mode."""

    def describe(self, metrics: dict[str, Any], provenance: dict[str, Any]) -> CheckpointInfo:
        """What the checkpoint says about itself."""
