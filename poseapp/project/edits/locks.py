"""Edits without what they would do to locked poses and points. Locks belong to the window, not to the project."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from poseapp.project.model import Edit, Flags, FrameEdit, Instance

PointRef = tuple[int, int]


def locked_flags(instance: Instance, points: Collection[PointRef]) -> Flags:
    """(K,) bool, which points of an instance are among ``points``, pairs of instance id and point."""
    flags = np.zeros(instance.num_keypoints, dtype=np.bool_)
    flags[[k for owner, k in points if owner == instance.id and k < len(flags)]] = True
    return flags


def keep_locked_points(before: Instance, after: Instance, points: Collection[PointRef]) -> Instance:
    """``after`` with the positions and visibilities that the locked points have in ``before``.

    A confirmation by a person (``by_human``) of a locked point is kept if nothing else of the point was to change.
    """
    locked = locked_flags(before, points)
    if not locked.any():
        return after
    if before.num_keypoints != after.num_keypoints or before.category != after.category:
        return before
    moved = (before.keypoints != after.keypoints).any(axis=1) | (before.visibility != after.visibility)
    back = locked & moved
    if not back.any():
        return after
    scores = after.scores
    if scores is not None and before.scores is not None:
        scores = np.where(back, before.scores, scores)
    return replace(
        after,
        keypoints=np.where(back[:, None], before.keypoints, after.keypoints),
        visibility=np.where(back, before.visibility, after.visibility).astype(np.uint8),
        by_human=np.where(back, before.by_human, after.by_human),
        scores=scores,
    )


def without_locked(edit: Edit, poses: Collection[int], points: Collection[PointRef]) -> Edit | None:
    """The edit without what it does to locked poses and points; None when nothing of it remains.

    A locked pose, and one with a locked point, is not deleted. Keypoints, visibilities, box and category of a locked
    pose stay; its state and its track may change.
    """
    if not poses and not points:
        return edit
    with_points = {instance for instance, _ in points}
    frames = [_frame_without_locked(frame, frozenset(poses), frozenset(points), with_points) for frame in edit.frames]
    remaining = tuple(frame for frame in frames if frame.before or frame.after or frame.state is not None)
    return replace(edit, frames=remaining) if remaining or not edit.frames else None


def selectable(
    poses: Collection[int],
    points: Collection[PointRef],
    excluded_poses: Collection[int],
    excluded_points: Collection[PointRef],
) -> tuple[set[int], set[PointRef]]:
    """The part of a selection that can be selected, where some poses and points (hidden or locked) cannot.

    A pose that loses all of its selected points is not selected either: as a whole it was not meant.
    """
    remaining = {(i, k) for i, k in points if i not in excluded_poses} - set(excluded_points)
    emptied = {i for i, _ in points} - {i for i, _ in remaining}
    return set(poses) - set(excluded_poses) - emptied, remaining


def _frame_without_locked(
    frame: FrameEdit, poses: frozenset[int], points: frozenset[PointRef], with_points: set[int]
) -> FrameEdit:
    after = {instance.id: instance for instance in frame.after}
    old_ids = {instance.id for instance in frame.before}
    all_before: list[Instance] = []
    all_after: list[Instance] = []
    for old in frame.before:
        new = after.get(old.id)
        if new is None:
            if old.id not in poses and old.id not in with_points:
                all_before.append(old)
            continue
        allowed = new
        if old.id in poses and not _same_geometry(old, new):
            allowed = old
        elif old.id in with_points:
            allowed = keep_locked_points(old, new, points)
        if allowed is not old and (allowed is new or not _only_side_effects(old, new, allowed)):
            all_before.append(old)
            all_after.append(allowed)
    all_after += [instance for instance in frame.after if instance.id not in old_ids]
    return replace(frame, before=tuple(all_before), after=tuple(all_after))


def _same_geometry(old: Instance, new: Instance) -> bool:
    return (
        old.category == new.category
        and np.array_equal(old.keypoints, new.keypoints)
        and np.array_equal(old.visibility, new.visibility)
        and (old.box is new.box or (old.box is not None and new.box is not None and np.array_equal(old.box, new.box)))
    )


def _only_side_effects(old: Instance, new: Instance, allowed: Instance) -> bool:
    """Whether only side effects of a change would remain, such as the state LABELLED, because its points are locked."""
    unmoved = np.array_equal(old.keypoints, allowed.keypoints) and np.array_equal(old.visibility, allowed.visibility)
    moved = not (np.array_equal(old.keypoints, new.keypoints) and np.array_equal(old.visibility, new.visibility))
    return unmoved and moved
