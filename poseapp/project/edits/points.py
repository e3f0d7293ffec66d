"""Edits of several points at once: of one pose, each its own; or the same ones along a track. Pure, as ``edits``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.schema.schema import Schema
from poseapp.project.edits import basic
from poseapp.project.edits.locks import PointRef, locked_flags
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Edit, FrameEdit, FrameKey, Instance, State


def place_points(
    frame: FrameKey, instance: Instance, keypoints: npt.ArrayLike, visibility: npt.ArrayLike, schema: Schema
) -> Edit:
    """Give a pose points that a person has placed; the box grows to hold them.

    Args:
        keypoints: (K, 2) image pixels, of which those count whose visibility is not 0.
        visibility: (K,) 0 for points that stay as they are, else 1 or 2.

    Raises:
        ProjectError: wrong shapes, a visibility that is none of 0, 1, 2, or a place that is not finite.
    """
    points, seen = np.array(keypoints, np.float64), np.array(visibility)
    if points.shape != instance.keypoints.shape or seen.shape != instance.visibility.shape:
        raise ProjectError(f"the pose has {instance.num_keypoints} points; got {points.shape} and {seen.shape}")
    if not np.isin(seen, (ABSENT, OCCLUDED, VISIBLE)).all():
        raise ProjectError("a visibility is 0, 1 or 2")
    placed = seen != ABSENT
    if not np.isfinite(points[placed]).all():
        raise ProjectError("a coordinate is not a finite number")
    box = instance.box
    if box is not None and placed.any():
        low, high = points[placed].min(0), points[placed].max(0)
        box = np.concatenate([np.minimum(box[:2], low), np.maximum(box[2:], high)])
    after = replace(
        instance,
        keypoints=np.where(placed[:, None], points, instance.keypoints),
        visibility=np.where(placed, seen, instance.visibility).astype(np.uint8),
        by_human=instance.by_human | placed,
        box=box,
        state=State.LABELLED,
    )
    count = int(placed.sum())
    what = schema.names[int(np.flatnonzero(placed)[0])] if count == 1 else f"{count} points"
    return Edit(f"Place {what}", (FrameEdit(frame, (instance,), (after,)),))


def swap_sides_along(
    items: Iterable[tuple[FrameKey, Instance]],
    schema: Schema,
    points: Iterable[int] | None = None,
    *,
    only_predicted: bool = True,
    locked: Collection[PointRef] = (),
) -> Edit:
    """Exchange left and right in the poses of a track, as one step. Predictions stay predictions: nobody has looked at
    every one of them.

    Args:
        items: frames and poses, of one schema.
        points: these and their partners; all when left out.
        only_predicted: poses that a person has labelled stay.
        locked: (instance id, point) that stay, and their partners with them.
    """
    chosen_points = None if points is None else list(points)
    held = {index for index, _ in locked}
    frames = []
    for key, pose in items:
        chosen = chosen_points
        if pose.id in held:
            flags = locked_flags(pose, locked)
            free = ~(flags | flags[schema.flip_indices]) & (schema.flip_indices != np.arange(len(flags)))
            chosen = [k for k in (range(schema.num_keypoints) if chosen_points is None else chosen_points) if free[k]]
            if not chosen:
                continue
        if pose.state is State.PREDICTED:
            (swapped,) = basic.swap_sides(key, pose, schema, chosen).frames[0].after
            after = replace(swapped, state=State.PREDICTED, by_human=pose.by_human.copy())
            frames.append(Edit("", (FrameEdit(key, (pose,), (after,)),)))
        elif not only_predicted:
            frames.append(basic.swap_sides(key, pose, schema, chosen))
    text = "Swap left and right" if len(frames) == 1 else f"Swap left and right in {len(frames):,} frames"
    return basic.combined(text, frames)
