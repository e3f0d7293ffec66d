"""What a run of a model finds, into the project: in one transaction a second, all of them one step of the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import QTimer

from poseapp.jobs.inference import FrameResult

SECONDS = 1.0


class RunResults:
    """Collects results. Belongs to the UI thread.

    The first go in at once, so that somebody who waits for one picture does not wait longer; from then on all that came
    within a second go in together, whether more come or not.

    Args:
        write: puts results into the project.
    """

    def __init__(self, write: Callable[[Sequence[FrameResult]], None]) -> None:
        self._write = write
        self._waiting: list[FrameResult] = []
        self._due = 0.0
        self._timer = QTimer()
        self._timer.setObjectName("results of a run")
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)

    def take(self, results: Sequence[FrameResult]) -> None:
        self._waiting += results
        left = self._due - time.monotonic()
        if left <= 0:
            self.flush()
        elif not self._timer.isActive():
            self._timer.start(int(1000 * left) + 1)

    def flush(self) -> None:
        """Write what waits, now."""
        self._timer.stop()
        results, self._waiting = self._waiting, []
        if results:
            self._write(results)
            self._due = time.monotonic() + SECONDS
