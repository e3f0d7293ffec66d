"""Playing frames with their poses at a chosen speed. While it plays, nothing but canvas and timeline follows."""

from __future__ import annotations

from collections import deque
from time import monotonic

import numpy as np
from PySide6.QtCore import QObject, Signal

from engine.errors import PoseError
from engine.media.reader import FrameReader
from poseapp.app.i18n import tr
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.frames.playback_decoder import READ_AHEAD, READER_BYTES, Plan, Playback, Shown
from poseapp.jobs.latest_request import LatestRequestWorker
from poseapp.project.model import FrameKey
from poseapp.session.frame_range import scope_of
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

    def __init__(self, session: Session, loader: FrameLoader, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._loader = session, loader
        self._playback: Playback | None = None
        self._worker = LatestRequestWorker[FrameReader](
            "play", lambda: FrameReader(keep=1, cache_bytes=READER_BYTES, ahead=READ_AHEAD), self
        )
        self._last: Shown | None = None
        self._moments: deque[tuple[float, int]] = deque()
        self.speed = 1.0
        self.loop = False
        session.frame_changed.connect(lambda _key: self._drop())
        session.project_changed.connect(self._drop)

    @property
    def playing(self) -> bool:
        return self._playback is not None

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
        position = session.position()
        if store is None or position < 0 or self.playing:
            return
        scope = scope_of(session.frames, store.media(), position)
        first, last = scope.first, scope.stop - 1
        marked = session.frame_range.places(session.frames)
        if marked is not None and marked[0] <= last and marked[1] >= first:
            first, last = max(first, marked[0]), min(last, marked[1])
        start = position if first <= position < last else first
        plan = Plan(store.path, session.frames[first : last + 1], start - first, self.speed, self.loop)
        playback = Playback(plan)
        self._playback, self._last = playback, None
        self._moments.clear()
        self._worker.request(
            "play",
            lambda reader, request: playback.run(reader, request.send),
            lambda _result: self._on_ended(""),
            on_error=self._on_error,
            on_part=self._on_shown,
        )
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
        """End the thread and wait for it."""
        self._drop()
        self._worker.stop()

    def _pace(self) -> None:
        if self._playback is not None:
            self._playback.set_pace(self.speed, self.loop)
        self.pace_changed.emit()

    def _drop(self) -> bool:
        """End playback where the session is; False when nothing played."""
        playback, self._playback, self._last = self._playback, None, None
        if playback is None:
            return False
        playback.stop()
        self._worker.release()  # the video may be replaced, and its frames take memory
        self.playing_changed.emit(False)
        return True

    def _on_shown(self, shown: Shown) -> None:
        playback = self._playback
        if playback is None:
            return
        self._last = shown
        now = monotonic()
        self._moments.append((now, shown.dropped))
        while self._moments and now - self._moments[0][0] > RATE_SECONDS:
            self._moments.popleft()
        self.shown.emit(shown)
        playback.taken()

    def _on_error(self, error: Exception) -> None:
        is_known = isinstance(error, PoseError | OSError)
        self._on_ended(str(error) if is_known else f"playback failed ({error})")

    def _on_ended(self, reason: str) -> None:
        self.stop()
        if reason:
            self._session.message.emit(tr(reason), "warning")
