"""Whether a log without marks, left by a poseapp that did not write them, belongs to the project beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from engine.utils.temporary_files import own_temporary_name

_SECONDS = 2.0


def continues(project: Path, wal: Path) -> bool:
    """Try the log on a copy: the result must be a whole database that goes on from what the project holds.

    A project that holds nothing yet says nothing; then its file must not have been touched after the log was written,
    as it is when it is renamed or copied.
    """
    folder = Path(tempfile.mkdtemp(prefix=own_temporary_name("poseapp-copy")))
    try:
        alone, both = folder / "alone.pose", folder / "both.pose"
        shutil.copyfile(project, alone)
        shutil.copyfile(project, both)
        shutil.copyfile(wal, both.with_name(both.name + "-wal"))
        untouched = os.stat(project).st_ctime <= os.stat(wal).st_mtime + _SECONDS
        with contextlib.closing(sqlite3.connect(both)) as applied:
            applied.execute("PRAGMA trusted_schema = OFF")
            if applied.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                return False
            result = _signs(applied)
        try:
            with contextlib.closing(sqlite3.connect(f"{alone.as_uri()}?immutable=1", uri=True)) as before:
                held = _signs(before)
        except sqlite3.DatabaseError:  # half of the log has been moved into it already
            return untouched
        if not any(held):
            return untouched
        return all(mine <= others for mine, others in zip(held, result, strict=True))
    except (OSError, sqlite3.Error):
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _signs(connection: sqlite3.Connection) -> list[set[tuple[object, ...]]]:
    """What only grows in a project: its media and its first step."""
    return [
        set(connection.execute("SELECT id, kind, path FROM media")),
        set(connection.execute("SELECT time FROM step ORDER BY id LIMIT 1")),
    ]
