"""Asking a run to stop: Ctrl+C, a termination signal, or a file called ``stop`` in its folder."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from engine.utils.process import PROCESS_BEGAN

STOP_FILE = "stop"
STARTING_SECONDS = 1.0  # until the interpreter has loaded the first of our modules
SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one is Windows' only


class StopRequest:
    """A context in which signals do not kill but ask. A second Ctrl+C kills.

    The file works everywhere and needs no process id. It is removed at the end, and on entry where it is older than
    this process: it was meant for an earlier run then. A newer one asks this run, which is still loading, to stop.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / STOP_FILE
        self._asked = False
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self._asked or self._file.exists()

    def __enter__(self) -> StopRequest:
        try:
            if self._file.stat().st_mtime < PROCESS_BEGAN - STARTING_SECONDS:
                self._file.unlink(missing_ok=True)
        except OSError:
            pass
        if threading.current_thread() is threading.main_thread():  # elsewhere Python refuses handlers
            for name in SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._file.unlink(missing_ok=True)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
