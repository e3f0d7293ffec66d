"""A whole copy of a project under another name, also while it is open and being written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import msgspec

from engine.errors import ProjectError
from engine.utils.context import Context
from engine.utils.files import kept_mode, replacing
from poseapp.project.storage.connections import open_for_reading
from poseapp.project.storage.database import backup_pages, set_new_mark
from poseapp.project.storage.writer_lock import FileLock, Part
from poseapp.project.tables.media_state import decode, encode


def save_copy(
    project: Path, target: Path, source: sqlite3.Connection | None = None, context: Context | None = None
) -> None:
    """Write a copy of a project. It appears whole or not at all; an existing file is replaced.

    Args:
        project: the project file.
        source: read through this connection, for a project whose file has been deleted while it is open.
        context: shows progress; cancelled, the target is as it was.

    Raises:
        ProjectError: the project cannot be read, the target cannot be written, is the project itself, or is open.
    """
    _check_target(project, target)
    try:
        with replacing(target, mode=kept_mode(target), suffix=".pose-tmp") as temporary:
            if source is not None:
                copy_pages(source, temporary, project.parent, target.parent, context)
                return
            reader = open_for_reading(project)
            try:
                copy_pages(reader.sqlite, temporary, project.parent, target.parent, context)
            finally:
                reader.close()
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProjectError(f"the copy was not saved ({reason})", where=target) from None


def copy_pages(
    source: sqlite3.Connection, target: Path, old_home: Path, new_home: Path, context: Context | None = None
) -> None:
    """Copy all tables into an empty file, as they are at one moment.

    Relative paths of media and label files lead from ``new_home`` to where they led from ``old_home``.

    Raises sqlite3.Error; Cancelled when the work was cancelled, and then the target is incomplete.
    """
    with contextlib.closing(sqlite3.connect(target)) as copy:
        backup_pages(source, copy, context)
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("PRAGMA trusted_schema = OFF")
        tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if os.path.abspath(old_home) != os.path.abspath(new_home):
            for table in sorted({"media", "source"} & tables):
                rows = copy.execute(f"SELECT id, path FROM {table}").fetchall()
                moved = [(_moved(path, old_home, new_home), index) for index, path in rows]
                copy.executemany(f"UPDATE {table} SET path = ? WHERE id = ?", moved)
            if "step_media" in tables:
                _move_steps(copy, old_home, new_home)
        set_new_mark(copy)
        copy.commit()


def _move_steps(copy: sqlite3.Connection, old_home: Path, new_home: Path) -> None:
    for step, media, *states in copy.execute("SELECT step, media, before, after FROM step_media").fetchall():
        moved = []
        for state in map(decode, states):
            moved.append(encode(msgspec.structs.replace(state, path=_moved(state.path, old_home, new_home))))
        copy.execute("UPDATE step_media SET before = ?, after = ? WHERE step = ? AND media = ?", (*moved, step, media))


def _moved(path: str, old_home: Path, new_home: Path) -> str:
    """A path that is relative to one folder, for another; a folder within the first keeps it relative."""
    if os.path.isabs(path):
        return path
    old, new = Path(os.path.abspath(old_home)), Path(os.path.abspath(new_home))
    absolute = Path(os.path.normpath(old / path))
    if absolute.is_relative_to(new) or new.is_relative_to(old):
        return Path(os.path.relpath(absolute, new)).as_posix()
    return str(absolute)


def _check_target(project: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        if os.path.samefile(project, target):
            raise ProjectError("is the project itself; choose another name for the copy", where=target)
    with contextlib.suppress(OSError):
        if target.is_file():
            lock = FileLock.take(target, Part.WRITER)
            if lock is None:
                raise ProjectError("is open in a window; choose another name for the copy", where=target)
            lock.release()
