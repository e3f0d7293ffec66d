"""The records of imported COCO files, kept in the project as they were written, so that export can give them back.

Records lie in blocks, each with the owner of every record: the frame of an image, the instance of an annotation, the
category of a category; -1 for a record that the window does not show (a crowd, a category without points). Undo of a
deletion brings the instance back under its id, and so its record too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from poseapp.project.storage.database import Database

NOBODY = -1
SECTION_READING, SECTION_SCHEMAS, SECTION_GRIDS = "reading", "schemas", "grids"
"""How a file is read; the schema of each category at import; the pixel grid of images that are shown in another."""
LAYOUT_FLAT, LAYOUT_PARTS, LAYOUT_BOXES = "flat", "parts", "boxes"
"""How annotations of a category are written: all points in one list, COCO-WholeBody's lists, no points at all."""
MAX_BLOCK_BYTES = 1 << 28
_KEYS = msgspec.json.Decoder(list[str])
_TRACKS = msgspec.json.Decoder(dict[str, int])
Owners = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CocoFile:
    """An imported file: top-level keys in order, what stands under those that are no records, and track names."""

    id: int
    path: str
    keys: list[str]
    header: dict[str, msgspec.Raw]
    tracks: dict[str, int]


class CocoArchive:
    """The imported files of one project."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def files(self) -> list[CocoFile]:
        rows = self._db.rows("SELECT id, path, keys, header, tracks FROM coco_file ORDER BY id")
        try:
            return [
                CocoFile(
                    i,
                    path,
                    [_loaded(key) for key in _KEYS.decode(keys)],
                    _unpack_header(header),
                    _TRACKS.decode(tracks),
                )
                for i, path, keys, header, tracks in rows
            ]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
            raise self._damaged(error) from None

    def _damaged(self, reason: object) -> ProjectError:
        return ProjectError(
            f"the records of an imported COCO file in it are damaged ({reason}); restore the project from a backup",
            where=self._db.path,
        )

    def add_file(self, path: str, keys: Sequence[str], header: dict[str, msgspec.Raw]) -> int:
        values = (path, msgspec.json.encode([_stored(key) for key in keys]), _pack_header(header), b"{}")
        return self._db.run("INSERT INTO coco_file (path, keys, header, tracks) VALUES (?, ?, ?, ?)", values)

    def set_tracks(self, file: int, tracks: dict[str, int]) -> None:
        self._db.run("UPDATE coco_file SET tracks = ? WHERE id = ?", (msgspec.json.encode(tracks), file))

    def add_block(self, file: int, section: str, owners: Owners, records: Sequence[bytes]) -> None:
        """Keep records of a section; owners (N,) or, for images and grids, (N, 2)."""
        values = (file, section, owners.astype("<i8").tobytes(), _pack(records))
        self._db.run("INSERT INTO coco_block (file, section, owners, records) VALUES (?, ?, ?, ?)", values)

    def blocks(self, file: int, section: str) -> Iterator[tuple[Owners, list[bytes]]]:
        """Owners and records of each block, in the order of the file."""
        sql = "SELECT owners, records FROM coco_block WHERE file = ? AND section = ? ORDER BY id"
        for rows in self._db.stream(sql, (file, section), size=1):
            for owners, records in rows:
                try:
                    owner_array = np.frombuffer(owners, "<i8")
                    block = (
                        (owner_array.reshape(-1, 2) if section in ("images", SECTION_GRIDS) else owner_array),
                        _unpack(records),
                    )
                except (ValueError, TypeError, zlib.error) as error:
                    raise self._damaged(error) from None
                if len(block[0]) != len(block[1]):
                    raise self._damaged("owners and records differ in number")
                yield block

    def add_layouts(self, file: int, layouts: Sequence[tuple[int, str]]) -> None:
        """Keep how the annotations of each category (of the project) are written in a file."""
        owners = np.array([instance_id for instance_id, _ in layouts], np.int64)
        self.add_block(file, "layouts", owners, [layout.encode() for _, layout in layouts])

    def layouts(self, file: int) -> Iterator[tuple[int, str]]:
        for owners, records in self.blocks(file, "layouts"):
            yield from zip(owners.tolist(), (record.decode() for record in records))

    def records(self, file: int, section: str) -> Iterator[tuple[Any, bytes]]:
        """Owner and record of every line of a section: a number, or two for images and grids."""
        for owners, records in self.blocks(file, section):
            yield from zip(owners.tolist(), records)

    def owners(self, section: str) -> Owners:
        """The owners of all records of a section."""
        rows = self._db.rows("SELECT owners FROM coco_block WHERE section = ?", (section,))
        return np.concatenate([np.zeros(0, np.int64), *(np.frombuffer(owners, "<i8") for (owners,) in rows)])


def _pack(records: Sequence[bytes]) -> bytes:
    # Lengths first, so that a record may hold what JSON proper does not (NaN).
    sizes = np.array([len(record) for record in records], dtype="<u4")
    return zlib.compress(len(records).to_bytes(4, "little") + sizes.tobytes() + b"".join(records), 1)


def _unpack(data: bytes) -> list[bytes]:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(data, MAX_BLOCK_BYTES)
    if not unpacker.eof:
        raise ValueError("is cut short, or larger than any block that is written")
    count = int.from_bytes(plain[:4], "little")
    if 4 + 4 * count > len(plain):
        raise ValueError("claims more records than it contains")
    ends = np.frombuffer(plain, "<u4", count, 4).astype(np.int64).cumsum() + 4 + 4 * count
    if len(plain) != (int(ends[-1]) if count else 4):
        raise ValueError("has records of other lengths than announced")
    starts = [4 + 4 * count, *ends.tolist()]
    return [plain[a:b] for a, b in pairwise(starts)]


def _pack_header(header: dict[str, msgspec.Raw]) -> bytes:
    return msgspec.msgpack.encode({_stored(key): bytes(value) for key, value in header.items()})


def _unpack_header(data: bytes) -> dict[str, msgspec.Raw]:
    values = msgspec.msgpack.decode(data, type=dict[str, bytes])
    return {_loaded(key): msgspec.Raw(value) for key, value in values.items()}


def _stored(key: str) -> str:
    """A top-level key as valid Unicode: one with half of a surrogate pair as JSON text behind a null character."""
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return f"\0{json.dumps(key)}"
    return key


def _loaded(key: str) -> str:
    return str(json.loads(key[1:])) if key.startswith('\0"') else key
