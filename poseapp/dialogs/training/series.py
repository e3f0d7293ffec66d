"""What the training monitor draws and says, gathered from the trainer's progress lines. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from poseapp.dialogs.figures import card_words, rank
from poseapp.jobs.base import say_duration, say_rate

PHASES = {"pose": "Training keypoints", "detector": "Training the detector"}
DEVICES = {"cpu": "CPU", "cuda": "GPU", "mps": "Apple GPU"}
MAX_DRAWN = 2000

Floats = npt.NDArray[np.float64]


@dataclass
class Phase:
    """One of the two networks' training.

    Attributes:
        what: "pose" or "detector".
        epochs, total_steps: as announced; 0 while unknown.
        steps, losses: of every step told.
        epoch_numbers: of every finished epoch.
        epoch_steps: the step at which it ended.
        train_losses, val_losses: per epoch; NaN where there is none.
        metrics: per epoch.
        best: position in ``epoch_numbers`` of the best epoch, or None.
        latest: the last step line.
        part, parts: which of the run's networks this is.
    """

    what: str
    part: int = 1
    parts: int = 1
    epochs: int = 0
    total_steps: int = 0
    device: str = ""
    train_instances: int = 0
    val_instances: int = 0
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    epoch_numbers: list[int] = field(default_factory=list)
    epoch_steps: list[int] = field(default_factory=list)
    train_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    best: int | None = None
    latest: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        name = PHASES.get(self.what, self.what)
        return f"{name} ({self.part} of {self.parts})" if self.parts > 1 else name

    def loss_curve(self) -> tuple[Floats, Floats]:
        """Steps and smoothed losses, thinned to what a plot can show."""
        steps, losses = np.asarray(self.steps, np.float64), np.asarray(self.losses, np.float64)
        smooth = smoothed(losses)
        stride = max(1, len(steps) // MAX_DRAWN)
        return steps[::stride], smooth[::stride]

    def val_curve(self) -> tuple[Floats, Floats]:
        """Steps and validation losses, where there are any."""
        steps, losses = np.asarray(self.epoch_steps, np.float64), np.asarray(self.val_losses, np.float64)
        is_finite = np.isfinite(losses)
        return steps[is_finite], losses[is_finite]

    @property
    def main_figure(self) -> str | None:
        """Name of the figure that is drawn: the typical error where it is known."""
        known = {name for row in self.metrics for name in row}
        return min(known, key=rank) if known else None

    def figure_curve(self, name: str) -> tuple[Floats, Floats]:
        """Epoch numbers and one figure, where it was measured."""
        rows = [(n, row[name]) for n, row in zip(self.epoch_numbers, self.metrics, strict=True) if name in row]
        table = np.asarray(rows, np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


class TrainingSeries:
    """Takes progress lines in order; the phase spoken of last is the current one."""

    def __init__(self) -> None:
        self.phases: dict[str, Phase] = {}
        self.current: Phase | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Add one line. Lines of unknown kind, and figures that are not numbers, are left out."""
        kind = event.get("event")
        if kind not in ("start", "step", "epoch"):
            return
        what = str(event.get("what", "pose"))
        phase = self.current = self.phases.setdefault(what, Phase(what))
        if kind == "start":
            _take_start(phase, event)
        elif kind == "step":
            _take_step(phase, event)
        else:
            _take_epoch(phase, event)

    def progress_text(self) -> str:
        """One line: which phase, how far, how fast, how long yet."""
        phase = self.current
        if phase is None:
            return "Starting: reading the labels and the model…"
        parts = []
        epoch = phase.latest.get("epoch", 0)
        parts.append(f"epoch {epoch} of {phase.epochs}" if phase.epochs and epoch else "preparing")
        rate, left = _number(phase.latest.get("images_per_second")), _number(phase.latest.get("seconds_left"))
        if rate:
            parts.append(say_rate(rate, "images"))
        if left is not None:
            parts.append(f"about {say_duration(left)} left")
        return " · ".join([phase.title, *parts])

    def fraction(self) -> float | None:
        """How much of the run is done, each of its phases counted alike; None while unknown."""
        phase = self.current
        if phase is None or not phase.total_steps or not phase.steps:
            return None
        return (phase.part - 1 + min(phase.steps[-1] / phase.total_steps, 1.0)) / phase.parts

    def final_cards(self) -> list[tuple[str, str, str]]:
        """As :meth:`cards`, of a run that is over: the best figures of the keypoints, then one of the detector."""
        pose, detector = self.phases.get("pose"), self.phases.get("detector")
        if pose is None or detector is None:
            return self.cards()
        one = [(f"Detector: {title}", value, small) for title, value, small in _cards(detector)[:1]]
        return _cards(pose)[: 3 - len(one)] + one

    def cards(self) -> list[tuple[str, str, str]]:
        """Title, value and small print of the figures worth showing, the most telling first; of the current phase."""
        phase = self.current
        return [] if phase is None else _cards(phase)


def smoothed(values: Floats, memory: float = 12.0) -> Floats:
    """Exponential mean with ``memory`` values, without the bias towards the first one."""
    if len(values) == 0:
        return values
    keep = 1.0 - 1.0 / memory
    out = np.empty_like(values)
    total = weight = 0.0
    for i, value in enumerate(values):
        total, weight = total * keep + value, weight * keep + 1.0
        out[i] = total / weight
    return out


def _take_start(phase: Phase, event: dict[str, Any]) -> None:
    phase.part, phase.parts = (int(_number(event.get(name)) or 1) for name in ("part", "parts"))
    phase.epochs = int(_number(event.get("epochs")) or 0)
    per_epoch = int(_number(event.get("steps_per_epoch")) or 0)
    phase.total_steps = phase.epochs * per_epoch
    device = str(event.get("device", ""))
    phase.device = DEVICES.get(device.partition(":")[0], device)
    phase.train_instances = int(_number(event.get("train_instances")) or 0)
    phase.val_instances = int(_number(event.get("val_instances")) or 0)


def _take_step(phase: Phase, event: dict[str, Any]) -> None:
    phase.latest = event
    phase.total_steps = int(_number(event.get("total_steps")) or phase.total_steps)
    step, loss = _number(event.get("step")), _number(event.get("loss"))
    if step is not None and loss is not None:
        phase.steps.append(int(step))
        phase.losses.append(loss)


def _take_epoch(phase: Phase, event: dict[str, Any]) -> None:
    epoch = _number(event.get("epoch"))
    phase.epoch_numbers.append(len(phase.epoch_numbers) + 1 if epoch is None else int(epoch))
    phase.epoch_steps.append(phase.steps[-1] if phase.steps else 0)
    nan = float("nan")
    for name, into in (("train_loss", phase.train_losses), ("val_loss", phase.val_losses)):
        value = _number(event.get(name))
        into.append(nan if value is None else value)
    rows = event.get("metrics") or {}
    phase.metrics.append({str(k): n for k, v in rows.items() if (n := _number(v)) is not None})
    if event.get("best"):
        phase.best = len(phase.epoch_numbers) - 1


def _cards(phase: Phase) -> list[tuple[str, str, str]]:
    cards: list[tuple[str, str, str]] = []
    now = next((row for row in reversed(phase.metrics) if row), {})
    best = phase.metrics[phase.best] if phase.best is not None else {}
    for name, value in sorted(now.items(), key=lambda item: rank(item[0])):
        title, said = card_words(name, value)
        small = ""
        if name in best and phase.best is not None:
            small = f"best model: {card_words(name, best[name])[1]} (epoch {phase.epoch_numbers[phase.best]})"
        cards.append((title, said, small))
    if not cards and phase.losses:
        cards.append(("Loss", f"{smoothed(np.asarray(phase.losses))[-1]:.3g}", "lower is better"))
    return cards[:3]


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if np.isfinite(value) else None
