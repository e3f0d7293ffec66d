"""Boxes in frames between two that the detector has looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.tracking.assignment import best_pairs
from engine.tracking.similarity import box_similarity

FloatArray = npt.NDArray[np.floating]

MIN_IOU = 0.1
# Boxes that do not overlap may still be one object that moved by at most this many of its sizes.
MAX_MOVE = 1.0


def pair_boxes(first: FloatArray, last: FloatArray) -> list[tuple[int, int]]:
    """Pairs of boxes (N, 4) and (M, 4) of two frames that show one object: by overlap, the rest by distance."""
    if not len(first) or not len(last):
        return []
    pairs = best_pairs(box_similarity(first, last), MIN_IOU)
    rest_first = sorted(set(range(len(first))) - {a for a, _ in pairs})
    rest_last = sorted(set(range(len(last))) - {b for _, b in pairs})
    if rest_first and rest_last:
        some, others = np.asarray(first, np.float64)[rest_first], np.asarray(last, np.float64)[rest_last]
        distances = np.linalg.norm(_centers(some)[:, None] - _centers(others)[None], axis=-1)
        sizes = np.maximum(_sizes(some)[:, None], _sizes(others)[None])
        nearness = np.clip(1.0 - distances / (MAX_MOVE * sizes), 0.0, None)
        pairs += [(rest_first[a], rest_last[b]) for a, b in best_pairs(nearness, 1e-6)]
    return sorted(pairs)


def boxes_between(
    first: FloatArray, first_scores: FloatArray, last: FloatArray, last_scores: FloatArray, share: float
) -> tuple[FloatArray, FloatArray]:
    """Boxes in a frame between two others: an object that is in both moves evenly from one box to the other.

    An object that is in only one of the two keeps its box in the half of the frames nearer to it.

    Args:
        first: (N, 4), last: (M, 4) x1 y1 x2 y2; with scores (N,) and (M,).
        share: position between the first (0) and the last (1).

    Returns:
        boxes (P, 4) float32 and scores (P,) float32, best score first.
    """
    pairs = pair_boxes(first, last)
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    boxes = [np.asarray(first, np.float64)[a] * (1 - share) + np.asarray(last, np.float64)[b] * share]
    scores = [np.asarray(first_scores, np.float64)[a] * (1 - share) + np.asarray(last_scores, np.float64)[b] * share]
    nearer, nearer_scores, paired = (first, first_scores, a) if share < 0.5 else (last, last_scores, b)
    alone = sorted(set(range(len(nearer))) - set(paired))
    boxes.append(np.asarray(nearer, np.float64)[alone])
    scores.append(np.asarray(nearer_scores, np.float64)[alone])
    all_boxes, all_scores = np.concatenate(boxes).reshape(-1, 4), np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return all_boxes[order].astype(np.float32), all_scores[order].astype(np.float32)


def _centers(boxes: FloatArray) -> FloatArray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sizes(boxes: FloatArray) -> FloatArray:
    """Square roots of the areas, at least a pixel."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    sizes: FloatArray = np.maximum(np.sqrt(sides.prod(axis=1)), 1.0)
    return sizes
