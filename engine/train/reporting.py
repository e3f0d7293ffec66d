"""Progress of a run: JSON lines or a bar on a terminal, ``OUT/log.jsonl``, and curves for TensorBoard."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from tqdm import tqdm  # type: ignore[import-untyped]

from engine.errors import Cancelled, TrainingError
from engine.utils.context import Context

Progress = Literal["bar", "json", "none"]


class Listener(Protocol):
    """Gets events until it is closed."""

    def __call__(self, record: Mapping[str, Any], /) -> None: ...

    def close(self) -> None: ...


class Reporter:
    """Shows and records the events of a run: plain dictionaries with ``event`` and mostly ``what``.

    Under "json" every event is a line on standard output. All but the single steps go to the log file.
    """

    def __init__(self, progress: Progress, log: Path | None = None) -> None:
        self._progress = progress
        self._log = log
        self._bar: tqdm | None = None
        self._listeners: list[Listener] = []

    def __call__(self, event: str, **values: Any) -> None:
        record = {"event": event, **{key: _json_value(value) for key, value in values.items()}}
        if self._progress == "json":
            sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        elif self._progress == "bar":
            self._draw(record)
        for listener in self._listeners:
            listener(record)
        if event != "step" and self._log is not None:
            record["time"] = round(time.time(), 3)
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def log_to(self, log: Path) -> None:
        """From now on append every event but the single steps to this file.

        If a killed run left the last line unfinished, the line is ended first, so that it does not spoil the next one.
        """
        self._log = log
        try:
            with log.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                is_unfinished = file.read(1) != b"\n"
        except OSError:  # missing or empty
            return
        if is_unfinished:
            with log.open("ab") as file:
                file.write(b"\n")

    def add_listener(self, listener: Listener) -> None:
        """From now on call ``listener`` with every event; it is closed with the reporter."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Remove the bar and close the listeners."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, record: dict[str, Any]) -> None:
        event = record["event"]
        if event == "start":
            self._close_bar()
            total = record["epochs"] * record["steps_per_epoch"]
            self._bar = tqdm(total=total, desc=record["what"], unit="step", dynamic_ncols=True, file=sys.stderr)
        elif event == "step" and self._bar is not None:
            self._bar.n = record["step"]
            self._bar.set_postfix(epoch=record["epoch"], loss=f"{record['loss']:.3g}", refresh=False)
            self._bar.refresh()
        elif event == "epoch":
            figures = "  ".join(f"{key} {_figure(value)}" for key, value in record["metrics"].items())
            mark = " *" if record["best"] else ""
            tqdm.write(
                f"{record['what']} epoch {record['epoch']}: loss {record['train_loss']:.3g}  {figures}{mark}",
                file=sys.stderr,
            )
        elif event in ("done", "error"):
            self._close_bar()
            sys.stderr.write(_summary(record) + "\n")


def _summary(record: dict[str, Any]) -> str:
    if record["event"] == "error":
        return str(record["message"])
    best = "  ".join(
        f"{key} {_figure(value)}" for key, value in (record.get("best") or {}).items() if not isinstance(value, dict)
    )
    return f"{record['stopped']}: {record['out']}  {best}"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json_value(value: Any) -> Any:
    """JSON has no NaN: numbers that are not finite become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value


class ProgressListener:
    """Passes the steps of a run on to a context. Cancelling it does not raise here: the run saves, then stops."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, record: Mapping[str, Any]) -> None:
        if record["event"] == "step":
            with suppress(Cancelled):
                self._context.progress(record["step"], record["total_steps"], record["what"])

    def close(self) -> None:
        """Nothing is held."""


class TensorBoardWriter:
    """Writes the figures of a run to a folder that ``tensorboard --logdir`` shows.

    Raises:
        TrainingError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainingError("TensorBoard is not installed: pip install tensorboard, or leave it out") from None
        self._writer: Any = SummaryWriter(str(folder))
        self._last_step: dict[str, int] = {}

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Write the figures of an event."""
        what = record.get("what", "")
        if record["event"] == "start":
            self._last_step[what] = record["resumed_at"]
        elif record["event"] == "step":
            self._last_step[what] = record["step"]
            self._add(what, {name: record[name] for name in ("loss", "lr", "images_per_second")})
        elif record["event"] == "epoch":
            figures = {f"val/{name}": value for name, value in record["metrics"].items()}
            self._add(what, {"epoch_loss": record["train_loss"], "val/loss": record["val_loss"], **figures})
            self._writer.flush()

    def close(self) -> None:
        """Write what is buffered."""
        self._writer.close()

    def _add(self, what: str, figures: Mapping[str, Any]) -> None:
        for name, value in figures.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{what}/{name}", value, self._last_step.get(what, 0))
