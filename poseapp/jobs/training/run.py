"""A fine-tune as the window sees it: labels are exported, ``engine.train`` runs as a process, the model is kept.

The process does not need the window (``training_process``); what a run leaves is found by the next window
(``training_runs``).
"""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import PoseError, TrainingError
from engine.utils.file_lock import locked
from poseapp.jobs.base import Outcome
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training import runs
from poseapp.jobs.training.export import PrepareTrainingJob, RegisterModelJob, RunFiles, TrainingPlan, remove_run
from poseapp.jobs.training.process import CANCELLED, TrainingProcess, sentence
from poseapp.jobs.training.runs import FOLLOW_LOCK, FoundRun


def training_arguments(files: RunFiles, plan: TrainingPlan) -> list[str]:
    """The options of ``engine.train``; what has no option of its own stands in the configuration file."""
    options = {
        "--config": files.config,
        "--train": files.train,
        "--images": files.images,
        "--schema": files.schema,
        "--model": plan.model,
        "--out": files.folder,
        "--device": plan.device,
        "--seed": plan.seed,
    }
    return [str(part) for pair in options.items() for part in pair]


def resume_arguments(files: RunFiles, plan: TrainingPlan) -> list[str]:
    """The options that go on with a run; where it has saved no state yet it begins again."""
    if runs.has_state(files.folder):
        return ["--out", str(files.folder), "--resume"]
    return [*training_arguments(files, plan), "--overwrite"]


class RunState(StrEnum):
    """Where a fine-tune stands."""

    PREPARING = "preparing"
    STARTING = "starting"
    TRAINING = "training"
    STOPPING = "stopping"
    KEEPING = "keeping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LEFT = "left"

    @property
    def is_over(self) -> bool:
        return self in (RunState.DONE, RunState.FAILED, RunState.CANCELLED, RunState.LEFT)


class TrainingRun(QObject):
    """A fine-tune from the labels to the model in the list.

    Signals:
        state_changed(RunState)
        reported(dict): a progress line of the trainer; all of them stay in ``events``.
        finished(bool, str): at the very end: whether there is a new model, and what to tell.

    Attributes:
        plan: what was asked for.
        events: the trainer's lines so far, without the single steps older than the last epochs need.
        files: the run's folder, once prepared.
        model: id in the model list, once there.
        message: what to tell, once over.
        notes: what the trainer found wrong with labels and pictures.
        trashed: where a run that was discarded lies, until it is brought back.
    """

    state_changed = Signal(object)
    reported = Signal(dict)
    finished = Signal(bool, str)

    def __init__(
        self, runner: JobRunner, project: Path | None, plan: TrainingPlan, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._runner = runner
        self._project = project
        self._job: int | None = None
        self._process: TrainingProcess | None = None
        self.plan = plan
        self.state = RunState.PREPARING
        self.events: list[dict[str, Any]] = []
        self.files: RunFiles | None = None
        self.model: str | None = None
        self.message = ""
        self.trashed: Path | None = None
        self.notes: list[str] = []
        self._lock = ExitStack()

    @classmethod
    def left_behind(cls, runner: JobRunner, run_found: FoundRun, parent: QObject | None = None) -> TrainingRun:
        """A run that another window has left; then :meth:`follow`, :meth:`resume` or :meth:`keep` it."""
        run = cls(runner, None, run_found.plan, parent)
        run.files = run_found.files
        return run

    @property
    def is_over(self) -> bool:
        return self.state.is_over

    @property
    def command(self) -> list[str]:
        """The program and options that are run, [] before they are."""
        return [] if self._process is None else self._process.command

    @property
    def has_best(self) -> bool:
        """Whether there is a model that can be kept."""
        return self.files is not None and runs.has_best(self.files.folder)

    @property
    def is_started(self) -> bool:
        """Whether there is a process that can go on by itself."""
        return self._process is not None and self._process.is_running

    @property
    def can_resume(self) -> bool:
        return self.files is not None and runs.can_resume(self.files.folder)

    def start(self) -> None:
        """Begin; everything else is told by signals."""
        assert self._project is not None
        job = PrepareTrainingJob(self._project, self.plan)
        self._job = self._runner.submit(job, on_results=self._on_prepared, on_finished=self._on_prepare_ended)

    def follow(self) -> None:
        """Show a process that is running already.

        Raises:
            TrainingError: another window follows it.
        """
        self._hold()
        self._set(RunState.STARTING)
        self._make_process([]).attach()

    def resume(self) -> None:
        """Go on with a run that has ended, from its last saved state.

        Raises:
            TrainingError: another window follows it.
        """
        assert self.files is not None
        self._hold()
        (self.files.folder / runs.STOP_ASKED).unlink(missing_ok=True)
        self.message = ""
        self._set(RunState.STARTING)
        self._make_process(resume_arguments(self.files, self.plan)).start()

    def keep(self) -> None:
        """Put the best model of a run that has ended into the list.

        Raises:
            TrainingError: another window follows it.
        """
        self._hold()
        self._keep()

    def stop_early(self) -> None:
        """Save and end soon; the best model so far is kept."""
        if self._process is not None and self.state in (RunState.STARTING, RunState.TRAINING):
            self._set(RunState.STOPPING)
            self._process.stop()

    def leave(self) -> None:
        """Let the process go on by itself; the next window finds it. A run that is still being prepared is given up."""
        if self.is_over:
            return
        if self.files is None:
            self.cancel()
            return
        if self._process is None:  # its model is being put into the list
            self._end(RunState.LEFT, f"The trained model stays in {self.files.folder}.")
            return
        self._process.leave()
        self._end(RunState.LEFT, f"{self.plan.name} goes on in the background.")

    def cancel(self) -> None:
        """End now; what there is goes to the trash of the runs. Returns when the process has ended."""
        if self.is_over:
            return
        if self._job is not None:
            self._runner.cancel(self._job)
        if self._process is not None and self._process.is_running:
            self._process.kill()
        else:
            self._end(RunState.CANCELLED, CANCELLED)

    def discard(self) -> None:
        """Move a run that has failed to the trash.

        Raises:
            TrainingError: it cannot be moved.
        """
        assert self.files is not None
        self.trashed = runs.discard(self.files.folder)
        self.message = CANCELLED
        self._set(RunState.CANCELLED)

    def _hold(self) -> None:
        """Follow the run's folder: no other window does so at the same time."""
        assert self.files is not None

        def taken() -> None:
            raise TrainingError("another window is following this run", where=self.files and self.files.folder)

        try:
            self._lock.enter_context(locked(self.files.folder / FOLLOW_LOCK, waiting=taken))
        except OSError as error:
            if isinstance(error, PoseError):
                raise
            raise TrainingError(f"cannot be written ({error.strerror})", where=self.files.folder) from None

    def _make_process(self, arguments: list[str]) -> TrainingProcess:
        assert self.files is not None
        self._process = TrainingProcess(self.files.folder, arguments, self)
        self._process.reported.connect(self._on_event)
        self._process.finished.connect(self._on_process_ended)
        return self._process

    def _on_prepared(self, results: list[Any]) -> None:
        if self.is_over:  # cancelled while the last label was being written
            remove_run(results[-1].folder)
            return
        files: RunFiles = results[-1]
        self.files = files
        try:
            self._hold()
            runs.save_plan(files, self.plan)
        except PoseError as error:
            self._end(RunState.FAILED, sentence(str(error)))
            return
        self._set(RunState.STARTING)
        self._make_process(training_arguments(files, self.plan)).start()

    def _on_prepare_ended(self, outcome: Outcome) -> None:
        self._job = None
        if outcome.error is not None:
            self._end(RunState.FAILED, sentence(str(outcome.error)))
        elif self.files is None:
            self._end(RunState.CANCELLED, CANCELLED)

    @Slot(dict)
    def _on_event(self, event: dict[str, Any]) -> None:
        if self.state is RunState.STARTING:
            self._set(RunState.TRAINING)
        self.events.append(event)
        if event.get("event") == "findings":
            self.notes += [str(text) for text in event.get("texts") or ()]
        elif event.get("event") == "skipped":
            self.notes.append(_skipped_text(event))
        self.reported.emit(event)

    @Slot(bool, str)
    def _on_process_ended(self, ok: bool, message: str) -> None:
        if self.is_over:
            return
        if not ok:
            cancelled = message == CANCELLED
            self._end(RunState.CANCELLED if cancelled else RunState.FAILED, message)
            return
        self._keep()

    def _keep(self) -> None:
        assert self.files is not None
        self._set(RunState.KEEPING)
        job = RegisterModelJob(self.files.folder, self.plan.name)
        self._job = self._runner.submit(job, on_results=self._on_kept, on_finished=self._on_keep_ended)

    def _on_kept(self, results: list[Any]) -> None:
        self.model = results[-1]

    def _on_keep_ended(self, outcome: Outcome) -> None:
        self._job = None
        assert self.files is not None
        folder = self.files.folder
        if outcome.error is not None:
            self._end(RunState.FAILED, f"{outcome.error}. The trained model stays in {folder}.")
        elif self.model is None:  # the window was closed meanwhile; the next one keeps it
            self._end(RunState.LEFT, f"The trained model stays in {folder}.")
        else:
            runs.mark_model(folder, self.model)
            self._end(RunState.DONE, f"{self.model} is in the model list.")

    def _set(self, state: RunState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _end(self, state: RunState, message: str) -> None:
        if self.is_over:
            return
        self._lock.close()
        if state is RunState.CANCELLED and self.files is not None:
            message = self._throw_away(self.files.folder, message)
        self.message = message
        self._set(state)
        self.finished.emit(state is RunState.DONE, message)

    def _throw_away(self, folder: Path, message: str) -> str:
        if self._process is None:  # nothing but a copy of the labels
            remove_run(folder)
            return message
        try:
            self.trashed = runs.discard(folder)
        except TrainingError as error:
            return f"{message} {sentence(str(error))}"
        return message


def _skipped_text(event: dict[str, Any]) -> str:
    items = [item for item in event.get("items") or () if isinstance(item, dict)]
    first = f": {items[0].get('where')}: {items[0].get('reason')}" if items else ""
    count = event.get("count", len(items))
    return f"1 image was left out{first}" if count == 1 else f"{count} images were left out, the first{first}"
