"""A pose estimated again, given the keypoints that a person has set.

The crop is the object's box, widened to include the fixed keypoints. Every other keypoint is chosen among its present
position and the candidates of the codec (the highest peaks of its heatmap): by their score, by their distance from the
position that the corrections suggest, and not on a left/right partner that a person has set (the left ankle is not
where the right one is). A keypoint that the network does not see moves with the corrections around it. No state is kept
between calls.

Tried and rejected. On 45 people of COCO with two wrong joints or more they saved fewer interactions after the first
correction than this (21): averaging with the mirrored crop (17), a second crop around the keypoints (14), candidates
from a body with anthropometric limb lengths fitted to the keypoints (11 to 17: most are as wrong as the corrected one).
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

ImageArray = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CANDIDATES = 5
"""Candidates of each keypoint: the decoded position and the next ones of the codec."""
MARGIN = 0.1
"""Margin around the keypoints where there is no box, as a share of the longer side."""
NEAR = 0.08
"""From about this distance from the expected position on (a share of the longer side of the box) candidates lose by the
square of the distance; nearer ones differ by score. (After the first correction of 45 people of COCO: 21 interactions
saved and 9 right joints moved away; with 0.02, 22 and 14; with the distance itself and not its square, 12 and 7.)"""
PARTNER = 0.05
"""A candidate nearer to a fixed partner than this share of the longer side of the box is multiplied by SHARED."""
SHARED = 0.25
SEEN = 0.1
"""Score from which on a keypoint counts as seen."""


class Estimate(NamedTuple):
    """A pose estimated again.

    Attributes:
        keypoints: (K, 2) image pixels; the fixed ones unchanged.
        scores: (K,) 1 for the fixed ones; below SEEN for unseen ones, which only follow their neighbors.
        visible: (K,) probability of being visible where the network gives it, else None.
    """

    keypoints: Float64Array
    scores: Float64Array
    visible: Float64Array | None = None


def refine_pose(
    estimator: PoseEstimator,
    image: ImageArray,
    keypoints: npt.ArrayLike,
    fixed: npt.ArrayLike,
    present: npt.ArrayLike,
    *,
    before: npt.ArrayLike | None = None,
    box: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
) -> Estimate:
    """Estimate the keypoints of a pose that nobody has set.

    Args:
        estimator: a network for these K keypoints.
        image: RGB uint8 (H, W, 3).
        keypoints: (K, 2) image pixels, the pose as it is now.
        fixed: (K,) bool, set by a person: returned unchanged.
        present: (K,) bool, keypoints that have a position.
        before: (K, 2) the pose before the last correction; shows where the corrections lead.
        box: (4,) x1 y1 x2 y2 of the object, if it is known.
        scores: (K,) of the present positions, if a model has given them: they stay unless others are likelier.

    Raises:
        ValueError: there is neither a keypoint nor a box, or the shapes are not those of the network.
    """
    points = np.array(keypoints, np.float64)
    schema = estimator.schema
    is_present = np.asarray(present, np.bool_) & np.isfinite(points).all(1)
    is_fixed = np.asarray(fixed, np.bool_) & is_present
    points = np.where(np.isfinite(points), points, 0.0)
    if points.shape != (schema.num_keypoints, 2):
        raise ValueError(f"the model has {schema.num_keypoints} keypoints, the pose {len(points)}")
    region = crop_box(points, is_present, is_fixed, box)
    if region is None:
        raise ValueError("a pose without keypoints and without a box cannot be estimated")
    side = float((region[2:] - region[:2]).max())
    seen = _look(estimator, image, region, points, is_fixed, CANDIDATES)
    before = points if before is None else np.asarray(before, np.float64)
    expected = _expected(schema, points, is_fixed, is_present, before)
    by_network = seen.positions[0] if seen.expected is None else seen.expected
    anchor = np.where(is_present[:, None], expected, by_network)
    if seen.expected is not None and is_fixed.any():
        # The network's own idea of this person, shifted by its error at the fixed keypoints around.
        by_network = np.where(is_present[:, None], seen.expected, anchor)
        anchor = _expected(schema, points, is_fixed, np.ones_like(is_present), by_network)
    positions, heights = _with_present(seen, points, is_present & ~is_fixed, scores)
    heights = np.where(_inside(positions, image), heights, 0.0)
    value = heights / (((positions - anchor) ** 2).sum(2) + (NEAR * side) ** 2)
    value = np.where(_on_a_partner(schema, positions, points, is_fixed, PARTNER * side), SHARED * value, value)
    best = value.argmax(0)
    rows = np.arange(len(points))
    chosen, height = positions[best, rows], heights[best, rows]
    is_unseen = (height < SEEN) & is_present
    follows = is_unseen & _inside(expected, image)
    chosen = np.where(follows[:, None], expected, np.where(is_unseen[:, None], points, chosen))
    return Estimate(np.where(is_fixed[:, None], points, chosen), np.where(is_fixed, 1.0, height), seen.visible)


def _with_present(
    seen: _Seen, points: Float64Array, free: BoolArray, scores: npt.ArrayLike | None
) -> tuple[Float64Array, Float64Array]:
    """The candidates (C + 1, K, 2) and (C + 1, K): those of the network, and the present positions of ``free``."""
    if scores is None:
        return seen.positions, seen.scores
    known = np.nan_to_num(np.asarray(scores, np.float64), nan=0.0).clip(0, 1)
    own_positions, own_scores = np.where(free[:, None], points, 0.0), np.where(free, known, 0.0)
    return np.concatenate([seen.positions, own_positions[None]]), np.concatenate([seen.scores, own_scores[None]])


def _inside(positions: Float64Array, image: ImageArray) -> BoolArray:
    """(..., 2) -> (...,) bool, positions in the image."""
    within = (positions >= -0.5) & (positions <= np.array(image.shape[1::-1]) - 0.5)
    inside: BoolArray = np.asarray(within.all(-1), np.bool_)
    return inside


def candidates(
    estimator: PoseEstimator, image: ImageArray, box: npt.ArrayLike, count: int = CANDIDATES
) -> tuple[Float64Array, Float64Array]:
    """Candidates of each keypoint: (count, K, 2) image pixels and (count, K) scores; the first is the decoded one."""
    nothing = np.zeros(estimator.schema.num_keypoints, np.bool_)
    seen = _look(estimator, image, np.asarray(box, np.float64), np.zeros((len(nothing), 2)), nothing, count)
    return seen.positions, seen.scores


def crop_box(
    points: Float64Array, present: BoolArray, fixed: BoolArray, box: npt.ArrayLike | None
) -> Float64Array | None:
    """(4,) the box to crop: the object's, widened to include the fixed keypoints; without one, around the keypoints."""
    around_fixed = box_from_keypoints(points, fixed)
    if box is not None and box_is_usable(box):
        known = np.asarray(box, np.float64)
        if around_fixed is None:
            return known
        return np.concatenate([np.minimum(known[:2], around_fixed[:2]), np.maximum(known[2:], around_fixed[2:])])
    around = box_from_keypoints(points, present)
    if around is None:
        return None
    margin = MARGIN * float((around[2:] - around[:2]).max())
    return np.concatenate([around[:2] - margin, around[2:] + margin])


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a network sees in a box, in image pixels.

    Attributes:
        positions, scores: (C, K, 2) and (C, K) candidates, the decoded position first.
        expected: (K, 2) of the person who has the fixed keypoints, for networks that tell people apart.
        visible: (K,) probabilities of being visible where the network gives them.
    """

    positions: Float64Array
    scores: Float64Array
    expected: Float64Array | None
    visible: Float64Array | None


def _look(
    estimator: PoseEstimator, image: ImageArray, box: Float64Array, points: Float64Array, fixed: BoolArray, count: int
) -> _Seen:
    with torch.inference_mode():
        outputs, visibility, inverse = estimator.outputs(image, box)
        decoded, decoded_scores = estimator.codec.decode(outputs)
        others, other_scores = estimator.codec.candidates(outputs, count)
        crop_points = torch.from_numpy(apply_affine(points, invert_affine(inverse))).float().to(decoded.device)
        is_fixed = torch.from_numpy(fixed).to(decoded.device)
        expected = estimator.codec.expected(outputs, crop_points[None], is_fixed[None])
    first, first_scores = decoded[0].cpu().numpy(), decoded_scores[0].cpu().numpy()
    positions, scores = _other_candidates(
        others[0].cpu().numpy(), other_scores[0].cpu().numpy(), first, estimator.codec.separation, count - 1
    )
    return _Seen(
        apply_affine(np.concatenate([first[None], positions]), inverse),
        np.concatenate([first_scores[None], scores]).astype(np.float64),
        None if expected is None else apply_affine(expected[0].cpu().numpy(), inverse),
        None if visibility is None else visibility[0].cpu().numpy().astype(np.float64),
    )


def _other_candidates(
    positions: Float64Array, scores: Float64Array, first: Float64Array, separation: float, count: int
) -> tuple[Float64Array, Float64Array]:
    """(K, C, 2) and (K, C) -> at most (count, K, 2) and (count, K): the best that are not at the first candidate."""
    is_first = np.linalg.norm(positions - first[:, None], axis=2) < separation
    order = np.argsort(np.where(is_first, -1.0, scores), axis=1, kind="stable")[:, ::-1][:, :count]
    ordered_scores = np.take_along_axis(np.where(is_first, 0.0, scores), order, 1)
    return np.take_along_axis(positions, order[:, :, None], 1).swapaxes(0, 1), ordered_scores.T


def _expected(
    schema: Schema, points: Float64Array, fixed: BoolArray, present: BoolArray, before: Float64Array
) -> Float64Array:
    """(K, 2) where the keypoints would be if corrections spread along the limbs, more to nearer keypoints.

    Args:
        points: (K, 2) now; those that ``fixed`` (K,) marks are right.
        before: (K, 2) the positions before the corrections.
    """
    anchors = np.flatnonzero(fixed & present)
    if not len(anchors):
        return before.copy()
    weight = 1.0 / (0.25 + _steps(schema)[:, anchors]) ** 2
    shift = points[anchors] - before[anchors]
    moved: Float64Array = before + (weight @ shift) / weight.sum(1, keepdims=True)
    return moved


def _steps(schema: Schema) -> Float64Array:
    """(K, K) number of limbs between two keypoints; K where no chain of limbs connects them."""
    count = schema.num_keypoints
    steps = np.full((count, count), float(count))
    np.fill_diagonal(steps, 0.0)
    a, b = schema.limb_indices.reshape(-1, 2).T
    steps[a, b] = steps[b, a] = 1.0
    for middle in range(count):
        steps = np.minimum(steps, steps[:, middle, None] + steps[None, middle])
    reachable: Float64Array = np.minimum(steps, float(count))
    return reachable


def _on_a_partner(
    schema: Schema, positions: Float64Array, points: Float64Array, fixed: BoolArray, reach: float
) -> BoolArray:
    """(C, K) bool, candidates nearer than ``reach`` to a left/right partner that a person has set."""
    partner = schema.flip_indices
    has = fixed[partner] & (partner != np.arange(len(partner)))
    near: BoolArray = (np.linalg.norm(positions - points[partner], axis=2) < reach) & has
    return near
