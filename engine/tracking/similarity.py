"""How alike boxes and poses are, every one with every other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def box_likeness(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes, x1 y1 x2 y2; 0 where there is no area."""
    first = np.asarray(a, np.float64).reshape(-1, 1, 4)
    second = np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    areas = [np.prod(np.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def pose_likeness(
    a: Floats, seen_a: Flags, b: Floats, seen_b: Flags, areas: Floats, sigmas: Floats, least_points: int = 3
) -> Floats:
    """(N, M) object keypoint similarity over the points that both show; NaN where those are fewer than asked.

    OKS = mean of exp(-d^2 / (2 area (2 sigma)^2)), as in the COCO keypoint evaluation.

    Args:
        a: (N, K, 2), seen_a: (N, K); b: (M, K, 2), seen_b: (M, K).
        areas: (N,) square pixels of the boxes of ``a``.
        sigmas: (K,)
    """
    both = seen_a[:, None] & seen_b[None]
    apart = np.where(both[..., None], a[:, None] - b[None], 0.0)
    wide = 2.0 * np.maximum(areas, 1.0)[:, None, None] * np.maximum((2.0 * sigmas) ** 2, 1e-12)
    near = np.exp(-np.minimum((apart**2).sum(axis=-1) / wide, 700.0))
    count = both.sum(axis=-1)
    total = (near * both).sum(axis=-1)
    asked = min(least_points, a.shape[1])
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=(count >= asked) & (count > 0))
    return mean
