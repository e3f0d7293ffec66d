"""Which label files a project was filled from, and which record of a file each pose came from.

With that, a file that is opened again is compared with what came from it: the poses of an unchanged file are not added
a second time, and a changed file brings in what is new.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import ProjectError
from poseapp.project.storage.database import Database
from poseapp.project.storage.file_names import from_stored
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

NO_TRACK = -1

_BLOCK = 4096
_LABEL_SUFFIXES = (".json", ".jsonl", ".txt", ".csv", ".xml", ".yaml", ".yml", ".h5")
_PIECE = 1 << 20
# Not part of what a file says of a pose: where it is, its track (numbered by the project), what follows from the rest.
_NOT_COMPARED = ("id", "media", "idx", "min_score", "track", "num_visible")
_COMPARED = [n for n, name in enumerate(instance_rows.COLUMNS) if name not in _NOT_COMPARED]
_TRACK = instance_rows.COLUMNS.index("track")


@dataclass(frozen=True)
class LabelSource:
    """An imported label file.

    Attributes:
        path: where it was, absolute.
        kind: "coco", "dataset", "sleap" or "dlc".
        digest: SHA-256 of its content.
        size, mtime: bytes and nanoseconds when it was read.
        complete: False while labels are left out because their images or video are missing.
        declined: digest of a changed content that a person did not want; None for none.
        tracks: number of each track in the project, by its name in the file.
        archive: id of its records in :class:`~poseapp.project.formats.coco.archive.CocoArchive`; None for none.
    """

    path: Path
    kind: str
    digest: bytes
    size: int
    mtime: int
    complete: bool = True
    declined: bytes | None = None
    tracks: dict[str, int] = field(default_factory=dict)
    archive: int | None = None
    id: int = 0


@dataclass(frozen=True)
class SourceRecord:
    """A pose as it was imported: key of its record in the file, instance, digest of its content, track."""

    key: str
    instance: int
    digest: int
    track: int = NO_TRACK


class SourceTable:
    """The imported label files of one project."""

    def __init__(self, store: ProjectStore) -> None:
        self._store, self._db = store, store.database

    def all(self) -> list[LabelSource]:
        """In the order of their first import."""
        columns = "id, path, kind, digest, size, mtime, complete, declined, tracks, archive"
        home = self._store.path.absolute().parent
        results: list[LabelSource] = []
        for i, path, kind, digest, size, mtime, complete, declined, tracks, archive in self._db.rows(
            f"SELECT {columns} FROM source ORDER BY id"
        ):
            stored_path = Path(os.path.normpath(home / from_stored(path)))
            names = _decoded_tracks(tracks, self._db.path)
            results.append(
                LabelSource(stored_path, kind, digest, size, mtime, bool(complete), declined, names, archive, i)
            )
        return results

    def find(self, path: Path) -> LabelSource | None:
        """The file of this path, or else one with the same content whose place is empty now: it was moved."""
        listed = self.all()
        if not listed:
            return None
        absolute = Path(os.path.abspath(path))
        same_place = next((source for source in listed if source.path == absolute), None)
        if same_place is not None or not path.exists():
            return same_place
        digest = digest_of(path)
        moved = (source for source in listed if source.digest == digest and not source.path.exists())
        return next(moved, None)

    def put(self, source: LabelSource, records: Iterable[SourceRecord]) -> int:
        """Remember a file and its poses; what was remembered under ``source.id`` is replaced. Returns the id."""
        values = (
            self._store.stored_path(source.path), source.kind, source.digest, source.size, source.mtime, time.time(),
            int(source.complete), source.declined, msgspec.json.encode(source.tracks), source.archive,
        )  # fmt: skip
        with self._db.write():
            if source.id:
                self._db.run(
                    "UPDATE source SET path = ?, kind = ?, digest = ?, size = ?, mtime = ?, time = ?, complete = ?, "
                    "declined = ?, tracks = ?, archive = ? WHERE id = ?",
                    (*values, source.id),
                )
                self._db.run("DELETE FROM source_block WHERE source = ?", (source.id,))
                source_id = source.id
            else:
                source_id = self._db.run(
                    "INSERT INTO source (path, kind, digest, size, mtime, time, complete, declined, tracks, archive) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            for block in _blocks(records):
                self._db.run(
                    "INSERT INTO source_block (source, instances, tracks, digests, keys) VALUES (?, ?, ?, ?, ?)",
                    (
                        source_id,
                        np.array([r.instance for r in block], "<i8").tobytes(),
                        np.array([r.track for r in block], "<i8").tobytes(),
                        np.array([r.digest for r in block], "<u8").tobytes(),
                        zlib.compress(msgspec.json.encode([r.key for r in block]), 1),
                    ),
                )
        return source_id

    def records(self, source: int) -> Iterator[SourceRecord]:
        """What was imported from a file.

        Raises:
            ProjectError: the table is damaged.
        """
        sql = "SELECT instances, tracks, digests, keys FROM source_block WHERE source = ? ORDER BY id"
        for instances, tracks, digests, keys in self._db.rows(sql, (source,)):
            try:
                names = msgspec.json.decode(zlib.decompress(keys), type=list[str])
                columns = [np.frombuffer(blob, kind).tolist() for blob, kind in
                           ((instances, "<i8"), (digests, "<u8"), (tracks, "<i8"))]  # fmt: skip
                yield from (SourceRecord(*one) for one in zip(names, *columns, strict=True))
            except (msgspec.MsgspecError, zlib.error, ValueError, TypeError):
                raise ProjectError("the list of imported label files is damaged", where=self._db.path) from None

    def decline(self, source: LabelSource, digest: bytes) -> None:
        """A person does not want this changed content: it is not offered again when the project is opened."""
        with self._db.write():
            self._db.run("UPDATE source SET declined = ? WHERE id = ?", (digest, source.id))

    def name_tracks(self, names: dict[int, str]) -> None:
        """Keep the names that a file gives to tracks, by number."""
        with self._db.write():
            self._db.many("INSERT OR REPLACE INTO track_name VALUES (?, ?)", names.items())


def track_names(database: Database) -> dict[int, str]:
    """Names of tracks by number, as label files gave them."""
    return {int(track): str(name) for track, name in database.rows("SELECT number, name FROM track_name")}


def pose_digest(row: instance_rows.Row) -> int:
    """64 bits of what a row says of its pose, its track left out. Categories by their number in the project."""
    code = hashlib.blake2b(digest_size=8)
    for column in _COMPARED:
        value = row[column]
        data = value if isinstance(value, bytes) else repr(value).encode()
        code.update(len(data).to_bytes(4, "little") + data)
    return int.from_bytes(code.digest(), "little")


def track_of_row(row: instance_rows.Row) -> int:
    """The track of a row, ``NO_TRACK`` for none."""
    return NO_TRACK if row[_TRACK] is None else int(row[_TRACK])


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file; of a folder, of the names, sizes and times of its files.

    Raises:
        ProjectError: the file cannot be read.
    """
    code = hashlib.sha256()
    try:
        if path.is_dir():
            for folder, folders, files in os.walk(path):
                folders.sort()
                for name in sorted(files):
                    if name.lower().endswith(_LABEL_SUFFIXES):
                        file = Path(folder, name)
                        stat = file.stat()
                        line = f"{file.relative_to(path)}\0{stat.st_size}\0{stat.st_mtime_ns}\0"
                        code.update(line.encode(errors="surrogateescape"))
        else:
            with path.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    code.update(piece)
    except OSError as error:
        raise ProjectError(f"cannot be read ({error.strerror or error})", where=path) from None
    return code.digest()


def size_and_time(path: Path) -> tuple[int, int]:
    """Bytes and time of change (ns) of a file; (0, 0) where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def unique_keys(keys: Iterable[str]) -> list[str]:
    """The same keys; of those that occur several times the second and later get a number."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for key in keys:
        count = seen[key] = seen.get(key, 0) + 1
        unique.append(key if count == 1 else f"{key}#{count}")
    return unique


def _blocks(records: Iterable[SourceRecord]) -> Iterator[Sequence[SourceRecord]]:
    block: list[SourceRecord] = []
    for record in records:
        block.append(record)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _decoded_tracks(data: bytes, where: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(data, type=dict[str, int])
    except (msgspec.MsgspecError, TypeError):
        raise ProjectError("the list of imported label files is damaged", where=where) from None
