"""The folder of a run: its files, its state, its lock, and requests to stop. Loads no torch.

``OUT/run.json`` holds the state; ``OUT/run.lock`` is locked by the process that trains, and the system releases the
lock when that process ends in whatever way. A run whose file says "running" and whose lock is free was killed.

Ctrl+C, a termination signal or a file ``OUT/stop`` asks a run to stop (:class:`StopRequest`).
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

import msgspec

from engine.errors import Cancelled, PoseError, TrainingError
from engine.utils.atomic_write import write_atomically
from engine.utils.context import Context
from engine.utils.file_lock import is_locked, locked
from engine.utils.process import PROCESS_BEGAN
from engine.utils.process_identity import is_alive, own_identity

RUN_FILE, LOCK_FILE, LOG_FILE = "run.json", "run.lock", "log.jsonl"
BEST, LAST, POSE_STATE = "best.safetensors", "last.safetensors", "pose.state.pt"
DETECTOR, DETECTOR_LAST, DETECTOR_STATE = "detector.safetensors", "detector.last.safetensors", "detector.state.pt"
RESULTS = (BEST, LAST, POSE_STATE, DETECTOR, DETECTOR_LAST, DETECTOR_STATE)
"""What only training can make again."""
LOCK_WAIT = 2.0
MAX_BYTES = 1 << 20

State = Literal["running", "finished", "early", "interrupted", "failed"]


class RunState(msgspec.Struct, kw_only=True):
    """Content of ``run.json``.

    Attributes:
        state: "running", or how it ended: "finished", "early" (no longer improving), "interrupted" (asked to stop),
            "failed" (by the error in ``message``).
        pid, started, host: the process that trains or trained.
        changed: time of the last change, seconds since 1970.
    """

    state: State
    pid: int = 0
    started: str = ""
    host: str = ""
    message: str = ""
    changed: float = 0.0


def read_run_state(out: Path) -> RunState | None:
    """The content of ``out/run.json``; None if the file is missing or damaged."""
    try:
        with (out / RUN_FILE).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=RunState)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def is_running(out: Path) -> bool:
    """Whether a process is training into this folder now."""
    if is_locked(out / LOCK_FILE):
        return True
    state = read_run_state(out)
    return (
        state is not None
        and state.state == "running"
        and state.host == socket.gethostname()
        and is_alive(state.pid, state.started)
    )


def earlier_results(out: Path) -> list[str]:
    """Names of the files that an earlier run left in a folder."""
    return [name for name in RESULTS if (out / name).is_file()]


def refusal(out: Path, *, resume: bool, overwrite: bool) -> str:
    """Why a new run may not use this folder, "" if it may. An earlier run is only replaced on request."""
    if resume or overwrite:
        return ""
    results = earlier_results(out)
    if not results:
        return ""
    state = read_run_state(out)
    which = "a finished run" if state is not None and state.state in ("finished", "early") else "an earlier run"
    return (
        f"holds {which} ({', '.join(results[:3])}); name another folder, go on with that run with --resume, or replace "
        "it with --overwrite"
    )


@contextmanager
def open_run_folder(out: Path, *, resume: bool) -> Iterator[RunRecord]:
    """Lock the folder and keep ``run.json`` up to date within the block; an error in the block is recorded as "failed".

    Args:
        out: made if it does not exist.
        resume: keep the files of the earlier run; else its state and log are removed, its models stay for now.

    Raises:
        TrainingError: another process is training into this folder, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot be made ({error.strerror})", where=out) from None
    end = time.monotonic() + LOCK_WAIT

    def waiting() -> None:
        if time.monotonic() > end:
            state = read_run_state(out)
            who = f" (process {state.pid} on {state.host})" if state is not None and state.pid else ""
            raise TrainingError(f"another training run is using this folder{who}", where=out)

    try:
        with locked(out / LOCK_FILE, waiting=waiting):
            _remove_leftovers(out)
            record = RunRecord(out)
            try:
                if not resume:
                    record.make_room()
                yield record
            except BaseException as error:
                message = str(error) if isinstance(error, PoseError) else f"{type(error).__name__}: {error}"
                with suppress(TrainingError):  # the first error is the one to report
                    record.write("failed", message)
                raise
    except OSError as error:
        if isinstance(error, PoseError) or error.filename is None:
            raise
        raise TrainingError(f"cannot be written ({error.strerror})", where=error.filename) from None


class RunRecord:
    """Writes ``run.json``, and removes what an earlier run left once it is replaced."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._pid, self._started = own_identity()
        self._earlier_models: dict[str, int] = {}
        self.write("running")

    def make_room(self) -> None:
        """Remove state and log of an earlier run. Its models stay until new ones are written over them."""
        for name in (LOG_FILE, *RESULTS):
            file = self._out / name
            if name in (BEST, DETECTOR) and file.is_file():
                self._earlier_models[name] = file.stat().st_mtime_ns
            else:
                file.unlink(missing_ok=True)

    def finish(self, outcome: Literal["finished", "early", "interrupted"]) -> None:
        """Record how the run ended. If it is complete, models of the run it replaced that it has not written itself (a
        detector it does not need) are removed."""
        if outcome != "interrupted":
            self._remove_replaced()
        self.write(outcome)

    def _remove_replaced(self) -> None:
        is_written = any(self._is_new(name) for name in (BEST, DETECTOR))
        for name in self._earlier_models:
            if is_written and (self._out / name).is_file() and not self._is_new(name):
                (self._out / name).unlink()

    def _is_new(self, name: str) -> bool:
        file = self._out / name
        return file.is_file() and file.stat().st_mtime_ns != self._earlier_models.get(name)

    def write(self, state: State, message: str = "") -> None:
        """Record the state."""
        content = RunState(
            state=state,
            pid=self._pid,
            started=self._started,
            host=socket.gethostname(),
            message=message,
            changed=round(time.time(), 3),
        )
        write_atomically(self._out / RUN_FILE, msgspec.json.encode(content))


def _remove_leftovers(out: Path) -> None:
    """Remove half-written files of a run that was killed; as we hold the lock, no other process is writing them."""
    for name in (*RESULTS, RUN_FILE, "config.toml"):
        for path in out.glob(f".{name}.*.tmp"):
            with suppress(OSError):
                os.unlink(path)


STOP_FILE = "stop"
STARTING_SECONDS = 1.0  # until the interpreter has loaded the first of our modules
SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one is Windows' only


class StopRequest:
    """True once the run is asked to stop. Within the ``with`` block signals ask instead of ending the process; a second
    Ctrl+C ends it.

    The file ``stop`` works everywhere and needs no process id. It is removed at the end, and on entry if it is older
    than this process: then it was meant for an earlier run. A newer one asks this run, which was still loading.

    Args:
        folder: of the run.
        context: cancelling it asks too.
    """

    def __init__(self, folder: Path, context: Context | None = None) -> None:
        self._file = folder / STOP_FILE
        self._context = context
        self._is_signalled = False
        self._previous_handlers: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self._is_signalled or self._file.exists() or self._is_cancelled()

    def _is_cancelled(self) -> bool:
        try:
            if self._context is not None:
                self._context.check_cancelled()
        except Cancelled:
            return True
        return False

    def __enter__(self) -> StopRequest:
        try:
            if self._file.stat().st_mtime < PROCESS_BEGAN - STARTING_SECONDS:
                self._file.unlink(missing_ok=True)
        except OSError:
            pass
        if threading.current_thread() is threading.main_thread():  # elsewhere Python refuses handlers
            for name in SIGNALS:
                signal_number = getattr(signal, name, None)
                if signal_number is not None:
                    self._previous_handlers[signal_number] = signal.signal(signal_number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signal_number, handler in self._previous_handlers.items():
            signal.signal(signal_number, handler)
        self._file.unlink(missing_ok=True)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:
        if self._is_signalled:
            raise KeyboardInterrupt
        self._is_signalled = True
