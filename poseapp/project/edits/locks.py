"""Edits that leave alone what is locked. Locks are of the window, not of the project: ids and (id, point) are given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from poseapp.project.model import Edit, Flags, FrameEdit, Instance

PointRef = tuple[int, int]


def locked_flags(instance: Instance, points: Collection[PointRef]) -> Flags:
    """(K,) bool, which points of an instance are among (instance id, point)."""
    found = np.zeros(instance.num_keypoints, dtype=np.bool_)
    found[[k for number, k in points if number == instance.id and k < len(found)]] = True
    return found


def held_instance(before: Instance, after: Instance, points: Collection[PointRef]) -> Instance:
    """``after`` with the locked points where, and as visible as, they were ``before``; what a person has confirmed of
    them (``by_human``) is taken over where nothing else of them was to change."""
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


def held_edit(edit: Edit, poses: Collection[int], points: Collection[PointRef]) -> Edit | None:
    """The edit without what it does to locked poses and points; None when nothing of it remains.

    A locked pose, and one with a locked point, is not deleted. Of a locked pose place, visibility and kind stay; who
    answers for it, and its track, are no matter of the lock.
    """
    if not poses and not points:
        return edit
    with_points = {number for number, _ in points}
    frames = [_held_frame(frame, frozenset(poses), frozenset(points), with_points) for frame in edit.frames]
    kept = tuple(frame for frame in frames if frame.before or frame.after or frame.state is not None)
    return replace(edit, frames=kept) if kept or not edit.frames else None


def selectable(
    poses: Collection[int],
    points: Collection[PointRef],
    withheld_poses: Collection[int],
    withheld_points: Collection[PointRef],
) -> tuple[set[int], set[PointRef]]:
    """What stays of a selection when some poses and points cannot be selected.

    A pose all of whose selected points go is not selected either: chosen as a whole it would be more than was meant.
    """
    kept = {(i, k) for i, k in points if i not in withheld_poses} - set(withheld_points)
    emptied = {i for i, _ in points} - {i for i, _ in kept}
    return set(poses) - set(withheld_poses) - emptied, kept


def _held_frame(
    frame: FrameEdit, poses: frozenset[int], points: frozenset[PointRef], with_points: set[int]
) -> FrameEdit:
    after = {instance.id: instance for instance in frame.after}
    old_ids = {instance.id for instance in frame.before}
    kept_before: list[Instance] = []
    kept_after: list[Instance] = []
    for old in frame.before:
        new = after.get(old.id)
        if new is None:
            if old.id not in poses and old.id not in with_points:
                kept_before.append(old)
            continue
        held = new
        if old.id in poses and not _same_place(old, new):
            held = old
        elif old.id in with_points:
            held = held_instance(old, new, points)
        if held is not old and (held is new or not _nothing_left(old, new, held)):
            kept_before.append(old)
            kept_after.append(held)
    kept_after += [instance for instance in frame.after if instance.id not in old_ids]
    return replace(frame, before=tuple(kept_before), after=tuple(kept_after))


def _same_place(old: Instance, new: Instance) -> bool:
    return (
        old.category == new.category
        and np.array_equal(old.keypoints, new.keypoints)
        and np.array_equal(old.visibility, new.visibility)
        and (old.box is new.box or (old.box is not None and new.box is not None and np.array_equal(old.box, new.box)))
    )


def _nothing_left(old: Instance, new: Instance, held: Instance) -> bool:
    """Whether of a change that was held back only the side effects would remain, such as being a label from now on."""
    unmoved = np.array_equal(old.keypoints, held.keypoints) and np.array_equal(old.visibility, held.visibility)
    moved = not (np.array_equal(old.keypoints, new.keypoints) and np.array_equal(old.visibility, new.visibility))
    return unmoved and moved
