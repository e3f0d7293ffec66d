"""The files that SQLite keeps beside a project: which of them belong to it, and what is done with the others.

SQLite believes whatever lies beside a database under the right name. A ``-journal`` is rolled back, and can name any
file of the user as its "super-journal", which SQLite then deletes. A ``-wal`` is applied, also when it is of another
database that once had this name. So nothing here is left to SQLite: before a project is opened, each file beside it is
checked and what is not the project's own is renamed, never applied and never deleted.

A write-ahead log is tied to its project by *marks*. Each transaction writes two random numbers into the table ``meta``:
its own mark and the mark of the transaction before. The log belongs to a file when the mark in the file is one that the
log starts from or holds. This ties the log to one state of one project: not to a copy of an earlier time, and not to a
project that took its name. A log that lies beside a name that is gone is found by its marks too.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.utils.file_names import side_name
from poseapp.project.storage.writer_lock import FileLock, Part

MARK, MARK_BEFORE = "commit", "commit_before"
"""Keys in ``meta``; the values are random whole numbers below 2^62."""

_META_PAGE = 2
"""``meta`` is the first table that a project gets, so it starts on the second page, also after VACUUM."""
_WAL_HEADER, _FRAME_HEADER = 32, 24
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_LEAF_OF_INDEX = 0x0A
_ASIDE = ".not-used"
_MAX_LOGS = 100


@dataclass(frozen=True)
class Log:
    """What a write-ahead log says of itself.

    Attributes:
        marks: of its transactions and of the state that it starts from.
        unmarked: it holds transactions without marks, as poseapp wrote them before it had marks.
        empty: it holds no whole transaction.
    """

    marks: frozenset[int]
    unmarked: bool
    empty: bool


def wal_of(project: Path) -> Path:
    return project.with_name(project.name + "-wal")


def holds_pages(wal: Path) -> bool:
    """Whether a log is a regular file with something in it."""
    try:
        state = os.lstat(wal)
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and state.st_size > _WAL_HEADER


def header_of(wal: Path) -> bytes:
    """The header of a log; another one when SQLite has begun the log anew. Raises OSError when it cannot be read."""
    with wal.open("rb") as file:
        return file.read(_WAL_HEADER)


def marks_of_file(path: Path) -> dict[str, int]:
    """Marks in the project file itself, without its log. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        header = file.read(100)
        size = int.from_bytes(header[16:18], "big")
        size = 65536 if size == 1 else size
        file.seek(size * (_META_PAGE - 1))
        return _marks_of_page(file.read(size))


def read_log(path: Path) -> Log:
    """Read the marks of a write-ahead log. Raises OSError when it cannot be read."""
    marks: set[int] = set()
    unmarked = marked = False
    empty = True
    with path.open("rb") as file:
        header = file.read(_WAL_HEADER)
        if len(header) < _WAL_HEADER:
            return Log(frozenset(), False, True)
        magic, _version, page_size = struct.unpack(">III", header[:12])
        page_size = 65536 if page_size == 1 else page_size
        if magic not in _WAL_MAGIC or not 512 <= page_size <= 65536:
            return Log(frozenset(), True, False)
        salts = header[16:24]
        position = _WAL_HEADER
        while True:
            file.seek(position)
            frame = file.read(_FRAME_HEADER)
            if len(frame) < _FRAME_HEADER or frame[8:16] != salts:
                break
            page, pages_after = struct.unpack(">II", frame[:8])
            if page == _META_PAGE:
                values = _marks_of_page(file.read(page_size))
                if MARK in values:
                    marked = True
                    marks.update(values.values())
            if pages_after:  # the last frame of a transaction
                empty = False
                unmarked |= not marked
                marked = False
            position += _FRAME_HEADER + page_size
    return Log(frozenset(marks), unmarked, empty)


def put_aside(path: Path) -> Path:
    """Rename a file that is not the project's, so that SQLite does not see it. Raises OSError."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for index in range(1000):
        target = path.with_name(side_name(path.name, f"{_ASIDE}-{stamp}{f'-{index}' if index else ''}"))
        if not os.path.lexists(target):
            os.rename(path, target)
            return target
    raise FileExistsError(f"{path.name}{_ASIDE}-{stamp}")


def put_journal_aside(project: Path) -> str:
    """A rollback journal is never ours: a project is written with a log. Returns a remark, "" where there is none.

    Raises OSError when it cannot be renamed; the project must not be opened then.
    """
    journal = project.with_name(project.name + "-journal")
    if not os.path.lexists(journal):
        return ""
    aside = put_aside(journal)
    return f"{journal.name} does not belong to this project; it was not used and is now called {aside.name}"


def clear_shared_index(project: Path) -> None:
    """Remove the index that an earlier poseapp shared between processes; it is made anew where it is needed."""
    with contextlib.suppress(OSError):
        os.unlink(project.with_name(project.name + "-shm"))


def logs_in(folder: Path) -> list[Path]:
    """What is called like a log in a folder. The folder may hold 200,000 images, so it is listed once, by names."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if "-wal" in name)
    except OSError:
        return []


def remove_empty_logs(logs: Iterable[Path]) -> None:
    """Remove logs without a transaction whose project is not there: of one that was killed and then renamed."""
    for log in logs:
        with contextlib.suppress(OSError):
            has_owner = os.path.lexists(log.with_name(log.name.removesuffix("-wal")))
            is_log = log.name.endswith(".pose-wal") and stat.S_ISREG(os.lstat(log).st_mode)
            if is_log and not has_owner and read_log(log).empty:
                os.unlink(log)


def find_orphan(project: Path, mark: int, logs: Iterable[Path]) -> Path | None:
    """The one of these logs that holds what was last done to a project: left where the project had another name.

    A log that belongs to the project of its own name is nobody else's, and neither is one whose project is open.
    """
    if not mark:
        return None
    for log in islice((log for log in logs if os.path.isfile(log) and not os.path.islink(log)), _MAX_LOGS):
        with contextlib.suppress(OSError):
            if log == wal_of(project) or not holds_pages(log) or mark not in read_log(log).marks:
                continue
            owner = log.with_name(log.name.partition("-wal")[0])
            if log.name == wal_of(owner).name and _owns(owner, log):
                continue
            return log
    return None


def _owns(owner: Path, log: Path) -> bool:
    """Whether a project of the log's name is there and the log is its own, or in use."""
    try:
        mark = marks_of_file(owner).get(MARK, 0)
    except OSError:
        return False
    if mark in read_log(log).marks:
        return True
    try:
        lock = FileLock.take(owner, Part.WRITER)
    except OSError:
        return False
    if lock is None:
        return True
    lock.release()
    return False


def _marks_of_page(page: bytes) -> dict[str, int]:
    """Marks on the page of ``meta``, a leaf of an index b-tree (https://www.sqlite.org/fileformat2.html, 1.6 and 2.1).

    Empty for anything else.
    """
    marks: dict[str, int] = {}
    if len(page) < 8 or page[0] != _LEAF_OF_INDEX:
        return marks
    count = int.from_bytes(page[3:5], "big")
    with contextlib.suppress(IndexError, UnicodeDecodeError):
        for cell in range(min(count, len(page) // 2)):
            start = int.from_bytes(page[8 + 2 * cell : 10 + 2 * cell], "big")
            _length, start = _varint(page, start)
            header_size, position = _varint(page, start)
            key_type, position = _varint(page, position)
            value_type, position = _varint(page, position)
            if key_type < 13 or not key_type % 2 or value_type not in _INTEGER_BYTES:
                continue
            text = start + header_size
            key = page[text : text + (key_type - 13) // 2].decode()
            if key in (MARK, MARK_BEFORE):
                at = text + (key_type - 13) // 2
                raw = page[at : at + _INTEGER_BYTES[value_type]]
                marks[key] = value_type - 8 if value_type in (8, 9) else int.from_bytes(raw, "big", signed=True)
    return marks


_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + index + 1
    return value, at + 9
