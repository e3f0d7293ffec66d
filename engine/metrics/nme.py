"""Normalized mean error of facial landmarks, as the benchmarks define it: mean distance relative to the size of the
face.

The size is the distance between the outer corners of the eyes (300W, WFLW, COFW), or the side of the box (AFLW).
Unlabelled points and instances that were missed do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engine.metrics.matching import Pose

Array = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

EYE_CORNERS: dict[str, tuple[int, int]] = {
    "300w": (36, 45),
    "coco_wholebody_face": (36, 45),
    "cofw": (8, 9),
    "wflw": (60, 72),
}
"""Per schema the positions of the outer corners of the eyes, as MMPose's NME metric takes them."""

BY_BOX = ("aflw",)


def has_norm(schema: str) -> bool:
    """Whether it is known what the error is normalized by for this schema."""
    return schema in EYE_CORNERS or schema in BY_BOX


def face_norm(schema: str, truth: Sequence[Pose]) -> Array:
    """(N,) pixels; NaN if the corner of an eye is not labelled, or the length is 0.

    The side of a box that is not square is the square root of its area.

    Raises:
        KeyError: a schema without a norm, see :func:`has_norm`.
    """
    if schema in BY_BOX:
        boxes = np.stack([pose.box for pose in truth]).astype(np.float64)
        norm = np.sqrt(np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0))
    else:
        first, second = EYE_CORNERS[schema]
        points = np.stack([pose.points for pose in truth]).astype(np.float64)
        labelled = np.stack([pose.labelled for pose in truth])
        norm = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
        norm = np.where(labelled[:, first] & labelled[:, second], norm, np.nan)
    return np.where(norm > 0, norm, np.nan)


def nme(distance: Array, visible: Bools, norm: Array) -> float:
    """Mean over all visible points of the distance divided by the norm; NaN if there is none.

    Args:
        distance: (N, K) pixels, not finite for missed points. visible: (N, K). norm: (N,) pixels.
    """
    relative = np.asarray(distance, np.float64) / np.asarray(norm, np.float64)[:, None]
    counted = relative[visible & np.isfinite(relative)]
    return float(counted.mean()) if counted.size else float("nan")
