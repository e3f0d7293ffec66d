"""Where the missing keypoints of a pose are likely to be, so that they can be dragged. No Qt.

A point that the model has left out stands where the model saw it best, if that is near the pose; else where the
template puts it, laid over the points that are there (or its mirror image, for people seen from behind) and shifted as
the nearest of these is off. No two such places, and no place and point of a pose, lie on each other, for what cannot be
hit cannot be dragged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.pose_geometry import apply_matrix, fit_similarity
from poseapp.canvas.render.pose_arrays import PoseArrays, build_arrays
from poseapp.canvas.template_pose import template_pose
from poseapp.project.edits.geometry import extent
from poseapp.project.model import ABSENT, VISIBLE, Instance, State

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_SCORE = 0.05
"""From this score on the model's own place of a point that it has left out is better than the template's."""
_APART = 0.045
"""Distance that places keep from points and from one another, as a share of the pose's diagonal."""
_APART_OF_SPACING = 0.7
"""The same as a share of the way to the nearest neighbor in the template: fingers stand closer than knees."""
_AIR = 0.3
"""How far outside the box, as a share of its size, the model's place may be."""
_CROWD = 2000
"""Points of other poses about this one above which they are not kept clear of: nothing would be."""
_RINGS = (1.0, 1.6, 2.3, 3.2, 4.5)
_SPOKES = 12
_MARGIN = 2.0
_BOX_SAYS = 2.0
"""Number of points from which on the corners of the box count less than full in fitting the template."""


@dataclass(frozen=True, eq=False)
class MissingPoints:
    """The missing keypoints of one instance.

    Attributes:
        instance: the one they belong to.
        places: (K, 2) image pixels, those of its points where they are present.
        missing: (K,) bool.
        arrays: the missing points, and the limbs that end at them.
    """

    instance: Instance
    places: Floats
    missing: Flags
    arrays: PoseArrays

    def without(self, taken: Flags) -> MissingPoints:
        """Without the keypoints of (K,) bool: one that is being dragged is drawn as placed."""
        return replace(
            self,
            missing=self.missing & ~taken,
            arrays=_selected_points(self.arrays, self.missing & ~taken, self.missing & taken),
        )


def missing_points(
    instance: Instance,
    schema: Schema,
    size: tuple[int, int] | None,
    *,
    others: Floats | None = None,
    proposed: Instance | None = None,
    hidden_or_locked: Flags | None = None,
) -> MissingPoints | None:
    """The missing points of an instance, or None when it has all of its points, or nothing tells where it is.

    Args:
        size: width and height of the picture, inside of which the places are.
        others: (N, 2) points of other poses, to be kept clear of.
        proposed: what a model proposes for the instance, whose places are taken first.
        withheld: (K,) points that are not offered. A point that a person has made absent is never.
    """
    missing = (instance.visibility == ABSENT) & ~instance.by_human
    if hidden_or_locked is not None:
        missing &= ~hidden_or_locked
    if not missing.any() or instance.num_keypoints != schema.num_keypoints:
        return None
    template = template_pose(schema)
    positions = _fitted(instance, template, size)
    if positions is None:
        return None
    known = _candidates(instance, size)
    positions[known] = instance.keypoints[known]
    if proposed is not None and proposed.num_keypoints == instance.num_keypoints:  # else of the kind that it was
        ready = proposed.visibility != ABSENT
        positions[ready] = proposed.keypoints[ready]
    is_present = instance.visibility != ABSENT
    positions[is_present] = instance.keypoints[is_present]
    taken, distances = instance.keypoints[is_present], _distances(instance, template, positions)
    if others is not None and len(others):
        reach = distances.max() * (1 + max(_RINGS))
        low, high = positions[missing].min(axis=0) - reach, positions[missing].max(axis=0) + reach
        others = others[((others >= low) & (others <= high)).all(axis=1)]
        if len(others) <= _CROWD:
            taken = np.concatenate([taken, others])
    positions = _apart(positions, np.flatnonzero(missing), taken, distances, size)
    seen = np.where(missing, VISIBLE, instance.visibility).astype(np.uint8)
    ghost = replace(instance, keypoints=positions, visibility=seen, scores=None, score=None, box=None)
    ghost = replace(ghost, state=State.PREDICTED)
    arrays = build_arrays([ghost], {instance.category: schema})
    return MissingPoints(instance, positions, missing, _selected_points(arrays, missing))


def likely_places(instance: Instance, schema: Schema, size: tuple[int, int] | None) -> Floats | None:
    """(K, 2) where the points of a pose would be that have no place: by the template, inside the picture; None where
    nothing tells where the pose is."""
    positions = _fitted(instance, template_pose(schema), size)
    return None if positions is None else _inside(positions, size)


def _selected_points(arrays: PoseArrays, included: Flags, gone: Flags | None = None) -> PoseArrays:
    """The arrays of one pose with these points only, and the limbs that end at one of them."""
    ends = arrays.limbs
    limbs = arrays.limb_shown & included[ends].any(axis=1)
    if gone is not None:
        limbs &= ~gone[ends].any(axis=1)
    return replace(arrays, shown=arrays.shown & included, limb_shown=limbs)


def _candidates(instance: Instance, size: tuple[int, int] | None) -> Flags:
    """(K,) absent keypoints for which the model gave a likely position."""
    if instance.scores is None:
        return np.zeros(instance.num_keypoints, dtype=np.bool_)
    points = instance.keypoints
    usable = (instance.visibility == ABSENT) & (instance.scores >= LEAST_SCORE) & np.isfinite(points).all(axis=1)
    usable &= (points != 0).any(axis=1)
    box = extent(instance)
    if box is not None:
        air = _AIR * (box[2:] - box[:2])
        usable &= ((points >= box[:2] - air) & (points <= box[2:] + air)).all(axis=1)
    if size is not None:
        usable &= ((points >= -0.5) & (points <= np.array(size) - 0.5)).all(axis=1)
    return np.asarray(usable, dtype=np.bool_)


def _fitted(instance: Instance, template: Floats, size: tuple[int, int] | None) -> Floats | None:
    """(K, 2) the template laid over what is there: two points or more, else the box, else the picture's middle."""
    is_present = (instance.visibility != ABSENT) & np.isfinite(instance.keypoints).all(axis=1)
    points = instance.keypoints[is_present]
    if len(points) > 1 and np.ptp(points, axis=0).max() >= 1:
        fits = [_laid_over(figure, is_present, points, instance.box) for figure in (template, template * (-1.0, 1.0))]
        figure = min(fits, key=lambda fit: float(((fit[is_present] - points) ** 2).sum()))
        return _with_neighbors(template, figure, is_present, points)
    box = instance.box if instance.box is not None else None
    if box is None:
        if size is None:
            return None
        middle = points[0] if len(points) else np.array(size) / 2
        reach = np.array(size) / 4
        box = np.concatenate([middle - reach, middle + reach])
    low, high = template.min(axis=0), template.max(axis=0)
    figure = (template - low) / np.maximum(high - low, 1e-9) * (box[2:] - box[:2]) + box[:2]
    return _with_neighbors(template, figure, is_present, points)


def _laid_over(template: Floats, is_present: Flags, points: Floats, box: Floats | None) -> Floats:
    """The template on the points. Few points tell little of size and direction: the corners of the box, to which those
    of the upright template belong, help the more the fewer there are."""
    source, target = template[is_present], points
    if box is not None:
        weight = min(1.0, _BOX_SAYS / len(points))
        middle = points.mean(axis=0)
        low, high = template.min(axis=0), template.max(axis=0)
        figure = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
        corners = np.array([box[:2], (box[2], box[1]), box[2:], (box[0], box[3])])
        # Drawn towards the middle of the points, a pair of places counts less in the sum of squares.
        source = np.concatenate([source, source.mean(axis=0) + weight * (figure - source.mean(axis=0))])
        target = np.concatenate([target, middle + weight * (corners - middle)])
    return apply_matrix(fit_similarity(source, target), template)


def _with_neighbors(template: Floats, figure: Floats, is_present: Flags, points: Floats) -> Floats:
    """Each point shifted by what its nearest neighbor that is there is off from the figure."""
    if not len(points):
        return figure
    apart = np.linalg.norm(template[:, None] - template[is_present][None], axis=2)
    return np.asarray(figure + (points - figure[is_present])[np.argmin(apart, axis=1)])


def _distances(instance: Instance, template: Floats, positions: Floats) -> Floats:
    """(K,) image pixels that each position keeps from everything else."""
    box = extent(instance)
    both = positions if box is None else np.concatenate([positions, box.reshape(2, 2)])
    diagonal = float(np.hypot(*np.ptp(both, axis=0)))
    apart = np.linalg.norm(template[:, None] - template[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    whole = float(np.hypot(*np.ptp(template, axis=0))) or 1.0
    near = apart.min(axis=1, initial=np.inf) / whole
    return np.asarray(diagonal * np.minimum(_APART, _APART_OF_SPACING * np.where(near > 1e-3, near, _APART)))


def _apart(
    positions: Floats, movable: npt.NDArray[np.int64], taken: Floats, distances: Floats, size: tuple[int, int] | None
) -> Floats:
    """Positions moved as little as needed to be clear of taken ones and of one another, and inside the picture."""
    positions = positions.copy()
    turns = np.arange(_SPOKES) * (2 * np.pi / _SPOKES)
    spokes = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    around = np.concatenate([np.zeros((1, 2)), *[radius * spokes for radius in _RINGS]])
    positions[movable] = _inside(positions[movable], size)
    for k in movable.tolist():
        gap = np.abs(taken - positions[k])
        if not ((gap < distances[k]).all(axis=1) & (np.hypot(gap[:, 0], gap[:, 1]) < distances[k])).any():
            taken = np.concatenate([taken, positions[k : k + 1]])
            continue
        choices = _inside(positions[k] + distances[k] * around, size)
        # Only what is near any of the choices matters; of a crowd that is little.
        low, high = choices.min(axis=0) - distances[k], choices.max(axis=0) + distances[k]
        near = taken[((taken >= low) & (taken <= high)).all(axis=1)]
        if len(near):
            clear = np.linalg.norm(choices[:, None] - near[None], axis=2).min(axis=1)
            good = np.flatnonzero(clear >= distances[k] * 0.999)
            positions[k] = choices[good[0]] if len(good) else choices[int(np.argmax(clear))]
        else:
            positions[k] = choices[0]
        taken = np.concatenate([taken, positions[k : k + 1]])
    return positions


def _inside(points: Floats, size: tuple[int, int] | None) -> Floats:
    if size is None:
        return points
    high = np.maximum(np.array(size) - 1.0 - _MARGIN, 0.0)
    return np.clip(points, np.minimum(_MARGIN, high), high)
