"""Colours and opacities of the points and lines of a batch, by the colour mode. No Qt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseapp.canvas.render.colors import ColorMode, Palette, instance_color, part_color, score_colors
from poseapp.canvas.render.pose_arrays import PoseBatch
from poseapp.canvas.render.schema_layout import NO_COLOR

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALPHA_STEPS = 8
_FAINTEST = 0.45
"""Opacity of a predicted point of score 0. Fainter would be overlooked, and doubtful points are what one looks for."""


def batch_colors(batch: PoseBatch, mode: ColorMode, palette: Palette) -> tuple[Ints, Ints]:
    """Packed colours of points (P,) and of lines (L,)."""
    if mode == ColorMode.LIMB:
        return (
            _or_else(batch.colors, np.array(palette.sides)[batch.sides]),
            _or_else(batch.limb_colors, np.array(palette.sides)[batch.limb_sides]),
        )
    if mode == ColorMode.INSTANCE:
        own = np.array([instance_color(palette, i.id, i.track) for i in batch.instances], dtype=np.int64)
        return own[batch.owner], own[batch.limb_owner]
    if mode == ColorMode.SCORE:
        scores = np.where(batch.by_human, np.nan, batch.scores)
        return score_colors(palette, scores), score_colors(palette, _lower_end(batch, scores))
    if mode == ColorMode.SOURCE:
        human = batch.by_human.astype(np.int64)
        both = human[batch.limbs].min(axis=1, initial=1)
        either = np.array([palette.model, palette.human], dtype=np.int64)
        return either[human], either[both]
    if mode == ColorMode.PART:
        known = {name: part_color(palette, name) for name in set(batch.part_names)}
        parts = np.array([known[name] for name in batch.part_names], dtype=np.int64)
        return parts[batch.part], parts[batch.limb_part]
    sides = np.array(palette.sides, dtype=np.int64)
    return sides[batch.sides], sides[batch.limb_sides]


def batch_alphas(batch: PoseBatch) -> tuple[Ints, Ints]:
    """Opacities of points (P,) and lines (L,) in steps of 1 / ALPHA_STEPS.

    A predicted point is the fainter the lower its score; what a person made is opaque.
    """
    points = np.where(batch.predicted[batch.owner], _by_score(batch.scores), 1.0)
    lower = _by_score(_lower_end(batch, batch.scores))
    return _steps(points), _steps(np.where(batch.predicted[batch.limb_owner], lower, 1.0))


def _by_score(scores: Floats) -> Floats:
    known = np.where(np.isfinite(scores), scores, 1.0)
    return _FAINTEST + (1.0 - _FAINTEST) * np.clip(known, 0.0, 1.0)


def _lower_end(batch: PoseBatch, scores: Floats) -> Floats:
    """(L,) the lower score of the two ends; an end without a score does not count."""
    return np.fmin(scores[batch.limbs[:, 0]], scores[batch.limbs[:, 1]])


def _steps(alphas: Floats) -> Ints:
    return np.clip(np.round(alphas * ALPHA_STEPS), 1, ALPHA_STEPS).astype(np.int64)


def _or_else(colors: Ints, default: Ints) -> Ints:
    return np.where(colors == NO_COLOR, default, colors)
