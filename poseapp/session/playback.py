"""Playing frames with their poses at a chosen speed. While it plays, nothing but canvas and timeline follows."""

from __future__ import annotations

from collections import deque
from time import monotonic

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal, Slot

from poseapp.app.i18n import tr
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.frames.playback_decoder import Plan, PlayThread, Shown
from poseapp.panels.timeline.lanes import scope_of
from poseapp.project.model import FrameKey
from poseapp.session.session import Session

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
RATE_SECONDS = 1.0


class Player(QObject):
    """Plays the video, or the pictures, around the session's frame. All methods belong to the UI thread.

    The session stays on the frame where playback began and goes to the one in sight when it stops: lists and panels
    rest meanwhile.

    Signals:
        shown(Shown): a frame to be drawn now.
        playing_changed(bool)
        pace_changed(): another speed, or looping was switched.
    """

    shown = Signal(object)
    playing_changed = Signal(bool)
    pace_changed = Signal()
    _arrived = Signal(object, object)
    _ended = Signal(object, str)

    def __init__(self, session: Session, loader: FrameLoader, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._loader = session, loader
        self._thread: PlayThread | None = None
        self._old: list[PlayThread] = []
        self._last: Shown | None = None
        self._moments: deque[tuple[float, int]] = deque()
        self.speed = 1.0
        self.loop = False
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)
        session.frame_changed.connect(lambda _key: self._drop())
        session.project_changed.connect(self._drop)

    @property
    def playing(self) -> bool:
        return self._thread is not None

    @property
    def frame(self) -> FrameKey | None:
        """The frame in sight, the session's when nothing plays."""
        return self._session.frame if self._last is None else self._last.key

    @property
    def dropped(self) -> int:
        """Frames left out in this playback."""
        return 0 if self._last is None else self._last.dropped

    def rate(self) -> tuple[float, float]:
        """Frames a second: drawn lately, and due lately (drawn and left out)."""
        if len(self._moments) < 2:
            return 0.0, 0.0
        (start, dropped_then), (end, dropped_now) = self._moments[0], self._moments[-1]
        drawn, span = len(self._moments) - 1, max(end - start, 1e-6)
        return drawn / span, (drawn + dropped_now - dropped_then) / span

    def play(self) -> None:
        """Play from the frame in sight to the end of the range, or of the video; from its start when it is there."""
        store, session = self._session.store, self._session
        place = session.position()
        if store is None or place < 0 or self.playing:
            return
        scope = scope_of(session.frames, store.media(), place)
        first, last = scope.first, scope.stop - 1
        marked = session.in_out.places(session.frames)
        if marked is not None and marked[0] <= last and marked[1] >= first:
            first, last = max(first, marked[0]), min(last, marked[1])
        start = place if first <= place < last else first
        plan = Plan(store.path, session.frames[first : last + 1], start - first, self.speed, self.loop)
        thread = PlayThread(plan, lambda shown: self._arrived.emit(thread, shown), lambda why: self._end(thread, why))
        self._thread, self._last = thread, None
        self._moments.clear()
        thread.start()
        self.playing_changed.emit(True)

    def stop(self) -> None:
        """Stop; the session goes to the frame in sight."""
        last = self._last
        if not self._drop() or last is None:
            return
        if last.pixels is not None:
            self._loader.cache.put((last.key, last.path), np.asarray(last.pixels))
        if last.key == self._session.frame:
            self._session.frame_changed.emit(last.key)  # the canvas has shown others since
        else:
            self._session.go_to(last.key)

    def toggle(self) -> None:
        if self.playing:
            self.stop()
        else:
            self.play()

    def set_speed(self, speed: float) -> None:
        self.speed = float(np.clip(speed, SPEEDS[0], SPEEDS[-1]))
        self._pace()

    def set_loop(self, loop: bool) -> None:
        self.loop = loop
        self._pace()

    def shutdown(self) -> None:
        """End all threads and wait for them."""
        self._drop()
        for thread in self._old:
            thread.join()
        self._old.clear()

    def _pace(self) -> None:
        if self._thread is not None:
            self._thread.set_pace(self.speed, self.loop)
        self.pace_changed.emit()

    def _drop(self) -> bool:
        """End playback where the session is; False when nothing played."""
        thread, self._thread, self._last = self._thread, None, None
        if thread is None:
            return False
        thread.stop()
        self._old = [old for old in (*self._old, thread) if old.is_alive()]
        self.playing_changed.emit(False)
        return True

    def _end(self, thread: PlayThread, why: str) -> None:
        """In the play thread."""
        self._ended.emit(thread, why)

    @Slot(object, object)
    def _on_arrived(self, thread: PlayThread, shown: Shown) -> None:
        if thread is not self._thread:
            return
        self._last = shown
        now = monotonic()
        self._moments.append((now, shown.dropped))
        while self._moments and now - self._moments[0][0] > RATE_SECONDS:
            self._moments.popleft()
        self.shown.emit(shown)
        thread.taken()

    @Slot(object, str)
    def _on_ended(self, thread: PlayThread, why: str) -> None:
        if thread is not self._thread:
            return
        self.stop()
        if why:
            self._session.message.emit(tr(why), "warning")
