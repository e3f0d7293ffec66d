"""The largest rotation of training crops, from how much the labelled poses are rotated against each other. NumPy only.

All poses are compared with their mean shape: the rotation of a pose is the angle of the best similarity transform
(Procrustes, as a complex number) to the mean shape. If the schema has left/right partners, poses that face the other
way are mirrored first, so that a dog seen from its left and one from its right both stand upright.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.train.data.training_set import TrainingSet

Complex = npt.NDArray[np.complex128]

# Objects that stand upright in photographs, even if there are few labels to show it.
UPRIGHT_CATEGORIES = frozenset({"person", "people", "human", "face", "body", "pedestrian"})
UPRIGHT_WORDS = ("person", "top", "outwear", "dress", "trousers", "shorts", "skirt", "vest", "sling", "clothes", "face")
UPRIGHT_ROTATION = 40.0
FREE_ROTATION = 180.0
MIN_ROTATION = 20.0
MIN_POSES = 8
"""Fewer poses say too little about the rotation of others."""
FREE_SPREAD = 60.0
"""Degrees from the mean within which nine of ten poses must be for the object to have an up and a down."""
MARGIN = 10.0
ROUNDS = 4
MAX_POSES = 2000


def rotation_for(category: str) -> float:
    """Largest rotation in degrees by the name of the category: 40 for people and clothes, else 180."""
    name = category.lower().replace("_", " ")
    upright = name in UPRIGHT_CATEGORIES or any(word in name.split() for word in UPRIGHT_WORDS)
    return UPRIGHT_ROTATION if upright else FREE_ROTATION


def rotation_from(data: TrainingSet, *, mirrored: bool) -> float:
    """Largest rotation in degrees for training crops of these poses.

    Args:
        mirrored: the schema's left/right partners are known, so that poses may be mirrored to compare them.
    """
    named = rotation_for(data.categories[0] if data.categories else "")
    turns = turns_of(data, mirrored=mirrored)
    if len(turns) < MIN_POSES:
        return named
    spread = float(np.quantile(np.abs(turns), 0.9))
    if spread > FREE_SPREAD:
        return FREE_ROTATION
    measured = 5 * np.ceil(max(float(np.quantile(np.abs(turns), 0.98)) + MARGIN, MIN_ROTATION) / 5)
    if named < FREE_ROTATION:  # at least as much as published models use
        return float(max(named, measured))
    return float(min(measured, FREE_ROTATION))


def turns_of(data: TrainingSet, *, mirrored: bool) -> npt.NDArray[np.float64]:
    """Degrees (N,) by which each pose is rotated against the mean shape; poses with a single point are left out."""
    step = max(1, len(data.instances) // MAX_POSES)
    chosen = [item for item in data.instances[::step] if item.labelled.sum() > 1]
    if not chosen:
        return np.zeros(0)
    labelled = np.stack([item.labelled for item in chosen])
    points = np.stack([item.keypoints for item in chosen]).astype(np.float64)
    shapes = _shapes(points, labelled)
    versions = [(shapes, labelled)]
    if mirrored:
        swaps = data.schema.flip_indices
        mirrored_points = (points * (-1.0, 1.0))[:, swaps]
        versions.append((_shapes(mirrored_points, labelled[:, swaps]), labelled[:, swaps]))
    weights = labelled
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
    """(N, K) complex: x + iy relative to the mean of the labelled points, of unit size; 0 for unlabelled points."""
    flat = np.where(labelled, points[..., 0] + 1j * points[..., 1], 0)
    counts = labelled.sum(axis=1, keepdims=True)
    centered = np.where(labelled, flat - flat.sum(axis=1, keepdims=True) / counts, 0)
    size = np.sqrt((np.abs(centered) ** 2).sum(axis=1, keepdims=True) / counts)
    return np.asarray(centered / np.maximum(size, 1e-9), np.complex128)


def _mean(shapes: Complex, labelled: npt.NDArray[np.bool_]) -> Complex:
    """(K,) the mean shape, without rotating shapes to fit: poses in all directions cancel each other."""
    return np.asarray(shapes.sum(axis=0) / np.maximum(labelled.sum(axis=0), 1), np.complex128)


def _angles(mean: Complex, shapes: Complex, labelled: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N,) degrees from the mean to each pose; the mean is centered on the points that the pose has."""
    counts = labelled.sum(axis=1, keepdims=True)
    mean_points = np.where(labelled, mean[None], 0)
    centered = np.where(labelled, mean_points - mean_points.sum(axis=1, keepdims=True) / counts, 0)
    return np.asarray(np.degrees(np.angle((centered.conj() * shapes).sum(axis=1))), np.float64)
