"""What the trainer needs to know about a task: one network with its data, loss and validation."""

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
    """Tensors by name (on the CPU until the trainer moves them) and the ids of their annotations or images."""

    tensors: dict[str, Tensor]
    ids: list[int | str]


@dataclass(frozen=True)
class Validation:
    """Result of a validation.

    Attributes:
        loss: as in training; NaN where it is not computed.
        error: decides which epoch is best; lower is better, 0 is perfect.
        slack: relative uncertainty of ``error``: one standard error of the mean, from the number of points measured.
        metrics: figures for people, by name.
    """

    loss: float
    error: float
    slack: float
    metrics: dict[str, float] = field(default_factory=dict)


class TrainTask(Protocol):
    """One network with its data. The trainer asks for batches and losses; it knows neither poses nor boxes.

    Attributes:
        what: "pose" or "detector", as in events.
        config: resolved (:func:`engine.train.resolve.resolve`).
        train_count, val_count: samples; no ``val_count`` means that training samples are validated on.
        validates_together: all processes take part in :meth:`validate`; else only the first one calls it.
        best_file, last_file, state_file: where checkpoints and the state go.
        fingerprint: changes with the data, the network and the size of a step; a run is only resumed with the same.
    """

    what: str
    validates_together: bool
    network: nn.Module
    config: TaskConfig
    train_count: int
    val_count: int
    best_file: Path
    last_file: Path
    state_file: Path
    fingerprint: str

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """One training sample; called from worker threads. Raises MediaError if its image cannot be read."""

    def collate(self, samples: Sequence[Any]) -> Batch:
        """Turn samples into tensors."""

    def loss(self, tensors: dict[str, Tensor]) -> Tensor:
        """Scalar loss of a batch on the device."""

    def validate(self) -> Validation:
        """Measure on the validation set; the network is in evaluation mode."""

    def describe(self, metrics: dict[str, Any], provenance: dict[str, Any]) -> CheckpointInfo:
        """The description to store in a checkpoint."""
