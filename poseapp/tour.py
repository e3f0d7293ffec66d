"""``poseapp --tour DIR``: the real window goes through the whole loop by mouse and keys; every step is checked.

From the empty window: sample photographs, poses by the model, a joint dragged, undo and redo, a pose in a drawn box,
accept, COCO export, fine-tuning as a process, the trained model run. Leaves numbered pictures, the exported file, the
trained checkpoint and a summary in DIR. The environment is the tour's own: settings, models and projects of the user
are not touched.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEP_SECONDS = 120.0
TRAINING_SECONDS = 420.0


class TourError(Exception):
    """A step did not have the result it should have."""


@dataclass
class Summary:
    """What the tour saw."""

    steps: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path, failed: str = "") -> None:
        data = {"passed": not failed, "failed": failed, "steps": self.steps}
        (folder / "summary.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
        lines = ["# Tour", "", "| | step | checked | seconds |", "|---|---|---|---|"]
        lines += [f"| {s['number']} | {s['step']} | {s['checked']} | {s['seconds']:.1f} |" for s in self.steps]
        lines += ["", f"Failed: {failed}" if failed else "All steps passed."]
        (folder / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_tour(folder: Path, *, size: str = "1280x800") -> int:
    """Drive the window; returns 0 only if the result of every step was right."""
    width, height = _size(size)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("[0-9][0-9]-*.png"), *folder.glob("summary.*")]:
        old.unlink()
    home = Path(tempfile.mkdtemp(prefix="poseapp-tour-"))
    kept = dict(os.environ)
    os.environ.update(
        XDG_CONFIG_HOME=str(home / "config"),
        XDG_DATA_HOME=str(home / "data"),
        XDG_CACHE_HOME=str(home / "cache"),
        POSEAPP_MODELS=str(home / "models"),
    )
    summary = Summary()
    try:
        from PySide6.QtCore import QSettings

        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(home / "config"))
        from poseapp.tour_steps import Journey

        journey = Journey(folder, home, summary, (width, height))
        try:
            journey.go()
        finally:
            journey.close()
    except TourError as error:
        summary.write(folder, str(error))
        sys.stderr.write(f"poseapp: tour: {error}; pictures are in {folder}\n")
        return 1
    finally:
        os.environ.clear()
        os.environ.update(kept)
        shutil.rmtree(home, ignore_errors=True)
    summary.write(folder)
    sys.stdout.write(f"{len(summary.steps)} steps passed; pictures, COCO file and checkpoint are in {folder}\n")
    return 0


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise SystemExit(f"poseapp: --tour-size wants WIDTHxHEIGHT, not {text!r}") from None
    return width, height


def wait_until(done: Callable[[], Any], what: str, seconds: float = STEP_SECONDS) -> Any:
    """Let the window work until ``done`` gives something true, and return that.

    Raises:
        TourError: it did not come in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = done()
        if found:
            return found
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
