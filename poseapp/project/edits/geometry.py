"""Small geometry of poses and boxes: image pixels, (x, y), boxes x1 y1 x2 y2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poseapp.project.model import Floats, Instance


def moved_points(points: Floats, matrix: Floats) -> Floats:
    """(N, 2) points under a (2, 3) matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def moved_box(box: Floats, matrix: Floats) -> Floats:
    """(4,) the upright box around the corners of a box under a (2, 3) matrix."""
    x1, y1, x2, y2 = box
    corners = moved_points(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]), matrix)
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def extent(instance: Instance) -> Floats | None:
    """(4,) the instance's box, else the one around its points; None for an instance with neither."""
    if instance.box is not None:
        return instance.box
    points = instance.keypoints[instance.visibility > 0]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]) if len(points) else None


def box_overlap(a: Floats, b: Floats) -> float:
    """Intersection over union; 0 for boxes without area."""
    size: Floats = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if size.min() <= 0:
        return 0.0
    shared = float(size[0] * size[1])
    areas = sum(float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b))
    return shared / (areas - shared)


def poses_text(instances: Sequence[object]) -> str:
    """Words for a number of instances: "pose" or "3 poses", for the text of an edit."""
    return "pose" if len(instances) == 1 else f"{len(instances)} poses"
