"""The order in which frames are reviewed: it stays as it is while a person works through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys
from poseapp.project.store import ProjectStore

if TYPE_CHECKING:
    from poseapp.session.session import Session

LOOK_AHEAD = 64
"""Frames that are asked one by one whether they still wait; behind them the whole queue is read."""


class ReviewQueue(QObject):
    """Frames that wait for review, the least certain first when the queue is read.

    Correcting a frame changes its score, or takes it out of the queue. If the queue were sorted again each time, frames
    would jump past the place that a person has reached. So once a person is in the queue its order stays: what is done
    leaves it, what comes (a run that goes on) is added at the end, and the next frame is the one behind the place where
    the last one stood. A new round begins with a new order.

    Signals:
        changed(): other frames wait, or in another order.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.keys: FrameKeys = NO_FRAMES
        """Frames that wait, in the order of the review."""
        self._order: FrameKeys = NO_FRAMES
        self._place = -1
        self._begun = False
        self.is_sorted = True
        session.project_changed.connect(self._forget)
        session.frame_changed.connect(self._on_frame)

    def refresh(self) -> None:
        """Read which frames wait: at once, or in a large project soon."""
        if self._session.store is None:
            self._forget()
        else:
            self._session.queries.ask("review queue", ProjectStore.review_queue, self._take)

    def sort_again(self) -> None:
        """The least certain first, also for a person who is in the middle of it."""
        self._begun, self._place = False, -1
        self.refresh()

    def next(self, back: bool = False) -> FrameKey | None:
        """The frame behind (or before) the last one that was looked at, round the ends; None when nothing waits."""
        store = self._session.store
        if store is None:
            return None
        if not self._begun:
            self._take(store.review_queue())
            self._on_frame(self._session.frame)
            self._begun = True
        count = len(self._order)
        at = self._place if self._place >= 0 else count if back else -1
        places = range(at - 1, -1, -1) if back else range(at + 1, count)
        for place in places[:LOOK_AHEAD]:
            if store.waits_for_review(self._order[place]):
                return self._order[place]
        self._take(store.review_queue())
        waiting = np.flatnonzero(np.isin(self._order.packed, self.keys.packed))
        rest = waiting[waiting < at] if back else waiting[waiting > at]
        if len(rest):
            return self._order[int(rest[-1 if back else 0])]
        self._begun, self._place = False, -1  # a new round
        self._take(store.review_queue())
        self._begun = bool(self.keys)
        return self.keys[-1 if back else 0] if self.keys else None

    def _take(self, waiting: FrameKeys) -> None:
        if self._begun:
            new = waiting.packed[~np.isin(waiting.packed, self._order.packed)]
            self._order = FrameKeys(np.concatenate([self._order.packed, new]))
            self.keys = FrameKeys(self._order.packed[np.isin(self._order.packed, waiting.packed)])
        else:
            self._order = self.keys = waiting
        self.is_sorted = self.keys == waiting
        self.changed.emit()

    def _forget(self) -> None:
        self.keys = self._order = NO_FRAMES
        self._place, self._begun, self.is_sorted = -1, False, True
        self.changed.emit()

    def _on_frame(self, key: FrameKey | None) -> None:
        place = self._order.position(key)
        if place >= 0:
            self._place, self._begun = place, True
