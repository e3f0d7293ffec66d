"""How far training copies are turned, from how differently the labelled poses are turned. NumPy only.

All poses are compared with their mean shape: the turn of a pose is the angle of the best similarity (Procrustes, as a
complex number) between the vectors of its pairs of points and those of the mean. Poses that look the other way are
mirrored first where the schema knows partners, so that a dog seen from its left and one from its right both stand
upright.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.train.data.training_set import TrainingSet

Complex = npt.NDArray[np.complex128]

# What stands upright in a photograph even where few labels show it.
UPRIGHT_CATEGORIES = frozenset({"person", "people", "human", "face", "body", "pedestrian"})
UPRIGHT_WORDS = ("person", "top", "outwear", "dress", "trousers", "shorts", "skirt", "vest", "sling", "clothes", "face")
UPRIGHT_ROTATION = 40.0
FREE_ROTATION = 180.0
LEAST_ROTATION = 20.0
LEAST_POSES = 8
"""Fewer poses show too little of how the others will be turned."""
FREE_SPREAD = 60.0
"""Degrees from the mean within which nine of ten poses must lie to count as poses with an up and a down."""
MARGIN = 10.0
ROUNDS = 4
MOST_POSES = 2000


def rotation_for(category: str) -> float:
    """Largest rotation in degrees for objects of this name where the labels do not tell: 40 for people and clothes,
    else 180."""
    name = category.lower().replace("_", " ")
    upright = name in UPRIGHT_CATEGORIES or any(word in name.split() for word in UPRIGHT_WORDS)
    return UPRIGHT_ROTATION if upright else FREE_ROTATION


def rotation_from(data: TrainingSet, *, mirrored: bool) -> float:
    """Largest rotation in degrees for training copies of these poses.

    Args:
        mirrored: the schema's partners are known, so that poses may be mirrored to compare them.
    """
    named = rotation_for(data.categories[0] if data.categories else "")
    turns = turns_of(data, mirrored=mirrored)
    if len(turns) < LEAST_POSES:
        return named
    spread = float(np.quantile(np.abs(turns), 0.9))
    if spread > FREE_SPREAD:
        return FREE_ROTATION
    measured = 5 * np.ceil(max(float(np.quantile(np.abs(turns), 0.98)) + MARGIN, LEAST_ROTATION) / 5)
    if named < FREE_ROTATION:  # the habit of published models is the least
        return float(max(named, measured))
    return float(min(measured, FREE_ROTATION))


def turns_of(data: TrainingSet, *, mirrored: bool) -> npt.NDArray[np.float64]:
    """Degrees (N,) by which each pose is turned against the mean shape; poses with one point only are left out."""
    step = max(1, len(data.instances) // MOST_POSES)
    chosen = [item for item in data.instances[::step] if item.labelled.sum() > 1]
    if not chosen:
        return np.zeros(0)
    labelled = np.stack([item.labelled for item in chosen])
    points = np.stack([item.keypoints for item in chosen]).astype(np.float64)
    plain = _shapes(points, labelled)
    versions = [(plain, labelled)]
    if mirrored:
        swaps = data.schema.flip_indices
        other = (points * (-1.0, 1.0))[:, swaps]
        versions.append((_shapes(other, labelled[:, swaps]), labelled[:, swaps]))
    shapes, weights = plain, labelled
    turns = np.full(len(chosen), 180.0)
    for _ in range(ROUNDS):
        mean = _mean(shapes, weights)
        angles = np.stack([_angles(mean, shape, weight) for shape, weight in versions])
        best = np.abs(angles).argmin(axis=0)
        turns = np.take_along_axis(angles, best[None], axis=0)[0]
        shapes = np.where(best[:, None] == 0, versions[0][0], versions[-1][0])
        weights = np.where(best[:, None] == 0, versions[0][1], versions[-1][1])
    return turns


def _shapes(points: npt.NDArray[np.float64], labelled: npt.NDArray[np.bool_]) -> Complex:
    """(N, K) complex: x + iy about the middle of the labelled points, of unit size; 0 where there is no label."""
    flat = np.where(labelled, points[..., 0] + 1j * points[..., 1], 0)
    counts = labelled.sum(axis=1, keepdims=True)
    centred = np.where(labelled, flat - flat.sum(axis=1, keepdims=True) / counts, 0)
    size = np.sqrt((np.abs(centred) ** 2).sum(axis=1, keepdims=True) / counts)
    return np.asarray(centred / np.maximum(size, 1e-9), np.complex128)


def _mean(shapes: Complex, labelled: npt.NDArray[np.bool_]) -> Complex:
    """(K,) the mean shape, not turned to fit: poses in all directions cancel each other."""
    return np.asarray(shapes.sum(axis=0) / np.maximum(labelled.sum(axis=0), 1), np.complex128)


def _angles(mean: Complex, shapes: Complex, labelled: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N,) degrees from the mean to each pose; the mean is centred on the points that the pose has."""
    counts = labelled.sum(axis=1, keepdims=True)
    there = np.where(labelled, mean[None], 0)
    centred = np.where(labelled, there - there.sum(axis=1, keepdims=True) / counts, 0)
    return np.asarray(np.degrees(np.angle((centred.conj() * shapes).sum(axis=1))), np.float64)
