"""Locks on a project file: one writer, and nobody copies the file while its pages are brought up to date.

The lock is on the file itself (its device and inode), not on its name: a symbolic link, a hard link and a renamed file
are the same project. What holds it is an open file description, because a plain POSIX lock (``F_SETLK``, which SQLite
takes) is lost as soon as anything in the process closes any descriptor of the file, as a file dialog does.

=========  ==================================================  =====================================================
system     lock                                                ends
=========  ==================================================  =====================================================
Linux      ``F_OFD_SETLK`` on a byte far behind the end        with the last copy of the descriptor
Windows    ``LockFile`` on that byte (per handle)              with the handle
others     ``flock`` on files beside the project and in the    with the last copy of the descriptor
           folder for temporary files, named by the inode
=========  ==================================================  =====================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path

from engine.errors import ProjectError
from engine.utils.file_names import side_name


class InUseError(ProjectError):
    """Another window or program has the project open for writing."""

    def __init__(self, path: Path) -> None:
        super().__init__("is open in another window; close it there, or open it here for reading only", where=path)


FileId = tuple[int, int]
"""Device and inode: the file, whatever its name."""

_FAR = 1 << 40
"""Where the locked bytes lie: behind the end of any project, and away from the bytes that SQLite locks (2^30)."""
_SQLITE_BYTES = (0x40000000, 512)
_STRUCT_FLOCK = "hhqqi4x"
_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_PAUSE = 0.01


class Part(IntEnum):
    """What is locked."""

    WRITER = 0
    """Held by the process that may write, for as long as the project is open there."""
    PAGES = 1
    """Held while pages are brought from the log into the file (exclusive), or while the file is copied (shared)."""


def file_id(path: Path) -> FileId:
    """Raises OSError where there is no such file."""
    state = os.stat(path)
    return state.st_dev, state.st_ino


class FileLock:
    """A lock on one part of a file, held until :meth:`release` or the end of the process."""

    def __init__(self, descriptors: list[int], beside: Sequence[Path] = ()) -> None:
        self._descriptors, self._beside = descriptors, beside

    @classmethod
    def take(cls, path: Path, part: Part, *, shared: bool = False) -> FileLock | None:
        """The lock, or None when another holder has it.

        Raises:
            OSError: the file cannot be opened (for writing, unless ``shared``), or its file system has no locks.
        """
        if _KIND == "flock":
            return cls._take_flock(path, part, shared)
        flags = os.O_RDONLY if shared and _KIND == "ofd" else os.O_RDWR
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        try:
            if _lock_byte(descriptor, _FAR + part, shared):
                return cls([descriptor])
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    @classmethod
    def _take_flock(cls, path: Path, part: Part, shared: bool) -> FileLock | None:
        """By inode for this computer, and beside the file for others that share the folder."""
        device, inode = file_id(path)
        user = os.getuid() if hasattr(os, "getuid") else 0
        folder = Path(tempfile.gettempdir()) / f"poseapp-locks-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        names = [folder / f"{device}-{inode}.{part.name.lower()}"]
        if not shared:
            names.append(path.with_name(side_name(f".{path.name}", f".{part.name.lower()}-lock")))
        descriptors: list[int] = []
        try:
            for name in names:
                descriptors.append(os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
                if not _flock(descriptors[-1], shared) or os.fstat(descriptors[-1]).st_ino != os.stat(name).st_ino:
                    cls(descriptors).release()
                    return None
        except FileNotFoundError:  # a holder that has just left took the lock file away
            cls(descriptors).release()
            return None
        except BaseException:
            cls(descriptors).release()
            raise
        return cls(descriptors, names[1:])

    @property
    def descriptor(self) -> int:
        """Of the project file where the lock is on the file itself, else of a lock file."""
        return self._descriptors[0]

    def keep_sqlite_out(self) -> None:
        """Take SQLite's own lock on the file again, for this process. It is lost whenever something in the process
        closes a descriptor of the file; without it another SQLite program could believe that nobody has it open."""
        if _KIND == "ofd":
            import fcntl

            first, count = _SQLITE_BYTES
            wish = struct.pack(_STRUCT_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, first + 2, count - 2, 0)
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.descriptor, fcntl.F_SETLK, wish)

    def release(self) -> None:
        """Harmless when called twice."""
        descriptors, self._descriptors = self._descriptors, []
        for name in self._beside if descriptors else ():
            with contextlib.suppress(OSError):
                os.unlink(name)
        for descriptor in descriptors:
            os.close(descriptor)


@contextlib.contextmanager
def pages_locked(path: Path, *, shared: bool = False, seconds: float = 0.0) -> Iterator[bool]:
    """Hold :attr:`Part.PAGES`, waiting for it at most so long; gives whether it is held.

    A file system without locks counts as held: there is nothing else to wait for.
    """
    lock: FileLock | None = None
    end = time.monotonic() + seconds
    try:
        while (lock := FileLock.take(path, Part.PAGES, shared=shared)) is None and time.monotonic() < end:
            time.sleep(_PAUSE)
        held = lock is not None
    except OSError:
        held = True
    try:
        yield held
    finally:
        if lock is not None:
            lock.release()


def take_writer_lock(path: Path) -> FileLock:
    """The lock of the one writer of a project.

    Raises:
        InUseError: another window or program holds it.
        ProjectError: the file cannot be written.
    """
    try:
        lock = FileLock.take(path, Part.WRITER)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ProjectError(
                "cannot be changed: the file is not writable; open it for reading only", where=path
            ) from None
        raise ProjectError(f"cannot be locked for writing ({error.strerror or error})", where=path) from None
    if lock is None:
        raise InUseError(path)
    if _old_writer(path):
        lock.release()
        raise InUseError(path)
    return lock


def path_of(lock: FileLock) -> Path | None:
    """Where the locked file lies now, after somebody has renamed or moved it; None when that cannot be known."""
    text = ""
    with contextlib.suppress(OSError):
        if sys.platform == "linux":
            text = os.readlink(f"/proc/self/fd/{lock.descriptor}")
        elif sys.platform == "darwin" and _KIND != "flock":
            import fcntl

            text = os.fsdecode(fcntl.fcntl(lock.descriptor, 50, bytes(1024)).rstrip(b"\0"))  # F_GETPATH
    return Path(text) if text else None


def _old_writer(project: Path) -> bool:
    """Whether a poseapp of before holds the project: its lock is SQLite's, on a file beside it. That file is only
    looked at. SQLite must not open it: a journal beside it could make SQLite delete other files."""
    if _KIND == "windows":
        return False
    path = project.with_name(f".{project.name}.lock")
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        import fcntl

        if sys.platform == "linux":
            question = struct.pack(_STRUCT_FLOCK, fcntl.F_WRLCK, 0, *_SQLITE_BYTES, 0)
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
            return int(struct.unpack(_STRUCT_FLOCK, answer)[0]) != fcntl.F_UNLCK
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, _SQLITE_BYTES[1], _SQLITE_BYTES[0])
        except OSError as error:
            return error.errno in _BUSY
        return False
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _lock_byte(descriptor: int, offset: int, shared: bool) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, offset, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True
    import fcntl

    kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    wish = struct.pack(_STRUCT_FLOCK, kind, os.SEEK_SET, offset, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wish)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _flock(descriptor: int, shared: bool) -> bool:
    if sys.platform == "win32":
        raise OSError(errno.ENOLCK, "no flock on this system")
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (*_BUSY, errno.EWOULDBLOCK):
            return False
        raise
    return True


def _kind() -> str:
    if sys.platform == "win32":
        return "windows"
    if sys.platform == "linux" and struct.calcsize("P") == 8:
        return "ofd"
    return "flock"


_KIND = _kind()
