"""Records of a COCO file that is opened again: from the draft's archive into the project's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import msgspec
import numpy as np

from poseapp.project.formats.coco.archive import NOBODY, SECTION_GRIDS, CocoArchive, Owners
from poseapp.project.label_update.sources import LabelSource, unique_keys
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore

_NO_FRAME = FrameKey(NOBODY, NOBODY)


class _Identity(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


def record_keys(store: ProjectStore, archive: int) -> list[tuple[int, str]]:
    """Instance and key of each annotation of a file that became a pose: the key is its id as it is written."""
    results: list[tuple[int, str]] = []
    for owners, records in CocoArchive(store.database).blocks(archive, "annotations"):
        results += [(owner, _id_text(raw)) for owner, raw in zip(owners.tolist(), records) if owner != NOBODY]
    keys = unique_keys(key for _, key in results)
    return [(instance, key) for (instance, _), key in zip(results, keys)]


def image_ids(store: ProjectStore, archive: int) -> dict[str, FrameKey]:
    """The frame of each image of a file, by its id as it is written."""
    results: dict[str, FrameKey] = {}
    for owners, records in CocoArchive(store.database).blocks(archive, "images"):
        for owner, raw in zip(owners.tolist(), records):
            if owner[0] != NOBODY:  # else a record that could not be understood
                results.setdefault(_id_text(raw), FrameKey(*owner))
    return results


def same_records(store: ProjectStore, draft: ProjectStore, archives: Iterable[int]) -> dict[int, int]:
    """For poses of the draft the project's that have the same record, byte for byte."""
    own = CocoArchive(store.database)
    by_record: dict[bytes, int] = {}
    for file in own.files():
        for owners, records in own.blocks(file.id, "annotations"):
            by_record.update((_mark(raw), owner) for owner, raw in zip(owners.tolist(), records) if owner != NOBODY)
    results: dict[int, int] = {}
    if by_record:
        for archive in archives:
            for owners, records in CocoArchive(draft.database).blocks(archive, "annotations"):
                for owner, raw in zip(owners.tolist(), records):
                    if owner != NOBODY and (instance := by_record.get(_mark(raw))) is not None:
                        results[owner] = instance
    return results


def copy_archive(
    store: ProjectStore,
    draft: ProjectStore,
    source: LabelSource,
    into: int | None,
    frames: Mapping[FrameKey, FrameKey],
    instances: Mapping[int, int],
    categories: Mapping[int, int],
    track_of: Callable[[int], int],
) -> int | None:
    """Take the records of one file over, in the terms of the project. Within a transaction.

    Args:
        into: file of the project's archive whose records they replace; None to add one, where it tells anything that
            the other files do not.

    Returns:
        the number of the file in the project's archive; None where none was added.
    """
    own, other = CocoArchive(store.database), CocoArchive(draft.database)
    file = next((f for f in other.files() if f.id == source.archive), None)
    if file is None:
        return into
    database = store.database
    if into is not None:
        database.run("DELETE FROM coco_block WHERE file = ?", (into,))
    known_owners = set(own.owners("annotations").tolist()) - {NOBODY}
    known_frames = {tuple(key) for key in own.owners("images").reshape(-1, 2).tolist()}
    known_asides = _asides(own)
    index = own.add_file(str(source.path), file.keys, file.header)
    adds = False
    for section in (
        s for (s,) in draft.database.rows("SELECT section FROM coco_block GROUP BY section ORDER BY min(id)") if s
    ):
        for owners, records in other.blocks(file.id, section):
            if section in ("images", SECTION_GRIDS):
                keys = [FrameKey(*owner) for owner in owners.tolist()]
                mapped = np.array([frames.get(key, _NO_FRAME) for key in keys], np.int64).reshape(-1, 2)
                adds = adds or any(tuple(key) not in known_frames for key in mapped.tolist())
                own.add_block(index, section, mapped, records)
            elif section == "annotations":
                mapped = _mapped(owners, instances)
                lost = ((owners != NOBODY) & (mapped == NOBODY)).tolist()
                expected = [
                    n
                    for n, owner in enumerate(map(int, mapped))
                    if not lost[n]
                    and owner not in known_owners
                    and not (owner == NOBODY and _mark(records[n]) in known_asides)
                ]
                adds = adds or bool(expected)
                own.add_block(index, section, mapped[expected], [records[n] for n in expected])
            else:
                mapped = _mapped(owners, categories)
                own.add_block(index, section, mapped, records)
    if into is None and not adds and known_frames:
        database.run("DELETE FROM coco_block WHERE file = ?", (index,))
        database.run("DELETE FROM coco_file WHERE id = ?", (index,))
        return None
    own.set_tracks(index, {name: track_of(track) for name, track in file.tracks.items()})
    if into is not None:
        # The records stand where those of the earlier content stood.
        database.run("DELETE FROM coco_file WHERE id = ?", (into,))
        database.run("UPDATE coco_file SET id = ? WHERE id = ?", (into, index))
        database.run("UPDATE coco_block SET file = ? WHERE file = ?", (into, index))
        return into
    return index


def _mapped(owners: Owners, values: Mapping[int, int]) -> Owners:
    return np.array([values.get(owner, NOBODY) for owner in owners.tolist()], np.int64)


def _asides(archive: CocoArchive) -> set[bytes]:
    """Marks of the records that are no pose of the project."""
    results: set[bytes] = set()
    for file in archive.files():
        for owners, records in archive.blocks(file.id, "annotations"):
            results |= {_mark(raw) for owner, raw in zip(owners.tolist(), records) if owner == NOBODY}
    return results


def _mark(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=12).digest()


def _id_text(raw: bytes) -> str:
    try:
        return bytes(msgspec.json.decode(raw, type=_Identity).id).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "null"
