"""Similarity matrices of boxes (IoU) and of poses (OKS)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def box_similarity(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes, x1 y1 x2 y2; 0 if both have no area."""
    first = np.asarray(a, np.float64).reshape(-1, 1, 4)
    second = np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    areas = [np.prod(np.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def pose_similarity(
    a: Floats, seen_a: Flags, b: Floats, seen_b: Flags, areas: Floats, sigmas: Floats, min_points: int = 3
) -> Floats:
    """(N, M) object keypoint similarity over the points seen in both; NaN if those are fewer than ``min_points``.

    OKS = mean of exp(-d^2 / (2 area (2 sigma)^2)), as in the COCO keypoint evaluation.

    Args:
        a: (N, K, 2), seen_a: (N, K); b: (M, K, 2), seen_b: (M, K).
        areas: (N,) square pixels of the boxes of ``a``.
        sigmas: (K,)
    """
    both = seen_a[:, None] & seen_b[None]
    offset = np.where(both[..., None], a[:, None] - b[None], 0.0)
    variance = 2.0 * np.maximum(areas, 1.0)[:, None, None] * np.maximum((2.0 * sigmas) ** 2, 1e-12)
    similarity = np.exp(-np.minimum((offset**2).sum(axis=-1) / variance, 700.0))
    count = both.sum(axis=-1)
    total = (similarity * both).sum(axis=-1)
    needed = min(min_points, a.shape[1])
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=(count >= needed) & (count > 0))
    return mean
