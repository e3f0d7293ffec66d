"""Non-maximum suppression: of boxes of one class that cover the same object, the best stays.

torchvision has the same as an operator, but importing it takes seconds and drags the compiler stack along; here it is a
few lines for the hundred boxes of an image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def suppress(
    boxes: Floats, scores: Floats, classes: npt.NDArray[np.integer], iou: float, max_kept: int
) -> npt.NDArray[np.int64]:
    """Greedy suppression within each class (Felzenszwalb et al. 2010, section 5).

    Args:
        boxes: (N, 4) x1 y1 x2 y2.
        scores: (N,).
        classes: (N,) boxes of different classes never suppress each other.
        iou: a box goes when it overlaps a better one by more.
        max_kept: stop at so many.

    Returns:
        Rows that stay, best score first; of equal scores the earlier row first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    corners = np.asarray(boxes, np.float64)[order]
    kinds = np.asarray(classes)[order]
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    alive = np.ones(len(order), dtype=np.bool_)
    kept: list[int] = []
    for row in range(len(order)):
        if not alive[row]:
            continue
        kept.append(row)
        if len(kept) == max_kept:
            break
        rest = np.flatnonzero(alive[row + 1 :] & (kinds[row + 1 :] == kinds[row])) + row + 1
        low = np.maximum(corners[rest, :2], corners[row, :2])
        high = np.minimum(corners[rest, 2:], corners[row, 2:])
        overlap = np.clip(high - low, 0.0, None).prod(axis=1)
        union = areas[rest] + areas[row] - overlap
        alive[rest[overlap > iou * union]] = False
    return order[np.asarray(kept, dtype=np.int64)]
