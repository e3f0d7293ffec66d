"""Unpacking zip archives of strangers into a folder.

Nothing is written outside the folder, no links are made, and an archive that would fill the disk is refused before its
first file is written (zip format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
"""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from engine.errors import LabelError, PoseError
from engine.formats.frame_images import new_folder
from engine.utils.context import ERROR, Context
from engine.utils.files import open_regular

MAX_FILES = 500_000
MAX_BYTES = 200 << 30
_MAX_DIRECTORY_BYTES = 200 << 20
_LARGE = 1 << 30
_MAX_RATIO = 200  # of the sizes unpacked and packed; text of labels has up to 50, a trap thousands
_FREE_BYTES = 500 << 20  # that stay free on the disk
_CHUNK = 1 << 20
_STEP = 50

_LOCAL, _END, _END_64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"
_END_SIZE, _LOCATOR_SIZE = 22, 20
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_NOT_FILES = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
_RESERVED = '<>:"|?*'  # in file names on Windows


def is_archive(path: Path) -> bool:
    """Whether a path is a zip archive, by its name and first bytes. Never raises."""
    if path.suffix.lower() != ".zip":
        return False
    try:
        with open_regular(path) as file:
            return file.read(4) in (_LOCAL, _END)
    except (OSError, PoseError):
        return False


def file_names(path: Path, limit: int = MAX_FILES) -> list[str]:
    """Names of the files in an archive, with forward slashes; [] if it cannot be read. Never raises."""
    try:
        with _opened(path) as archive:
            return [_name(info) for info in archive.infolist()[:limit] if not info.is_dir()]
    except PoseError:
        return []


def extract(path: Path, folder: Path, context: Context | None = None) -> None:
    """Unpack an archive into an empty folder, which exists.

    Files that cannot be unpacked are reported and left out: damaged ones, links, and those whose names lead out of the
    folder or are there twice.

    Raises:
        LabelError: it is no readable zip archive, is encrypted, would be too large, or the disk is full.
        Cancelled: the context was cancelled; the caller removes the folder.
    """
    context = context or Context()
    with _opened(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_sizes(infos, path, folder)
        names: set[str] = set()
        for done, info in enumerate(infos):
            if done % _STEP == 0:
                context.progress(done, len(infos))
            target = _target(info, names, context)
            if target is not None:
                _unpack(archive, info, folder / target, context)


def unpack(path: Path, folder: Path, context: Context | None = None) -> Path:
    """Unpack an archive for good, into a new folder that is there whole or not at all; returns the folder.

    Raises:
        LabelError: as :func:`extract`, or ``folder`` exists and is not empty.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    with new_folder(folder) as temporary:
        extract(path, temporary, context)
    return folder


class _opened:
    """An archive that is opened for reading; whatever is wrong with it is a LabelError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._file = open_regular(self._path)
        except OSError as error:
            raise LabelError(f"cannot be read ({error.strerror or error})", where=self._path) from None
        try:
            count, size = _directory(self._file)
            if count > MAX_FILES or size > _MAX_DIRECTORY_BYTES:
                raise LabelError(f"holds more than {MAX_FILES:,} files; unpack it yourself", where=self._path)
            self._archive = zipfile.ZipFile(self._file)
        except LabelError:
            self._file.close()
            raise
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError):
            self._file.close()
            raise LabelError("is no zip archive, or a damaged one", where=self._path) from None
        return self._archive

    def __exit__(self, *_: object) -> None:
        self._archive.close()
        self._file.close()


def _directory(file: BinaryIO) -> tuple[int, int]:
    """How many files the directory at the end of an archive lists, and its size; 0 where there is none."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _END_SIZE - 0xFFFF)
    file.seek(start)
    tail = file.read()
    file.seek(0)
    position = tail.rfind(_END)
    if position < 0 or len(tail) - position < _END_SIZE:
        return 0, 0
    count, directory_size = struct.unpack_from("<HI", tail, position + 10)
    record = tail.rfind(_END_64, 0, position)
    if record >= 0 and position - record >= 56:
        large_count, large_size = struct.unpack_from("<QQ", tail, record + 32)
        return max(count, large_count), max(directory_size, large_size)
    return count, directory_size


def _check_sizes(infos: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    total, packed = sum(info.file_size for info in infos), path.stat().st_size
    if total > MAX_BYTES or (total > _LARGE and total > _MAX_RATIO * max(1, packed)):
        raise LabelError(
            f"would take {total / 1e9:,.1f} GB unpacked, from {packed / 1e6:,.1f} MB; unpack it yourself if you "
            "trust it",
            where=path,
        )
    free = shutil.disk_usage(folder).free
    if total + _FREE_BYTES > free:
        raise LabelError(
            f"needs {total / 1e9:,.1f} GB of space, and the disk of {folder} has {free / 1e9:,.1f} GB", where=path
        )


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a file with forward slashes. Many programs write UTF-8 without saying so."""
    name = info.filename
    if not info.flag_bits & _UTF8_NAME:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _target(info: zipfile.ZipInfo, names: set[str], context: Context) -> Path | None:
    """Where a file goes, relative to the folder; None if it is left out."""
    name = _name(info)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or _NOT_FILES & set(parts):
        return None
    reason = _refusal(info, name, parts)
    if not reason:
        parts = [_safe_part(part) for part in parts]
        key = "/".join(parts)
        reason = "File that is in the archive twice" if key in names else ""
        names.add(key)
    if reason:
        context.report(name, reason, "not unpacked", severity=ERROR)
        return None
    return Path(*parts)


def _refusal(info: zipfile.ZipInfo, name: str, parts: list[str]) -> str:
    mode = info.external_attr >> 16
    if ".." in parts or name.startswith("/") or parts[0].endswith(":"):
        return "File whose name leads out of the folder"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "Link or special file"
    if info.flag_bits & _ENCRYPTED:
        return "Encrypted file"
    return ""


def _safe_part(part: str) -> str:
    """A name that the system takes: without control characters, and on Windows without reserved ones."""
    bad = _RESERVED if os.name == "nt" else ""
    part = "".join("_" if c in bad or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 else c for c in part)
    return part.rstrip(" .") or "_" if os.name == "nt" else part


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, context: Context) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as file:
            for chunk in _chunks(source, info.file_size):
                file.write(chunk)
                context.check_cancelled()
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        target.unlink(missing_ok=True)
        context.report(_name(info), f"Damaged file: {str(error)[:100]}", "not unpacked", severity=ERROR)
    except FileExistsError:
        context.report(_name(info), "File with the name of a folder", "not unpacked", severity=ERROR)
    except OSError as error:
        if shutil.disk_usage(_existing_folder(target)).free < _FREE_BYTES // 10:
            raise LabelError("the disk is full", where=target) from None
        context.report(
            _name(info), f"File that cannot be written: {error.strerror or error}", "not unpacked", severity=ERROR
        )


def _existing_folder(target: Path) -> Path:
    """The nearest folder above a path that exists."""
    return next(parent for parent in target.absolute().parents if parent.is_dir())


def _chunks(source: IO[bytes], size: int) -> Iterator[bytes]:
    """The content in parts, never more than the size that the archive states."""
    left = size
    while left > 0:
        chunk = source.read(min(_CHUNK, left))
        if not chunk:
            return
        left -= len(chunk)
        yield chunk
