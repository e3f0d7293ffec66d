"""What is under the pointer. Vectorized over all poses of the frame; no Qt, the zoom is a number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from poseapp.canvas.render.pose_arrays import SPECK, PoseArrays
from poseapp.canvas.render.schema_layout import OUTLINE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

POINT_TOLERANCE = 9.0
LIMB_TOLERANCE = 5.0
BOX_TOLERANCE = 5.0
SELECTED_HEAD_START = 4.0
"""Screen pixels subtracted from the distance to keypoints and limbs of a selected instance."""


class HitKind(StrEnum):
    POINT = "point"
    MISSING = "missing"
    LIMB = "limb"
    BOX = "box"


@dataclass(frozen=True)
class HitTarget:
    """What was hit. ``index`` is the keypoint (for MISSING one that is not placed yet), the limb of the schema, or the
    side of the box (0 left, 1 top, 2 right, 3 bottom)."""

    kind: HitKind
    instance_id: int
    index: int


def hit_test(
    arrays: PoseArrays,
    x: float,
    y: float,
    scale: float,
    *,
    selected: frozenset[int] = frozenset(),
    pickable: Flags | None = None,
    loose: Flags | None = None,
    parts: frozenset[str] | None = None,
    with_limbs: bool = True,
    boxes: bool = False,
) -> HitTarget | None:
    """The nearest keypoint within the tolerance, else the nearest limb, else the nearest side of a box.

    Args:
        x, y: in image pixels.
        scale: screen pixels to the image pixel; tolerances are constant on screen.
        selected: instances that win against equally near ones.
        pickable: (N,) bool, instances that can be hit at all; None for all.
        loose: (P,) bool, points that can be hit at all; None for all.
        parts: only these parts of the schema, or None for all.
        bones, boxes: whether these are drawn, and so can be hit.

    Of equally near targets the one drawn last wins. Points that are absent or too dense to be drawn are never hit.
    """
    if not len(arrays) or not (np.isfinite(x) and np.isfinite(y)):
        return None
    if pickable is None:
        pickable = np.ones(len(arrays), dtype=np.bool_)
    preferred = np.isin(arrays.ids, np.fromiter(selected, dtype=np.int64, count=len(selected)))
    here = np.array([x, y])
    usable = (arrays.point_sizes(scale, parts, with_limbs=with_limbs) > 0) & pickable[arrays.owner]
    if loose is not None:
        usable &= loose
    row = _nearest(_point_distances(arrays.points, here) * scale, usable, preferred[arrays.owner], POINT_TOLERANCE)
    if row is not None:
        return HitTarget(HitKind.POINT, int(arrays.ids[arrays.owner[row]]), int(arrays.index[row]))
    if with_limbs:
        usable = arrays.limb_shown & (arrays.limb_index != OUTLINE) & pickable[arrays.limb_owner]
        if parts is not None:
            usable &= arrays.parts_in(parts)[arrays.limb_part]
        distances = segment_distances(arrays.points[arrays.limbs], here) * scale
        row = _nearest(distances, usable, preferred[arrays.limb_owner], LIMB_TOLERANCE)
        if row is not None:
            return HitTarget(HitKind.LIMB, int(arrays.ids[arrays.limb_owner[row]]), int(arrays.limb_index[row]))
    row = _hit_speck(arrays, here, scale, pickable, preferred)
    if row is not None:
        return HitTarget(HitKind.BOX, int(arrays.ids[row]), 0)
    return _hit_box(arrays, here, scale, pickable & (boxes | arrays.pointless), preferred)


def _hit_speck(arrays: PoseArrays, here: Floats, scale: float, pickable: Flags, preferred: Flags) -> int | None:
    """The instance whose square is under the pointer; poses too small for anything else are drawn as squares."""
    rows = np.flatnonzero(arrays.specks(scale) & pickable)
    if not len(rows):
        return None
    boxes = arrays.speck_boxes(scale, rows)
    distances = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - here).max(axis=1) * scale
    nearest = _nearest(distances, np.ones(len(rows), dtype=np.bool_), preferred[rows], SPECK / 2)
    return None if nearest is None else int(rows[nearest])


def _hit_box(arrays: PoseArrays, here: Floats, scale: float, pickable: Flags, preferred: Flags) -> HitTarget | None:
    sides = box_sides(arrays.boxes)
    usable = np.repeat(pickable & np.isfinite(arrays.boxes).all(axis=1), 4)
    distances = segment_distances(sides.reshape(-1, 2, 2), here) * scale
    row = _nearest(distances, usable, np.repeat(preferred, 4), BOX_TOLERANCE)
    return None if row is None else HitTarget(HitKind.BOX, int(arrays.ids[row // 4]), row % 4)


def points_inside(
    arrays: PoseArrays,
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    scale: float,
    pickable: Flags | None = None,
    parts: frozenset[str] | None = None,
    loose: Flags | None = None,
    with_limbs: bool = True,
) -> frozenset[tuple[int, int]]:
    """(instance id, keypoint) of all drawn points in the rectangle with these opposite corners, in image pixels."""
    low, high = np.minimum([x1, y1], [x2, y2]), np.maximum([x1, y1], [x2, y2])
    inside = ((arrays.points >= low) & (arrays.points <= high)).all(axis=1) & (
        arrays.point_sizes(scale, parts, with_limbs=with_limbs) > 0
    )
    if pickable is not None:
        inside &= pickable[arrays.owner]
    if loose is not None:
        inside &= loose
    rows = np.flatnonzero(inside)
    return frozenset(zip(arrays.ids[arrays.owner[rows]].tolist(), arrays.index[rows].tolist(), strict=True))


def segment_distances(segments: Floats, point: Floats) -> Floats:
    """(S,) distance of ``point`` (2,) from segments (S, 2, 2) of two ends."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    length2 = (along**2).sum(axis=1)
    share = ((point - start) * along).sum(axis=1) / np.where(length2 > 0, length2, 1.0)
    foot = start + np.clip(share, 0.0, 1.0)[:, None] * along
    return _point_distances(foot, point)


def box_sides(boxes: Floats) -> Floats:
    """(N, 4, 2, 2) left, top, right, bottom of boxes (N, 4) xyxy."""
    x1, y1, x2, y2 = boxes.T
    corners = np.stack([x1, y1, x1, y2, x1, y1, x2, y1, x2, y1, x2, y2, x1, y2, x2, y2], axis=1)
    return corners.reshape(-1, 4, 2, 2)


def _point_distances(points: Floats, here: Floats) -> Floats:
    delta = points - here
    return np.hypot(delta[:, 0], delta[:, 1])


def _nearest(distances: Floats, usable: Flags, preferred: Flags, tolerance: float) -> int | None:
    """Row of the nearest within the tolerance; preferred rows count as nearer; of equal ones the last."""
    rows = np.flatnonzero(usable & (distances <= tolerance))
    if not len(rows):
        return None
    ranked = distances[rows] - SELECTED_HEAD_START * preferred[rows]
    return int(rows[len(rows) - 1 - np.argmin(ranked[::-1])])
