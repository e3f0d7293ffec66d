"""Colors and opacities of the points and lines of poses, by the color mode. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.app.canvas_style import CanvasStyle, ColorMode
from poseapp.canvas.render.colors import Palette, instance_color, palette_for, part_color, score_colors, unpack
from poseapp.canvas.render.pose_arrays import PoseArrays, build_arrays
from poseapp.canvas.render.schema_layout import NO_COLOR
from poseapp.project.model import Instance

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Colors = npt.NDArray[np.uint8]
PoseColors = tuple[Colors, Colors]
"""RGB of the points (K, 3) and of the limbs (L, 3) of a pose, in the order of its schema."""

ALPHA_STEPS = 8
_FAINTEST = 0.45
"""Opacity of a predicted point of score 0. Fainter would be overlooked, and doubtful points are what one looks for."""


def colors_of(arrays: PoseArrays, mode: ColorMode, palette: Palette) -> tuple[Ints, Ints]:
    """Packed colors of points (P,) and of lines (L,)."""
    if mode == ColorMode.LIMB:
        return (
            _or_else(arrays.colors, np.array(palette.sides)[arrays.sides]),
            _or_else(arrays.limb_colors, np.array(palette.sides)[arrays.limb_sides]),
        )
    if mode == ColorMode.INSTANCE:
        own = np.array([instance_color(palette, i.id, i.track) for i in arrays.instances], dtype=np.int64)
        return own[arrays.owner], own[arrays.limb_owner]
    if mode == ColorMode.SCORE:
        scores = np.where(arrays.by_human, np.nan, arrays.scores)
        return score_colors(palette, scores), score_colors(palette, _lower_end(arrays, scores))
    if mode == ColorMode.SOURCE:
        human = arrays.by_human.astype(np.int64)
        both = human[arrays.limbs].min(axis=1, initial=1)
        either = np.array([palette.model, palette.human], dtype=np.int64)
        return either[human], either[both]
    if mode == ColorMode.PART:
        known = {name: part_color(palette, name) for name in set(arrays.part_names)}
        parts = np.array([known[name] for name in arrays.part_names], dtype=np.int64)
        return parts[arrays.part], parts[arrays.limb_part]
    sides = np.array(palette.sides, dtype=np.int64)
    return sides[arrays.sides], sides[arrays.limb_sides]


def opacities_of(arrays: PoseArrays) -> tuple[Ints, Ints]:
    """Opacities of points (P,) and lines (L,) in steps of 1 / ALPHA_STEPS.

    A predicted point is the fainter the lower its score; what a person made is opaque.
    """
    points = np.where(arrays.predicted[arrays.owner], _by_score(arrays.scores), 1.0)
    lower = _by_score(_lower_end(arrays, arrays.scores))
    return _steps(points), _steps(np.where(arrays.predicted[arrays.limb_owner], lower, 1.0))


def _by_score(scores: Floats) -> Floats:
    known = np.where(np.isfinite(scores), scores, 1.0)
    return _FAINTEST + (1.0 - _FAINTEST) * np.clip(known, 0.0, 1.0)


def _lower_end(arrays: PoseArrays, scores: Floats) -> Floats:
    """(L,) the lower score of the two ends; an end without a score does not count."""
    return np.fmin(scores[arrays.limbs[:, 0]], scores[arrays.limbs[:, 1]])


def _steps(alphas: Floats) -> Ints:
    return np.clip(np.round(alphas * ALPHA_STEPS), 1, ALPHA_STEPS).astype(np.int64)


def _or_else(colors: Ints, default: Ints) -> Ints:
    return np.where(colors == NO_COLOR, default, colors)


def pose_colors(style: CanvasStyle) -> Callable[[Sequence[Instance], Mapping[int, Schema]], list[PoseColors]]:
    """A function that gives the colors that poses have on a canvas of this style."""
    palette = palette_for(dark=style.dark, own=style.colors, parts=style.part_colors)

    def colors(instances: Sequence[Instance], schemas: Mapping[int, Schema]) -> list[PoseColors]:
        arrays = build_arrays(instances, schemas)
        points, lines = colors_of(arrays, style.color_mode, palette)
        pairs: list[PoseColors] = []
        for row, instance in enumerate(instances):
            mine = slice(int(arrays.start[row]), int(arrays.start[row]) + instance.num_keypoints)
            limbs = np.zeros(len(schemas[instance.category].limbs), np.int64)
            own = (arrays.limb_owner == row) & (arrays.limb_index >= 0)
            limbs[arrays.limb_index[own]] = lines[own]
            pairs.append((_rgb(points[mine]), _rgb(limbs)))
        return pairs

    return colors


def _rgb(packed: npt.NDArray[np.int64]) -> Colors:
    return np.array([unpack(int(color)) for color in packed], np.uint8).reshape(-1, 3)
