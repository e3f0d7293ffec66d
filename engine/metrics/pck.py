"""Distance metrics of keypoints: PCK, AUC and EPE, as the fashion-landmark and hand benchmarks define them.

Arrays: ``predicted`` and ``truth`` are (N, K, 2) in image pixels, ``visible`` is (N, K) bool (the points that count),
``norm`` is (N,) pixels. NaN stands for a point that was not predicted: its distance is infinite.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

AUC_NORM_PX = 30.0
AUC_THRESHOLDS = 20


def distances(predicted: Array, truth: Array) -> Array:
    """(N, K) Euclidean distances in pixels, float32; inf if the prediction is NaN."""
    difference = np.asarray(predicted, np.float32) - np.asarray(truth, np.float32)
    result = np.linalg.norm(difference, axis=-1)
    return np.asarray(np.where(np.isfinite(result), result, np.inf), np.float32)


def box_norm(boxes_xyxy: Array) -> Array:
    """(N,) the longer side of each (N, 4) box, by which PCK is normalized."""
    boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
    return np.asarray(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]), np.float32)


def pck_per_keypoint(distance: Array, visible: Bools, norm: Array, threshold: float) -> Array:
    """(K,) fraction of visible points with a distance below ``threshold * norm``; NaN for a keypoint that is never
    visible.

    Instances with a norm of 0 (a box without area) are left out.
    """
    norm = np.asarray(norm, np.float32)
    counted = visible & (norm > 0)[:, None]
    relative = distance / np.where(norm > 0, norm, 1)[:, None]
    hits = (relative < threshold) & counted
    total = counted.sum(axis=0)
    return np.where(total > 0, hits.sum(axis=0) / np.maximum(total, 1), np.nan)


def pck(distance: Array, visible: Bools, norm: Array, threshold: float = 0.2) -> float:
    """Mean over the keypoints that are visible at least once; NaN if none is."""
    return _mean(pck_per_keypoint(distance, visible, norm, threshold))


def auc(distance: Array, visible: Bools, norm_px: float = AUC_NORM_PX, thresholds: int = AUC_THRESHOLDS) -> float:
    """Area under the PCK curve with a constant norm: plain mean over thresholds i/n, i = 0..n-1.

    No point is below threshold 0, so the largest value is (n - 1) / n.
    """
    norm = np.full(len(distance), norm_px, np.float32)
    return float(np.mean([pck(distance, visible, norm, i / thresholds) for i in range(thresholds)]))


def epe(distance: Array, visible: Bools) -> float:
    """Mean distance in pixels over all visible points that were predicted; NaN if there is none."""
    return _mean(distance[visible & np.isfinite(distance)])


def median_distance(distance: Array, visible: Bools) -> float:
    """Median distance in pixels over all visible points that were predicted; NaN if there is none."""
    finite = distance[visible & np.isfinite(distance)]
    return float(np.median(finite)) if finite.size else float("nan")


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
