"""The order in which frames are reviewed: it stays as it is while a person works through it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from poseapp.project.checks import ProjectFinding, check_project
from poseapp.project.model import Change, FrameKey
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys
from poseapp.project.store import ProjectStore
from poseapp.session.background_queries import Queries

if TYPE_CHECKING:
    from poseapp.session.session import Session

LOOK_AHEAD = 64
"""Frames that are asked one by one whether they still wait; behind them the whole queue is read."""
PREDICTIONS = ""
"""In place of a check: frames with predictions wait."""


class ReviewQueue(QObject):
    """Frames that wait for review: those with predictions, or those in which a check of labels found something.

    Predictions come the least certain first. Correcting a frame changes its score, or takes it out of the queue. If the
    queue were sorted again each time, frames would jump past the position that a person has reached. So once a person
    is in the queue its order stays: what is done leaves it, what comes (a run that goes on) is added at the end, and
    the next frame is the one behind the position of the last one. A new round begins with a new order.

    A check runs in a thread of its own over the whole project, when it is chosen and when it is repeated. Its findings
    come in the order of the frames; one whose instance is edited leaves the queue.

    Signals:
        changed(): other frames wait, or in another order.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.keys: FrameKeys = NO_FRAMES
        """Frames that wait, in the order of the review."""
        self.check = PREDICTIONS
        """Id of the check whose findings are reviewed, or PREDICTIONS."""
        self.findings: dict[FrameKey, list[ProjectFinding]] = {}
        """What the check found, by frame."""
        self.is_checking = False
        self._order: FrameKeys = NO_FRAMES
        self._place = -1
        self._begun = False
        self.is_sorted = True
        self._checker = Queries(self, at_once_below=0)
        self._checker.failed.connect(self._on_check_failed)
        session.closing.connect(self.stop_checking)
        session.project_changed.connect(self._forget)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._on_frame)

    def choose(self, check: str) -> None:
        """Review the findings of a check (its id, or ALL_CHECKS), or PREDICTIONS."""
        if check != self.check:
            self.check = check
            self._forget()
        self.refresh()

    def refresh(self) -> None:
        """Read which frames wait: at once, or in a large project soon. A check is run where it has not been yet."""
        if self._session.store is None:
            self._forget()
        elif self.check == PREDICTIONS:
            self._session.queries.ask("review queue", ProjectStore.review_queue, self._take)
        elif not self.findings and not self.is_checking and not self._begun:
            self.check_again()

    def check_again(self) -> None:
        """Run the check over the whole project, in another thread."""
        session, store = self._session, self._session.store
        if store is None or self.check == PREDICTIONS:
            return
        session.chunked_edits.finish()  # what is under way is not seen from the other thread
        self._begun, self._place, self.is_checking = False, -1, True
        self._checker.use(store, len(session.frames))
        self._checker.ask("check", partial(check_project, check=self.check), self._take_findings, once=True)
        self.changed.emit()

    def stop_checking(self) -> None:
        """End a check that runs, and close its connection to the project."""
        self._checker.use(None)
        self.is_checking = False

    def findings_in(self, key: FrameKey | None) -> list[ProjectFinding]:
        """What the check found in a frame, as far as it has not been edited since."""
        return [] if key is None else self.findings.get(key, [])

    def select_findings(self, key: FrameKey) -> bool:
        """Select the instances of the frame on show in which the check found something; False if there are none."""
        instances = [finding.instance for finding in self.findings_in(key) if finding.instance is not None]
        if instances:
            self._session.select(instances=instances)
        return bool(instances)

    def sort_again(self) -> None:
        """The least certain first, also for a person who is in the middle of it; a check is repeated."""
        if self.check != PREDICTIONS:
            self.check_again()
            return
        self._begun, self._place = False, -1
        self.refresh()

    def next(self, back: bool = False) -> FrameKey | None:
        """The frame behind (or before) the last one that was looked at, round the ends; None when nothing waits."""
        store = self._session.store
        if store is None:
            return None
        if self.check != PREDICTIONS:
            return self._next_finding(back)
        if not self._begun:
            self._take(store.review_queue())
            self._on_frame(self._session.frame)
            self._begun = True
        count = len(self._order)
        at = self._place if self._place >= 0 else count if back else -1
        indices = range(at - 1, -1, -1) if back else range(at + 1, count)
        for index in indices[:LOOK_AHEAD]:
            if store.waits_for_review(self._order[index]):
                return self._order[index]
        self._take(store.review_queue())
        waiting = np.flatnonzero(np.isin(self._order.packed, self.keys.packed))
        rest = waiting[waiting < at] if back else waiting[waiting > at]
        if len(rest):
            return self._order[int(rest[-1 if back else 0])]
        self._begun, self._place = False, -1  # a new round
        self._take(store.review_queue())
        self._begun = bool(self.keys)
        return self.keys[-1 if back else 0] if self.keys else None

    def _next_finding(self, back: bool) -> FrameKey | None:
        count = len(self._order)
        at = self._place if self._place >= 0 else count if back else -1
        around = [*range(at - 1, -1, -1), *range(count - 1, at, -1)] if back else [*range(at + 1, count), *range(at)]
        return next((key for key in (self._order[n] for n in around) if key in self.findings), None)

    def _take_findings(self, findings: list[ProjectFinding]) -> None:
        self.stop_checking()
        self._begun = True
        self.findings = {}
        for finding in findings:
            if finding.frame is not None:  # else it is about a category; the report of checks shows it
                self.findings.setdefault(finding.frame, []).append(finding)
        self._order = self.keys = FrameKeys.of(self.findings)
        self._place = self._order.position(self._session.frame)
        self.is_sorted = True
        self.changed.emit()

    def _on_check_failed(self, text: str) -> None:
        self.stop_checking()
        self._begun = True
        self._session.message.emit(text, "error")
        self.changed.emit()

    def _on_change(self, change: Change) -> None:
        """What was found in an instance that has been edited is out of date."""
        if self.check == PREDICTIONS or not self.findings:
            return
        if change.structure:  # frames may be gone
            self._forget()
            return
        for key in change.frames & self.findings.keys():
            left = [finding for finding in self.findings[key] if finding.instance not in change.instances]
            if left:
                self.findings[key] = left
            else:
                del self.findings[key]
        self.keys = FrameKeys.of(key for key in self._order if key in self.findings)
        self.changed.emit()

    def _take(self, waiting: FrameKeys) -> None:
        if self.check != PREDICTIONS:  # asked before another order was chosen
            return
        if self._begun:
            new = waiting.packed[~np.isin(waiting.packed, self._order.packed)]
            self._order = FrameKeys(np.concatenate([self._order.packed, new]))
            self.keys = FrameKeys(self._order.packed[np.isin(self._order.packed, waiting.packed)])
        else:
            self._order = self.keys = waiting
        self.is_sorted = self.keys == waiting
        self.changed.emit()

    def _forget(self) -> None:
        self.stop_checking()
        self.findings = {}
        self.keys = self._order = NO_FRAMES
        self._place, self._begun, self.is_sorted = -1, False, True
        self.changed.emit()

    def _on_frame(self, key: FrameKey | None) -> None:
        position = self._order.position(key)
        if position >= 0:
            self._place, self._begun = position, True
