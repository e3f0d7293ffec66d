"""Named states of a project, kept as whole copies of its file beside it.

A copy and not a mark in the history: it outlives steps that are forgotten when one goes back and does something else,
it can be restored when the project file itself is lost, and it can be handed on. Restoring is one step of the history
like any other: what was done since is one undo away.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ProjectError
from engine.utils.context import Context
from engine.utils.file_names import shortened, side_name
from engine.utils.temporary_files import own_temporary_name, remove_left_behind
from poseapp.project.model import Change, FrameKey
from poseapp.project.storage.connections import open_for_reading
from poseapp.project.storage.database import Database, is_of_older_version
from poseapp.project.storage.save_copy import copy_pages
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows
from poseapp.project.tables.categories import CategoryDelta
from poseapp.project.tables.history import FrameDelta, InstanceDelta

_TIME = "%Y-%m-%d %H.%M.%S"
_STAMP = len("2000-01-01 00.00.00")
_LONGEST = 80
_LONGEST_BYTES = 200  # with the time, a number and the suffix a name that every file system takes
_FORBIDDEN = frozenset('\\/:*?"<>|')


@dataclass(frozen=True)
class Snapshot:
    """A copy of a project. ``time`` is seconds since 1970, ``size`` bytes."""

    path: Path
    name: str
    time: float
    size: int


def snapshot_folder(project: Path) -> Path:
    """Where the snapshots of a project lie: ``mice.pose`` has ``mice.snapshots``."""
    return project.with_name(side_name(project.stem, ".snapshots"))


def list_snapshots(project: Path) -> list[Snapshot]:
    """Newest first; files that do not look like one are left out."""
    results: list[Snapshot] = []
    with contextlib.suppress(OSError):
        for path in snapshot_folder(project).glob("*.pose"):
            with contextlib.suppress(ValueError, OSError, OverflowError):
                when = time.mktime(time.strptime(path.stem[:_STAMP], _TIME))
                results.append(Snapshot(path, path.stem[_STAMP + 1 :], when, path.stat().st_size))
    return sorted(results, key=lambda s: (s.time, s.name), reverse=True)


def take_snapshot(project: Path, name: str, context: Context | None = None) -> Snapshot:
    """Copy a project as it stands on the disk, also while it is open and being written.

    An earlier snapshot is never replaced: a second one of the same name and second gets a number, ``name (2)``.

    Raises:
        ProjectError: the project cannot be read, or the folder beside it not written.
        Cancelled: the work was cancelled; there is no snapshot.
    """
    folder = snapshot_folder(project)
    words = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in name).strip(" .")[:_LONGEST]
    words = shortened(words, _LONGEST_BYTES).strip(" .") or "snapshot"
    now = time.time()
    stamp = time.strftime(_TIME, time.localtime(now))
    temporary = ""
    try:
        folder.mkdir(exist_ok=True)
        remove_left_behind(folder, ".*.tmp")
        handle, temporary = tempfile.mkstemp(prefix=own_temporary_name(".snapshot"), suffix=".tmp", dir=folder)
        os.close(handle)
        source = open_for_reading(project)
        try:
            copy_pages(source.sqlite, Path(temporary), project.parent, folder, context)
        finally:
            source.close()
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        target = _reserve(folder, stamp, words)
        try:
            os.replace(temporary, target)
        except OSError:
            target.unlink()
            raise
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProjectError(f"no snapshot was made ({reason})", where=project) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return Snapshot(target, target.stem[_STAMP + 1 :], now, target.stat().st_size)


def _reserve(folder: Path, stamp: str, words: str) -> Path:
    """Make an empty file under a name that no snapshot has; the copy then takes its place."""
    for index in itertools.count(1):
        target = folder / f"{stamp} {words}{f' ({index})' if index > 1 else ''}.pose"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return target
    raise AssertionError("unreachable")


def delete_snapshot(snapshot: Snapshot) -> None:
    """Raises ProjectError when the file cannot be removed."""
    try:
        snapshot.path.unlink()
    except OSError as error:
        raise ProjectError(f"cannot be deleted ({error.strerror})", where=snapshot.path) from None


def restore_snapshot(store: ProjectStore, snapshot: Snapshot) -> Change:
    """Bring instances and frame states back to the snapshot's, as one step that can be undone.

    Images and categories that were added since stay; categories that undo has removed since come back.

    Raises:
        ProjectError: the snapshot cannot be read, is of another project, or its kinds have been changed since.
    """
    store.database.finish_chunks()
    with _current_version(snapshot.path) as path, _attached(store.database, path):
        _check(store.database, snapshot.path)
        touched = list(_touched(store.database))
        states = [
            FrameDelta(FrameKey(m, i), before, after)
            for m, i, before, after in store.database.rows(
                "SELECT m.media, m.idx, m.state, s.state FROM snap.frame s JOIN main.frame m USING (media, idx) "
                "WHERE s.state <> m.state"
            )
        ]
        return store.record(f"Restore snapshot {snapshot.name}", touched, states, categories=_missing(store.database))


@contextlib.contextmanager
def _current_version(path: Path) -> Iterator[Path]:
    """The snapshot itself, or a copy that has been brought to the tables of today."""
    if not is_of_older_version(path):
        Database.open(path, read_only=True).close()  # tells what is wrong with it
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "snapshot.pose"
        shutil.copyfile(path, copy)
        Database.open(copy).close()
        yield copy


@contextlib.contextmanager
def _attached(database: Database, path: Path) -> Iterator[None]:
    # Nobody changes a snapshot. What lies beside it under names that SQLite knows is not looked at.
    database.run("ATTACH ? AS snap", (f"{path.absolute().as_uri()}?immutable=1",))
    try:
        yield
    finally:
        database.run("DETACH snap")


def _check(database: Database, path: Path) -> None:
    strange = database.row(
        "SELECT 1 FROM snap.frame s LEFT JOIN main.frame m USING (media, idx) WHERE m.name IS NOT s.name LIMIT 1"
    )
    if strange is not None:
        raise ProjectError("contains other images than this project; open it as a project of its own", where=path)
    done = (
        "SELECT time, media FROM {0}.step JOIN {0}.step_media ON step = id "
        "WHERE moved AND id <= (SELECT value FROM {0}.meta WHERE key = 'position') ORDER BY time, media"
    )
    if database.rows(done.format("main")) != database.rows(done.format("snap")):
        raise ProjectError(
            "was made for another file of a video: its labels would sit on the wrong frames. Undo the re-mapping, "
            "or open the snapshot as a project of its own",
            where=path,
        )
    kind = database.row(
        "SELECT s.name FROM snap.category s JOIN main.category m USING (id) WHERE m.schema IS NOT s.schema "
        "AND EXISTS (SELECT 1 FROM snap.instance i WHERE i.category = s.id) LIMIT 1"
    )
    if kind is not None:
        raise ProjectError(
            f"the points of {kind[0]!r} have been changed since; open the snapshot as a project of its own", where=path
        )


def _missing(database: Database) -> list[CategoryDelta]:
    """Categories of the snapshot's instances that the project has no more."""
    rows = database.rows(
        "SELECT s.id, s.name, s.schema FROM snap.category s LEFT JOIN main.category m USING (id) WHERE m.id IS NULL "
        "AND EXISTS (SELECT 1 FROM snap.instance i WHERE i.category = s.id)"
    )
    return [CategoryDelta(category, {}, {"name": name, "schema": schema}) for category, name, schema in rows]


def _touched(database: Database) -> Iterator[InstanceDelta]:
    columns = ", ".join(instance_rows.COLUMNS)
    for table, other in (("main", "snap"), ("snap", "main")):
        sql = (
            f"SELECT {columns} FROM {table}.instance t "
            f"WHERE NOT EXISTS (SELECT 1 FROM {other}.instance o WHERE o.id = t.id)"
        )
        for block in database.stream(sql):
            for row in block:
                whole, frame = instance_rows.full(row), FrameKey(row[1], row[2])
                yield (
                    InstanceDelta(row[0], frame, whole, None)
                    if table == "main"
                    else InstanceDelta(row[0], frame, None, whole)
                )
    now, then = (", ".join(f"{t}.{c}" for c in instance_rows.COLUMNS) for t in ("m", "s"))
    differs = " OR ".join(f"m.{c} IS NOT s.{c}" for c in instance_rows.COLUMNS[1:])
    sql = f"SELECT {now}, {then} FROM main.instance m JOIN snap.instance s ON s.id = m.id WHERE {differs}"
    width = len(instance_rows.COLUMNS)
    for block in database.stream(sql):
        for row in block:
            yield InstanceDelta(row[0], FrameKey(row[1], row[2]), *instance_rows.changed(row[:width], row[width:]))
