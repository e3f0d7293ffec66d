"""The folders of training runs: what each says of its run, which ones wait for a decision, and their trash. No Qt.

``RUNS/TIME/NAME`` holds one run: the trainer's files (``engine.train.run_folder``) and, from the window,

- ``plan.json``: what was asked for; ``process.json``: the trainer's process
- ``progress.jsonl`` and ``output.txt``: what the trainer writes to standard output and standard error
- ``stop-asked``: a person wants it ended early, with its best model kept
- ``model.json``: its model is in the list; ``left.json``: a person does not want to be asked about it again
- ``window.lock``: held by the window that follows the run
- ``preparing.json``: the labels are still being written, by the process that it names

A run survives its window and the window its run: whatever is killed, the next window finds the folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from engine.errors import TrainingError
from engine.models.catalog import user_models_dir
from engine.train.config import CONFIG_FILE, read_config
from engine.train.run_folder import BEST, DETECTOR_STATE, POSE_STATE, is_running, read_run_state
from engine.utils.atomic_write import write_atomically
from engine.utils.context import Context
from engine.utils.file_lock import is_locked
from engine.utils.process_identity import is_alive, own_identity, process_start
from poseapp.jobs.base import Lane, Progress
from poseapp.jobs.training.plan import RunFiles, TrainingPlan, remove_run, runs_folder

PLAN_FILE, PROCESS_FILE = "plan.json", "process.json"
PROGRESS_FILE, OUTPUT_FILE = "progress.jsonl", "output.txt"
STOP_ASKED, MODEL_FILE, LEFT_FILE = "stop-asked", "model.json", "left.json"
FOLLOW_LOCK, PREPARING_FILE = "window.lock", "preparing.json"
TRASH = "trash"
TRASH_DAYS = 30
MAX_BYTES = 1 << 20


class ProcessRecord(msgspec.Struct):
    """A process on a computer; ``started`` tells it from a later one with the same number."""

    pid: int
    started: str
    host: str

    @property
    def alive(self) -> bool:
        return self.host == socket.gethostname() and is_alive(self.pid, self.started)

    @classmethod
    def own(cls) -> ProcessRecord:
        return cls(*own_identity(), socket.gethostname())

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        return cls(pid, process_start(pid), socket.gethostname())


class SavedPlan(msgspec.Struct):
    """Content of ``plan.json``: what was asked for, and where the images lie."""

    plan: TrainingPlan
    images: str
    instances: int = 0
    image_count: int = 0
    created: float = 0.0


class Status(StrEnum):
    """What is to be done about a run that no window follows."""

    RUNNING = "running"  # go on showing it
    ENDED = "ended"  # put its model into the list
    BROKEN = "broken"  # ask: resume, keep its best, discard


@dataclass(frozen=True)
class FoundRun:
    """A run that another window has left.

    Attributes:
        files: its folder; what was written there for it.
        has_best: it has a model that can be kept. can_resume: it can go on, or begin again with the same labels.
        message: why it failed, where it said so.
        when: seconds since 1970 of its last sign.
    """

    plan: TrainingPlan
    files: RunFiles
    status: Status
    has_best: bool
    can_resume: bool
    message: str = ""
    when: float = 0.0


def save_plan(files: RunFiles, plan: TrainingPlan) -> None:
    """Write ``plan.json`` and take ``preparing.json`` away: from now on the folder tells of a run."""
    saved = SavedPlan(plan, str(files.images), files.instances, files.image_count, round(time.time(), 3))
    write_atomically(files.folder / PLAN_FILE, msgspec.json.encode(saved))
    (files.folder / PREPARING_FILE).unlink(missing_ok=True)


def mark_preparing(folder: Path) -> None:
    """Say that this process is writing the labels into the folder."""
    write_atomically(folder / PREPARING_FILE, msgspec.json.encode(ProcessRecord.own()))


def mark_process(folder: Path, pid: int) -> ProcessRecord:
    """Write down which process trains."""
    record = ProcessRecord.of(pid)
    write_atomically(folder / PROCESS_FILE, msgspec.json.encode(record))
    return record


def mark_stop_asked(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / STOP_ASKED).touch()


def mark_model(folder: Path, model: str) -> None:
    """Say that the run's model is in the list."""
    with contextlib.suppress(TrainingError):
        write_atomically(folder / MODEL_FILE, msgspec.json.encode({"model": model}))


def mark_left(folder: Path) -> None:
    """Nobody is to be asked about this run again."""
    write_atomically(folder / LEFT_FILE, b"{}")


def training_process(folder: Path) -> ProcessRecord | None:
    """The process that trains into a folder, None where it is gone or unknown."""
    record = _read_process(folder / PROCESS_FILE)
    if record is not None and record.alive:
        return record
    state = read_run_state(folder)
    if state is None or state.state != "running":
        return None
    record = ProcessRecord(state.pid, state.started, state.host)
    return record if record.alive else None


def is_training(folder: Path) -> bool:
    """Whether a process trains into a folder, or is loading to do so."""
    return is_running(folder) or training_process(folder) is not None


def has_best(folder: Path) -> bool:
    return (folder / BEST).is_file()


def can_resume(folder: Path) -> bool:
    """Whether the run can go on from a saved state, or begin again with the labels in its folder."""
    return has_state(folder) or all((folder / name).is_file() for name in ("labels.json", "schema.toml", "wanted.toml"))


def has_state(folder: Path) -> bool:
    """Whether the trainer can go on from where it was."""
    return (folder / CONFIG_FILE).is_file() and any((folder / n).is_file() for n in (POSE_STATE, DETECTOR_STATE))


def find_runs() -> list[FoundRun]:
    """Runs that no window follows and about which something is to be done, the oldest first."""
    return [result for folder in _folders() if (result := look_at(folder)) is not None]


def look_at(folder: Path) -> FoundRun | None:
    """What is to be done about a run's folder; None where nothing is."""
    if any((folder / name).exists() for name in (MODEL_FILE, LEFT_FILE, PREPARING_FILE)):
        return None
    if is_locked(folder / FOLLOW_LOCK):
        return None
    plan, files = _plan_of(folder)
    if plan is None or files is None:
        return None
    best, state = has_best(folder), read_run_state(folder)
    ended = state is not None and (
        state.state in ("finished", "early") or (state.state == "interrupted" and (folder / STOP_ASKED).exists())
    )
    if is_training(folder):
        status = Status.RUNNING
    elif ended and best:
        status = Status.ENDED
    elif best or can_resume(folder):
        status = Status.BROKEN
    else:
        return None
    message = state.message if state is not None and state.state == "failed" else ""
    when = 0.0 if state is None else state.changed
    return FoundRun(plan, files, status, best, can_resume(folder), message, when or folder.stat().st_mtime)


def discard(folder: Path) -> Path:
    """Move a run into the trash, from which :func:`restore` brings it back; where it lies now.

    Raises:
        TrainingError: it cannot be moved; it is where it was.
    """
    home = folder.parent
    target = runs_folder() / TRASH / home.name
    index = 1
    while target.exists():
        index += 1
        target = target.with_name(f"{home.name}-{index}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(home, target)
        os.utime(target)
    except OSError as error:
        raise TrainingError(f"cannot be moved to the trash ({error.strerror})", where=folder) from None
    return target / folder.name


def restore(trashed: Path) -> Path:
    """Bring a run back from the trash; where it lies now.

    Raises:
        TrainingError: it cannot be moved.
    """
    home = runs_folder() / trashed.parent.name
    try:
        os.rename(trashed.parent, home)
    except OSError as error:
        raise TrainingError(f"cannot be brought back ({error.strerror})", where=trashed) from None
    return home / trashed.name


def sweep() -> None:
    """Remove what killed windows have left half-made, and runs that were discarded more than 30 days ago.

    Half-made are copies of labels of a run that never began, and copies of a model on its way into the list; both
    carry the number of the process that made them, and it is gone.
    """
    for folder in _folders():
        record = _read_process(folder / PREPARING_FILE)
        if record is not None and record.host == socket.gethostname() and not record.alive:
            remove_run(folder)
    for path in user_models_dir().glob(".*.tmp"):
        match = re.search(r"\.(\d+)\.tmp$", path.name)
        if match and path.is_dir() and not process_start(int(match.group(1))):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        for home in (runs_folder() / TRASH).iterdir():
            if time.time() - home.stat().st_mtime > TRASH_DAYS * 86400:
                shutil.rmtree(home, ignore_errors=True)


class SweepRunsJob:
    """:func:`sweep` beside the window."""

    lane = Lane.IO
    title = "Tidying up training runs"

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 1, self.title)
        sweep()


def _folders() -> Iterator[Path]:
    try:
        homes = sorted(runs_folder().iterdir())
    except OSError:
        return
    for home in homes:
        if home.name == TRASH or home.name.startswith(".") or not home.is_dir():
            continue
        with contextlib.suppress(OSError):
            yield from sorted(folder for folder in home.iterdir() if folder.is_dir())


def _plan_of(folder: Path) -> tuple[TrainingPlan | None, RunFiles | None]:
    saved: SavedPlan | None = None
    try:
        with (folder / PLAN_FILE).open("rb") as file:
            saved = msgspec.json.decode(file.read(MAX_BYTES), type=SavedPlan)
    except (OSError, msgspec.DecodeError, RecursionError):
        pass
    names = [folder / name for name in ("labels.json", "schema.toml", "wanted.toml")]
    if saved is not None:
        files = RunFiles(folder, names[0], Path(saved.images), names[1], names[2], saved.instances, saved.image_count)
        return saved.plan, files
    if not (folder / CONFIG_FILE).is_file() or _was_kept_before(folder):
        return None, None
    try:
        config = read_config(folder / CONFIG_FILE)
    except TrainingError:
        return None, None
    plan = TrainingPlan(folder.name, 0, config.model, device=config.device, seed=config.seed)
    return plan, RunFiles(folder, names[0], Path(config.images), names[1], names[2])


def _was_kept_before(folder: Path) -> bool:
    """Whether a run of an earlier version, which left no marks, ended with its model in the list."""
    try:
        with (folder / "log.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            last = file.read().splitlines()[-1]
        done = msgspec.json.decode(last).get("event") == "done"
    except (OSError, IndexError, AttributeError, msgspec.DecodeError, RecursionError):
        done = False
    return done and (user_models_dir() / folder.name).exists()


def _read_process(path: Path) -> ProcessRecord | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=ProcessRecord)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
