"""The canvas's colours for a video that is written without it. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.render.coloring import batch_colors
from poseapp.canvas.render.colors import palette_for, unpack
from poseapp.canvas.render.pose_arrays import build_batch
from poseapp.canvas.render.style import CanvasStyle
from poseapp.project.model import Instance

Colors = npt.NDArray[np.uint8]
PoseColors = tuple[Colors, Colors]
"""RGB of the points (K, 3) and of the limbs (L, 3) of a pose, in the order of its schema."""


def pose_colors(style: CanvasStyle) -> Callable[[Sequence[Instance], Mapping[int, Schema]], list[PoseColors]]:
    """A function that gives the colours that poses have on a canvas of this style."""
    palette = palette_for(dark=style.dark, own=style.colors, parts=style.part_colors)

    def colors(instances: Sequence[Instance], schemas: Mapping[int, Schema]) -> list[PoseColors]:
        batch = build_batch(instances, schemas)
        points, lines = batch_colors(batch, style.color_mode, palette)
        found: list[PoseColors] = []
        for row, instance in enumerate(instances):
            mine = slice(int(batch.start[row]), int(batch.start[row]) + instance.num_keypoints)
            limbs = np.zeros(len(schemas[instance.category].limbs), np.int64)
            own = (batch.limb_owner == row) & (batch.limb_index >= 0)
            limbs[batch.limb_index[own]] = lines[own]
            found.append((_rgb(points[mine]), _rgb(limbs)))
        return found

    return colors


def _rgb(packed: npt.NDArray[np.int64]) -> Colors:
    return np.array([unpack(int(color)) for color in packed], np.uint8).reshape(-1, 3)
