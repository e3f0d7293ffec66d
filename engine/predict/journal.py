"""What a run of ``engine.predict`` has done so far, one JSON line an image, so that it can go on after an interruption.

The first line says what the run is about. A line that is an object names a file, with its size and time of change; a
line that is a list holds what came of that file, or of one frame of it. So a run goes on although files were added,
taken away or replaced since: what was done counts for files that are still the same, and the others are done anew.

Every line goes to the system at once: a process that is killed loses nothing that it has written, a computer that loses
its power at most what it wrote in the last second.
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

# Numbers that JSON does not have (not finite) stand as null.
Number = float | None


class Header(msgspec.Struct, frozen=True):
    """What a run is about.

    Attributes:
        options: what decides over its result, by name.
        models: digest of the sizes and times of change of the files that it predicts with.
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
    """An image: the position of its file among the files of the journal, the number of the frame in a video (else 0),
    its size in pixels, its poses in their order. ``problem`` tells why it could not be read; then it has no poses."""

    file: int
    frame: int
    width: int
    height: int
    poses: list[PoseLine]
    problem: str = ""


_LINE = msgspec.json.Decoder(Line)
_HEADER = msgspec.json.Decoder(Header)


def pose_lines(predictions: Sequence[Prediction]) -> list[PoseLine]:
    """Predictions as a line holds them; :func:`prediction_of` gives the same again, digit for digit."""
    return [
        PoseLine(
            _numbers(p.keypoints), _numbers(p.box), float(p.score), float(p.box_score),
            None if p.visibility is None else _numbers(p.visibility),
        )
        for p in predictions
    ]  # fmt: skip


def prediction_of(pose: PoseLine, category: str) -> Prediction:
    """The prediction that a line was made from."""
    visibility = None if pose.visibility is None else _array(pose.visibility)
    score, box_score = (np.nan if value is None else value for value in (pose.score, pose.box_score))
    return Prediction(_array(pose.keypoints).reshape(-1, 3), _array(pose.box), score, box_score, category, visibility)


def _numbers(values: npt.NDArray[np.floating]) -> list[Number]:
    return [float(value) for value in np.asarray(values, np.float64).reshape(-1)]


def _array(values: Sequence[Number]) -> npt.NDArray[np.float32]:
    return np.array([np.nan if value is None else value for value in values], np.float32)


class Journal:
    """Writes lines. Use :meth:`start` or :meth:`go_on`."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._files: dict[FileState, int] = {}
        self._synced = time.monotonic()

    @classmethod
    def start(cls, path: Path, header: Header) -> Self:
        """A new file in place of any that was there.

        Raises:
            CocoError: it cannot be written.
        """
        journal = cls(path, _open_locked(path))
        journal._cut(0)
        journal._write(msgspec.json.encode(header))
        return journal

    @classmethod
    def go_on(cls, path: Path, header: Header) -> Self:
        """Behind what is whole in the file; a new one where there is none.

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
        """Write what came of an image, or of a frame of a video.

        Args:
            file: as the run found it. frame: number of the frame in a video, else 0.
            width, height: pixels.
            problem: why it could not be read.

        Raises:
            CocoError: it cannot be written, because the disk is full.
        """
        position = self._files.get(file)
        if position is None:
            position = self._files[file] = len(self._files)
            # As ASCII: a path need not be text, and its other bytes are escapes then.
            self._write(json.dumps(msgspec.structs.asdict(file)).encode("ascii"))
        # Messages may quote a file name that is not text, which no JSON line can hold.
        reason = problem.encode("utf-8", "backslashreplace").decode("utf-8")
        self._write(msgspec.json.encode(Line(position, frame, width, height, pose_lines(predictions), reason)))
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """May be called twice."""
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
    """What is whole in a journal.

    Attributes:
        files: the files that it names.
        file, frame, offset, poses: of every line; poses is -1 for an image that could not be read.
        end: where the last of the lines ends.
    """

    files: list[FileState]
    file: list[int]
    frame: list[int]
    offset: list[int]
    poses: list[int]
    end: int


def read_journal(path: Path, header: Header) -> Lines:
    """Go through a journal. What was cut off at its end, as a process was killed, is left out.

    Raises:
        CocoError: it cannot be read, or it belongs to a run of other options or models, which are named.
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
                        _check(_HEADER.decode(text), header, path)
                    else:
                        _add_line(lines, text, offset)
                except ValueError:  # also msgspec.DecodeError
                    if position == 0:
                        raise CocoError("is no record of a run; remove it, or give another --out", where=path) from None
                    break
                offset += len(text)
    except OSError as error:
        raise CocoError(f"cannot be read ({error.strerror})", where=path) from None
    return msgspec.structs.replace(lines, end=offset)


def _add_line(lines: Lines, text: bytes, offset: int) -> None:
    """Raises ValueError for a line that is none."""
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


def _check(before: Header, now: Header, path: Path) -> None:
    advice = "give the same again, or leave --resume out to start anew"
    if before.version != now.version:
        raise CocoError("is of another version of this program; leave --resume out to start anew", where=path)
    for name, value in now.options.items():
        earlier = before.options.get(name)
        if earlier != value:
            raise CocoError(f"the run was begun with {name} {earlier}, not {value}; {advice}", where=path)
    if before.models != now.models:
        raise CocoError(
            "the model or the detector has changed since the run was begun; leave --resume out to start anew",
            where=path,
        )


class JournalReader:
    """The lines of one or several journals of a run, by the number of the image; few are in memory at once.

    Attributes:
        poses: (count,) int64, how many poses each image has; -1 where it has not been read, or could not be.
        problems: for each image that could not be read why, by its number.
        lines: how many lines the journals hold. used: how many of them are of images of this run.
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
                numbers = items.numbers(lines.files[file], frame)
                self.used += bool(numbers)
                for number in numbers:
                    if self.poses[number] >= 0:
                        continue
                    if poses < 0:
                        self.problems[number] = self._read(journal, offset).problem
                    else:
                        self.poses[number], self._line_of[number] = poses, (journal, offset)
                        self.problems.pop(number, None)

    def __getitem__(self, number: int) -> Line:
        """Raises KeyError when the image has not been read."""
        if self.poses[number] < 0:
            raise KeyError(number)
        journal, offset = self._line_of[number].tolist()
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
    """Beside the result: OUT.json.part, of other processes OUT.json.part.1 and so on."""
    first = side_name(out.name, ".part.0000").removesuffix(".0000")  # with room for the number of a process
    return out.with_name(first + (f".{rank}" if rank else ""))


def journals(out: Path) -> list[Path]:
    """Those that are there, in the order of the processes."""
    first = journal_path(out)
    others = {}
    for path in out.parent.iterdir():
        number = path.name.removeprefix(first.name + ".")
        if number != path.name and number.isdecimal():
            others[int(number)] = path
    return [first] * first.exists() + [others[number] for number in sorted(others)]


def options_text(options: Mapping[str, object]) -> dict[str, str]:
    """Options as a header holds them; bytes of a path that are not text are written as escapes."""
    return {
        name: "not given" if value is None else str(value).encode("utf-8", "backslashreplace").decode("utf-8")
        for name, value in options.items()
    }


def _open_locked(path: Path) -> int:
    """Opened for writing, by one process at a time where the system can tell (the lock goes with the process)."""
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
            raise CocoError("another run is writing it; wait for it, or give another --out", where=path) from None
        except OSError:  # a network folder without locks
            pass
    return handle


def _binary() -> int:
    return getattr(os, "O_BINARY", 0)
