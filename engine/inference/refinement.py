"""A pose estimated again with the points that a person has set: the network looks once more, they decide what it saw.

The crop is cut around the object's box, widened to the points that a person has set. Each point that nobody has set is
chosen among its present place and the highest peaks of its heatmap: by their height, by how near they are to where the
corrections let the point be expected, and away from a partner that a person has set (the left ankle is not where
somebody has put the right one). A point that the network does not see goes with the corrections around it. Nothing is
remembered between calls.

Tried and left out, for on 45 people of COCO with two wrong joints or more they saved less after the first correction
(what stands: 21 interactions): the mirrored crop as well (17), a second crop around the points (14), places of a body
with the lengths of anthropometry laid over the points (11 to 17: most of them are as wrong as the one just corrected).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from engine.geometry import apply_affine, box_from_keypoints, box_is_usable, invert_affine
from engine.inference.pose_estimator import PoseEstimator
from engine.schema.schema import Schema

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CANDIDATES = 5
"""Places that are considered of each point: what the network says, and the next peaks of its heatmap."""
MARGIN = 0.1
"""Air around the points in the box to look at, as a part of its longer side."""
NEAR = 0.08
"""Distances from the expected place count from about this part of the box' longer side on, and then by their square:
nearer ones differ by height. (After the first correction of 45 people of COCO: 21 interactions saved and 9 right joints
led astray; with 0.02, 22 and 14; counted without the square, 12 and 7.)"""
PARTNER = 0.05
"""A candidate nearer than this part of the box' longer side to a fixed partner counts for little, namely SHARED."""
SHARED = 0.25
SEEN = 0.1
"""Scores from which on a point counts as seen."""


class Estimate(NamedTuple):
    """A pose estimated again.

    Attributes:
        keypoints: (K, 2) image pixels; the fixed points as they were.
        scores: (K,) 1 for the fixed points; of unseen ones, which only follow their neighbours, below SEEN.
        visible: (K,) probability of being visible, for networks that tell, else None.
    """

    keypoints: Floats
    scores: Floats
    visible: Floats | None = None


def reestimate(
    estimator: PoseEstimator,
    image: Image,
    keypoints: npt.ArrayLike,
    fixed: npt.ArrayLike,
    present: npt.ArrayLike,
    *,
    before: npt.ArrayLike | None = None,
    box: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
) -> Estimate:
    """Estimate the points of a pose that nobody has set.

    Args:
        estimator: a network for these K points.
        image: RGB uint8 (H, W, 3).
        keypoints: (K, 2) image pixels, the pose as it is now.
        fixed: (K,) bool, set by a person: they come back as they are.
        present: (K,) bool, points that have a place at all.
        before: (K, 2) the pose before the last correction; shows where the corrections lead.
        box: (4,) x1 y1 x2 y2 of the object, if it is known.
        scores: (K,) of the points as they are, if a model has given them: then they stay unless others are likelier.

    Returns:
        As :class:`Estimate` says.

    Raises:
        ValueError: without points and box there is nowhere to look; or the shapes are not the network's.
    """
    points = np.array(keypoints, np.float64)
    schema = estimator.schema
    there = np.asarray(present, np.bool_) & np.isfinite(points).all(1)
    held = np.asarray(fixed, np.bool_) & there
    points = np.where(np.isfinite(points), points, 0.0)
    if points.shape != (schema.num_keypoints, 2):
        raise ValueError(f"the model has {schema.num_keypoints} points, the pose {len(points)}")
    region = looked_at(points, there, held, box)
    if region is None:
        raise ValueError("a pose without points and without a box cannot be estimated")
    side = float((region[2:] - region[:2]).max())
    seen = _look(estimator, image, region, points, held, CANDIDATES)
    expected = _expected(schema, points, held, there, points if before is None else np.asarray(before, np.float64))
    anchor = np.where(there[:, None], expected, seen.places[0] if seen.expected is None else seen.expected)
    if seen.expected is not None and held.any():
        # The network's own picture of this person, shifted by what it is off at the fixed points around.
        anchor = _expected(schema, points, held, np.ones_like(there), np.where(there[:, None], seen.expected, anchor))
    places, heights = _with_present(seen, points, there & ~held, scores)
    heights = np.where(_inside(places, image), heights, 0.0)
    value = heights / (((places - anchor) ** 2).sum(2) + (NEAR * side) ** 2)
    value = np.where(_on_a_partner(schema, places, points, held, PARTNER * side), SHARED * value, value)
    best = value.argmax(0)
    rows = np.arange(len(points))
    found, height = places[best, rows], heights[best, rows]
    unseen = (height < SEEN) & there
    follows = unseen & _inside(expected, image)
    found = np.where(follows[:, None], expected, np.where(unseen[:, None], points, found))
    return Estimate(np.where(held[:, None], points, found), np.where(held, 1.0, height), seen.visible)


def _with_present(seen: _Seen, points: Floats, free: Flags, scores: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    """(C + 1, K, 2) and (C + 1, K) what the network sees, and the ``free`` points where they are."""
    if scores is None:
        return seen.places, seen.scores
    known = np.nan_to_num(np.asarray(scores, np.float64), nan=0.0).clip(0, 1)
    here = np.where(free, known, 0.0)
    return np.concatenate([seen.places, np.where(free[:, None], points, 0.0)[None]]), np.concatenate(
        [seen.scores, here[None]]
    )


def _inside(places: Floats, image: Image) -> Flags:
    """(..., 2) -> (...,) bool, places in the picture."""
    within = (places >= -0.5) & (places <= np.array(image.shape[1::-1]) - 0.5)
    inside: Flags = np.asarray(within.all(-1), np.bool_)
    return inside


def candidates(
    estimator: PoseEstimator, image: Image, box: npt.ArrayLike, count: int = CANDIDATES
) -> tuple[Floats, Floats]:
    """Where each point may be: (count, K, 2) image pixels and (count, K) scores; the first is the network's answer."""
    nothing = np.zeros(estimator.schema.num_keypoints, np.bool_)
    found = _look(estimator, image, np.asarray(box, np.float64), np.zeros((len(nothing), 2)), nothing, count)
    return found.places, found.scores


def looked_at(points: Floats, present: Flags, fixed: Flags, box: npt.ArrayLike | None) -> Floats | None:
    """(4,) the box to look at: the object's, widened to hold the fixed points; without one around the points."""
    held = box_from_keypoints(points, fixed)
    if box is not None and box_is_usable(box):
        known = np.asarray(box, np.float64)
        if held is None:
            return known
        return np.concatenate([np.minimum(known[:2], held[:2]), np.maximum(known[2:], held[2:])])
    around = box_from_keypoints(points, present)
    if around is None:
        return None
    air = MARGIN * float((around[2:] - around[:2]).max())
    return np.concatenate([around[:2] - air, around[2:] + air])


@dataclass(frozen=True, eq=False)
class _Seen:
    """(C, K, 2) places and (C, K) scores; (K, 2) where the network expects the points of the person with the fixed
    ones, for networks that tell persons apart; (K,) probabilities of being visible, for those that tell. Image pixels.
    """

    places: Floats
    scores: Floats
    expected: Floats | None
    visible: Floats | None


def _look(estimator: PoseEstimator, image: Image, box: Floats, points: Floats, fixed: Flags, count: int) -> _Seen:
    with torch.inference_mode():
        outputs, visible, back = estimator.outputs(image, box)
        first, score = estimator.codec.decode(outputs)
        others, heights = estimator.codec.candidates(outputs, count)
        known = torch.from_numpy(apply_affine(points, invert_affine(back))).float().to(first.device)
        expected = estimator.codec.expected(outputs, known[None], torch.from_numpy(fixed).to(first.device)[None])
    main, top = first[0].cpu().numpy(), score[0].cpu().numpy()
    places, scores = _without(
        others[0].cpu().numpy(), heights[0].cpu().numpy(), main, estimator.codec.separation, count
    )
    return _Seen(
        apply_affine(np.concatenate([main[None], places]), back),
        np.concatenate([top[None], scores]).astype(np.float64),
        None if expected is None else apply_affine(expected[0].cpu().numpy(), back),
        None if visible is None else visible[0].cpu().numpy().astype(np.float64),
    )


def _without(places: Floats, heights: Floats, main: Floats, separation: float, count: int) -> tuple[Floats, Floats]:
    """(K, C, 2), (K, C) peaks -> (count - 1, K, 2), (count - 1, K) the highest of those that are not the main one."""
    same = np.linalg.norm(places - main[:, None], axis=2) < separation
    order = np.argsort(np.where(same, -1.0, heights), axis=1, kind="stable")[:, ::-1][:, : count - 1]
    kept = np.take_along_axis(np.where(same, 0.0, heights), order, 1)
    return np.take_along_axis(places, order[:, :, None], 1).swapaxes(0, 1), kept.T


def _expected(schema: Schema, points: Floats, fixed: Flags, present: Flags, before: Floats) -> Floats:
    """(K, 2) where the points would be if corrections carried on along the limbs: the nearer, the more of them.

    Args:
        points: (K, 2) now; ``fixed`` (K,) of them are right.
        before: (K, 2) where all points were.
    """
    anchors = np.flatnonzero(fixed & present)
    if not len(anchors):
        return before.copy()
    weight = 1.0 / (0.25 + _steps(schema)[:, anchors]) ** 2
    shift = points[anchors] - before[anchors]
    carried: Floats = before + (weight @ shift) / weight.sum(1, keepdims=True)
    return carried


def _steps(schema: Schema) -> Floats:
    """(K, K) limbs between two points; points that no chain of limbs joins are as far as there are points."""
    count = schema.num_keypoints
    steps = np.full((count, count), float(count))
    np.fill_diagonal(steps, 0.0)
    a, b = schema.limb_indices.reshape(-1, 2).T
    steps[a, b] = steps[b, a] = 1.0
    for middle in range(count):
        steps = np.minimum(steps, steps[:, middle, None] + steps[None, middle])
    reachable: Floats = np.minimum(steps, float(count))
    return reachable


def _on_a_partner(schema: Schema, places: Floats, points: Floats, fixed: Flags, reach: float) -> Flags:
    """(C, K) bool, candidates that lie where a person has set the point's left or right partner."""
    partner = schema.flip_indices
    has = fixed[partner] & (partner != np.arange(len(partner)))
    near: Flags = (np.linalg.norm(places - points[partner], axis=2) < reach) & has
    return near
