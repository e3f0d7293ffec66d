"""Reading and writing files that a user names.

Reading: only regular files (links are followed), and only up to a size that the caller names. A named pipe or a device
would block or never end, a sparse file of some GB would fill the memory.

Writing: a file appears whole or not at all. It is written under a temporary name beside it, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.errors import PoseError
from engine.utils.temporary_files import own_temporary_name, sweep_once

# Larger files of a kind are a mistake or a trap.
MAX_IMAGE_BYTES = 2 << 30  # 100 megapixels of 16-bit RGBA without compression are 0.8 GB
_GROWN_BYTES = 1 << 20
MAX_LABEL_BYTES = 2 << 30  # the largest public COCO files have about 1 GB
MAX_TEXT_BYTES = 16 << 20  # settings, schemas, key maps

_KINDS = (
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a named pipe, not a regular file"),
    (stat.S_ISSOCK, "is a socket, not a regular file"),
    (stat.S_ISCHR, "is a device, not a regular file"),
    (stat.S_ISBLK, "is a device, not a regular file"),
)


class FileError(PoseError, OSError):
    """A file that is not read or written because of what it is: not a regular file, or too large.

    An ``OSError`` as well, with ``strerror`` and ``filename``, so that code that reports files that cannot be opened
    reports these too.
    """

    def __init__(self, message: str, *, where: object = None, error_number: int = errno.EINVAL) -> None:
        super().__init__(message, where=where)
        self.errno = error_number
        self.strerror = message
        self.filename = self.where


def open_regular(path: Path | str, limit: int | None = None) -> BinaryIO:
    """Open a regular file for reading bytes; never waits, as a named pipe would make ``open`` do.

    Args:
        limit: the most bytes that the file may have; None = any size, for readers that take a part at a time.

    Raises:
        FileError: not a regular file (a folder, pipe, socket or device, also through a link), or too large.
        OSError: it does not exist or cannot be opened.
    """
    _refuse_special(os.stat(path), path)  # opening a device or a tape can already do something
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        state = os.fstat(descriptor)  # again: the name may have been given to another file between the two
        _refuse_special(state, path)
        _check_size(state.st_size, limit, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path | str, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        FileError, OSError: as :func:`open_regular`; also a file that grows beyond the limit while it is read.
        MemoryError: there is no room for it.
    """
    with open_regular(path, limit) as file:
        # Not read(limit + 1): that reserves the limit, gigabytes, for a file of any size.
        data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
        while len(data) <= limit and (more := file.read(min(_GROWN_BYTES, limit + 1 - len(data)))):
            data += more
    _check_size(len(data), limit, path)
    return data


def read_text(path: Path | str, limit: int = MAX_TEXT_BYTES, encoding: str = "utf-8-sig") -> str:
    """As :func:`read_bytes`, decoded, with line ends as line feeds.

    Raises:
        UnicodeDecodeError: the bytes are not text in this encoding.
    """
    text = read_bytes(path, limit).decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_regular(path: Path | str, limit: int | None = None) -> os.stat_result:
    """The state of a file that a library is about to open by its name; refuses what :func:`open_regular` refuses.

    Raises:
        FileError, OSError: as :func:`open_regular`.
    """
    state = os.stat(path)
    _refuse_special(state, path)
    _check_size(state.st_size, limit, path)
    return state


def special_kind(mode: int) -> str:
    """Why a file of this ``st_mode`` is not read: "is a folder, not a file" and so on; "" for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((text for matches, text in _KINDS if matches(mode)), "is not a regular file")


def _refuse_special(state: os.stat_result, path: Path | str) -> None:
    kind = special_kind(state.st_mode)
    if kind:
        error_number = errno.EISDIR if stat.S_ISDIR(state.st_mode) else errno.EINVAL
        raise FileError(kind, where=path, error_number=error_number)


def _check_size(size: int, limit: int | None, path: Path | str) -> None:
    if limit is not None and size > limit:
        raise FileError(f"is too large: {_megabytes(size)}, at most {_megabytes(limit)} are read", where=path,
                        error_number=errno.EFBIG)  # fmt: skip


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size} bytes"


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = None, sync: bool = True, suffix: str = ".tmp") -> Iterator[Path]:
    """A name to write to, which takes the place of ``path`` when the block ends well; else nothing is left of it.

    A symbolic link stays one: the file it points to is replaced. The first write into a folder also removes what killed
    processes left there under such temporary names.

    Args:
        mode: permissions of the file; None = for its owner alone.
        sync: force it to the disk first. False only for what can be made again.
        suffix: of the temporary name, for writers that tell the format by it.

    Raises:
        FileError: ``path`` is a folder, device, pipe or socket, also through a link; a rename would replace the node.
        OSError: it cannot be written; a file that was there is untouched.
    """
    path = write_target(path)
    sweep_once(path.parent)
    handle, name = tempfile.mkstemp(prefix=own_temporary_name(f".{path.name[:40]}"), suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if sync:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_target(path: Path) -> Path:
    """The file that a write to ``path`` replaces: the link's target for a symbolic link, else ``path``.

    Raises:
        FileError: it is a folder, device, pipe or socket.
        OSError: a link that points to itself, a folder that may not be searched.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    try:
        kind = special_kind(os.stat(target).st_mode)
    except FileNotFoundError:
        return target
    if kind:
        raise FileError(f"{kind}; give the name of a file", where=path)
    return target


def new_file_mode() -> int:
    """Permissions that any new file gets."""
    mask = os.umask(0o022)
    os.umask(mask)
    return 0o666 & ~mask


def kept_mode(path: Path) -> int:
    """Permissions of the file that is replaced, else those of any new file."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return new_file_mode()
