"""Playing: one frame after the other, as fast as they can be read but no faster than a video runs."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from poseapp.canvas.view import CanvasView
from poseapp.jobs.frames import FrameLoader
from poseapp.project.model import Change, FrameKey
from poseapp.session import Session

VIDEO_MS, PICTURES_MS = 33, 250
"""A frame of a video, and one of separate pictures, is shown for at least this long."""


class Playback(QObject):
    """Steps through the frames until the last one, a gesture, an edit or a step of the person's own.

    Signals:
        changed(bool): it has begun, or ended.
    """

    changed = Signal(bool)

    def __init__(
        self, session: Session, canvas: CanvasView, loader: FrameLoader, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas = session, canvas
        self._shown: FrameKey | None = None
        self._at: FrameKey | None = None
        self._kinds: dict[int, str] = {}
        self._clock = QTimer(self)
        self._clock.setObjectName("playback")
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.timeout.connect(self._tick)
        loader.loaded.connect(self._on_shown)
        loader.failed.connect(self._on_shown)
        session.project_changed.connect(self.stop)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._on_frame)

    @property
    def playing(self) -> bool:
        return self._clock.isActive()

    def toggle(self) -> None:
        if self.playing:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        """Play on from the frame that is shown; from the first one where that is the last."""
        session = self._session
        if session.frame is None or session.store is None or self.playing or len(session.frames) < 2:
            return
        self._kinds = {media.id: media.kind for media in session.store.media()}
        if session.position() == len(session.frames) - 1:
            session.step(-len(session.frames))
        else:
            self._shown = session.frame
        self._at = session.frame
        self._clock.start(self._pause())
        self.changed.emit(True)

    def stop(self, *_: object) -> None:
        if self.playing:
            self._clock.stop()
            self.changed.emit(False)

    def _pause(self) -> int:
        frame = self._session.frame
        return VIDEO_MS if frame is not None and self._kinds.get(frame.media) == "video" else PICTURES_MS

    def _tick(self) -> None:
        session = self._session
        if self._canvas.busy or session.position() >= len(session.frames) - 1:
            self.stop()
        elif self._shown == session.frame:  # else it is still being read: a slow disk makes it slower, not blind
            self._at = session.frames[session.position() + 1]
            session.step(1)
            self._clock.setInterval(self._pause())

    def _on_shown(self, key: FrameKey, *_: object) -> None:
        self._shown = key

    def _on_change(self, change: Change) -> None:
        if change.structure or self._session.frame in change.frames:
            self.stop()

    def _on_frame(self, key: FrameKey | None) -> None:
        if key != self._at:
            self.stop()
