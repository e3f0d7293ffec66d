"""Which prediction is of which labelled instance, for metrics that measure distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.metrics.oks import oks

Array = npt.NDArray[np.floating]

SAME_BOX = 0.999  # intersection over union of a box that was given to the model
LEAST_OKS, LEAST_IOU = 0.1, 0.3


@dataclass(frozen=True, eq=False)
class Pose:
    """One pose: points (K, 2) image pixels, which of them count (K,), box xyxy (4,), area in square pixels."""

    points: Array
    labelled: npt.NDArray[np.bool_]
    box: Array
    area: float = 0.0


def match_poses(truth: list[Pose], found: list[Pose], sigmas: Array) -> list[int | None]:
    """For each labelled instance of an image the position of its prediction, None where it was missed.

    Greedy, best pair first: predictions made from the instance's own box, then by similarity, then by overlap. A pair
    that is neither similar (OKS 0.1) nor overlaps (0.3) is none.
    """
    pairs = []
    for i, wanted in enumerate(truth):
        for j, guess in enumerate(found):
            overlap = box_iou(wanted.box, guess.box)
            similar = oks(guess.points, wanted.points, wanted.labelled, wanted.area, sigmas)
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
