"""Random changes of crops as in the training of the published top-down models: mirror, half body, shift, scale,
rotation.

NumPy only. Steps, their order and their draws are those of MMPose 1.x (RandomFlip, RandomHalfBody, RandomBBoxTransform,
TopdownAffine); the numbers come from ``TopDownConfig``. One affine maps image pixels to crop pixels, mirror included,
so that a crop takes a single warp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.geometry import MIN_SIDE, compose_affine, crop_affine, udp_affine
from engine.schema.schema import Schema
from engine.train.config import TopDownConfig

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Halves:
    """Indices of the keypoints of the upper and of the lower half of the body."""

    upper: Places
    lower: Places

    @classmethod
    def of(cls, schema: Schema) -> Halves:
        """From the groups of the schema; points without a group belong to neither half."""
        groups = np.array([point.group for point in schema.keypoints])
        return cls(np.flatnonzero(groups == "upper"), np.flatnonzero(groups == "lower"))


@dataclass(frozen=True, eq=False)
class Placement:
    """What a crop shows: center (2,) and size (2,) of a rectangle in image pixels (of the mirrored image, if ``flip``),
    before it is brought to the aspect of the crop; degrees."""

    center: Floats
    scale: Floats
    rotation: float = 0.0
    flip: bool = False


def padded_box(box_xyxy: npt.ArrayLike, padding: float) -> Placement:
    """The whole box, not rotated, ``padding`` times as wide and high."""
    box = np.asarray(box_xyxy, np.float64)
    return Placement((box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * padding)


def random_placement(
    start: Placement,
    keypoints: Floats,
    labelled: Bools,
    halves: Halves,
    image_width: int,
    config: TopDownConfig,
    rng: np.random.Generator,
) -> Placement:
    """Draw what a crop shows of an instance.

    Args:
        start: :func:`padded_box` of the instance.
        keypoints: (K, 2) image pixels; labelled: (K,).
    """
    center, scale = start.center, start.scale
    flip = bool(rng.random() < config.flip)
    if flip:
        center = np.array([image_width - 1 - center[0], center[1]])
    if config.half_body > 0 and labelled.sum() >= config.half_body_points and rng.random() < config.half_body:
        chosen = _half(labelled, halves, config, rng)
        if len(chosen):
            points = np.asarray(keypoints, np.float64)[chosen]
            if flip:
                points = np.stack([image_width - 1 - points[:, 0], points[:, 1]], 1)
            center, scale = points.mean(0), np.ptp(points, 0) * config.half_body_padding
    draws = cut_normal(rng, 4)
    shifted, scaled, turned = rng.random(3) < (config.shift_chance, config.scale_chance, config.rotation_chance)
    if shifted:
        center = center + config.shift * draws[:2] * scale
    if scaled:
        scale = scale * (1 + config.scale * draws[2])
    return Placement(center, scale, float(config.rotation * draws[3]) if turned else 0.0, flip)


def _half(labelled: Bools, halves: Halves, config: TopDownConfig, rng: np.random.Generator) -> Places:
    """The labelled points of one half; none if neither has enough. Mirroring swaps left and right, not halves."""
    upper, lower = (half[labelled[half]] for half in (halves.upper, halves.lower))
    prefer_upper = rng.random() < config.half_body_upper
    enough_upper, enough_lower = (len(half) >= n for half, n in zip((upper, lower), config.half_body_least))
    if enough_upper and (prefer_upper or not enough_lower):
        return upper
    return lower if enough_lower else np.zeros(0, np.int64)


def cut_normal(rng: np.random.Generator, count: int) -> Floats:
    """(count,) standard normal draws; those beyond 1 in either direction are drawn again."""
    draws = rng.standard_normal(count)
    while (beyond := np.abs(draws) > 1).any():
        draws[beyond] = rng.standard_normal(int(beyond.sum()))
    return draws


def placement_affine(placed: Placement, image_width: int, size_wh: tuple[int, int], *, udp: bool = False) -> Floats:
    """(2, 3) from image pixels to crop pixels."""
    width, height = np.maximum(placed.scale, MIN_SIDE)
    aspect = size_wh[0] / size_wh[1]
    width = max(float(width), float(height) * aspect)
    affine = (udp_affine if udp else crop_affine)(placed.center, (width, width / aspect), size_wh, placed.rotation)
    if not placed.flip:
        return affine
    return compose_affine(affine, [[-1.0, 0.0, image_width - 1.0], [0.0, 1.0, 0.0]])
