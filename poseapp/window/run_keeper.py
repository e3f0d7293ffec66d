"""The training runs of the window: none is lost when it closes, and those that another window left are found."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from engine.errors import TrainingError
from poseapp.dialogs.training.questions import Broken, CloseDialog, Closing, FoundRunDialog
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training import runs
from poseapp.jobs.training.run import RunState, TrainingRun
from poseapp.jobs.training.runs import FoundRun, Status, SweepRunsJob

log = logging.getLogger(__name__)


class RunKeeper(QObject):
    """Holds the runs.

    Signals:
        added(TrainingRun, bool): a run is followed from now on; whether its monitor is to be shown.
        told(str, str): a message and its kind.
        discarded(TrainingRun): it lies in the trash; :meth:`bring_back` undoes that.
        ready_to_close(): what the person chose for the runs is done, or under way without the window.

    Attributes:
        runs: all of this window, also those that are over.
    """

    added = Signal(object, bool)
    told = Signal(str, str)
    discarded = Signal(object)
    ready_to_close = Signal()

    def __init__(self, runner: JobRunner, window: QWidget) -> None:
        super().__init__(window)
        self._runner, self._window = runner, window
        self.runs: list[TrainingRun] = []
        self._broken: list[FoundRun] = []
        self._closing: Closing | None = None
        self._question: CloseDialog | FoundRunDialog | None = None

    def active(self) -> list[TrainingRun]:
        return [run for run in self.runs if not run.is_over]

    def add(self, run: TrainingRun, *, show: bool = True) -> None:
        """Follow a run."""
        self.runs.append(run)
        run.state_changed.connect(lambda _state, run=run: self._on_state(run))
        run.finished.connect(lambda _ok, _message, run=run: self._on_finished(run))
        self.added.emit(run, show)

    # --- what another window has left

    def look(self) -> None:
        """Find runs that go on, that have ended, or that were interrupted while no window followed them."""
        self._runner.submit(SweepRunsJob())
        for run in runs.find_runs():
            if run.status is Status.BROKEN:
                self._broken.append(run)
            else:
                self._take(run, TrainingRun.follow if run.status is Status.RUNNING else TrainingRun.keep)
        self._ask_next()

    def _take(self, result: FoundRun, begin: Callable[[TrainingRun], None], *, show: bool = False) -> None:
        run = TrainingRun.left_behind(self._runner, result, self._window)
        try:
            begin(run)
        except TrainingError as error:  # another window was quicker
            log.warning("%s", error)
            return
        if run.is_over:  # it could not be started
            self.told.emit(run.message, "warning")
        else:
            self.add(run, show=show)

    def _ask_next(self) -> None:
        if self._question is not None or self._closing is not None or not self._broken:
            return
        interrupted = self._broken.pop(0)
        dialog = FoundRunDialog(interrupted, self._window)
        self._question = dialog
        dialog.chosen.connect(lambda choice: self._decide(interrupted, Broken(choice)))
        dialog.finished.connect(lambda _result: self._answered())
        dialog.open()

    def _answered(self) -> None:
        self._question = None
        self._ask_next()

    def _decide(self, interrupted: FoundRun, choice: Broken) -> None:
        try:
            if choice is Broken.RESUME:
                self._take(interrupted, TrainingRun.resume, show=True)
            elif choice is Broken.KEEP:
                self._take(interrupted, TrainingRun.keep)
            elif choice is Broken.NEVER:
                runs.mark_left(interrupted.files.folder)
            elif choice is Broken.DISCARD:
                run = TrainingRun.left_behind(self._runner, interrupted, self._window)
                run.discard()
                self.discarded.emit(run)
        except TrainingError as error:
            self.told.emit(str(error), "error")

    def resume(self, run: TrainingRun) -> None:
        """Go on with a run of this window that has failed."""
        interrupted = None if run.files is None else runs.look_at(run.files.folder)
        if interrupted is not None:
            self._take(interrupted, TrainingRun.resume, show=True)

    def bring_back(self, run: TrainingRun) -> None:
        """Take a discarded run out of the trash, and ask what is to become of it."""
        if run.trashed is None:
            return
        try:
            folder = runs.restore(run.trashed)
        except TrainingError as error:
            self.told.emit(str(error), "error")
            return
        run.trashed = None
        interrupted = runs.look_at(folder)
        if interrupted is not None:
            self._broken.append(interrupted)
            self._ask_next()

    # --- closing

    def may_close(self) -> bool:
        """Whether the window may close now; else the person is asked, and ``ready_to_close`` may follow."""
        active = self.active()
        if not active:
            return True
        if self._closing is not None:  # closed again while the runs are being stopped: they do so by themselves
            self.leave_all()
            return True
        if isinstance(self._question, CloseDialog):
            return False
        if self._question is not None:
            waiting, self._broken = self._broken, []  # rejecting a question asks the next one; closing goes first
            self._question.reject()
            self._broken = waiting
        dialog = CloseDialog([run.plan.name for run in active], self._window)
        self._question = dialog
        dialog.chosen.connect(lambda choice: self._close(Closing(choice)))
        dialog.finished.connect(lambda _result: self._answered())
        dialog.open()
        return False

    def leave_all(self) -> None:
        """Let all runs go on without the window."""
        for run in self.active():
            run.leave()

    def _close(self, choice: Closing) -> None:
        self._closing = choice
        if choice is Closing.STOP:
            self.told.emit("Stopping: the window closes when the best model is in the list", "info")
        for run in self.active():
            self._on_state(run)
        self._check_closing()

    def _on_state(self, run: TrainingRun) -> None:
        """Do to a run what was chosen for it, as soon as that can be done."""
        if self._closing is None or run.is_over:
            return
        if self._closing is Closing.DISCARD:
            run.cancel()
        elif run.state in (RunState.STARTING, RunState.TRAINING):
            if self._closing is Closing.STOP:
                run.stop_early()
            elif run.is_started:
                run.leave()
        elif run.state is RunState.PREPARING and self._closing is Closing.STOP:
            run.cancel()  # there is no model yet

    def _on_finished(self, run: TrainingRun) -> None:
        if run.trashed is not None and self._closing is None:
            self.discarded.emit(run)
        else:
            kind = {RunState.DONE: "good", RunState.LEFT: "info"}.get(run.state, "warning")
            self.told.emit(run.message, kind)
        self._check_closing()

    def _check_closing(self) -> None:
        if self._closing is not None and not self.active():
            self.ready_to_close.emit()
