"""Data of the program measured, moved to another folder, cleared away. No Qt.

A move copies first; the old files go only after the program uses the new ones, and only those that are as they were
when they were copied. So whatever happens on the way, one whole copy is there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ProjectError
from engine.utils.context import Context
from engine.utils.files import open_regular
from poseapp.jobs.base import Lane, Progress

_BLOCK = 8 << 20
_STEP_FILES = 64


@dataclass(frozen=True)
class FolderSize:
    """What a folder takes. ``id`` is whatever the asker calls it."""

    id: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Copied:
    """A folder that has been copied: its files with size and time of change, relative to it."""

    source: Path
    target: Path
    files: tuple[tuple[str, int, int], ...]


class SizesJob:
    """Yields a :class:`FolderSize` for each folder; one that is not there takes nothing."""

    lane = Lane.IO
    title = "Measuring folders"

    def __init__(self, folders: Sequence[tuple[str, Path]]) -> None:
        self._folders = tuple(folders)

    def run(self, context: Context) -> Iterator[Progress]:
        for measured, (name, folder) in enumerate(self._folders, 1):
            count = total = 0
            for index, (_, size, _) in enumerate(_files(folder)):
                count, total = count + 1, total + size
                if index % 4096 == 4095:
                    yield Progress(measured - 1, len(self._folders))
            yield Progress(measured, len(self._folders), result=FolderSize(name, count, total))


class CopyFolderJob:
    """Yields one :class:`Copied` when all is there; otherwise the target is as it was.

    Raises:
        ProjectError: the target cannot be used.
    """

    lane = Lane.IO

    def __init__(self, source: Path, target: Path, name: str) -> None:
        self.title = f"Moving {name}"
        self._source, self._target = source, target

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 0, self.title)
        files = list(_files(self._source))
        total = sum(size for _, size, _ in files)
        target_existed = self._target.is_dir()
        check_target(self._source, self._target, total)
        created: list[Path] = []
        done = False
        try:
            moved = 0
            for name, _, _ in files:
                for taken in self._copy(name, created):
                    moved += taken
                    yield Progress(moved // 1024, max(total // 1024, 1))
            done = True
            yield Progress(1, 1, self.title, Copied(self._source, self._target, tuple(files)))
        except OSError as error:
            done = False
            where = error.filename or self._target
            raise ProjectError(f"cannot be copied ({error.strerror or error})", where=where) from None
        finally:
            if not done:
                _take_back(created, self._target, keep=target_existed)

    def _copy(self, name: str, created: list[Path]) -> Iterator[int]:
        """Copy a file; it appears whole. Yields numbers of bytes."""
        target = self._target / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (self._source / name).is_symlink():
            target.symlink_to(_link(self._source, name))
            created.append(target)
            return
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        created.append(Path(temporary))
        with os.fdopen(handle, "wb") as out, open_regular(self._source / name) as given:
            while block := given.read(_BLOCK):
                out.write(block)
                yield len(block)
            out.flush()
            os.fsync(out.fileno())
        shutil.copystat(self._source / name, temporary)
        os.replace(temporary, target)
        created[-1] = target


class ClearJob:
    """Removes files and the folders that become empty by it; yields a :class:`FolderSize` of what was removed.

    Args:
        files: relative names with size and time of change; what has changed since stays. None for all.
    """

    lane = Lane.IO

    def __init__(
        self, folders: Sequence[Path], title: str, files: Sequence[tuple[str, int, int]] | None = None
    ) -> None:
        self.title = title
        self._folders, self._given = tuple(folders), files

    def run(self, context: Context) -> Iterator[Progress]:
        count = freed = 0
        for folder in self._folders:
            given = list(_files(folder)) if self._given is None else self._given
            for index, (name, size, changed) in enumerate(given, 1):
                path = folder / name
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if self._given is None or (status.st_size, status.st_mtime_ns) == (size, changed):
                        path.unlink()
                        count, freed = count + 1, freed + size
                if index % _STEP_FILES == 0:
                    yield Progress(index, len(given))
            _remove_empty(folder)
        yield Progress(1, 1, self.title, FolderSize("", count, freed))


def check_target(source: Path, target: Path, num_bytes: int) -> None:
    """Make the folder and see that it can be used.

    Raises:
        ProjectError: it is the source or lies in it, holds other things, cannot be written, or is too small.
    """
    old, new = source.resolve(), target.resolve()
    if old == new:
        raise ProjectError("is the current folder", where=target)
    if new.is_relative_to(old) or old.is_relative_to(new):
        raise ProjectError(f"and {old} are nested; choose a separate folder", where=target)
    target_existed = target.is_dir()
    try:
        if target_existed and any(target.iterdir()):
            raise ProjectError("is not empty; choose an empty folder, or name a new one", where=target)
        target.mkdir(parents=True, exist_ok=True)
        handle, probe = tempfile.mkstemp(prefix=".", suffix=".probe", dir=target)
        os.close(handle)
        os.unlink(probe)
        free = shutil.disk_usage(target).free
    except OSError as error:
        raise ProjectError(f"cannot be written ({error.strerror or error})", where=target) from None
    if free < num_bytes * 1.02:
        if not target_existed:
            _remove_empty(target)
        need, have = f"{num_bytes / 1e6:,.0f} MB", f"{free / 1e6:,.0f} MB"
        raise ProjectError(f"has too little room: {need} are needed, {have} are free", where=target)


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Relative name, size and time of change of files and links, which are not followed; pipes and such stay."""
    for root, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = os.path.join(root, name)
            try:
                status = os.stat(path, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield os.path.relpath(path, folder), status.st_size, status.st_mtime_ns


def _link(folder: Path, name: str) -> str:
    """Where a link leads, once it lies in another folder: within the folder as before, elsewhere by its whole path."""
    text = os.readlink(folder / name)
    destination = os.path.normpath(os.path.join((folder / name).parent, text))
    return text if not os.path.isabs(text) and Path(destination).is_relative_to(folder) else destination


def _take_back(created: Sequence[Path], target: Path, *, keep: bool) -> None:
    for path in created:
        with contextlib.suppress(OSError):
            path.unlink()
    _remove_empty(target, keep=keep)


def _remove_empty(folder: Path, *, keep: bool = False) -> None:
    """Remove folders without files, from below."""
    for root, _, _ in os.walk(folder, topdown=False):
        if not (keep and Path(root) == folder):
            with contextlib.suppress(OSError):
                os.rmdir(root)
