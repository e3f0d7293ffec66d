"""What a run's folder says of the run: whether it is going on, how it ended, what it left. Loads no torch.

``OUT/run.json`` tells the state in words; ``OUT/run.lock`` is held by the process that trains, and the system frees it
when that process dies in whatever way. A run whose file says "running" and whose lock is free was killed.
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

from engine.errors import PoseError, TrainingError
from engine.utils.atomic_write import write_atomically
from engine.utils.file_lock import is_locked, locked
from engine.utils.process import PROCESS_BEGAN
from engine.utils.process_identity import is_alive, own_identity

RUN_FILE, LOCK_FILE = "run.json", "run.lock"
BEST, LAST, POSE_STATE = "best.safetensors", "last.safetensors", "pose.state.pt"
DETECTOR, DETECTOR_LAST, DETECTOR_STATE = "detector.safetensors", "detector.last.safetensors", "detector.state.pt"
RESULTS = (BEST, LAST, POSE_STATE, DETECTOR, DETECTOR_LAST, DETECTOR_STATE)
"""What training makes and nobody can make again without training."""
LOCK_WAIT = 2.0
MAX_BYTES = 1 << 20

State = Literal["running", "finished", "early", "interrupted", "failed"]


class RunState(msgspec.Struct, kw_only=True):
    """Content of ``run.json``.

    Attributes:
        state: "running", or how it ended: "finished", "early" (no longer improving), "interrupted" (asked to stop),
            "failed" (an error, ``message`` says which).
        pid, started, host: the process that trains or trained.
        changed: seconds since 1970.
    """

    state: State
    pid: int = 0
    started: str = ""
    host: str = ""
    message: str = ""
    changed: float = 0.0


def read_run_state(out: Path) -> RunState | None:
    """What ``out/run.json`` says; None where there is none or it is damaged."""
    try:
        with (out / RUN_FILE).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=RunState)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def is_running(out: Path) -> bool:
    """Whether a process trains into this folder now."""
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
    """Names of the files that an earlier run has left in a folder."""
    return [name for name in RESULTS if (out / name).is_file()]


def refusal(out: Path, *, resume: bool, overwrite: bool) -> str:
    """Why a new run may not go into this folder, "" where it may. Nothing is replaced that was not meant to be."""
    if resume or overwrite:
        return ""
    there = earlier_results(out)
    if not there:
        return ""
    state = read_run_state(out)
    how = "a finished run" if state is not None and state.state in ("finished", "early") else "an earlier run"
    return (
        f"holds {how} ({', '.join(there[:3])}); name another folder, go on with that run with --resume, or replace it "
        "with --overwrite"
    )


@contextmanager
def recorded(out: Path) -> Iterator[RunRecord]:
    """Hold the folder's lock and keep ``run.json`` for the length of the block.

    Raises:
        TrainingError: another process trains into this folder, or it cannot be written.
    """
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
                yield record
            except BaseException as error:
                message = str(error) if isinstance(error, PoseError) else f"{type(error).__name__}: {error}"
                with suppress(TrainingError):  # the first error is the one to be told
                    record.write("failed", message)
                raise
    except OSError as error:
        if isinstance(error, PoseError) or error.filename is None:
            raise
        raise TrainingError(f"cannot be written ({error.strerror})", where=error.filename) from None


class RunRecord:
    """Writes ``run.json``."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._pid, self._started = own_identity()
        self.write("running")

    def write(self, state: State, message: str = "") -> None:
        """Say how the run stands."""
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
    """Half-written files of a run that was killed: nobody writes them any more, for the lock is ours."""
    for name in (*RESULTS, RUN_FILE, "config.toml"):
        for path in out.glob(f".{name}.*.tmp"):
            with suppress(OSError):
                os.unlink(path)


STOP_FILE = "stop"
STARTING_SECONDS = 1.0  # until the interpreter has loaded the first of our modules
SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one is Windows' only


class StopRequest:
    """A context in which signals do not kill but ask. A second Ctrl+C kills.

    The file works everywhere and needs no process id. It is removed at the end, and on entry where it is older than
    this process: it was meant for an earlier run then. A newer one asks this run, which is still loading, to stop.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / STOP_FILE
        self._asked = False
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self._asked or self._file.exists()

    def __enter__(self) -> StopRequest:
        try:
            if self._file.stat().st_mtime < PROCESS_BEGAN - STARTING_SECONDS:
                self._file.unlink(missing_ok=True)
        except OSError:
            pass
        if threading.current_thread() is threading.main_thread():  # elsewhere Python refuses handlers
            for name in SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._file.unlink(missing_ok=True)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
