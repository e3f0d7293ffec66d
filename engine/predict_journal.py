"""What a run of ``engine.predict`` has done so far, one JSON line an image, so that it can go on after an interruption.

The first line says what the run is about. Every line goes to the system at once: a process that is killed loses
nothing that it has written, a computer that loses its power at most what it wrote in the last second.
"""

from __future__ import annotations

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

from engine.contract.errors import CocoError
from engine.contract.predictions import Prediction

VERSION = 1
SYNC_SECONDS = 1.0

# Numbers that JSON does not have (not finite) stand as null.
Number = float | None


class Header(msgspec.Struct, frozen=True):
    """What a run is about.

    Attributes:
        options: what decides over its result, by name.
        inputs: digest of the images' names, sizes and times of change.
        count: how many images.
    """

    options: dict[str, str]
    inputs: str
    count: int
    version: int = VERSION


class PoseLine(msgspec.Struct, frozen=True, array_like=True):
    """A prediction: keypoints as x, y, score of each; box x1 y1 x2 y2."""

    keypoints: list[Number]
    box: list[Number]
    score: Number
    box_score: Number
    visibility: list[Number] | None = None


class Line(msgspec.Struct, frozen=True, array_like=True):
    """An image: its number among the inputs, its size in pixels, its poses in their order."""

    number: int
    width: int
    height: int
    poses: list[PoseLine]


_LINE = msgspec.json.Decoder(Line)
_HEADER = msgspec.json.Decoder(Header)


def line_of(number: int, width: int, height: int, predictions: Sequence[Prediction]) -> Line:
    """An image's line; :func:`prediction_of` gives the same predictions again, digit for digit."""
    poses = [
        PoseLine(
            _numbers(p.keypoints), _numbers(p.box), float(p.score), float(p.box_score),
            None if p.visibility is None else _numbers(p.visibility),
        )
        for p in predictions
    ]  # fmt: skip
    return Line(number, width, height, poses)


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
            end = read_journal(path, header).end
            journal._cut(end)
            if not end:
                journal._write(msgspec.json.encode(header))
        except CocoError:
            journal.close()
            raise
        return journal

    def append(self, line: Line) -> None:
        """Raises CocoError when the disk is full."""
        self._write(msgspec.json.encode(line))
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
    """What is whole in a file: number, offset and poses of every line, and where the last of them ends."""

    numbers: list[int]
    offsets: list[int]
    poses: list[int]
    end: int


def read_journal(path: Path, header: Header) -> Lines:
    """Go through a file. What was cut off at its end, as a process was killed, is left out.

    Raises:
        CocoError: it cannot be read, or it belongs to a run of other inputs or options, which are named.
    """
    found = Lines([], [], [], 0)
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
                        line = _LINE.decode(text)
                        found.numbers.append(line.number)
                        found.offsets.append(offset)
                        found.poses.append(len(line.poses))
                except msgspec.DecodeError:
                    if position == 0:
                        raise CocoError("is no record of a run; remove it, or give another --out", where=path) from None
                    break
                offset += len(text)
    except OSError as error:
        raise CocoError(f"cannot be read ({error.strerror})", where=path) from None
    return msgspec.structs.replace(found, end=offset)


def _check(found: Header, wanted: Header, path: Path) -> None:
    advice = "give the same again, or leave --resume out to start anew"
    if found.version != wanted.version:
        raise CocoError("is of another version of this program; leave --resume out to start anew", where=path)
    for name, value in wanted.options.items():
        before = found.options.get(name)
        if before != value:
            raise CocoError(f"the run was begun with {name} {before}, not {value}; {advice}", where=path)
    if (found.inputs, found.count) != (wanted.inputs, wanted.count):
        raise CocoError(f"the run was begun with other inputs, or they have changed; {advice}", where=path)


class JournalReader:
    """Lines of one or several files of a run by the number of the image; few are in memory at once.

    Attributes:
        poses: (count,) int64, how many poses each image has; -1 where it has not been worked on.
    """

    def __init__(self, paths: Sequence[Path], header: Header) -> None:
        self.poses = np.full(header.count, -1, np.int64)
        self._place = np.full((header.count, 2), -1, np.int64)
        self._paths = list(paths)
        self._files: dict[int, int] = {}
        for file, path in enumerate(self._paths):
            lines = read_journal(path, header)
            for number, offset, poses in zip(lines.numbers, lines.offsets, lines.poses, strict=True):
                if 0 <= number < header.count and self.poses[number] < 0:
                    self.poses[number], self._place[number] = poses, (file, offset)

    def __getitem__(self, number: int) -> Line:
        """Raises KeyError when the image has not been worked on."""
        if self.poses[number] < 0:
            raise KeyError(number)
        place, offset = self._place[number].tolist()
        if place not in self._files:
            self._files[place] = os.open(self._paths[place], os.O_RDONLY | _binary())
        text = b""
        while not text.endswith(b"\n") and b"\n" not in text:
            os.lseek(self._files[place], offset + len(text), os.SEEK_SET)
            more = os.read(self._files[place], 1 << 14)
            if not more:
                break
            text += more
        return _LINE.decode(text.split(b"\n", 1)[0])

    def close(self) -> None:
        for handle in self._files.values():
            os.close(handle)
        self._files.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def journal_path(out: Path, rank: int = 0) -> Path:
    """Beside the result: OUT.json.part, of other processes OUT.json.part.1 and so on."""
    return out.with_name(f"{out.name}.part" + (f".{rank}" if rank else ""))


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
    """Options as a header holds them."""
    return {name: "not given" if value is None else str(value) for name, value in options.items()}


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
