"""What every step of the tour needs: its error and summary, and waiting for the window."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEP_SECONDS = 120.0
TRAINING_SECONDS = 420.0
DEFAULT_TRAINING_STEPS = 120


class TourError(Exception):
    """A step did not have the result it should have."""


@dataclass
class Summary:
    """What the tour saw. Each step has number, step, checked, seconds and pictures."""

    size: tuple[int, int] = (0, 0)
    steps: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path, failed: str = "") -> None:
        from poseapp import __version__

        data = {
            "passed": not failed,
            "failed": failed,
            "version": __version__,
            "window": list(self.size),
            "seconds": round(sum(step["seconds"] for step in self.steps), 1),
            "steps": self.steps,
        }
        (folder / "summary.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
        lines = ["# Tour", "", "| | step | checked | seconds | pictures |", "|---|---|---|---|---|"]
        for step in self.steps:
            pictures = " ".join(f"[{name}]({name})" for name in step["pictures"])
            lines.append(
                f"| {step['number']} | {step['step']} | {step['checked']} | {step['seconds']:.1f} | {pictures} |"
            )
        lines += ["", f"Failed: {failed}" if failed else f"All steps passed in {data['seconds']} s."]
        (folder / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def training_steps() -> int:
    """How many steps the tour's fine-tuning takes."""
    steps = os.environ.get("POSEAPP_TOUR_STEPS", "")
    return max(4, int(steps)) if steps.isdecimal() else DEFAULT_TRAINING_STEPS


def wait_until(done: Callable[[], Any], what: str, seconds: float = STEP_SECONDS) -> Any:
    """Let the window work until ``done`` gives something true, and return that.

    Raises:
        TourError: it did not come in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = done()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TourError(f"waited {seconds:.0f} s for {what}")
        breathe(30)


def breathe(milliseconds: int) -> None:
    """Let the window work for a while. A nested event loop frees the interpreter for the worker threads."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    timer = QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(loop.quit)
    timer.start(milliseconds)
    loop.exec()
    timer.stop()


def check(condition: object, what: str) -> None:
    """Raise TourError unless the condition holds."""
    if not condition:
        raise TourError(what)
