"""Matching of predictions with labelled instances, for metrics of distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.metrics.oks import oks

Array = npt.NDArray[np.floating]

SAME_BOX = 0.999  # intersection over union from which a prediction was made from the labelled box
LEAST_OKS, LEAST_IOU = 0.1, 0.3


@dataclass(frozen=True, eq=False)
class Pose:
    """One pose: points (K, 2) in image pixels, ``labelled`` (K,) bool, box xyxy (4,), area in square pixels."""

    points: Array
    labelled: npt.NDArray[np.bool_]
    box: Array
    area: float = 0.0


def match_poses(truth: list[Pose], predicted: list[Pose], sigmas: Array) -> list[int | None]:
    """For each labelled instance of an image the index of its prediction; None if it was missed.

    Greedy, best pair first: by the labelled box they were made from, then by OKS, then by overlap of the boxes. Pairs
        with
    an OKS below 0.1 and an overlap below 0.3 are not matched.
    """
    pairs = []
    for i, labelled in enumerate(truth):
        for j, guess in enumerate(predicted):
            overlap = box_iou(labelled.box, guess.box)
            similar = oks(guess.points, labelled.points, labelled.labelled, labelled.area, sigmas)
            if overlap >= LEAST_IOU or similar >= LEAST_OKS:
                pairs.append(((overlap >= SAME_BOX, similar, overlap), i, j))
    matched: list[int | None] = [None] * len(truth)
    taken: set[int] = set()
    for _, i, j in sorted(pairs, key=lambda pair: pair[0], reverse=True):
        if matched[i] is None and j not in taken:
            matched[i] = j
            taken.add(j)
    return matched


def box_iou(a: Array, b: Array) -> float:
    """Intersection over union of two xyxy boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = float(width * height)
    return common / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
