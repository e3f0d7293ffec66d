"""What a person asks of a fine-tune, and where its run keeps its files. No Qt."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TrainingPlan:
    """What a person has chosen in the fine-tune dialog.

    Attributes:
        name: of the new model: a folder name in the models folder.
        category: the project's category to learn.
        model: id of the model to start from.
        epochs: 0 = by the number of labels.
        val_fraction: share of the labelled images that is set aside to measure with.
        device: "auto", "cpu", "cuda" or "mps".
        steps_per_epoch: 0 = by the number of labels.
        batch: instances a step.
        seed: of every random choice.
    """

    name: str
    category: int
    model: str
    epochs: int = 0
    val_fraction: float = 0.15
    device: str = "auto"
    steps_per_epoch: int = 0
    batch: int = 16
    seed: int = 0


@dataclass(frozen=True)
class RunFiles:
    """Where one training run keeps its files. ``folder`` is its ``--out``."""

    folder: Path
    train: Path
    images: Path
    schema: Path
    config: Path
    instances: int = 0
    image_count: int = 0
    warnings: tuple[str, ...] = field(default_factory=tuple)


def runs_folder() -> Path:
    """Where training runs are kept: ``$POSEAPP_RUNS``, or ``runs`` in the program's data folder."""
    chosen = os.environ.get("POSEAPP_RUNS")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("poseapp", appauthor=False)) / "runs"


def safe_name(name: str) -> str:
    """A name that every file system takes: letters, digits, dot, dash, underscore; spaces become dashes."""
    cleaned = re.sub(r"[^\w.-]+", "-", name.strip(), flags=re.UNICODE).strip("-._")
    return cleaned[:60]


def remove_run(folder: Path) -> None:
    """Take a run's folder away, as far as the system lets us."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
