"""Keypoints between COCO annotations and instances: one flat list, or COCO-WholeBody's five lists.

A COCO v of 1 is occluded, any other positive number visible (some files put a score there). Coordinates are kept as
they are, also those of points with v = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.contract.coco import CocoAnnotation, Number
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Bytes, Floats

BODY = 17
WHOLE_BODY = 133
PARTS: Mapping[str, tuple[int, int]] = {
    "keypoints": (0, 17),
    "foot_kpts": (17, 23),
    "face_kpts": (23, 91),
    "lefthand_kpts": (91, 112),
    "righthand_kpts": (112, 133),
}
"""Lists of a COCO-WholeBody annotation, and where their points stand among the 133."""


class _Parts(msgspec.Struct):
    foot_kpts: list[int | float] | None = None
    face_kpts: list[int | float] | None = None
    lefthand_kpts: list[int | float] | None = None
    righthand_kpts: list[int | float] | None = None


_parts = msgspec.json.Decoder(_Parts).decode


def has_parts(annotation: CocoAnnotation) -> bool:
    """Whether it is written the way of COCO-WholeBody: a body, and other lists beside it."""
    return b"_kpts" in annotation.raw and any(part is not None for part in _part_lists(annotation)[1:])


def flat_points(annotation: CocoAnnotation, count: int) -> list[Number] | None:
    """The 3K numbers of an annotation: empty where it has no points, None where it has another number of points."""
    flat = annotation.keypoints or []
    if len(flat) in (0, 3 * count) and count != WHOLE_BODY:
        return flat
    if len(flat) == 3 * count:
        return flat
    if count == WHOLE_BODY and len(flat) in (0, 3 * BODY):
        lists = _part_lists(annotation)
        if not any(lists):
            return []
        joined: list[Number] = []
        for part, (start, stop) in zip(lists, PARTS.values()):
            size = 3 * (stop - start)
            joined += part if part is not None and len(part) == size else [0] * size
        return joined
    return None


def to_arrays(flats: Sequence[list[Number]], count: int) -> tuple[Floats, Bytes]:
    """(N, K, 2) coordinates and (N, K) visibilities of flat lists; an empty list is a pose without points."""
    empty = [0] * (3 * count)
    numbers = np.array([flat or empty for flat in flats], dtype=np.float64).reshape(len(flats), count, 3)
    v = numbers[..., 2]
    visibility = np.where(v <= 0, ABSENT, np.where(v == 1, OCCLUDED, VISIBLE)).astype(np.uint8)
    return np.ascontiguousarray(numbers[..., :2]), visibility


def to_boxes(boxes: Sequence[list[Number] | None]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(N, 4) x1 y1 x2 y2 of xywh boxes, and (N,) which of them there are."""
    there = np.array([box is not None for box in boxes], dtype=np.bool_)
    found = np.array([box or (0, 0, 0, 0) for box in boxes], dtype=np.float64).reshape(-1, 4)
    found[:, 2:] += found[:, :2]
    return found, there


def changed_points(annotation: CocoAnnotation, count: int, points: Floats, visibility: Bytes) -> dict[str, Any]:
    """What is to be written for an annotation whose points are now these.

    Points that are as they were keep the numbers of the file, to the digit. ``num_keypoints`` follows by as many as
    came or went, so that a file that counts in its own way goes on doing so.

    Args:
        points: (K, 2). visibility: (K,).

    Returns:
        Values by key; empty where nothing that means anything has changed.
    """
    flat = list(flat_points(annotation, count) or []) or [0] * (3 * count)
    old_points, old_visibility = to_arrays([flat], count)
    moved = (visibility > 0) & (points != old_points[0]).any(axis=1)
    places = np.flatnonzero(moved | (visibility != old_visibility[0]))
    if not len(places):
        return {}
    whole = all(isinstance(n, int) for n in flat)
    whole_v = all(isinstance(n, int) for n in flat[2::3])
    for i in places.tolist():
        v = int(visibility[i])
        x, y = points[i].tolist() if v else (0, 0)
        flat[3 * i : 3 * i + 3] = [_number(x, whole), _number(y, whole), v if whole_v else float(v)]
    return _written(annotation, count, flat, places, old_visibility[0], visibility)


def in_parts(annotation: CocoAnnotation) -> CocoAnnotation:
    """A new annotation with 133 points in one list, written the way of COCO-WholeBody."""
    flat = annotation.keypoints or []
    if len(flat) != 3 * WHOLE_BODY:
        return annotation
    lists: dict[str, Any] = {key: flat[3 * start : 3 * stop] for key, (start, stop) in PARTS.items()}
    valid: dict[str, Any] = {
        key.replace("_kpts", "_valid"): any(v > 0 for v in part[2::3])
        for key, part in lists.items()
        if key != "keypoints"
    }
    seen = sum(v > 0 for v in lists["keypoints"][2::3])
    return annotation.patched(num_keypoints=seen, **lists, **valid)


def _written(
    annotation: CocoAnnotation,
    count: int,
    flat: list[Number],
    places: npt.NDArray[np.intp],
    old_visibility: Bytes,
    visibility: Bytes,
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    counted = slice(None)
    if count == WHOLE_BODY and len(annotation.keypoints or []) != 3 * count and has_parts(annotation):
        counted = slice(0, BODY)
        for key, (start, stop) in PARTS.items():
            if ((places >= start) & (places < stop)).any():
                changes[key] = flat[3 * start : 3 * stop]
                valid = key.replace("_kpts", "_valid")
                if valid != key and f'"{valid}"'.encode() in annotation.raw:
                    changes[valid] = bool((visibility[start:stop] > 0).any())
    else:
        changes["keypoints"] = flat
    came = int(np.count_nonzero(visibility[counted])) - int(np.count_nonzero(old_visibility[counted]))
    if came and annotation.num_keypoints is not None:
        changes["num_keypoints"] = max(annotation.num_keypoints + came, 0)
    return changes


def _number(value: float, whole: bool) -> Number:
    """A whole number where the file has but whole ones."""
    return int(value) if whole and value == int(value) else value


def _part_lists(annotation: CocoAnnotation) -> list[list[Number] | None]:
    try:
        parts = _parts(annotation.raw)
    except msgspec.DecodeError:
        return [annotation.keypoints, None, None, None, None]
    return [annotation.keypoints, parts.foot_kpts, parts.face_kpts, parts.lefthand_kpts, parts.righthand_kpts]
