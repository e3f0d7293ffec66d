"""The verbs of review: what becomes of a model's predictions. Part of :mod:`poseapp.project.edits.basic`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import ProjectError
from engine.pose import Prediction
from poseapp.project.edits.geometry import box_overlap, extent, poses_text
from poseapp.project.edits.tracks import same_pose
from poseapp.project.model import (
    ABSENT,
    OCCLUDED,
    VISIBLE,
    Category,
    Edit,
    Flags,
    FrameEdit,
    FrameKey,
    FrameState,
    Instance,
    State,
)

TEMPLATE = "template"
"""Source of poses that are nobody's measurement: the figure at rest in a box, until a person touches it."""
SURE = 0.3
"""Keypoint score from which on a predicted point can contradict a label."""
TOLERANCE = 0.1
"""Distance between a predicted and a labelled point that still agree, as a share of the object's longer side."""
LEAST_TOLERANCE = 3.0
"""The same in pixels, for small objects: no hand is more exact."""


def accept(
    frame: FrameKey, instances: Sequence[Instance], *, min_keypoint_score: float = 0.0, merge_key: str = ""
) -> Edit:
    """Take predictions as right: labelled, every point confirmed; those already labelled are left out.

    Points that score below ``min_keypoint_score`` and that no person has touched become absent.
    """
    return accept_frames([(frame, instances)], min_keypoint_score=min_keypoint_score, merge_key=merge_key)


def accept_frames(
    items: Iterable[tuple[FrameKey, Sequence[Instance]]], *, min_keypoint_score: float = 0.0, merge_key: str = ""
) -> Edit:
    """:func:`accept` for many frames, as one step."""
    accepted: list[FrameEdit] = []
    total = 0
    for frame, instances in items:
        before = tuple(i for i in instances if i.state is State.PREDICTED)
        if before:
            accepted.append(FrameEdit(frame, before, tuple(_accepted(i, min_keypoint_score) for i in before)))
            total += len(before)
    return Edit(f"Accept {'prediction' if total == 1 else f'{total} predictions'}", tuple(accepted), merge_key)


def reject(frame: FrameKey, instances: Sequence[Instance], *, merge_key: str = "") -> Edit:
    """Take predictions away; what a person has labelled is left alone."""
    before = tuple(i for i in instances if i.state is State.PREDICTED)
    text = f"Reject {'prediction' if len(before) == 1 else f'{len(before)} predictions'}"
    return Edit(text, (FrameEdit(frame, before),), merge_key)


def delete_below_score(frame: FrameKey, instances: Sequence[Instance], score: float, *, merge_key: str = "") -> Edit:
    """Take away predictions that score less."""
    low = [i for i in instances if i.state is State.PREDICTED and i.score is not None and i.score < score]
    return replace(reject(frame, low, merge_key=merge_key), text=f"Delete {len(low)} predictions below {score:g}")


def add_predictions(
    frame: FrameKey,
    existing: Sequence[Instance],
    predictions: Sequence[Prediction],
    category: Category,
    ids: Sequence[int],
    source: str,
    replace_predicted: bool = True,
    *,
    min_keypoint_score: float = 0.0,
    overlap: float = 0.8,
    merge_key: str = "",
    state: FrameState | None = None,
) -> Edit:
    """What a model found in one frame.

    A prediction of what a person has labelled is left out, for that one is done already: its box covers that of the
    label, or its points are where those of the label are (a label may have no box, or a wider one), and no point of it
    contradicts the label (:func:`contradicts`). Unless its box was drawn by a person (``box_score`` 1).

    Args:
        existing: the frame's instances now.
        state: of the frame now; given, it records whether the model found anything in the frame.
        ids: new ones, as many as predictions.
        replace_predicted: earlier predictions of the category go.
        min_keypoint_score: points that score less are absent.
        overlap: intersection over union from which on two boxes are the same object.
    """
    if len(ids) < len(predictions):
        raise ProjectError(f"{len(predictions)} predictions want as many new ids, got {len(ids)}")
    predicted = [i for i in existing if i.state is State.PREDICTED and i.category == category.id]
    old = tuple(i for i in predicted if i.source != TEMPLATE)  # a box that a person drew
    done = [i for i in existing if i.state is State.LABELLED and i.category == category.id]
    new: list[Instance] = []
    for new_id, prediction in zip(ids, predictions):
        instance = _predicted(prediction, new_id, category, source, min_keypoint_score)
        drawn = prediction.box_score >= 1.0
        if drawn or not _is_done(instance, done, category, overlap):
            new.append(instance)
    text = f"Predict {poses_text(new)}"
    after = None if state is None else replace(state, nothing_found=not predictions)
    states = None if state is None or after is None or after == state else (state, after)
    return Edit(text, (FrameEdit(frame, old if replace_predicted else (), tuple(new), states),), merge_key)


def _is_done(instance: Instance, done: Sequence[Instance], category: Category, overlap: float) -> bool:
    """Whether a prediction is of something that is labelled, and agrees with the label."""
    box = extent(instance)
    for label in done:
        known = extent(label)
        covers = box is not None and known is not None and box_overlap(box, known) >= overlap
        if (covers or same_pose(label, instance, category.schema)) and not contradicts(instance, label):
            return True
    return False


def contradicts(prediction: Instance, label: Instance) -> bool:
    """Whether a prediction of a labelled object says something else than the label, for at least one point.

    Only points count of which the model is sure (:data:`SURE`). Such a point contradicts the label where the label has
    it more than :data:`TOLERANCE` of the object's size away (PCK per point; size = the longer side of the label's box),
    or has no such point at all. That one of them is called occluded is no contradiction.
    """
    known, sure = label.visibility != ABSENT, prediction.visibility != ABSENT
    if prediction.scores is not None:
        sure = sure & (prediction.scores >= SURE)
    if bool((sure & ~known).any()):
        return True
    both = sure & known
    box = extent(label)
    if box is None or not both.any():
        return False
    limit = max(TOLERANCE * float(max(box[2] - box[0], box[3] - box[1])), LEAST_TOLERANCE)
    distances = np.linalg.norm(prediction.keypoints[both] - label.keypoints[both], axis=1)
    return bool((distances > limit).any())


def _accepted(instance: Instance, min_keypoint_score: float) -> Instance:
    seen = instance.visibility
    if instance.scores is not None and min_keypoint_score > 0:
        low = (instance.scores < min_keypoint_score) & ~instance.by_human
        seen = np.where(low, np.uint8(ABSENT), seen)
    return replace(instance, visibility=seen, by_human=instance.by_human | (seen > 0), state=State.LABELLED)


def _predicted(
    prediction: Prediction, new_id: int, category: Category, source: str, min_keypoint_score: float
) -> Instance:
    predicted = np.array(prediction.keypoints, dtype=np.float64)
    count = category.schema.num_keypoints
    if predicted.shape != (count, 3):
        raise ProjectError(f"the model gives {len(predicted)} points, {category.name!r} has {count}")
    good: Flags = np.asarray(np.isfinite(predicted).all(axis=1))
    points = np.where(good[:, None], predicted[:, :2], 0.0)
    scores = np.where(good, predicted[:, 2], 0.0)
    seen = np.where(good & (scores >= min_keypoint_score), VISIBLE, ABSENT).astype(np.uint8)
    if prediction.visibility is not None:
        seen[(seen > 0) & (np.asarray(prediction.visibility) < 0.5)] = OCCLUDED
    box = np.array(prediction.box, dtype=np.float64)
    return Instance(
        id=new_id,
        category=category.id,
        keypoints=points,
        visibility=seen,
        by_human=np.zeros(count, np.bool_),
        scores=scores,
        score=float(prediction.score) if np.isfinite(prediction.score) else 0.0,
        box=box if box.shape == (4,) and np.isfinite(box).all() else None,
        source=source,
        state=State.PREDICTED,
    )
