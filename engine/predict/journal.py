"""The journal of a run of ``engine.predict``: one JSON line per image, so that an interrupted run can go on.

The first line holds the options of the run. A line that is an object names a file, with its size and time of change; a
line that is a list holds the poses of that file, or of one frame of it. A run can go on although files were added,
removed or replaced since: what was done counts for unchanged files, the others are done again.

Every line is written to the system at once: a process that is killed loses nothing, a computer that loses power at most
the last second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import CocoError
from engine.pose import Prediction
from engine.predict.items import FileState, RunItems
from engine.utils.file_names import side_name

VERSION = 2
SYNC_SECONDS = 1.0

# NaN and infinity, which JSON does not have, are written as null.
Number = float | None


class Header(msgspec.Struct, frozen=True):
    """The options of a run.

    Attributes:
        options: by name, all that the result depends on.
        models: digest of the sizes and times of change of the model files.
    """

    options: dict[str, str]
    models: str = ""
    version: int = VERSION


class PoseLine(msgspec.Struct, frozen=True, array_like=True):
    """A prediction: keypoints as x, y, score of each; box x1 y1 x2 y2."""

    keypoints: list[Number]
    box: list[Number]
    score: Number
    box_score: Number
    visibility: list[Number] | None = None


class Line(msgspec.Struct, frozen=True, array_like=True):
    """An image: the position of its file among the files of the journal, the index of the frame in a video (else 0),
    its size in pixels, its poses in their order. ``problem``: why it could not be read; then it has no poses."""

    file: int
    frame: int
    width: int
    height: int
    poses: list[PoseLine]
    problem: str = ""


_LINE = msgspec.json.Decoder(Line)
_HEADER = msgspec.json.Decoder(Header)


def pose_lines(predictions: Sequence[Prediction]) -> list[PoseLine]:
    """Predictions as written to a line; :func:`prediction_of` is the exact inverse."""
    return [
        PoseLine(
            _numbers(p.keypoints), _numbers(p.box), float(p.score), float(p.box_score),
            None if p.visibility is None else _numbers(p.visibility),
        )
        for p in predictions
    ]  # fmt: skip


def prediction_of(pose: PoseLine, category: str) -> Prediction:
    """The prediction that was written."""
    visibility = None if pose.visibility is None else _array(pose.visibility)
    score, box_score = (np.nan if value is None else value for value in (pose.score, pose.box_score))
    return Prediction(_array(pose.keypoints).reshape(-1, 3), _array(pose.box), score, box_score, category, visibility)


def _numbers(values: npt.NDArray[np.floating]) -> list[Number]:
    return [float(value) for value in np.asarray(values, np.float64).reshape(-1)]


def _array(values: Sequence[Number]) -> npt.NDArray[np.float32]:
    return np.array([np.nan if value is None else value for value in values], np.float32)


class Journal:
    """Writes lines. Use :meth:`start` or :meth:`resume`."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._files: dict[FileState, int] = {}
        self._synced = time.monotonic()

    @classmethod
    def start(cls, path: Path, header: Header) -> Self:
        """A new file; an existing one is replaced.

        Raises:
            CocoError: it cannot be written.
        """
        journal = cls(path, _open_locked(path))
        journal._cut(0)
        journal._write(msgspec.json.encode(header))
        return journal

    @classmethod
    def resume(cls, path: Path, header: Header) -> Self:
        """Go on after the last complete line of the file; a new one if there is none.

        Raises:
            CocoError: it belongs to another run, or cannot be written.
        """
        if not path.exists():
            return cls.start(path, header)
        journal = cls(path, _open_locked(path))
        try:
            lines = read_journal(path, header)
            journal._files = {state: position for position, state in enumerate(lines.files)}
            journal._cut(lines.end)
            if not lines.end:
                journal._write(msgspec.json.encode(header))
        except CocoError:
            journal.close()
            raise
        return journal

    def append(
        self,
        file: FileState,
        frame: int,
        width: int,
        height: int,
        predictions: Sequence[Prediction] = (),
        problem: str = "",
    ) -> None:
        """Write the poses of an image, or of a frame of a video.

        Args:
            file: its state at the start of the run. frame: index of the frame in a video, else 0.
            width, height: pixels.
            problem: why it could not be read.

        Raises:
            CocoError: the line cannot be written; the disk is full.
        """
        position = self._files.get(file)
        if position is None:
            position = self._files[file] = len(self._files)
            # As ASCII: bytes of a path that are not UTF-8 become escapes.
            self._write(json.dumps(msgspec.structs.asdict(file)).encode("ascii"))
        # Messages may quote a file name that is not UTF-8, which JSON cannot hold.
        reason = problem.encode("utf-8", "backslashreplace").decode("utf-8")
        self._write(msgspec.json.encode(Line(position, frame, width, height, pose_lines(predictions), reason)))
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Sync and close; may be called twice."""
        if self._handle >= 0:
            try:
                self._sync()
            finally:
                os.close(self._handle)
                self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, text: bytes) -> None:
        rest = memoryview(text + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            raise CocoError(f"cannot be written ({error.strerror})", where=self.path) from None

    def _cut(self, end: int) -> None:
        try:
            os.ftruncate(self._handle, end)
            os.lseek(self._handle, end, os.SEEK_SET)
        except OSError as error:
            raise CocoError(f"cannot be written ({error.strerror})", where=self.path) from None

    def _sync(self) -> None:
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise CocoError(f"cannot be written ({error.strerror})", where=self.path) from None
        self._synced = time.monotonic()


class Lines(msgspec.Struct, frozen=True):
    """The complete lines of a journal.

    Attributes:
        files: the files that it names.
        file, frame, offset, poses: of every line; poses is their number, -1 for an image that could not be read.
        end: offset of the end of the last line.
    """

    files: list[FileState]
    file: list[int]
    frame: list[int]
    offset: list[int]
    poses: list[int]
    end: int


def read_journal(path: Path, header: Header) -> Lines:
    """Read a journal, without a line that was cut off at the end when a process was killed.

    Raises:
        CocoError: it cannot be read, or belongs to a run with other options or models, which the message names.
    """
    lines = Lines([], [], [], [], [], 0)
    offset = 0
    try:
        with path.open("rb") as file:
            for position, text in enumerate(file):
                if not text.endswith(b"\n"):
                    break
                try:
                    if position == 0:
                        _check_same_run(_HEADER.decode(text), header, path)
                    else:
                        _add_line(lines, text, offset)
                except ValueError:  # also msgspec.DecodeError
                    if position == 0:
                        raise CocoError(
                            "is not a journal of a run; remove it, or give another --out", where=path
                        ) from None
                    break
                offset += len(text)
    except OSError as error:
        raise CocoError(f"cannot be read ({error.strerror})", where=path) from None
    return msgspec.structs.replace(lines, end=offset)


def _add_line(lines: Lines, text: bytes, offset: int) -> None:
    """Raises ValueError for an invalid line."""
    if text.startswith(b"{"):
        lines.files.append(msgspec.convert(json.loads(text), FileState))
        return
    line = _LINE.decode(text)
    if not 0 <= line.file < len(lines.files):
        raise ValueError(f"file {line.file} of {len(lines.files)}")
    lines.file.append(line.file)
    lines.frame.append(line.frame)
    lines.offset.append(offset)
    lines.poses.append(-1 if line.problem else len(line.poses))


def _check_same_run(before: Header, now: Header, path: Path) -> None:
    advice = "give the same option, or leave out --resume to start again"
    if before.version != now.version:
        raise CocoError("is of another version of this program; leave out --resume to start again", where=path)
    for name, value in now.options.items():
        earlier = before.options.get(name)
        if earlier != value:
            raise CocoError(f"the run was started with {name} {earlier}, not {value}; {advice}", where=path)
    if before.models != now.models:
        raise CocoError(
            "the model or the detector has changed since the run was started; leave out --resume to start again",
            where=path,
        )


class JournalReader:
    """The lines of the journals of a run, by the index of the image. They are read from the files when asked for.

    Attributes:
        poses: (count,) int64, number of poses of each image; -1 if it was not read, or could not be.
        problems: for each image that could not be read the reason, by its index.
        lines: number of lines in the journals. used: how many of them are of images of this run.
    """

    def __init__(self, paths: Sequence[Path], header: Header, items: RunItems) -> None:
        self.poses = np.full(len(items), -1, np.int64)
        self.problems: dict[int, str] = {}
        self.lines = self.used = 0
        self._line_of = np.full((len(items), 2), -1, np.int64)
        self._paths = list(paths)
        self._handles: dict[int, int] = {}
        for journal, path in enumerate(self._paths):
            lines = read_journal(path, header)
            self.lines += len(lines.file)
            for file, frame, offset, poses in zip(lines.file, lines.frame, lines.offset, lines.poses, strict=True):
                indices = items.indices(lines.files[file], frame)
                self.used += bool(indices)
                for index in indices:
                    if self.poses[index] >= 0:
                        continue
                    if poses < 0:
                        self.problems[index] = self._read(journal, offset).problem
                    else:
                        self.poses[index], self._line_of[index] = poses, (journal, offset)
                        self.problems.pop(index, None)

    def __getitem__(self, index: int) -> Line:
        """Raises KeyError if the image was not read."""
        if self.poses[index] < 0:
            raise KeyError(index)
        journal, offset = self._line_of[index].tolist()
        return self._read(journal, offset)

    def _read(self, journal: int, offset: int) -> Line:
        if journal not in self._handles:
            self._handles[journal] = os.open(self._paths[journal], os.O_RDONLY | _binary())
        text = b""
        while not text.endswith(b"\n") and b"\n" not in text:
            os.lseek(self._handles[journal], offset + len(text), os.SEEK_SET)
            more = os.read(self._handles[journal], 1 << 14)
            if not more:
                break
            text += more
        return _LINE.decode(text.split(b"\n", 1)[0])

    def close(self) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def journal_path(out: Path, rank: int = 0) -> Path:
    """Beside the output: OUT.json.part; OUT.json.part.1 and so on for further processes."""
    first = side_name(out.name, ".part.0000").removesuffix(".0000")  # leaves room for the rank
    return out.with_name(first + (f".{rank}" if rank else ""))


def journals(out: Path) -> list[Path]:
    """The existing journals, in the order of the processes."""
    first = journal_path(out)
    others = {}
    for path in out.parent.iterdir():
        rank = path.name.removeprefix(first.name + ".")
        if rank != path.name and rank.isdecimal():
            others[int(rank)] = path
    return [first] * first.exists() + [others[rank] for rank in sorted(others)]


def options_text(options: Mapping[str, object]) -> dict[str, str]:
    """Options as strings; bytes of a path that are not UTF-8 become escapes."""
    return {
        name: "not given" if value is None else str(value).encode("utf-8", "backslashreplace").decode("utf-8")
        for name, value in options.items()
    }


def _open_locked(path: Path) -> int:
    """Open for writing and lock; the lock goes with the process. Windows and some network folders have no locks."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | _binary(), 0o666)
    except OSError as error:
        raise CocoError(f"cannot be written ({error.strerror})", where=path) from None
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise CocoError(
                "another run is writing this file; wait for it, or give another --out", where=path
            ) from None
        except OSError:  # a network folder without locks
            pass
    return handle


def _binary() -> int:
    return getattr(os, "O_BINARY", 0)
