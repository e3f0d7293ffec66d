"""Watches the UI thread: how long every outermost call of the event loop takes, and where a long one spends its time.

Every event, timer and queued signal goes through ``QApplication.notify``; what is measured is the outermost call of it.
CPU time is the UI thread's own, so that other programs do not count; wall time is what a person waits.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication

LOOK_SECONDS = 0.01
ROOT_MARK = "poseapp"


@dataclass
class Call:
    """One outermost call: its journey, kind of event, receiver, seconds, and where it was when it was long."""

    journey: str
    event: str
    receiver: str
    wall: float
    cpu: float
    stack: str = ""


@dataclass
class Watch:
    """All calls so far. ``long_after``: seconds of wall time from which on the stack is looked at."""

    long_after: float = 0.03
    calls: list[Call] = field(default_factory=list)
    journey: str = "start"

    def of(self, journey: str) -> list[Call]:
        return [call for call in self.calls if call.journey == journey]

    def journeys(self) -> list[str]:
        return list(dict.fromkeys(call.journey for call in self.calls))


class WatchedApplication(QApplication):
    """Measures what it delivers into ``watch``."""

    def __init__(self, arguments: list[str]) -> None:
        self.watch = Watch()
        self._depth = 0
        self._since = 0.0
        self._stack = ""
        self._ending = threading.Event()
        self._ui = threading.get_ident()
        super().__init__(arguments)
        self._looker = threading.Thread(target=self._look, name="ui-watch", daemon=True)
        self._looker.start()

    def notify(self, receiver: QObject, event: QEvent) -> bool:
        if not isinstance(receiver, QObject):  # of an object that is being destroyed the bindings may know no better
            return False
        if self._depth:
            return super().notify(receiver, event)
        kind, name = event.type(), type(receiver).__name__
        self._depth, self._stack = 1, ""
        self._since = wall = time.perf_counter()
        cpu = time.thread_time()
        try:
            return super().notify(receiver, event)
        finally:
            self._depth, self._since = 0, 0.0
            took = time.perf_counter() - wall
            label = getattr(kind, "name", str(kind))
            self.watch.calls.append(Call(self.watch.journey, label, name, took, time.thread_time() - cpu, self._stack))

    @contextmanager
    def journey(self, name: str) -> Iterator[None]:
        before, self.watch.journey = self.watch.journey, name
        yield
        self.watch.journey = before

    def stop_watching(self) -> None:
        self._ending.set()
        self._looker.join()

    def _look(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            since = self._since
            if since and time.perf_counter() - since > self.watch.long_after:
                frame = sys._current_frames().get(self._ui)
                results = [f for f in traceback.extract_stack(frame) if f"/{ROOT_MARK}/" in f.filename]
                if results:
                    self._stack = " < ".join(
                        f"{f.filename.rpartition(f'/{ROOT_MARK}/')[2]}:{f.lineno} {f.name}"
                        for f in reversed(results[-4:])
                    )


def table(watch: Watch) -> str:
    """Markdown: per journey calls, p99 and longest ms of wall time, longest of CPU time, what the longest was."""
    lines = ["| journey | calls | p99 ms | longest ms | longest CPU ms | longest was |", "|---|---|---|---|---|---|"]
    for name in watch.journeys():
        calls = watch.of(name)
        walls = sorted(call.wall for call in calls)
        p99 = statistics.quantiles(walls, n=100)[98] if len(walls) > 1 else walls[0]
        worst = max(calls, key=lambda call: call.wall)
        what = f"{worst.event} to {worst.receiver}" + (f": {worst.stack}" if worst.stack else "")
        lines.append(
            f"| {name} | {len(calls)} | {p99 * 1e3:.1f} | {worst.wall * 1e3:.0f} | "
            f"{max(call.cpu for call in calls) * 1e3:.0f} | {what} |"
        )
    return "\n".join(lines)
