"""Boxes in frames that no detector has looked at, from the frames before and after that it has looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.tracking.assignment import best_pairs
from engine.tracking.similarity import box_similarity

Floats = npt.NDArray[np.floating]

LEAST_OVERLAP = 0.1
# What does not overlap any more may have moved by so many of its sizes, when nothing else fits it.
REACH = 1.0


def pair_boxes(first: Floats, last: Floats) -> list[tuple[int, int]]:
    """Which box (N, 4) of one frame is which (M, 4) of another: the best pairs by overlap, then by nearness."""
    if not len(first) or not len(last):
        return []
    pairs = best_pairs(box_similarity(first, last), LEAST_OVERLAP)
    rest_first = [n for n in range(len(first)) if n not in {a for a, _ in pairs}]
    rest_last = [n for n in range(len(last)) if n not in {b for _, b in pairs}]
    if rest_first and rest_last:
        one, other = np.asarray(first, np.float64)[rest_first], np.asarray(last, np.float64)[rest_last]
        apart = np.linalg.norm(_centres(one)[:, None] - _centres(other)[None], axis=-1)
        sizes = np.maximum(_sizes(one)[:, None], _sizes(other)[None])
        near = np.clip(1.0 - apart / (REACH * sizes), 0.0, None)
        pairs += [(rest_first[a], rest_last[b]) for a, b in best_pairs(near, 1e-6)]
    return sorted(pairs)


def boxes_between(
    first: Floats, first_scores: Floats, last: Floats, last_scores: Floats, share: float
) -> tuple[Floats, Floats]:
    """Boxes in a frame between two others: what is in both moves evenly from one place to the other.

    As the frame after is known, nothing has to be guessed ahead. What is in one of the two alone is taken to be there
    in the half that lies nearer to it.

    Args:
        first: (N, 4), last: (M, 4) x1 y1 x2 y2; with scores (N,) and (M,).
        share: of the way from the first to the last, in 0..1.

    Returns:
        boxes (P, 4) float32 and scores (P,) float32, the best first.
    """
    pairs = pair_boxes(first, last)
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    boxes = [np.asarray(first, np.float64)[a] * (1 - share) + np.asarray(last, np.float64)[b] * share]
    scores = [np.asarray(first_scores, np.float64)[a] * (1 - share) + np.asarray(last_scores, np.float64)[b] * share]
    near, near_scores, taken = (first, first_scores, a) if share < 0.5 else (last, last_scores, b)
    alone = [n for n in range(len(near)) if n not in set(taken)]
    boxes.append(np.asarray(near, np.float64)[alone])
    scores.append(np.asarray(near_scores, np.float64)[alone])
    all_boxes, all_scores = np.concatenate(boxes).reshape(-1, 4), np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return all_boxes[order].astype(np.float32), all_scores[order].astype(np.float32)


def _centres(boxes: Floats) -> Floats:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sizes(boxes: Floats) -> Floats:
    """Square roots of the areas, at least a pixel."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    sizes: Floats = np.maximum(np.sqrt(sides.prod(axis=1)), 1.0)
    return sizes
