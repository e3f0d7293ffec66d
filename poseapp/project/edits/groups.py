"""Edits that make one pose of two, or two of one, and those that weed out. Pure functions, as ``edits``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import ProjectError
from poseapp.project.edits.geometry import extent
from poseapp.project.model import ABSENT, Edit, FrameEdit, FrameKey, Instance, State


def merge_instances(frame: FrameKey, instances: Sequence[Instance]) -> Edit:
    """Poses of one kind become the first of them: each of its absent points comes from the first pose that has it.

    Of a point that several have, one that a person set wins, then the order of the poses. The box grows around all.

    Raises:
        ProjectError: fewer than two, or of different kinds.
    """
    if len(instances) < 2:
        raise ProjectError("select two or more poses to merge")
    first = instances[0]
    if any(other.category != first.category for other in instances):
        raise ProjectError("poses of different categories cannot be merged")
    stacked = np.stack([i.visibility != ABSENT for i in instances])
    human = np.stack([i.by_human for i in instances]) & stacked
    # 2 where a person set the point, 1 where it is there; the first of the best wins.
    owner = (stacked.astype(int) + human).argmax(axis=0)
    pick = np.arange(first.num_keypoints)
    scores = None
    if any(i.scores is not None for i in instances):
        rows = [np.where(i.visibility != ABSENT, 1.0, 0.0) if i.scores is None else i.scores for i in instances]
        scores = np.stack(rows)[owner, pick]
    merged = replace(
        first,
        keypoints=np.stack([i.keypoints for i in instances])[owner, pick],
        visibility=np.stack([i.visibility for i in instances])[owner, pick],
        by_human=human[owner, pick],
        scores=scores,
        box=_around([i.box for i in instances]),
        track=next((i.track for i in instances if i.track is not None), None),
        state=State.LABELLED,
    )
    return Edit(f"Merge {len(instances)} poses", (FrameEdit(frame, tuple(instances), (merged,)),))


def split_instance(frame: FrameKey, instance: Instance, points: Iterable[int], new_id: int) -> Edit:
    """Some points of a pose become a pose of their own; both keep their kind, the new one has no track.

    Raises:
        ProjectError: none or all of the pose's points.
    """
    chosen = np.zeros(instance.num_keypoints, np.bool_)
    chosen[list(points)] = True
    is_present = instance.visibility != ABSENT
    if not (chosen & is_present).any() or not (~chosen & is_present).any():
        raise ProjectError("select some, not all, keypoints of a pose to split them off")
    rest = _only(instance, ~chosen)
    new = replace(_only(instance, chosen), id=new_id, track=None)
    return Edit("Split pose", (FrameEdit(frame, (instance,), (rest, new)),))


def delete_below_score(items: Iterable[tuple[FrameKey, Sequence[Instance]]], threshold: float) -> Edit:
    """Predictions that score less go, as one step; labels and poses without a score stay."""
    frames: list[FrameEdit] = []
    total = 0
    for key, instances in items:
        gone = tuple(i for i in instances if i.state is State.PREDICTED and i.score is not None and i.score < threshold)
        if gone:
            frames.append(FrameEdit(key, gone))
            total += len(gone)
    many = "1 prediction" if total == 1 else f"{total:,} predictions"
    return Edit(f"Delete {many} below {threshold:.2f}", tuple(frames))


def _only(instance: Instance, points: np.ndarray) -> Instance:
    """The pose with only these points present, and a box around them."""
    visibility = np.where(points, instance.visibility, ABSENT).astype(np.uint8)
    left = replace(instance, visibility=visibility, by_human=instance.by_human & points, box=None, state=State.LABELLED)
    return left if instance.box is None else replace(left, box=extent(left))


def _around(boxes: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    stacked = np.stack(known)
    return np.concatenate([stacked[:, :2].min(axis=0), stacked[:, 2:].max(axis=0)])
