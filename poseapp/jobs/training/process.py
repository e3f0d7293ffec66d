"""``engine.train`` as a process of its own, which outlives the window.

It leads a session of its own and writes to files in its folder, so that neither closing nor killing the window touches
it. The window reads ``progress.jsonl`` as it grows. A process that another window started is followed in the same way.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

import engine
from engine.errors import TrainingError
from engine.train.run_folder import STOP_FILE, read_run_state
from poseapp.jobs.training.runs import (
    OUTPUT_FILE,
    PROGRESS_FILE,
    is_training,
    mark_process,
    mark_stop_asked,
    training_process,
)

log = logging.getLogger(__name__)

TAIL_LINES = 30
TAIL_BYTES = 16384
POLL_MS = 100
KILL_WAIT_S = 5.0
CANCELLED = "Cancelled."
_left_alone: list[subprocess.Popen[bytes]] = []
"""Processes that go on without the window; kept so that Python does not complain of them."""


def training_command() -> tuple[str, list[str]]:
    """Program and first arguments that start training: what a person can type, or this program itself when frozen."""
    if getattr(sys, "frozen", False):
        return sys.executable, ["--engine-train"]
    return sys.executable, ["-m", "engine.train"]


def _environment() -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if not getattr(sys, "frozen", False):  # also when the program runs from a folder that is not installed
        home = str(Path(engine.__file__).resolve().parent.parent)
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{home}{os.pathsep}{before}" if before else home
    return environment


class TrainingProcess(QObject):
    """One ``engine.train`` process, started here or elsewhere.

    Signals:
        reported(dict): a progress line.
        finished(bool, str): whether it ended well (also when stopped early), and what to tell otherwise.

    Args:
        folder: of the run.
        arguments: of ``engine.train``; for a process that runs already they are not needed.
    """

    reported = Signal(dict)
    finished = Signal(bool, str)

    def __init__(self, folder: Path, arguments: list[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._program, first = training_command()
        self._arguments = [*first, *arguments, "--progress", "json"]
        self._child: subprocess.Popen[bytes] | None = None
        self._read, self._errors_from = 0, 0
        self._rest = b""
        self._stray: deque[str] = deque(maxlen=TAIL_LINES)
        self._error_event: str | None = None
        self._done = False
        self._killed = self._stopping = False
        self._following = False
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def command(self) -> list[str]:
        """What is run, for the log and for people who want to type it."""
        return [self._program, *self._arguments]

    @property
    def is_running(self) -> bool:
        """Whether it is followed and has not ended."""
        return self._following

    def start(self) -> None:
        """Start the process; ``finished`` follows in any case."""
        log.info("training: %s", " ".join(self.command))
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":  # pragma: no cover
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            self._read = _ended_lines(self._folder / PROGRESS_FILE)
            self._errors_from = _ended_lines(self._folder / OUTPUT_FILE)
            with (
                (self._folder / PROGRESS_FILE).open("ab") as output,
                (self._folder / OUTPUT_FILE).open("ab") as errors,
            ):
                self._child = subprocess.Popen(
                    self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=_environment(), **options
                )
            mark_process(self._folder, self._child.pid)
        except (OSError, TrainingError) as error:
            if self._child is None:
                reason = error.strerror if isinstance(error, OSError) else error.message
                self.finished.emit(False, f"Training could not be started: {reason}.")
                return
            log.warning("the trainer's process is not written down: %s", error)
        self._follow()

    def attach(self) -> None:
        """Follow a process that another window has started; all of its progress is told again."""
        self._errors_from = max(0, _size(self._folder / OUTPUT_FILE) - TAIL_BYTES)
        self._follow()
        self._read_progress()

    def _follow(self) -> None:
        self._following = True
        self._timer.start()

    def leave(self) -> None:
        """Follow it no longer; it goes on by itself."""
        self._timer.stop()
        self._following = False
        if self._child is not None:
            _left_alone.append(self._child)
            self._child = None

    def stop(self) -> None:
        """Ask it to save and end; it does so within a step, and ``finished`` follows."""
        self._stopping = True
        mark_stop_asked(self._folder)
        self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        try:
            (self._folder / STOP_FILE).touch()
        except OSError as error:
            log.warning("the stop file cannot be written: %s", error)
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now and wait for that; ``finished`` is emitted before this returns."""
        if not self._following:
            return
        self._killed = True
        self._signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        if self._child is not None:
            try:
                self._child.wait(KILL_WAIT_S)
            except subprocess.TimeoutExpired:
                log.warning("the trainer does not end: process %d", self._child.pid)
        else:
            end = time.monotonic() + KILL_WAIT_S
            while training_process(self._folder) is not None and time.monotonic() < end:
                time.sleep(0.02)
        self._poll()

    def _signal(self, signal_number: int) -> None:
        """To the trainer and all that it has started; never to another process that has its number by now."""
        record = training_process(self._folder)
        pid = self._child.pid if self._child is not None and self._child.poll() is None else record and record.pid
        if not pid:
            return
        try:
            if sys.platform == "win32":  # pragma: no cover
                os.kill(pid, signal_number)
            elif os.getpgid(pid) == pid:
                os.killpg(pid, signal_number)
            else:  # a person has resumed the run in a script: the group is not the trainer's own
                os.kill(pid, signal_number)
        except (ProcessLookupError, PermissionError):
            pass

    @Slot()
    def _poll(self) -> None:
        if not self._following:
            return
        ended = self._child.poll() is not None if self._child is not None else not is_training(self._folder)
        self._read_progress()
        if ended and self._following:
            self._end()
        elif self._stopping and not (self._folder / STOP_FILE).exists():
            self._ask_to_stop()  # it was loading when it was asked, and took the file for an old one

    def _read_progress(self) -> None:
        try:
            with (self._folder / PROGRESS_FILE).open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or "event" not in event:
            self._stray.append(text)
            return
        if event["event"] == "start":
            self._error_event = None  # of an earlier try in the same folder
        elif event["event"] == "error":
            self._error_event = str(event.get("message", ""))
        self._done = event["event"] == "done" or (self._done and event["event"] != "start")
        self.reported.emit(event)

    def _end(self) -> None:
        self._timer.stop()
        self._following = False
        self._take(self._rest)
        self._rest = b""
        code = None if self._child is None else self._child.returncode
        if self._killed:
            self.finished.emit(False, CANCELLED)
        elif self._done and code in (0, None):
            self.finished.emit(True, "")
        else:
            self.finished.emit(False, self._what_happened(code))

    def _what_happened(self, code: int | None) -> str:
        tail = [*self._stray, *self._error_lines()]
        state = read_run_state(self._folder)
        if self._error_event:
            return sentence(self._error_event)
        if code is None and state is not None and state.state == "failed" and state.message:
            return sentence(state.message)
        if code == 2 and tail:
            return sentence(tail[-1].removeprefix("error: "))
        whole = " ".join(tail).lower()
        if "out of memory" in whole or "outofmemory" in whole or "can't allocate memory" in whole:
            return "Not enough memory for training. Close other programs, or start from a smaller model."
        if code is None or code < 0 or code == 137:
            return (
                "Training was ended from outside, most often because memory ran out. Close other programs, or start "
                f"from a smaller model. {self._where(tail)}"
            )
        last = f" Its last words: {sentence(tail[-1])}" if tail else ""
        return f"Training ended unexpectedly (status {code}).{last} {self._where(tail)}"

    def _error_lines(self) -> list[str]:
        try:
            with (self._folder / OUTPUT_FILE).open("rb") as file:
                file.seek(max(self._errors_from, _size(self._folder / OUTPUT_FILE) - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line.rstrip() for line in text.splitlines() if line.strip()][-TAIL_LINES:]

    def _where(self, tail: list[str]) -> str:
        return f"The whole log is in {self._folder / OUTPUT_FILE}." if tail else f"Its folder is {self._folder}."


def sentence(text: str) -> str:
    """With a full stop."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _ended_lines(path: Path) -> int:
    """The size of a file after its last line is ended, which a killed process may have left unfinished."""
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.write(b"\n")
                size += 1
    return size
