"""Keypoints between COCO annotations and instances: one flat list, or COCO-WholeBody's five lists.

A COCO v of 1 is occluded, any other positive number visible. Where the third number is a score
(:mod:`engine.formats.coco.reading`), every point with a score above 0 is visible. Coordinates are kept as
they are, also those of points with v = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.formats.coco.dataset import CocoAnnotation, Number
from engine.labels.image_size import GridTransform
from engine.labels.model import ABSENT, OCCLUDED, VISIBLE, Bytes, Flags, Floats

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


@dataclass(frozen=True, eq=False)
class PointArrays:
    """Annotations as arrays, in the pixels of the pictures as they are shown.

    Attributes:
        points: (N, K, 2). visibility: (N, K). boxes: (N, 4) x1 y1 x2 y2. has_box: (N,).
        are_scores: (N, K) where the third number is a score; None for nowhere.
    """

    points: Floats
    visibility: Bytes
    boxes: Floats
    has_box: Flags
    are_scores: Flags | None


class _Parts(msgspec.Struct):
    foot_kpts: list[int | float] | None = None
    face_kpts: list[int | float] | None = None
    lefthand_kpts: list[int | float] | None = None
    righthand_kpts: list[int | float] | None = None


_parts = msgspec.json.Decoder(_Parts).decode


def has_parts(annotation: CocoAnnotation) -> bool:
    """Whether it is written the way of COCO-WholeBody: a body, and other lists beside it."""
    return b"_kpts" in annotation.raw and any(part is not None for part in part_lists(annotation)[1:])


def flat_points(annotation: CocoAnnotation, count: int) -> list[Number] | None:
    """The 3K numbers of an annotation: empty where it has no points, None where it has another number of points."""
    flat = annotation.keypoints or []
    if len(flat) in (0, 3 * count) and count != WHOLE_BODY:
        return flat
    if len(flat) == 3 * count:
        return flat
    if count == WHOLE_BODY and len(flat) in (0, 3 * BODY):
        lists = part_lists(annotation)
        if not any(lists):
            return []
        joined: list[Number] = []
        for part, (start, stop) in zip(lists, PARTS.values()):
            size = 3 * (stop - start)
            joined += part if part is not None and len(part) == size else [0] * size
        return joined
    return None


def to_arrays(flats: Sequence[list[Number]], count: int, are_scores: Flags | None = None) -> tuple[Floats, Bytes]:
    """(N, K, 2) coordinates and (N, K) visibilities of flat lists; an empty list is a pose without points.

    Args:
        are_scores: (N, K) where the third number is a score; None for nowhere.
    """
    empty = [0] * (3 * count)
    values = np.array([flat or empty for flat in flats], dtype=np.float64).reshape(len(flats), count, 3)
    v = values[..., 2]
    is_occluded = v == 1 if are_scores is None else (v == 1) & ~are_scores
    visibility = np.where(v <= 0, ABSENT, np.where(is_occluded, OCCLUDED, VISIBLE)).astype(np.uint8)
    return np.ascontiguousarray(values[..., :2]), visibility


def to_boxes(boxes: Sequence[list[Number] | None]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(N, 4) x1 y1 x2 y2 of xywh boxes, and (N,) which of them there are."""
    is_present = np.array([box is not None for box in boxes], dtype=np.bool_)
    corners = np.array([box or (0, 0, 0, 0) for box in boxes], dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners, is_present


def changed_points(
    annotation: CocoAnnotation,
    old: PointArrays,
    points: Floats,
    visibility: Bytes,
    grid: GridTransform | None = None,
    *,
    accepted: bool = False,
) -> dict[str, Any]:
    """What is to be written for an annotation whose points are now these.

    Points that are as they were keep the numbers of the file, to the digit. ``num_keypoints`` follows by as many as
    came or went, so that a file that counts in its own way goes on doing so. Where the file has scores for
    visibilities, a changed point gets 1.0 or 0.0; a list with an occluded point, or of a prediction that a person has
    accepted, gets visibilities.

    Args:
        old: the annotation as it was, as arrays with N = 1.
        points: (K, 2) in the pixels of the picture as it is shown. visibility: (K,).
        grid: from the pixels that the file counts in to those of the picture.
        accepted: a prediction that is a label now.

    Returns:
        Values by key; empty where nothing that means anything has changed.
    """
    count = len(points)
    flat = list(flat_points(annotation, count) or []) or [0] * (3 * count)
    changed = ((visibility > 0) & (points != old.points[0]).any(axis=1)) | (visibility != old.visibility[0])
    are_scores = np.zeros(count, np.bool_) if old.are_scores is None else old.are_scores[0].copy()
    rewritten = _rewritten_as_visibilities(are_scores, changed, visibility, accepted)
    are_scores &= ~rewritten
    if not (changed.any() or rewritten.any()):
        return {}
    whole = all(isinstance(n, int) for n in flat)
    whole_v = all(
        isinstance(n, int) for n, is_score in zip(flat[2::3], (are_scores | rewritten).tolist()) if not is_score
    )
    in_file = points if grid is None else grid.points_back(points)
    for i in np.flatnonzero(changed | rewritten).tolist():
        v = int(visibility[i])
        if changed[i]:
            x, y = in_file[i].tolist() if v else (0, 0)
            flat[3 * i : 3 * i + 2] = [_number(x, whole), _number(y, whole)]
        third = float(v > 0) if are_scores[i] else v
        flat[3 * i + 2] = third if whole_v or rewritten[i] else float(third)
    return _written(annotation, count, flat, np.flatnonzero(changed | rewritten), old.visibility[0], visibility)


def _rewritten_as_visibilities(are_scores: Flags, changed: Flags, visibility: Bytes, accepted: bool) -> Flags:
    """(K,) points whose score is to become a visibility: whole lists, for a list holds one or the other."""
    rewritten = np.zeros(len(are_scores), np.bool_)
    if not are_scores.any():
        return rewritten
    spans = PARTS.values() if len(are_scores) == WHOLE_BODY and not are_scores.all() else [(0, len(are_scores))]
    for start, stop in spans:
        here = slice(start, stop)
        is_occluded = (changed[here] & (visibility[here] == OCCLUDED)).any()
        if are_scores[here].any() and (is_occluded or (accepted and start == 0)):
            rewritten[here] = True
    return rewritten


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
    positions: npt.NDArray[np.intp],
    old_visibility: Bytes,
    visibility: Bytes,
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    counted = slice(None)
    if count == WHOLE_BODY and len(annotation.keypoints or []) != 3 * count and has_parts(annotation):
        counted = slice(0, BODY)
        for key, (start, stop) in PARTS.items():
            if ((positions >= start) & (positions < stop)).any():
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


def part_lists(annotation: CocoAnnotation) -> list[list[Number] | None]:
    try:
        parts = _parts(annotation.raw)
    except msgspec.DecodeError:
        return [annotation.keypoints, None, None, None, None]
    return [annotation.keypoints, parts.foot_kpts, parts.face_kpts, parts.lefthand_kpts, parts.righthand_kpts]
