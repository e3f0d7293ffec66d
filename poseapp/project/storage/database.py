"""The project file as a database: made, opened, checked, locked, migrated; every fault told in plain words.

The file is SQLite in WAL mode. A transaction is on the disk when :meth:`Database.write` returns
(``synchronous = FULL``): neither a killed process nor a power cut takes it back. A moment later it is in the project
file itself (:mod:`poseapp.project.storage.wal_keeper`). How files are locked and
shared: :mod:`poseapp.project.storage.connections`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.utils.context import Context
from engine.utils.file_names import MAX_NAME_BYTES, byte_length, side_name
from engine.utils.files import new_file_mode, open_regular, replacing
from engine.utils.temporary_files import own_temporary_name, remove_left_behind
from poseapp.project.schema.own_schema import check_schema
from poseapp.project.storage import connections, side_files
from poseapp.project.storage.connections import Connection
from poseapp.project.storage.row_checks import check_rows
from poseapp.project.storage.sql_schema import TABLES, TO_VERSION_2, TO_VERSION_3, TO_VERSION_4
from poseapp.project.storage.wal_keeper import WalKeeper

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

SUFFIX = ".pose"
_MAGIC = b"SQLite format 3\0"
_MAX_PATH_BYTES = 512 - len("-journal")  # MAX_PATHNAME of SQLite (os_unix.c), for the journal's path too
_SHORT_NAME_BYTES = 40
_CHECK_WHOLE_BELOW = 8 << 20
_cleaned: set[str] = set()
_TRASH = re.compile(r"^(\.?trash(-\d+)?|\.trashes|\$recycle\.bin)$", re.IGNORECASE)

_DAMAGED = "is damaged; restore it from a backup, or import its last COCO export into a new project"
_MESSAGES = {
    sqlite3.SQLITE_FULL: "the disk is full; the last change was not kept, all before it is safe",
    sqlite3.SQLITE_LOCKED: "is being written by another program; try again",
    sqlite3.SQLITE_BUSY: "is being written by another program; try again",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: "cannot be changed: the file or its folder is not writable",
}
"""What a person can do about an error of SQLite, by its primary result code (https://sqlite.org/rescode.html)."""
_BACKUP_PAGES = 1024
_STEPS_TO_CANCEL = 20_000
"""Instructions of SQLite, a few milliseconds, after which it looks whether the work was cancelled."""
_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

_MAX_CACHED = 256

Row = tuple[Any, ...]
T = TypeVar("T")


class Database:
    """An open project file. May be handed from thread to thread, but used by one at a time."""

    def __init__(self, path: Path, opened: Connection, context: Context | None = None) -> None:
        self.path = path
        self._context = context
        self._opened = opened
        self._keeper = None if opened.file is None or not opened.is_writer else WalKeeper(opened.file)
        self._rollbacks = 0
        self._meta: dict[str, int | None] = {}
        self._cache: dict[Hashable, Any] = {}
        self._cached_state: tuple[object, ...] = ()
        self._mark = self.meta(side_files.MARK)
        self._version = 0
        self.before_write: Callable[[], None] | None = None
        """Finishes a transaction that is written in pieces; called by whatever else wants to write, and by close."""

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._opened.sqlite

    @property
    def read_only(self) -> bool:
        return not self._opened.is_writer

    @property
    def remarks(self) -> list[str]:
        """What was found beside the file when it was opened, each a sentence."""
        return [] if self._opened.file is None else list(self._opened.file.remarks)

    @classmethod
    def create(cls, path: Path) -> Database:
        """Make a new project file; it appears whole or not at all.

        Raises:
            ProjectError: there is a file already, its name is too long, or the folder cannot be written.
        """
        _check_name(path)
        if path.exists():
            raise ProjectError("exists already; open it instead", where=path)
        remove_left_behind(path.parent, ".*.pose.*.tmp")
        temporary = ""
        try:
            prefix = own_temporary_name(".new.pose")  # short: the whole path has a limit too
            handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
            os.close(handle)
            connection = sqlite3.connect(temporary, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                newer = "; ".join((*TO_VERSION_2, *TO_VERSION_3, *TO_VERSION_4))
                connection.executescript(f"BEGIN; {TABLES} {newer}; PRAGMA user_version = {VERSION}; COMMIT;")
                set_new_mark(connection)
            finally:
                connection.close()
            os.chmod(temporary, new_file_mode())
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
    def open(cls, path: Path, read_only: bool = False, context: Context | None = None) -> Database:
        """Open a project file. A symbolic link is resolved: the project is the file that it points to.

        Args:
            context: for long work on the project. Bringing an older file up to date shows progress. Once the work is
                cancelled, every statement that runs ends in Cancelled, and what has been written is undone.

        Raises:
            ProjectError: missing, no project, of a newer version, damaged, or open for writing elsewhere.
            Cancelled: the work was cancelled; the file is as it was.
        """
        if path.is_symlink():
            path = connections.real_path(path)
        _check_header(path)
        if not read_only:
            _check_name(path)
        opened: Connection | None = None
        try:
            with _errors_of(path, context):
                opened = connections.open_for_reading(path) if read_only else connections.open_for_writing(path)
                if context is not None:
                    context.check_cancelled()
                    opened.sqlite.set_progress_handler(lambda: context.is_cancelled, _STEPS_TO_CANCEL)
                _check_size(path, opened)
                check_schema(path, opened.sqlite)  # before anything in it is read
                _check_contents(path, opened.sqlite)
                _migrate(path, opened.sqlite, read_only, context)
                if not opened.is_checked:  # it takes a second for 400,000 frames
                    check_rows(path, opened.sqlite, whole=path.stat().st_size < _CHECK_WHOLE_BELOW)
                    opened.set_checked()
                if not read_only:
                    _remove_left_behind_once(path.parent)
                    _ensure_mark(opened)
                return cls(path, opened, context)
        except BaseException as error:
            if opened is not None:
                opened.close()
            if isinstance(error, ProjectError) and error.where == str(connections.real_path(path)):
                error.where = str(path)  # the name that the caller knows
            raise

    def close(self) -> None:
        """Bring everything into the one file and let go; harmless when called twice."""
        try:
            self.finish_chunks()
        finally:
            self.before_write = None
            if self._keeper is not None:
                self._keeper.stop()
            self._opened.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with _errors_of(self.path, self._context):
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        with _errors_of(self.path, self._context):
            result: Row | None = self._connection.execute(sql, values).fetchone()
            return result

    def stream(self, sql: str, values: Sequence[Any] = (), size: int = 4096) -> Iterator[list[Row]]:
        """Rows in blocks, so that not all are in memory at once."""
        with _errors_of(self.path, self._context):
            cursor = self._connection.execute(sql, values)
        while True:
            with _errors_of(self.path, self._context):
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
        with _errors_of(self.path, self._context):
            return self._connection.execute(sql, values).lastrowid or 0

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with _errors_of(self.path, self._context):
            self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """A transaction: durable when the block is left, undone when it raises. Blocks may be nested.

        Raises:
            ProjectError: open for reading only, disk full, or the file is damaged.
        """
        if self.read_only:
            raise ProjectError("is open for reading only; nothing was changed", where=self.path)
        self.finish_chunks()
        if self._connection.in_transaction:
            with self._savepoint():
                yield
            return
        self.follow()
        with _errors_of(self.path, self._context):
            self._connection.execute("BEGIN IMMEDIATE")
        count = self._connection.total_changes
        try:
            yield
            with _errors_of(self.path, self._context):
                changed = self._connection.total_changes != count
                mark = self._set_mark() if changed else self._mark
                self._connection.execute("COMMIT")
        except BaseException:
            self._rollbacks += 1
            self._meta.clear()
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        if changed:
            self._mark = mark
            self._committed()

    @contextlib.contextmanager
    def _savepoint(self) -> Iterator[None]:
        """A transaction within one: undone alone when it raises."""
        self.run("SAVEPOINT nested")
        try:
            yield
        except BaseException:
            self._rollbacks += 1
            self._meta.clear()
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK TO nested")
                self._connection.execute("RELEASE nested")
            raise
        self.run("RELEASE nested")

    def follow(self) -> bool:
        """See where the file lies now, and go on with it there when it has been renamed. True when it has another name.

        Raises:
            ProjectError: it has been deleted or replaced; :mod:`~poseapp.project.storage.save_copy` can still save it.
        """
        file = self._opened.file
        if file is None or self.read_only or file.is_in_place():
            return False
        path = file.new_path()
        if path is None or any(_TRASH.match(part) for part in path.parts):
            raise ProjectError(
                "has been deleted, replaced or moved to another disk while it is open here, so nothing was changed. "
                "File > Save a copy... keeps all labels that you see",
                where=self.path,
            )
        renamed = path != connections.real_path(self.path)
        if self._connection.in_transaction:
            return False
        if renamed:
            _check_name(path)  # SQLite could not open it there, and the old connection would be lost
        assert self._keeper is not None
        self._keeper.stop()
        with _errors_of(path):
            connections.follow(self._opened)
        self._keeper = WalKeeper(file)
        if renamed:
            self.path = path
        return renamed

    @property
    def connection(self) -> sqlite3.Connection:
        """To copy all of it through, when the file has been deleted."""
        return self._connection

    @property
    def is_in_place(self) -> bool:
        """False while a renamed file cannot be opened under its new name, because something still reads it."""
        return self._opened.file is None or self._opened.file.is_in_place()

    @property
    def is_gone(self) -> bool:
        """Whether the file has been deleted or replaced while it is open."""
        try:
            self.follow()
        except ProjectError:
            return True
        return False

    def _set_mark(self) -> int:
        mark = secrets.randbits(62)
        self.many(_SET_META, ((side_files.MARK_BEFORE, self._mark), (side_files.MARK, mark)))
        return mark

    def _committed(self) -> None:
        file = self._opened.file
        if file is None or self._keeper is None:
            return
        file.lock.keep_sqlite_out()
        if file.is_in_place():
            self._keeper.committed()
            return
        # Renamed, and still read under the old name: nothing may be left in the log there.
        with contextlib.suppress(sqlite3.Error):
            connections.move_into_file(file, self._connection, seconds=1.0)

    def finish_chunks(self) -> None:
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
        return self._version + (int(row[0]) if row else 0)

    @property
    def is_outdated(self) -> bool:
        """Whether this reads a copy because another process has the project open, and the project has changed since."""
        return self._opened.copy_is_old(connections.real_path(self.path))

    def newer_copy(self) -> Connection | None:
        """A new copy of the project, for :meth:`use_copy`. Takes long for a large one; may run in any thread.

        None where none can be made: the old copy is better than none.
        """
        try:
            with _errors_of(self.path, self._context):
                return connections.open_for_reading(self.path)
        except ProjectError:
            return None

    def use_copy(self, opened: Connection) -> None:
        """Read from this copy from now on. Rows that are just being streamed end in an error."""
        self._opened.close()
        self._opened = opened
        self._version += 1 << 32

    def cached(self, key: Hashable, read: Callable[[], T]) -> T:
        """What ``read`` returns, remembered until this writer changes anything. A reader, beside which another process
        may write, reads each time.
        """
        if self.read_only:
            return read()
        state = (self._connection, self._rollbacks, self._connection.total_changes)
        if state != self._cached_state or len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
            self._cached_state = state
        if key not in self._cache:
            self._cache[key] = read()
        value: T = self._cache[key]
        return value

    def meta(self, key: str, default: int = 0) -> int:
        """A number that is kept under a name."""
        if key in self._meta:
            value = self._meta[key]
        else:
            row = self.row("SELECT value FROM meta WHERE key = ?", (key,))
            value = None if row is None else int(row[0])
            if not self.read_only:
                self._meta[key] = value
        return default if value is None else value

    def set_meta(self, key: str, value: int) -> None:
        self.run(_SET_META, (key, value))
        self._meta[key] = value

    def delete_meta(self, key: str) -> None:
        self.run("DELETE FROM meta WHERE key = ?", (key,))
        self._meta.pop(key, None)

    def check(self) -> None:
        """Read the whole file and check it against itself; takes seconds for a large one.

        Raises:
            ProjectError: it is damaged.
        """
        with _errors_of(self.path, self._context):
            _check_integrity(self.path, self._connection, "integrity_check")


def _remove_left_behind_once(folder: Path) -> None:
    """What killed programs left of projects that they were making; once a folder, which may hold many images."""
    key = os.path.abspath(folder)
    if key not in _cleaned:
        _cleaned.add(key)
        remove_left_behind(folder, ".*.pose.*.tmp")


def _flat(blocks: Iterable[list[Row]]) -> Iterator[Any]:
    return chain.from_iterable(chain.from_iterable(blocks))


@contextlib.contextmanager
def _errors_of(path: Path, context: Context | None = None) -> Iterator[None]:
    """Faults of the database as errors that a person can act on; mistakes of the program stay what they are."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        if context is not None:
            context.check_cancelled()
        raise ProjectError(_message_of(error), where=path) from None
    except UnicodeDecodeError:  # of a message of SQLite that quotes the file
        raise ProjectError(_DAMAGED, where=path) from None


def _message_of(error: sqlite3.DatabaseError) -> str:
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if primary in _MESSAGES:
        return _MESSAGES[primary]
    # Python itself decodes the texts in the file, and says so in an OperationalError without a code.
    cause = error.__context__
    if isinstance(cause, UnicodeDecodeError) or not hasattr(error, "sqlite_errorcode"):
        return _DAMAGED
    return f"cannot be used ({error})"


def set_new_mark(connection: sqlite3.Connection) -> None:
    """Make a file a state of its own: no log of another file, or of another time, belongs to it."""
    for key in (side_files.MARK_BEFORE, side_files.MARK):
        connection.execute(_SET_META, (key, secrets.randbits(62)))


def _ensure_mark(opened: Connection) -> None:
    """A mark in the file itself, also in one that an earlier poseapp has made, before anything is in its log."""
    sqlite = opened.sqlite
    if sqlite.execute("SELECT 1 FROM meta WHERE key = ?", (side_files.MARK,)).fetchone() is None:
        sqlite.execute("BEGIN IMMEDIATE")
        set_new_mark(sqlite)
        sqlite.execute("COMMIT")
    if opened.file is not None:
        connections.move_into_file(opened.file, sqlite, seconds=2.0)


def is_of_older_version(path: Path) -> bool:
    """Whether a project file must be brought up to date when it is opened for writing, which takes seconds for a large
    one. False for what cannot be read: opening it tells why."""
    try:
        with open_regular(path) as file:
            header = file.read(72)
    except OSError:
        return False
    mine = header.startswith(_MAGIC) and int.from_bytes(header[68:72], "big") == APPLICATION_ID
    return mine and int.from_bytes(header[60:64], "big") < VERSION


def _check_header(path: Path) -> None:
    """Refuse what is no project file before SQLite touches it."""
    try:
        with open_regular(path) as file:
            header = file.read(100)
    except OSError as error:
        raise ProjectError(f"cannot be opened ({error.strerror or error})", where=path) from None
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise ProjectError("is not a project file", where=path)
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise ProjectError("is a database of another program, not a project", where=path)


def _check_size(path: Path, opened: Connection) -> None:
    with path.open("rb") as file:
        header = file.read(100)
        size = file.seek(0, os.SEEK_END)
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    if not opened.has_log and size < pages * (65536 if page == 1 else page):
        raise ProjectError("is cut off: part of the file is missing; restore it from a backup", where=path)


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


def _migrate(path: Path, connection: sqlite3.Connection, read_only: bool, context: Context | None) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    if read_only:
        raise ProjectError("was made by an older poseapp; open it once for writing to bring it up to date", where=path)
    backup = _keep_copy(path, connection, version, context)
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for index in range(version, VERSION):
                if context is not None:
                    context.progress(index - version + 1, VERSION - version + 1, f"Bringing {path.name} up to date")
                if index not in MIGRATIONS:
                    raise ProjectError(f"is of version {index}, which this poseapp cannot read", where=path)
                MIGRATIONS[index](connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    except BaseException:
        backup.unlink(missing_ok=True)  # the project itself is as it was
        raise


def project_name_room(folder: Path) -> int:
    """The most bytes that the name of a project in this folder may have; 0 or less where none can be opened."""
    most = MAX_NAME_BYTES - len("-journal")
    return most if os.name == "nt" else min(most, _MAX_PATH_BYTES - byte_length(os.path.abspath(folder)) - 1)


def _check_name(path: Path) -> None:
    """SQLite cannot open a project where NAME-journal beside it would be too long, or its whole path."""
    size, most = byte_length(path.name), project_name_room(path.parent)
    if size <= most:
        return
    if most >= _SHORT_NAME_BYTES:
        raise ProjectError(f"the file name is too long: {size} bytes, at most {most}; use a shorter name", where=path)
    raise ProjectError("the path of its folder is too long for a project; use a folder further up", where=path)


def _keep_copy(path: Path, connection: sqlite3.Connection, version: int, context: Context | None) -> Path:
    """The file as it was, beside it; an earlier copy stays. Returns its path."""
    names = (path.with_name(side_name(path.name, f".v{version}{f'.{n}' if n else ''}")) for n in range(1000))
    backup = next(name for name in names if not os.path.lexists(name))
    try:
        with (
            replacing(backup, mode=new_file_mode()) as temporary,
            contextlib.closing(sqlite3.connect(temporary)) as copy,
        ):
            backup_pages(connection, copy, context)
            copy.execute("PRAGMA journal_mode = DELETE")
        return backup
    except OSError as error:
        raise ProjectError(
            f"must be brought up to date, but a copy of it cannot be kept ({error.strerror or error})", where=path
        ) from None


def backup_pages(source: sqlite3.Connection, target: sqlite3.Connection, context: Context | None = None) -> None:
    """Copy a whole database as it is at one moment, with progress.

    Raises:
        sqlite3.Error: it cannot be read or written.
        Cancelled: the target is incomplete.
    """

    def show(_status: int, remaining: int, total: int) -> None:
        if context is not None:
            context.progress(total - remaining, total)

    # One read transaction around all of it: edits meanwhile do not make the copy begin anew.
    begins = not source.in_transaction
    if begins:
        source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        source.backup(target, pages=_BACKUP_PAGES, progress=show)
    finally:
        if begins and source.in_transaction:
            source.execute("ROLLBACK")
