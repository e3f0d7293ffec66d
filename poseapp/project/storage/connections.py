"""Connections to project files: who in this process has which file open, and how.

*Writing.* One process holds the writer lock of a file. All its connections, of the window and of its workers, share
SQLite's write-ahead log and an index of it in memory (the VFS ``unix-excl``): no file is there but the project and its
log, and other processes have no part in it.

*Reading from elsewhere.* A process that does not hold the writer lock reads a private copy of the file and its log: it
can neither change, shorten nor delete anything of a writer that it knows nothing of. A copy is taken while the writer
moves no pages from the log to the file, and only counts if the file stayed the same meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ProjectError
from engine.utils.temporary_files import own_temporary_name, remove_old_copies
from poseapp.project.storage import side_files
from poseapp.project.storage.wal_continuity import continues
from poseapp.project.storage.writer_lock import (
    FileId,
    FileLock,
    InUseError,
    file_id,
    pages_locked,
    path_of,
    take_writer_lock,
)

log = logging.getLogger(__name__)

_VFS = "" if sys.platform == "win32" else "&vfs=unix-excl"
_CACHE_KIB = 16 << 10
_READER_CACHE_KIB = 4 << 10
"""Readers mostly walk through a table once."""
_TIMEOUT = 5.0
_COPY_SECONDS = 10.0
"""How long a reader waits for the writer, and the other way round."""
_COPY_TRIES = 5

Stamp = tuple[int, ...]


@dataclass
class OpenFile:
    """A project file that this process holds the writer lock of."""

    id: FileId
    path: Path
    """The name under which SQLite has it, links resolved."""
    lock: FileLock
    connections: int = 0
    has_writer: bool = False
    log_id: FileId | None = None
    """The log that SQLite has open, whatever its name is now."""
    remarks: list[str] = field(default_factory=list)
    checked: bool = False
    """Whether its rows have been checked since the writer lock is held: nobody else has written since."""

    def is_in_place(self) -> bool:
        """Whether file and log still have their names."""
        try:
            in_place = file_id(self.path) == self.id
            return in_place and (self.log_id is None or file_id(side_files.wal_of(self.path)) == self.log_id)
        except OSError:
            return False

    def new_path(self) -> Path | None:
        """Where the file lies after it has been renamed; None when it has been deleted, or cannot be found."""
        path = path_of(self.lock)
        candidates = [] if path is None else [path]
        with contextlib.suppress(OSError):
            candidates += [p for p in self.path.parent.iterdir() if p.suffix == self.path.suffix]
        for candidate in candidates:
            with contextlib.suppress(OSError):
                if file_id(candidate) == self.id:
                    return candidate
        return None


@dataclass
class _Copy:
    """A private copy of a project that is open elsewhere, or that cannot be written."""

    folder: Path
    path: Path
    stamp: Stamp
    connections: int = 0
    checked: bool = False


_mutex = threading.RLock()
_open_files: dict[FileId, OpenFile] = {}
_checked: dict[FileId, Stamp] = {}
"""Files whose rows were checked, as they were when they were closed: a window opens what a job has just checked."""
_copies: dict[FileId, _Copy] = {}


class Connection:
    """A SQLite connection with what must be let go after it."""

    def __init__(self, sqlite: sqlite3.Connection, file: OpenFile | None, copy: _Copy | None) -> None:
        self.sqlite, self.file, self._copy = sqlite, file, copy
        self.is_writer = False

    @property
    def has_log(self) -> bool:
        """Whether some of what is read is not in the file itself but in a log."""
        held = self.file or self._copy
        return held is not None and side_files.holds_pages(side_files.wal_of(held.path))

    @property
    def is_checked(self) -> bool:
        """Whether another connection of this process has checked the rows, and nobody else has written since."""
        held = self.file or self._copy
        return held is not None and held.checked

    def set_checked(self) -> None:
        held = self.file or self._copy
        if held is not None:
            held.checked = True

    def close(self) -> None:
        """Harmless when called twice."""
        with _mutex:
            file, self.file = self.file, None
            copy, self._copy = self._copy, None
            if file is not None:
                if self.is_writer:
                    file.has_writer = False
                _close_in_file(self.sqlite, file)
            else:
                self.sqlite.close()
            if copy is not None:
                copy.connections -= 1
                if not copy.connections:
                    shutil.rmtree(copy.folder, ignore_errors=True)

    def copy_is_old(self, path: Path) -> bool:
        """Whether this reads a copy and the project has been changed since it was taken."""
        return self._copy is not None and _stamp(path) != self._copy.stamp


def open_for_writing(path: Path) -> Connection:
    """The one connection that writes.

    Raises:
        ProjectError: open for writing elsewhere, or not writable.
        sqlite3.Error: SQLite cannot open it.
    """
    path = real_path(path)
    with _mutex:
        file = _open_files.get(_id_of(path))
        if file is not None and file.has_writer:
            raise InUseError(path)
        is_new = file is None
        if file is None:
            file = _open_file(path)
        elif not file.is_in_place():
            raise ProjectError("has just been renamed and is still being read; try again", where=path)
        file.has_writer = True
        try:
            connection = Connection(_connect(file), file, None)
            connection.is_writer = True
            return connection
        except BaseException:
            file.has_writer = False
            if is_new and not file.connections:
                _forget(file)
            raise


def open_for_reading(path: Path) -> Connection:
    """A connection that never writes.

    Raises:
        ProjectError: it cannot be read, or is written without a pause.
        sqlite3.Error: SQLite cannot open it.
    """
    path = real_path(path)
    with _mutex:
        file = _open_files.get(_id_of(path))
        if file is not None and file.is_in_place():
            return Connection(_connect(file, query_only=True), file, None)
    if _on_read_only_disk(path) and not side_files.holds_pages(side_files.wal_of(path)):
        return Connection(connect_unchanging(path), None, None)
    with _mutex:
        copy = _copies.get(_id_of(path))
        if copy is None or not copy.connections or copy.stamp != _stamp(path):
            copy = _take_copy(path, side_files.wal_of(path if file is None else file.path))
            _copies[_id_of(path)] = copy
        copy.connections += 1
        try:
            sqlite = sqlite3.connect(
                f"{copy.path.as_uri()}?mode=rw", uri=True, timeout=_TIMEOUT, isolation_level=None,
                check_same_thread=False,
            )  # fmt: skip
        except BaseException:
            copy.connections -= 1
            raise
        connection = Connection(sqlite, None, copy)
    try:
        _make_safe(sqlite, _READER_CACHE_KIB)
        sqlite.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def open_extra(file: OpenFile, timeout: float) -> Connection:
    """Another connection of this process to a file that it writes, for the thread that tends the log."""
    with _mutex:
        if file.id not in _open_files or not file.is_in_place():
            raise ProjectError("is no longer open", where=file.path)
        return Connection(_connect(file, timeout=timeout), file, None)


def connect_unchanging(path: Path) -> sqlite3.Connection:
    """Read a file that nobody changes, without a look at what lies beside it."""
    uri = f"{path.absolute().as_uri()}?immutable=1"
    sqlite = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    _make_safe(sqlite, _READER_CACHE_KIB)
    sqlite.execute("PRAGMA query_only = ON")
    return sqlite


def move_into_file(file: OpenFile, sqlite: sqlite3.Connection, *, seconds: float = 0.0, shorten: bool = True) -> bool:
    """Bring what is in the log into the project file itself; True when all of it is there.

    Args:
        seconds: how long to wait for a process that copies the file.
        shorten: empty the log as well, when all of it is in the file.
    """
    where = file.path if file.is_in_place() else file.new_path()
    with contextlib.ExitStack() as stack:
        if where is not None and not stack.enter_context(pages_locked(where, seconds=seconds)):
            return False
        # The first does not keep the writer waiting while it syncs; the second then only has to cut the log.
        blocked, pages, moved = sqlite.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if blocked or pages != moved:
            return False
        if shorten:
            sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return True


def follow(connection: Connection) -> bool:
    """Open a file that has been renamed under its new name; False while others in this process still read it.

    Raises:
        ProjectError, sqlite3.Error: it cannot be opened again; the old connection is still there.
    """
    file = connection.file
    if file is None:
        return False
    with _mutex:
        path = file.new_path()
        if path is None or file.connections > 1:
            return False
        if not move_into_file(file, connection.sqlite, seconds=_COPY_SECONDS):
            return False
        if not os.path.lexists(side_files.wal_of(path)):
            _make_log(path)  # while the old connection is open: a folder that is not writable costs nothing then
        connection.sqlite.close()
        _remove_empty_log(file)  # before anybody else takes the old name
        file.connections -= 1
        file.path, file.log_id = path, None
        _settle(file)
        _make_log(path)
        connection.sqlite = _connect(file)
        return True


def real_path(path: Path) -> Path:
    """Links resolved, so that a project has one name."""
    return Path(os.path.realpath(path))


# --- within


def _id_of(path: Path) -> FileId:
    try:
        return file_id(path)
    except OSError as error:
        raise ProjectError(f"cannot be opened ({error.strerror or error})", where=path) from None


def _open_file(path: Path) -> OpenFile:
    if not os.stat(path).st_mode & 0o222:  # also where root, or the owner of the folder, could write all the same
        raise ProjectError("cannot be changed: the file is not writable; open it for reading only", where=path)
    lock = take_writer_lock(path)
    file = OpenFile(_id_of(path), path, lock)
    file.checked = _checked.pop(file.id, None) == _stamp(path)
    try:
        _settle(file)
        _make_log(path)
    except BaseException:
        lock.release()
        raise
    _open_files[file.id] = file
    return file


def _make_log(path: Path) -> None:
    """An empty log, to see whether one can be made: SQLite would not say what is wrong."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(side_files.wal_of(path), flags, os.stat(path).st_mode & 0o777))
    except OSError as error:
        raise ProjectError(
            "cannot be changed: its folder is not writable; open it for reading only"
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            else f"cannot be changed: no file can be made beside it ({error.strerror or error})",
            where=path,
        ) from None


def _settle(file: OpenFile) -> None:
    """See to it that SQLite finds nothing beside the file but its own log. The writer lock is held."""
    path = file.path
    try:
        if remark := side_files.put_journal_aside(path):
            file.remarks.append(remark)
        side_files.clear_shared_index(path)
        logs = side_files.logs_in(path.parent)
        side_files.remove_empty_logs(logs)
        wal = side_files.wal_of(path)
        if os.path.lexists(wal) and not _log_belongs(path, wal):
            if side_files.holds_pages(wal) or not os.path.isfile(wal) or os.path.islink(wal):
                aside = side_files.put_aside(wal)
                file.remarks.append(
                    f"{wal.name} holds edits of another project or of another state of this one; it was not used and "
                    f"is now called {aside.name}"
                )
            else:
                os.unlink(wal)
        if not os.path.lexists(wal):
            orphan = side_files.find_orphan(path, side_files.marks_of_file(path).get(side_files.MARK, 0), logs)
            if orphan is not None:
                os.rename(orphan, wal)
                file.remarks.append(f"the last edits were found in {orphan.name} and are back")
    except OSError as error:
        raise ProjectError(
            f"cannot be opened safely: {Path(error.filename or path).name} cannot be read or renamed "
            f"({error.strerror or error})",
            where=path,
        ) from None


def _log_belongs(path: Path, wal: Path) -> bool:
    """Whether a log is the project's own, and of the state that the project file is in."""
    if not side_files.holds_pages(wal) or os.lstat(wal).st_nlink > 1:
        return False
    content = side_files.read_log(wal)
    if content.empty:
        os.unlink(wal)
        return False
    mark = side_files.marks_of_file(path).get(side_files.MARK, 0)
    if mark and mark in content.marks:
        return True
    return content.unmarked and not content.marks and continues(path, wal)


def _connect(file: OpenFile, *, query_only: bool = False, timeout: float = _TIMEOUT) -> sqlite3.Connection:
    """A connection of the process that holds the writer lock. The mutex is held."""
    uri = f"{file.path.as_uri()}?mode=rw{_VFS}"
    sqlite = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        _make_safe(sqlite, _READER_CACHE_KIB if query_only else _CACHE_KIB)
        if query_only:
            sqlite.execute("PRAGMA query_only = ON")
        else:
            sqlite.execute("PRAGMA journal_mode = WAL")
            sqlite.execute("PRAGMA synchronous = FULL")
            if sys.platform == "darwin":  # there a plain fsync leaves the data in the drive's own cache
                sqlite.execute("PRAGMA fullfsync = ON")
                sqlite.execute("PRAGMA checkpoint_fullfsync = ON")
            sqlite.execute("PRAGMA wal_autocheckpoint = 0")  # at a time that suits: see log_keeper
            sqlite.execute("PRAGMA journal_size_limit = 16777216")
        sqlite.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # opens the log
    except BaseException:
        sqlite.close()
        raise
    file.connections += 1
    if file.log_id is None:
        with contextlib.suppress(OSError):
            file.log_id = file_id(side_files.wal_of(file.path))
    return sqlite


def _make_safe(sqlite: sqlite3.Connection, cache_kib: int) -> None:
    """Settings for a file that may come from anybody."""
    sqlite.execute(f"PRAGMA cache_size = -{cache_kib}")
    sqlite.execute("PRAGMA trusted_schema = OFF")
    sqlite.execute("PRAGMA cell_size_check = ON")
    sqlite.execute("PRAGMA mmap_size = 0")
    sqlite.execute("PRAGMA recursive_triggers = OFF")
    sqlite.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 10)
    sqlite.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 2)
    sqlite.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)


def _close_in_file(sqlite: sqlite3.Connection, file: OpenFile) -> None:
    """The last connection of a process brings the log into the file and removes it. The mutex is held."""
    is_last = file.connections == 1
    if is_last:
        try:
            move_into_file(file, sqlite, seconds=_COPY_SECONDS)
        except sqlite3.Error:  # for the next opener: the log stays
            log.warning("the log of %s could not be emptied", file.path, exc_info=True)
    sqlite.close()
    file.connections -= 1
    if is_last:
        _remove_empty_log(file)
        if file.checked:
            _checked[file.id] = _stamp(file.path)
        _forget(file)


def _remove_empty_log(file: OpenFile) -> None:
    """SQLite leaves the log behind when the file has been renamed. The last connection has been closed."""
    wal = side_files.wal_of(file.path)
    with contextlib.suppress(OSError):
        if file_id(wal) == file.log_id and not os.path.getsize(wal):
            os.unlink(wal)


def _forget(file: OpenFile) -> None:
    _open_files.pop(file.id, None)
    file.lock.release()


def _on_read_only_disk(path: Path) -> bool:
    if not hasattr(os, "statvfs"):
        return False
    with contextlib.suppress(OSError):
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False


def _stamp(path: Path) -> Stamp:
    """Size and time of change of a project and its log: another one means another content."""
    stamp: list[int] = []
    for name in (path, side_files.wal_of(path)):
        try:
            state = os.stat(name)
            stamp += [state.st_ino, state.st_size, state.st_mtime_ns]
        except OSError:
            stamp.append(0)
    return tuple(stamp)


def _take_copy(path: Path, wal: Path) -> _Copy:
    """Copy a project and its log as they were at one moment. The mutex is held."""
    remove_old_copies()
    folder = Path(tempfile.mkdtemp(prefix=own_temporary_name("poseapp-copy")))
    target = folder / "project.pose"
    try:
        for index in range(_COPY_TRIES):
            stamp = _stamp(path)
            if _copied_unchanged(path, wal, target):
                _settle_copy(path, target)
                return _Copy(folder, target, stamp)
            time.sleep(0.05 * (index + 1))
        raise ProjectError("is being written by another program; try again", where=path)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno == errno.ENOSPC:
            raise ProjectError(
                f"cannot be read: {tempfile.gettempdir()} has no room for a copy of it", where=path
            ) from None
        raise ProjectError(f"cannot be opened ({error.strerror or error})", where=path) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _copied_unchanged(path: Path, wal: Path, target: Path) -> bool:
    with pages_locked(path, shared=True, seconds=_COPY_SECONDS):
        before = os.stat(path)
        shutil.copyfile(path, target)
        copied_log = side_files.wal_of(target)
        copied_log.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if side_files.holds_pages(wal):
                log_begin = side_files.header_of(wal)
                shutil.copyfile(wal, copied_log)
                # The writer may begin its log anew meanwhile. What the copy then has of the old one is already in the
                # file, and older than the file.
                if not log_begin == side_files.header_of(copied_log) == side_files.header_of(wal):
                    return False
        after = os.stat(path)
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _settle_copy(path: Path, target: Path) -> None:
    """As :func:`_settle`, for a private copy: a log that is not of this state is left out, a lost one is copied."""
    wal = side_files.wal_of(target)
    if os.path.lexists(wal) and not _log_belongs(target, wal):
        wal.unlink(missing_ok=True)
    if not os.path.lexists(wal):
        mark = side_files.marks_of_file(target).get(side_files.MARK, 0)
        orphan = side_files.find_orphan(path, mark, side_files.logs_in(path.parent))
        if orphan is not None:
            shutil.copyfile(orphan, wal)
