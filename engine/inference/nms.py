"""Non-maximum suppression of boxes.

torchvision has the same as an operator, but importing it takes seconds and loads the compiler stack; the hundred boxes
of an image need only these few lines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


def nms(
    boxes: FloatArray, scores: FloatArray, classes: npt.NDArray[np.integer], iou: float, max_count: int
) -> npt.NDArray[np.int64]:
    """Drop boxes that overlap a better one of their class (greedy; Felzenszwalb et al. 2010, section 5).

    Args:
        boxes: (N, 4) x1 y1 x2 y2.
        scores: (N,).
        classes: (N,) boxes of different classes never suppress each other.
        iou: a box is dropped when it overlaps a better one by more.
        max_count: of boxes that stay.

    Returns:
        The rows that stay, best score first; of equal scores the earlier row first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    corners = np.asarray(boxes, np.float64)[order]
    sorted_classes = np.asarray(classes)[order]
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    is_alive = np.ones(len(order), dtype=np.bool_)
    chosen: list[int] = []
    for row in range(len(order)):
        if not is_alive[row]:
            continue
        chosen.append(row)
        if len(chosen) == max_count:
            break
        rest = np.flatnonzero(is_alive[row + 1 :] & (sorted_classes[row + 1 :] == sorted_classes[row])) + row + 1
        low = np.maximum(corners[rest, :2], corners[row, :2])
        high = np.minimum(corners[rest, 2:], corners[row, 2:])
        intersection = np.clip(high - low, 0.0, None).prod(axis=1)
        union = areas[rest] + areas[row] - intersection
        is_alive[rest[intersection > iou * union]] = False
    return order[np.asarray(chosen, dtype=np.int64)]
