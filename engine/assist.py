"""A pose seen again with the points that a person has set: the network looks once more, and these decide what it saw.

The crop is cut around the corrected points. Where the network tells persons apart (MoveNet's centres), the person is the
one that agrees with the fixed points; each other point is chosen among the peaks of its heatmap by height, by nearness
to where the fixed points let it be expected, and away from fixed partners (a left ankle is not where a person has put
the right one). Nothing is remembered between calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from engine.contract.schema import Schema
from engine.geometry import apply_affine, box_from_keypoints, box_is_usable, invert_affine
from engine.predictor import Predictor

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PEAKS = 6
"""Candidates of a point: the highest peaks of its heatmap."""
MARGIN = 0.1
"""Air around the points in the box of the crop, as a part of its longer side."""
NEAR = 0.1
"""Distances from the expected place count from this part of the crop's side on, so that near peaks differ by height."""
CARRY = 0.5
"""Part of a fixed point's correction that a neighbour along a limb takes over; of the next, the square of it."""
PARTNER = 0.06
"""A peak nearer than this part of the crop's side to a fixed partner counts for little ..."""
SHARED = 0.25
"""... namely so much."""
MIN_SCORE = 0.15
"""Below this a peak is noise: the point stays as it was."""
LIMB_LIMIT = 0.75
"""No limb is longer than this part of the diagonal of the box; a point that would make one stays as it was."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A pose seen again.

    Attributes:
        keypoints: (K, 2) image pixels; fixed points and those that found no better place are as given.
        scores: (K,) of the network at these places; 0 for points that stayed.
        changed: (K,) bool, the points that have a new place.
        visibility: (K,) probability of being visible, for networks that tell, else None.
        box: (4,) x1 y1 x2 y2, what was looked at.
    """

    keypoints: Floats
    scores: Floats
    changed: Flags
    visibility: Floats | None
    box: Floats


def reestimate(
    predictor: Predictor,
    image: Image,
    keypoints: npt.ArrayLike,
    fixed: npt.ArrayLike,
    present: npt.ArrayLike | None = None,
    box: npt.ArrayLike | None = None,
) -> Estimate:
    """Estimate the points of a pose that no person has set, given those that one has.

    Args:
        predictor: a pose network with K points.
        image: RGB uint8 (H, W, 3).
        keypoints: (K, 2) image pixels, the pose as it is now.
        fixed: (K,) bool, points that a person has set; they come back unchanged.
        present: (K,) bool, points that have a place now; all finite ones when left out.
        box: (4,) x1 y1 x2 y2 the object's box, if one is known.

    Returns:
        As :class:`Estimate` says; the given pose where nothing can be estimated (no place known at all).

    Raises:
        ValueError: the pose has another number of points than the network.
    """
    points = np.array(keypoints, np.float64)
    held = np.array(fixed, np.bool_)
    there = np.isfinite(points).all(1) if present is None else np.asarray(present, np.bool_) & np.isfinite(points).all(1)
    count = predictor.schema.num_keypoints
    if points.shape != (count, 2) or held.shape != (count,):
        raise ValueError(f"the model has {count} points, the pose {len(points)}")
    held &= there
    region = looked_at(points, there, held, box)
    if region is None or held.all():
        nowhere = np.zeros(4) if region is None else region
        return Estimate(points, np.zeros(count), np.zeros(count, np.bool_), None, nowhere)
    view = predictor.look(image, region)
    found = _Found.of(predictor, view, points, held)
    chosen, scores = _choose(found, predictor.schema, points, held, view.size)
    places = apply_affine(chosen, view.back)
    good = ~held & (scores >= MIN_SCORE) & _within(places, image)
    good &= _limbs_hold(predictor.schema, np.where(good[:, None], places, points), good | there, good, region)
    result = np.where(good[:, None], places, points)
    return Estimate(result, np.where(good, scores, 0.0), good, view.visibility, region)


def looked_at(points: Floats, present: Flags, fixed: Flags, box: npt.ArrayLike | None) -> Floats | None:
    """(4,) the box to look at: around all points, and the object's box where it holds the fixed ones."""
    around = box_from_keypoints(points, present)
    known = None if box is None or not box_is_usable(box) else np.asarray(box, np.float64)
    held = box_from_keypoints(points, fixed)
    if known is not None:
        if held is None:
            return known
        return np.concatenate([np.minimum(known[:2], held[:2]), np.maximum(known[2:], held[2:])])
    if around is None:
        return None
    air = MARGIN * float((around[2:] - around[:2]).max())
    return np.concatenate([around[:2] - air, around[2:] + air])


@dataclass(frozen=True, eq=False)
class _Found:
    """What the network saw, in crop pixels: (K, C, 2) peaks with (K, C) heights, and (K, 2) where points are expected."""

    peaks: Floats
    heights: Floats
    expected: Floats
    fixed: Floats

    @classmethod
    def of(cls, predictor: Predictor, view: object, points: Floats, held: Flags) -> _Found:
        raise NotImplementedError


def _choose(found, schema: Schema, points, held, size):
    raise NotImplementedError
