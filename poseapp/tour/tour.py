"""``poseapp --tour DIR``: the real window goes through the whole loop by mouse and keys; every step is checked.

From the empty window: sample photographs, poses by the model, a joint dragged, undo and redo, a pose in a drawn box,
accept, COCO export, a video labelled by keyframes, fine-tuning as a process, the trained model run. Leaves numbered
pictures, the exported file, the trained checkpoint and a summary in DIR. The environment is the tour's own: settings,
models and projects of the user are not touched. ``POSEAPP_TOUR_STEPS`` sets the number of training steps.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poseapp.tour.base import Summary, TourError


def run_tour(folder: Path, *, size: str = "1280x800") -> int:
    """Drive the window.

    Returns:
        0 only if the result of every step was right; 1 when a step failed (named on standard error and in the summary),
        2 for a size that cannot be read or a folder that cannot be written.
    """
    try:
        width, height = (int(part) for part in size.lower().split("x"))
    except ValueError:
        return _say(f"--tour-size wants WIDTHxHEIGHT, not {size!r}", 2)
    folder = folder.absolute()
    try:
        _clear(folder)
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}", 2)
    summary = Summary((width, height))
    with _own_home() as home:
        failed = _drive(folder, home, summary)
    summary.write(folder, failed)
    if failed:
        return _say(f"tour: {failed}; pictures are in {folder}", 1)
    sys.stdout.write(f"{len(summary.steps)} steps passed; pictures, COCO file and checkpoint are in {folder}\n")
    return 0


def _drive(folder: Path, home: Path, summary: Summary) -> str:
    """Go through the journey; returns what failed, or ""."""
    from poseapp.tour.steps import Journey

    defects: list[str] = []
    hook = sys.excepthook

    def noted(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """Qt swallows what a slot raises; here it fails the tour."""
        defects.append(f"{kind.__name__}: {error}")
        hook(kind, error, trace)

    sys.excepthook = noted
    _hush_offscreen()
    journey = Journey(folder, home, summary, defects)
    try:
        journey.go()
    except TourError as error:
        journey.picture("failed")
        return str(error)
    except Exception as error:  # a defect: the summary says which step, the log where
        logging.getLogger(__name__).exception("the tour broke off")
        return f"after step {len(summary.steps)}: {type(error).__name__}: {error}"
    finally:
        journey.close()
        sys.excepthook = hook
    return defects[0] if defects else ""


def _hush_offscreen() -> None:
    """Without a display Qt says for every dialog what its stand-in cannot do; that is no news."""
    from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

    def told(_kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
        if not text.startswith("This plugin does not support"):
            sys.stderr.write(f"{text}\n")

    qInstallMessageHandler(told)


def _clear(folder: Path) -> None:
    """Make the folder, and take away what an earlier tour left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("[0-9][0-9]-*.png", "summary.json", "summary.md", "labels.json", "trained.safetensors"):
        for old in folder.glob(pattern):
            old.unlink()


@contextmanager
def _own_home() -> Iterator[Path]:
    """Settings, data, models and runs in a temporary folder, for the time of the tour."""
    home = Path(tempfile.mkdtemp(prefix="poseapp-tour-"))
    environment = dict(os.environ)
    os.environ.update(
        XDG_CONFIG_HOME=str(home / "config"),
        XDG_DATA_HOME=str(home / "data"),
        XDG_CACHE_HOME=str(home / "cache"),
        XDG_STATE_HOME=str(home / "state"),
        POSEAPP_MODELS=str(home / "models"),
        POSEAPP_RUNS=str(home / "runs"),
    )
    try:
        from PySide6.QtCore import QSettings

        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(home / "config"))
        yield home
    finally:
        os.environ.clear()
        os.environ.update(environment)
        shutil.rmtree(home, ignore_errors=True)


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"poseapp: {text}\n")
    return status
