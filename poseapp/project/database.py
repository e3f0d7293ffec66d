"""The project file as a database: made, opened, checked, locked, migrated; every fault told in plain words.

The file is SQLite in WAL mode. A transaction is on the disk when :meth:`Database.write` returns
(``synchronous = FULL``): neither a killed process nor a power cut takes it back.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.contract.errors import ProjectError
from poseapp.project.lock import WriterLock
from poseapp.project.tables import TABLES, TO_VERSION_2, TO_VERSION_3, TO_VERSION_4

APPLICATION_ID = 0x504F5345  # "POSE"
VERSION = 4


def _statements(all_of_them: Sequence[str]) -> Callable[[sqlite3.Connection], None]:
    def run(connection: sqlite3.Connection) -> None:
        for statement in all_of_them:
            connection.execute(statement)

    return run


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {
    1: _statements(TO_VERSION_2),
    2: _statements(TO_VERSION_3),
    3: _statements(TO_VERSION_4),
}
"""From version n to n + 1; run in order, in one transaction, when an older file is opened for writing."""

_MAGIC = b"SQLite format 3\0"
_CHECK_WHOLE_BELOW = 8 << 20
_CACHE_KIB = 16 << 10
_READER_CACHE_KIB = 4 << 10
"""Readers mostly walk through a table once."""

Row = tuple[Any, ...]


class Database:
    """An open project file. May be handed from thread to thread, but used by one at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self.before_write: Callable[[], None] | None = None
        """Finishes a transaction that is written in pieces; called by whatever else wants to write, and by close."""

    @property
    def read_only(self) -> bool:
        return self._lock is None

    @classmethod
    def create(cls, path: Path) -> Database:
        """Make a new project file; it appears whole or not at all.

        Raises:
            ProjectError: there is a file already, or the folder cannot be written.
        """
        if path.exists():
            raise ProjectError("exists already; open it instead", where=path)
        temporary = ""
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            os.close(handle)
            connection = sqlite3.connect(temporary, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                newer = "; ".join((*TO_VERSION_2, *TO_VERSION_3, *TO_VERSION_4))
                connection.executescript(f"BEGIN; {TABLES} {newer}; PRAGMA user_version = {VERSION}; COMMIT;")
            finally:
                connection.close()
            os.chmod(temporary, 0o666 & ~_umask())
            os.rename(temporary, path)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ProjectError(f"cannot be made ({reason})", where=path) from None
        finally:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, read_only: bool = False) -> Database:
        """Open a project file.

        Raises:
            ProjectError: missing, no project, of a newer version, damaged, or open for writing elsewhere.
        """
        _check_header(path)
        lock = None if read_only else WriterLock(path)
        connection: sqlite3.Connection | None = None
        try:
            with _told(path):
                connection = _connect_read_only(path) if read_only else _connect(path)
                _check_contents(path, connection)
                _migrate(path, connection, read_only)
            return cls(path, connection, lock)
        except BaseException:
            if connection is not None:
                connection.close()
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Bring everything into the one file and let go; harmless when called twice."""
        try:
            self.finish_pieces()
        finally:
            self.before_write = None
            self._connection.close()
            if self._lock is not None:
                self._lock.release()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with _told(self.path):
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        with _told(self.path):
            found: Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def stream(self, sql: str, values: Sequence[Any] = (), size: int = 4096) -> Iterator[list[Row]]:
        """Rows in blocks, so that not all are in memory at once."""
        with _told(self.path):
            cursor = self._connection.execute(sql, values)
        while True:
            with _told(self.path):
                block = cursor.fetchmany(size)
            if not block:
                return
            yield block

    def numbers(self, sql: str, values: Sequence[Any] = ()) -> npt.NDArray[np.int64]:
        """(N,) the whole numbers of a statement with one column; 200,000 take two megabytes at any time."""
        return np.fromiter(_flat(self.stream(sql, values)), np.int64)

    def floats(self, sql: str, columns: int, values: Sequence[Any] = ()) -> npt.NDArray[np.float64]:
        """(N, columns) as :meth:`numbers`, of a statement that gives no NULL."""
        return np.fromiter(_flat(self.stream(sql, values)), np.float64).reshape(-1, columns)

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; returns the id of the row that it inserted."""
        with _told(self.path):
            return self._connection.execute(sql, values).lastrowid or 0

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with _told(self.path):
            self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """A transaction: durable when the block is left, undone when it raises. Blocks may be nested.

        Raises:
            ProjectError: open for reading only, disk full, or the file is damaged.
        """
        if self.read_only:
            raise ProjectError("is open for reading only; nothing was changed", where=self.path)
        self.finish_pieces()
        if self._connection.in_transaction:
            yield
            return
        with _told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _told(self.path):
                self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def finish_pieces(self) -> None:
        """Finish what is being written in pieces. Whoever compares first and writes then calls it before comparing.

        Raises:
            ProjectError: it cannot be done; nothing of it was kept.
        """
        if self.before_write is not None:
            self.before_write()

    def interrupt(self) -> None:
        """Make the statement that runs now fail, with ProjectError. The one method for another thread meanwhile."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self._connection.interrupt()

    def data_version(self) -> int:
        """Another number after another process or connection has written."""
        row = self.row("PRAGMA data_version")
        return int(row[0]) if row else 0

    def meta(self, key: str, default: int = 0) -> int:
        row = self.row("SELECT value FROM meta WHERE key = ?", (key,))
        return default if row is None else int(row[0])

    def set_meta(self, key: str, value: int) -> None:
        self.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))

    def check(self) -> None:
        """Read the whole file and check it against itself; takes seconds for a large one.

        Raises:
            ProjectError: it is damaged.
        """
        with _told(self.path):
            _check_integrity(self.path, self._connection, "integrity_check")


def _flat(blocks: Iterable[list[Row]]) -> Iterator[Any]:
    return chain.from_iterable(chain.from_iterable(blocks))


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Faults of the database as errors that a person can act on; mistakes of the program stay what they are."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text:
            message = "the disk is full; the last change was not kept, all before it is safe"
        elif "locked" in text or "busy" in text:
            message = "is being written by another program; try again"
        elif "malformed" in text or "not a database" in text or "corrupt" in text:
            message = "is damaged; restore it from a backup, or import its last COCO export into a new project"
        elif "readonly" in text or "read-only" in text:
            message = "cannot be changed: the file or its folder is not writable"
        else:
            message = f"cannot be used ({text})"
        raise ProjectError(message, where=path) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_of_older_version(path: Path) -> bool:
    """Whether a project file must be brought up to date when it is opened for writing, which takes seconds for a large
    one. False for what cannot be read: opening it tells why."""
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except OSError:
        return False
    mine = header.startswith(_MAGIC) and int.from_bytes(header[68:72], "big") == APPLICATION_ID
    return mine and int.from_bytes(header[60:64], "big") < VERSION


def _check_header(path: Path) -> None:
    """Refuse what is no project file before SQLite touches it."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise ProjectError(f"cannot be opened ({error.strerror or error})", where=path) from None
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise ProjectError("is not a project file", where=path)
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise ProjectError("is a database of another program, not a project", where=path)
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    wal = path.with_name(path.name + "-wal")
    if not _holds_pages(wal) and size < pages * (65536 if page == 1 else page):
        raise ProjectError("is cut off: part of the file is missing; restore it from a backup", where=path)


def _holds_pages(wal: Path) -> bool:
    try:
        return wal.stat().st_size > 0
    except OSError:
        return False


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":  # there a plain fsync leaves the data in the drive's own cache
        connection.execute("PRAGMA fullfsync = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that never writes to the project; also where the file lies on a medium that cannot be written."""
    wal = path.with_name(path.name + "-wal")
    mode = "immutable=1" if not _holds_pages(wal) and not os.access(path.parent, os.W_OK) else "mode=ro"
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


def _check_contents(path: Path, connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise ProjectError(
            f"was made by a newer poseapp (project version {version}, this one reads up to {VERSION}); update poseapp",
            where=path,
        )
    if path.stat().st_size < _CHECK_WHOLE_BELOW:
        _check_integrity(path, connection, "quick_check")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"meta", "frame", "instance", "step"} <= tables:
        raise ProjectError("is not a complete project: tables are missing", where=path)


def _check_integrity(path: Path, connection: sqlite3.Connection, pragma: str) -> None:
    answer = connection.execute(f"PRAGMA {pragma}(1)").fetchone()[0]
    if answer != "ok":
        raise ProjectError(f"is damaged ({answer.strip().splitlines()[-1]}); restore it from a backup", where=path)


def _migrate(path: Path, connection: sqlite3.Connection, read_only: bool) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    if read_only:
        raise ProjectError("was made by an older poseapp; open it once for writing to bring it up to date", where=path)
    backup = path.with_name(f"{path.name}.v{version}")
    with contextlib.closing(sqlite3.connect(backup)) as copy:
        connection.backup(copy)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version, VERSION):
            if number not in MIGRATIONS:
                raise ProjectError(f"is of version {number}, which this poseapp cannot read", where=path)
            MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
