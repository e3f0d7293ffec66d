"""Non-maximum suppression of poses by object keypoint similarity between predictions: hard and soft.

Both are as in MMPose's CocoMetric. Unlike the similarity to a label, all points count, visible or not, and the area is
the mean of the two areas: exp(-d^2 / ((a + b) / 2 * (2 sigma)^2) / 2), averaged over the points.

Arrays: ``points`` (N, K, 2) image pixels, ``scores`` (N,), ``areas`` (N,) square pixels, ``sigmas`` (K,).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

HARD_THRESHOLD = 0.9
MOST_KEPT_SOFT = 20


def oks_between(points: Array, area: float, others: Array, areas: Array, sigmas: Array) -> npt.NDArray[np.float32]:
    """(N,) float32 similarity of one pose (K, 2) to others (N, K, 2).

    float32, because MMPose compares thresholds at that precision.
    """
    square = ((np.asarray(others, np.float64) - points) ** 2).sum(-1)
    mean_area = (area + np.asarray(areas, np.float64))[:, None] / 2 + np.spacing(1)
    falloff: Array = np.exp(-square / (2 * np.asarray(sigmas, np.float64)) ** 2 / mean_area / 2)
    return np.asarray(falloff.mean(-1), np.float32)


def oks_nms(
    points: Array, scores: Array, areas: Array, sigmas: Array, threshold: float = HARD_THRESHOLD
) -> npt.NDArray[np.int64]:
    """Indices of the poses that remain, best score first. Each removes those after it with a similarity above the
    threshold."""
    order = _falling(scores)
    chosen: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        chosen.append(int(best))
        alike = oks_between(points[best], areas[best], points[rest], areas[rest], sigmas)
        order = rest[alike <= np.float32(threshold)]
    return np.array(chosen, np.int64)


def soft_oks_nms(
    points: Array,
    scores: Array,
    areas: Array,
    sigmas: Array,
    threshold: float = HARD_THRESHOLD,
    most: int = MOST_KEPT_SOFT,
) -> npt.NDArray[np.int64]:
    """Indices of the ``most`` best poses, where each chosen one lowers the scores of the others by exp(-similarity^2 /
    threshold). The lowered scores only decide the order."""
    order = _falling(scores)
    left = np.asarray(scores, np.float64)[order]
    chosen: list[int] = []
    while len(order) and len(chosen) < most:
        best, order = order[0], order[1:]
        chosen.append(int(best))
        alike = oks_between(points[best], areas[best], points[order], areas[order], sigmas)
        left = left[1:] * np.exp(-(alike**2) / np.float32(threshold))
        again = _falling(left)
        order, left = order[again], left[again]
    return np.array(chosen, np.int64)


def _falling(scores: Array) -> npt.NDArray[np.intp]:
    """Indices by descending score. Equal scores are in the reverse order of NumPy's default sort, as in MMPose, so that
    both keep the same of two poses with equal scores."""
    return np.argsort(np.asarray(scores, np.float64))[::-1]


NMS: dict[str, Callable[[Array, Array, Array, Array, float], npt.NDArray[np.int64]]] = {
    "oks_nms": oks_nms,
    "soft_oks_nms": soft_oks_nms,
}
