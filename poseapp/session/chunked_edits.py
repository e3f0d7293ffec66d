"""Undo, redo and large edits without a stall: what takes longer than a moment is done in pieces between events."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.errors import PoseError
from poseapp.app import gc_control
from poseapp.project.model import Change
from poseapp.project.storage.chunked_write import ChunkedWrite

AT_ONCE_SECONDS = 0.03
AT_ONCE_INSTANCES = 1200
"""What touches fewer is done at once also where the disk is slow: it comes as one, in the order of the keys."""
PIECE_SECONDS = 0.012

Tell = Callable[[Change], None]


class ChunkedEdits(QObject):
    """Goes on with one :class:`ChunkedWrite` at a time. Belongs to the UI thread.

    Signals:
        working(text): what is under way, told with every piece; "" once nothing is.
        failed(text): it could not be done, and why; the project is as it was.
    """

    working = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work: ChunkedWrite | None = None
        self._text = ""
        self._take: Tell = lambda _change: None
        self._next = QTimer(self)
        self._next.setInterval(0)
        self._next.timeout.connect(self._go_on)

    @property
    def busy(self) -> bool:
        return self._work is not None

    def start(self, make: Callable[[], ChunkedWrite], text: str, take: Tell) -> None:
        """Begin; a small change is done when this returns. What was under way before is finished first.

        Args:
            make: begins the change.
            text: "Undoing"; how many instances are done is added.
            take: gets the change once it is on the disk.
        """
        self.finish()
        try:
            self._work = make()
        except PoseError as error:
            self.failed.emit(str(error))
            return
        self._text, self._take = text, take
        gc_control.pause()
        self._piece(AT_ONCE_SECONDS)
        while self._work is not None and self._work.count < AT_ONCE_INSTANCES:
            self._piece(0.0)
        if self._work is not None:
            self._next.start()

    def finish(self) -> None:
        """Do what is left at once: something else wants to write, or to close."""
        while self._work is not None:
            self._piece(1.0)

    @Slot()
    def _go_on(self) -> None:
        if self._work is None:
            self._next.stop()
        else:
            self._piece(PIECE_SECONDS, pause=True)

    def _piece(self, seconds: float, *, pause: bool = False) -> None:
        """``pause``: what is on the disk now is told in a piece of its own."""
        work = self._work
        if work is None:
            return
        show_apart = pause and not work.done
        try:
            done = work.advance(seconds)
            # Frames may be gone with another file for a video: nobody may ask for them.
            later = show_apart and work.failed is None and not (work.change is not None and work.change.media)
            if not done or later:
                if self._next.isActive():
                    self.working.emit(f"{self._text}: {work.count:,}...")
                return
            if work.failed is not None:  # finished by another writer, which was told of the fault
                raise work.failed
        except PoseError as error:
            self._end()
            self.failed.emit(str(error))
            return
        except BaseException:  # a mistake of the program: told once, and the project can still be closed
            self._end()
            raise
        change, take = work.change, self._take
        self._end()
        if change is not None:
            take(change)

    def _end(self) -> None:
        shown = self._next.isActive()
        self._work = None
        gc_control.resume()
        self._next.stop()
        if shown:
            self.working.emit("")
