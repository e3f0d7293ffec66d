"""Curves for TensorBoard, which is an extra: the training itself never needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import TrainingError


class Board:
    """Writes the events of a run to a folder that ``tensorboard --logdir`` shows.

    Raises:
        TrainingError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainingError("TensorBoard is not installed: pip install tensorboard, or leave it out") from None
        self._writer: Any = SummaryWriter(str(folder))
        self._step: dict[str, int] = {}

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take an event as ``Reporter`` gives it."""
        what = record.get("what", "")
        if record["event"] == "start":
            self._step[what] = record["resumed_at"]
        elif record["event"] == "step":
            self._step[what] = record["step"]
            self._add(what, {name: record[name] for name in ("loss", "lr", "images_per_second")})
        elif record["event"] == "epoch":
            figures = {f"val/{name}": value for name, value in record["metrics"].items()}
            self._add(what, {"epoch_loss": record["train_loss"], "val/loss": record["val_loss"], **figures})
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _add(self, what: str, figures: Mapping[str, Any]) -> None:
        for name, value in figures.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{what}/{name}", value, self._step.get(what, 0))
