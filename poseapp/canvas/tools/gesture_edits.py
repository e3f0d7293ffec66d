"""Edits that gestures make, through the project's verbs: several instances of one frame in one step. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.pose_geometry import apply_matrix
from poseapp.project import edits
from poseapp.project.edits import points as edits_points
from poseapp.project.model import Edit, FrameKey, Instance

Floats = npt.NDArray[np.float64]
Moves = Mapping[int, tuple[float, float]]


def with_points(instance: Instance, moves: Moves) -> Instance:
    """The instance with these keypoints elsewhere, for a preview."""
    keypoints = instance.keypoints.copy()
    for index, position in moves.items():
        keypoints[index] = position
    return replace(instance, keypoints=keypoints)


def with_placed(instance: Instance, index: int, position: tuple[float, float], visibility: int) -> Instance:
    """The instance with a missing point placed, for a preview."""
    moved, seen, human = with_points(instance, {index: position}), instance.visibility.copy(), instance.by_human.copy()
    seen[index], human[index] = visibility, True
    return replace(moved, visibility=seen, by_human=human)


def with_matrix(instance: Instance, matrix: Floats) -> Instance:
    """The instance under a (2, 3) matrix, box and all, for a preview."""
    box = None if instance.box is None else transformed_box(instance.box, matrix)
    return replace(instance, keypoints=apply_matrix(matrix, instance.keypoints), box=box)


def transformed_box(box: Floats, matrix: Floats) -> Floats:
    """(4,) the upright box around the corners of a box under a (2, 3) matrix."""
    x1, y1, x2, y2 = box
    corners = apply_matrix(matrix, np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]))
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def move_edit(frame: FrameKey, moves: Sequence[tuple[Instance, Moves]], schemas: Mapping[int, Schema | None]) -> Edit:
    """One edit that moves points of one or several instances."""
    moved = [edits.move_keypoints(frame, i, points, schemas.get(i.category)) for i, points in moves]
    if len(moved) == 1:
        return moved[0]
    total = sum(len(points) for _, points in moves)
    return edits.combined(f"Move {total} points of {len(moved)} poses", moved)


def place_edit(
    frame: FrameKey, instance: Instance, index: int, position: tuple[float, float], visibility: int, schema: Schema
) -> Edit:
    """An edit that places one missing point; the box grows to hold it."""
    points, seen = instance.keypoints.copy(), np.zeros(instance.num_keypoints, dtype=np.uint8)
    points[index], seen[index] = position, visibility
    return edits_points.place_points(frame, instance, points, seen, schema)


def transform_edit(
    frame: FrameKey, instances: Sequence[Instance], matrix: Floats, what: str, merge_key: str = ""
) -> Edit:
    """One edit that applies a (2, 3) matrix to whole poses. ``what`` begins its text: "Move", "Turn", "Scale"."""
    text = f"{what} pose" if len(instances) == 1 else f"{what} {len(instances)} poses"
    transformed = [edits.transform_pose(frame, i, matrix, text=text, merge_key=merge_key) for i in instances]
    return transformed[0] if len(transformed) == 1 else edits.combined(text, transformed, merge_key)
