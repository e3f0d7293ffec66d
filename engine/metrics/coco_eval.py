"""COCO's keypoint evaluation in NumPy: the figures of pycocotools' COCOeval, for many images at once.

A test compares both on random sets with ties, crowds and unlabelled instances: they are equal bit for bit.
Reference: https://cocodataset.org/#keypoints-eval.

Shapes: images I, predictions of an image D, labelled instances of an image G, keypoints K, area ranges A = 3 (all,
medium, large), OKS thresholds T = 10, recall points R = 101.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREA_RANGES = np.array([[0, 1e10], [32**2, 96**2], [96**2, 1e10]], np.float64)
MAX_PREDICTIONS = 20  # of an image and category; those with lower scores are ignored
MAX_THRESHOLD = 1 - 1e-10  # a threshold of 1 would fail by rounding
CHUNK = 256  # images matched at once
STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


@dataclass(frozen=True, eq=False)
class Truth:
    """Labelled instances of one image and category.

    Attributes:
        points: (G, K, 2) image pixels. labelled: (G, K). boxes: (G, 4) x, y, width, height.
        areas: (G,) square pixels. crowd: (G,).
    """

    points: Array
    labelled: Bools
    boxes: Array
    areas: Array
    crowd: Bools

    @property
    def ignored(self) -> Bools:
        """(G,) whether neither a match nor a miss counts: crowds, and instances without a labelled point."""
        return self.crowd | ~self.labelled.any(axis=1)


@dataclass(frozen=True, eq=False)
class Found:
    """Predictions of one image and category: points (D, K, 2) image pixels, scores (D,), areas (D,)."""

    points: Array
    scores: Array
    areas: Array

    def best(self) -> Found:
        """The :data:`MAX_PREDICTIONS` with the highest scores; of equal scores the earlier first."""
        order = np.argsort(-self.scores, kind="stable")[:MAX_PREDICTIONS]
        return Found(self.points[order], self.scores[order], self.areas[order])


def similarities(predicted: Found, truth: Truth, sigmas: Array) -> Array:
    """(D, G) OKS. For instances without labelled points it uses the distance from their doubled box."""
    out = np.zeros((len(predicted.scores), len(truth.areas)))
    if not out.size:
        return out
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    for j in range(out.shape[1]):
        seen = truth.labelled[j]
        if seen.any():
            away = predicted.points[:, seen] - truth.points[j, seen]
        else:
            corner, size = truth.boxes[j, :2], truth.boxes[j, 2:]
            low, high = corner - size, corner + size * 2
            away = np.maximum(0, low - predicted.points) + np.maximum(0, predicted.points - high)
            seen = np.ones_like(seen)
        square = (away**2).sum(-1)
        # Contiguous, so that NumPy sums each row as it sums a vector: bit for bit the sum of the reference.
        error = np.ascontiguousarray(square / variances[seen] / (truth.areas[j] + np.spacing(1)) / 2)
        out[:, j] = np.exp(-error).sum(-1) / error.shape[1]
    return out


@dataclass
class Matches:
    """Which predictions are correct, for some images in a fixed order.

    Attributes:
        scores: (N,). hit, ignored: (A, T, N). positives: (A,) number of instances to find.
    """

    scores: Array = field(default_factory=lambda: np.zeros(0))
    hit: Bools = field(default_factory=lambda: np.zeros((len(AREA_RANGES), len(THRESHOLDS), 0), bool))
    ignored: Bools = field(default_factory=lambda: np.zeros((len(AREA_RANGES), len(THRESHOLDS), 0), bool))
    positives: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(AREA_RANGES), np.int64))


def match(images: Sequence[tuple[Truth, Found]], sigmas: Array) -> Matches:
    """Match predictions with labels, image by image: best score first, each with the most similar instance left.

    Ties in score are broken by the order of the images, so figures are only comparable for the same order.
    """
    pairs = [(truth, result.best()) for truth, result in images]
    tables = [similarities(result, truth, sigmas) for truth, result in pairs]
    # Images with similar numbers of instances are matched together: less padding.
    order = sorted(range(len(pairs)), key=lambda i: tables[i].shape[1])
    hits: list[Bools] = [np.zeros(0, bool)] * len(pairs)
    ignored: list[Bools] = [np.zeros(0, bool)] * len(pairs)
    positives = np.zeros(len(AREA_RANGES), np.int64)
    for chosen in _chunks(order):
        hit, ignore, count = _match_chunk([pairs[i] for i in chosen], [tables[i] for i in chosen])
        positives += count
        for row, i in enumerate(chosen):
            detections = len(pairs[i][1].scores)
            hits[i], ignored[i] = hit[row, ..., :detections], ignore[row, ..., :detections]
    if not pairs:
        return Matches()
    return Matches(
        np.concatenate([result.scores for _, result in pairs]),
        np.concatenate(hits, axis=-1),
        np.concatenate(ignored, axis=-1),
        positives,
    )


def _chunks(order: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(order), CHUNK):
        yield order[start : start + CHUNK]


def _match_chunk(pairs: list[tuple[Truth, Found]], tables: list[Array]) -> tuple[Bools, Bools, npt.NDArray[np.int64]]:
    """Hit and ignored (I, A, T, D) and number of instances to find (A,), of images padded to the same D and G."""
    most_found = max(len(table) for table in tables)
    most_true = max(table.shape[1] for table in tables)
    oks = np.full((len(pairs), most_found, most_true), -1.0)
    ignored = np.ones((len(pairs), len(AREA_RANGES), most_true), bool)
    crowd = np.zeros((len(pairs), most_true), bool)
    outside = np.ones((len(pairs), len(AREA_RANGES), most_found), bool)
    for i, ((truth, result), table) in enumerate(zip(pairs, tables, strict=True)):
        oks[i, : len(table), : table.shape[1]] = table
        ignored[i, :, : table.shape[1]] = truth.ignored | _outside(truth.areas)
        crowd[i, : table.shape[1]] = truth.crowd
        outside[i, :, : len(table)] = _outside(result.areas)
    hit, ignore = _greedy(oks, ignored, crowd)
    return hit & ~ignore, ignore | (~hit & outside[:, :, None, :]), (~ignored).sum(axis=(0, 2))


def _outside(areas: Array) -> Bools:
    """(A, N) whether areas are outside each range; the limits belong to the range."""
    return (areas < AREA_RANGES[:, :1]) | (areas > AREA_RANGES[:, 1:])


def _greedy(oks: Array, ignored: Bools, crowd: Bools) -> tuple[Bools, Bools]:
    """(I, D, G), (I, A, G), (I, G) -> whether matched, and whether with an ignored instance: both (I, A, T, D)."""
    images, result, true = oks.shape
    shape = (images, len(AREA_RANGES), len(THRESHOLDS))
    matched, of_ignored = np.zeros((*shape, result), bool), np.zeros((*shape, result), bool)
    if not true:
        return matched, of_ignored
    free = np.ones((*shape, true), bool)
    least = np.minimum(THRESHOLDS, MAX_THRESHOLD)[:, None]
    for d in range(result):
        alike = oks[:, d][:, None, None, :]
        open_ = (free | crowd[:, None, None, :]) & (alike >= least)
        # Instances that count come first; an ignored one is only matched if none of those is similar enough.
        counting = open_ & ~ignored[:, :, None, :]
        none_counts = ~np.any(counting, axis=-1)
        choice = np.where(none_counts[..., None], open_, counting)
        # Of equally similar instances the last is matched.
        value = np.where(choice, alike, -1.0)
        position = true - 1 - np.argmax(value[..., ::-1], axis=-1)
        any_ = np.any(choice, axis=-1)
        matched[..., d] = any_
        of_ignored[..., d] = any_ & none_counts
        free &= ~((np.arange(true) == position[..., None]) & any_[..., None])
    return matched, of_ignored


def precision_recall(matches: Matches) -> tuple[Array, Array]:
    """Precision (A, T, R) at the recall points, and highest recall (A, T); -1 if there is nothing to find."""
    precision = -np.ones((len(AREA_RANGES), len(THRESHOLDS), len(RECALLS)))
    recall = -np.ones((len(AREA_RANGES), len(THRESHOLDS)))
    order = np.argsort(-matches.scores, kind="stable")
    hit: Bools = matches.hit[..., order]
    miss: Bools = ~hit & ~matches.ignored[..., order]
    for a, positives in enumerate(matches.positives):
        if not positives:
            continue
        right = np.cumsum(hit[a], axis=-1, dtype=np.float64)
        wrong = np.cumsum(miss[a], axis=-1, dtype=np.float64)
        for t in range(len(THRESHOLDS)):
            reached = right[t] / positives
            exact = right[t] / (wrong[t] + right[t] + np.spacing(1))
            envelope = np.maximum.accumulate(exact[::-1])[::-1]
            positions = np.searchsorted(reached, RECALLS, side="left")
            inside = positions < len(reached)
            precision[a, t] = 0
            precision[a, t, inside] = envelope[positions[inside]]
            recall[a, t] = reached[-1] if len(reached) else 0
    return precision, recall


def summary(categories: Sequence[Matches]) -> dict[str, float]:
    """:data:`STATS` over one or several categories, as fractions; -1 if there is nothing to find."""
    tables = [precision_recall(matches) for matches in categories]
    # (T, R, categories) and (T, categories): summed in the order of the reference.
    precision = [np.stack([table[0][a] for table in tables], -1) for a in range(len(AREA_RANGES))]
    recall = [np.stack([table[1][a] for table in tables], -1) for a in range(len(AREA_RANGES))]
    at_50, at_75 = 0, 5
    values = [part for all_ in (precision, recall) for part in (all_[0], all_[0][[at_50]], all_[0][[at_75]], *all_[1:])]
    return dict(zip(STATS, map(_mean_of_defined, values), strict=True))


def _mean_of_defined(values: Array) -> float:
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else -1.0
