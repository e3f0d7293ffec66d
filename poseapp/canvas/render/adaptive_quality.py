"""When to paint roughly: while the picture keeps changing faster than it can be painted finely."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PySide6.QtCore import QObject, QTimer

AFTER_ANOTHER_SECONDS = 0.15
"""Changes closer than this are one movement: a wheel that turns, a key that is held down."""
FINE_BUDGET_SECONDS = 0.005
"""Processor time of a fine painting from which on a movement is painted roughly."""
PAUSE_MS = 120


class AdaptiveQuality(QObject):
    """Chooses between full and draft quality, and asks for full quality once the movement has ended.

    The first step of a movement, and every single one, is fine; so is all of it where painting is quick enough. Times
    are processor times of this thread, so that a busy machine alone does not lower the quality.

    Args:
        settle: called when what is seen was painted roughly and nothing moves any more.
    """

    def __init__(self, settle: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settle = settle
        self._moved_at = float("-inf")
        self._moving = False
        self._fine_cost = 0.0
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._on_pause)
        self._is_draft = False

    def step(self) -> None:
        """A step of a movement is about to be painted."""
        now = time.monotonic()
        self._moving = now - self._moved_at < AFTER_ANOTHER_SECONDS
        self._moved_at = now

    @property
    def draft(self) -> bool:
        """Whether the next painting is to be of draft quality."""
        recent = time.monotonic() - self._moved_at < AFTER_ANOTHER_SECONDS
        return self._moving and recent and self._fine_cost > FINE_BUDGET_SECONDS

    @contextmanager
    def painting(self, draft: bool) -> Iterator[None]:
        """Around the painting of the whole ground."""
        begin = time.thread_time()
        yield
        if draft:
            self._is_draft = True
            self._pause.start()
        else:
            self._is_draft = False
            self._fine_cost = time.thread_time() - begin

    def rest(self) -> None:
        """No timer is left running."""
        self._pause.stop()
        self._moving = False

    def _on_pause(self) -> None:
        self._moving = False
        if self._is_draft:
            self._settle()
