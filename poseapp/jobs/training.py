"""A fine-tune as the window sees it: labels are exported, ``engine.train`` runs as a process, the model is kept.

The process speaks JSON lines on standard output (see ``engine.train``). It is stopped early by a file ``stop`` in its
folder, which works on every system, and cancelled by being killed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import deque
from enum import StrEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal, Slot

import engine
from poseapp.jobs.job import Outcome
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training_files import PrepareTrainingJob, RegisterModelJob, RunFiles, TrainingPlan, remove_run

log = logging.getLogger(__name__)

STOP_FILE = "stop"
OUTPUT_FILE = "output.txt"
TAIL_LINES = 30
KILL_WAIT_MS = 5000


def training_command() -> tuple[str, list[str]]:
    """Program and first arguments that start training: what a person can type, or this program itself when frozen."""
    if getattr(sys, "frozen", False):
        return sys.executable, ["--engine-train"]
    return sys.executable, ["-m", "engine.train"]


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


def _environment() -> QProcessEnvironment:
    found = QProcessEnvironment.systemEnvironment()
    found.insert("PYTHONUNBUFFERED", "1")
    found.insert("PYTHONIOENCODING", "utf-8")
    if not getattr(sys, "frozen", False):  # also when the program runs from a folder that is not installed
        home = str(Path(engine.__file__).resolve().parent.parent)
        before = found.value("PYTHONPATH")
        found.insert("PYTHONPATH", f"{home}{os.pathsep}{before}" if before else home)
    return found


class TrainingProcess(QObject):
    """One ``engine.train`` process.

    Signals:
        reported(dict): a progress line.
        finished(bool, str): whether it ended well (also when stopped early), and what to tell otherwise.
    """

    reported = Signal(dict)
    finished = Signal(bool, str)

    def __init__(self, folder: Path, arguments: list[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._program, first = training_command()
        self._arguments = [*first, *arguments, "--progress", "json"]
        self._output, self._errors = b"", b""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._told: str | None = None
        self._done = False
        self._killed = False
        self._process = QProcess(self)
        self._process.setProcessEnvironment(_environment())
        self._process.readyReadStandardOutput.connect(self._read_output)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)

    @property
    def command(self) -> list[str]:
        """What is run, for the log and for people who want to type it."""
        return [self._program, *self._arguments]

    @property
    def is_running(self) -> bool:
        return self._process.state() != QProcess.ProcessState.NotRunning

    def start(self) -> None:
        log.info("training: %s", " ".join(self.command))
        self._process.start(self._program, self._arguments)
        self._process.closeWriteChannel()

    def stop(self) -> None:
        """Ask it to save and end; it does so within a step, and ``finished`` follows."""
        try:
            (self._folder / STOP_FILE).touch()
        except OSError as error:
            log.warning("the stop file cannot be written: %s", error)
            self._process.terminate()

    def kill(self) -> None:
        """End it now and wait for that; ``finished`` is emitted before this returns."""
        self._killed = True
        if self.is_running:
            self._process.kill()
            self._process.waitForFinished(KILL_WAIT_MS)

    @Slot()
    def _read_output(self) -> None:
        self._output += bytes(self._process.readAllStandardOutput().data())
        *lines, self._output = self._output.split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            self._keep(text)
            return
        if event["event"] == "error":
            self._told = str(event.get("message", ""))
        self._done = self._done or event["event"] == "done"
        self.reported.emit(event)

    @Slot()
    def _read_errors(self) -> None:
        self._errors += bytes(self._process.readAllStandardError().data())
        *lines, self._errors = self._errors.split(b"\n")
        for line in lines:
            self._keep(line.decode("utf-8", "replace"))

    def _keep(self, line: str) -> None:
        """Remember the last lines, and write all of them beside the model for whoever has to look into it."""
        if not line.strip():
            return
        self._tail.append(line.rstrip())
        try:
            with (self._folder / OUTPUT_FILE).open("a", encoding="utf-8") as file:
                file.write(line.rstrip() + "\n")
        except OSError:
            pass

    @Slot(int, QProcess.ExitStatus)
    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read_output()
        self._take(self._output)
        self._output = b""
        self._read_errors()
        self._keep(self._errors.decode("utf-8", "replace"))
        if self._killed:
            self.finished.emit(False, "Cancelled.")
        elif status == QProcess.ExitStatus.NormalExit and code == 0 and self._done:
            self.finished.emit(True, "")
        else:
            self.finished.emit(False, self._what_happened(code, status))

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # no ``finished`` comes from Qt in this case
            self.finished.emit(False, f"Training could not be started: {self._process.errorString()}.")

    def _what_happened(self, code: int, status: QProcess.ExitStatus) -> str:
        tail = list(self._tail)
        if self._told:
            return _sentence(self._told)
        if code == 2 and tail:
            return _sentence(tail[-1].removeprefix("error: "))
        whole = " ".join(tail).lower()
        if "out of memory" in whole or "outofmemory" in whole or "can't allocate memory" in whole:
            return "There was not enough memory for training. Close other programs, or start from a smaller model."
        if status == QProcess.ExitStatus.CrashExit or code in (137, -9):
            return (
                "Training was ended from outside, most often because memory ran out. Close other programs, or start "
                f"from a smaller model. {self._where()}"
            )
        last = f" Its last words: {_sentence(tail[-1])}" if tail else ""
        return f"Training ended unexpectedly (status {code}).{last} {self._where()}"

    def _where(self) -> str:
        return f"The whole log is in {self._folder / OUTPUT_FILE}." if self._tail else f"Its folder is {self._folder}."


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


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

    @property
    def is_over(self) -> bool:
        return self in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


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
    """

    state_changed = Signal(object)
    reported = Signal(dict)
    finished = Signal(bool, str)

    def __init__(self, runner: JobRunner, project: Path, plan: TrainingPlan, parent: QObject | None = None) -> None:
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

    @property
    def is_over(self) -> bool:
        return self.state.is_over

    @property
    def command(self) -> list[str]:
        """The program and options that are run, [] before they are."""
        return [] if self._process is None else self._process.command

    def start(self) -> None:
        """Begin; everything else is told by signals."""
        job = PrepareTrainingJob(self._project, self.plan)
        self._job = self._runner.submit(job, on_results=self._on_prepared, on_finished=self._on_prepare_ended)

    def stop_early(self) -> None:
        """Save and end soon; the best model so far is kept."""
        if self._process is not None and self.state in (RunState.STARTING, RunState.TRAINING):
            self._set(RunState.STOPPING)
            self._process.stop()

    def cancel(self) -> None:
        """End now and keep nothing. Returns when the process has ended."""
        if self.is_over:
            return
        if self._job is not None:
            self._runner.cancel(self._job)
        if self._process is not None and self._process.is_running:
            self._process.kill()
        else:
            self._end(RunState.CANCELLED, "Cancelled.")

    def _on_prepared(self, results: list[Any]) -> None:
        if self.is_over:  # cancelled while the last label was being written
            remove_run(results[-1].folder)
            return
        self.files = results[-1]
        self._set(RunState.STARTING)
        self._process = TrainingProcess(self.files.folder, training_arguments(self.files, self.plan), self)
        self._process.reported.connect(self._on_event)
        self._process.finished.connect(self._on_process_ended)
        self._process.start()

    def _on_prepare_ended(self, outcome: Outcome) -> None:
        self._job = None
        if outcome.error is not None:
            self._end(RunState.FAILED, _sentence(str(outcome.error)))
        elif self.files is None:
            self._end(RunState.CANCELLED, "Cancelled.")

    @Slot(dict)
    def _on_event(self, event: dict[str, Any]) -> None:
        if self.state is RunState.STARTING:
            self._set(RunState.TRAINING)
        self.events.append(event)
        self.reported.emit(event)

    @Slot(bool, str)
    def _on_process_ended(self, ok: bool, message: str) -> None:
        if self.is_over:
            return
        if not ok:
            cancelled = message == "Cancelled."
            self._end(RunState.CANCELLED if cancelled else RunState.FAILED, message)
            return
        assert self.files is not None
        self._set(RunState.KEEPING)
        job = RegisterModelJob(self.files.folder, self.plan.name)
        self._job = self._runner.submit(job, on_results=self._on_kept, on_finished=self._on_keep_ended)

    def _on_kept(self, results: list[Any]) -> None:
        self.model = results[-1]

    def _on_keep_ended(self, outcome: Outcome) -> None:
        self._job = None
        if outcome.error is not None:
            self._end(
                RunState.FAILED, f"{outcome.error}. The trained model stays in {self.files and self.files.folder}."
            )
        elif self.model is None:
            self._end(RunState.CANCELLED, "Cancelled.")
        else:
            self._end(RunState.DONE, f"{self.model} is in the model list.")

    def _set(self, state: RunState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _end(self, state: RunState, message: str) -> None:
        if self.is_over:
            return
        if state is RunState.CANCELLED and self.files is not None:
            remove_run(self.files.folder)
        self.message = message
        self._set(state)
        self.finished.emit(state is RunState.DONE, message)
