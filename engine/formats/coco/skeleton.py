"""The skeleton of a COCO category: pairs of numbers, which tools count in different ways, as positions from 0."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from engine.schema.sides import guess_swaps


class _Skeleton(msgspec.Struct):
    skeleton: list[tuple[int, int]] | None = None


_skeleton = msgspec.json.Decoder(_Skeleton).decode


def zero_based(pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> list[tuple[int, int]]:
    """Limbs counted from 0, those that lead outside the points left out.

    COCO counts from 1, many tools from 0. A 0 among the numbers, or the number of points, tells which. Where neither
    stands there, the way of counting under which more limbs have a mirrored partner is taken, else that of COCO.
    Numbers above that of points are element ids (CVAT writes them): they stand for the points in ascending order, where
    there are as many of them as points, or where they are one run of so many. Else nobody can tell which points such
    numbers mean: no limbs where most numbers are of that sort, else those limbs are left out.
    """
    if not pairs:
        return []
    count = len(names)
    values = {n for pair in pairs for n in pair}
    if _are_ids(values, count):
        positions = _places_of_ids(values, count)
        return [(positions[a], positions[b]) for a, b in pairs] if positions else []
    if 0 in values:
        base = 0
    elif count in values or not count:
        base = 1
    else:
        base = 0 if _mirrored(pairs, names, 0) > _mirrored(pairs, names, 1) else 1
    moved = [(a - base, b - base) for a, b in pairs]
    return [(a, b) for a, b in moved if 0 <= a < count and 0 <= b < count]


def skeleton_note(record: bytes, count: int) -> str:
    """What to tell about the skeleton of a category record with ``count`` points whose numbers are not positions of
    these; "" for an ordinary one."""
    try:
        pairs = _skeleton(record).skeleton or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    values = {n for pair in pairs for n in pair}
    if not _are_ids(values, count):
        return ""
    if _places_of_ids(values, count):
        return "Skeleton with numbers above that of points: they were taken as the points in ascending order"
    return "Skeleton with numbers that are not its points: no limbs are shown, export writes it as it came"


def _are_ids(keypoint_ids: Collection[int], count: int) -> bool:
    above = sum(n > count for n in keypoint_ids)
    return bool(count and above and min(keypoint_ids) > 0) and (
        len(keypoint_ids) == count or above * 2 > len(keypoint_ids)
    )


def _places_of_ids(keypoint_ids: Collection[int], count: int) -> dict[int, int]:
    """The position of the point for each id; empty where nobody can tell."""
    if len(keypoint_ids) == count:
        return {keypoint_id: position for position, keypoint_id in enumerate(sorted(keypoint_ids))}
    if len(keypoint_ids) > 1 and max(keypoint_ids) - min(keypoint_ids) + 1 == count:
        return {keypoint_id: keypoint_id - min(keypoint_ids) for keypoint_id in keypoint_ids}
    return {}


def _mirrored(pairs: Sequence[tuple[int, int]], names: Sequence[str], base: int) -> int:
    """How many limbs have a left/right counterpart (or are their own) if positions count from ``base``."""
    swaps = guess_swaps(names)
    index = {name: i for i, name in enumerate(names)}
    other = [index[swaps.get(name, name)] for name in names]
    moved = {frozenset((a - base, b - base)) for a, b in pairs}
    inside = [limb for limb in moved if all(0 <= i < len(names) for i in limb)]
    return sum(any(names[i] in swaps for i in limb) and frozenset(other[i] for i in limb) in moved for limb in inside)
