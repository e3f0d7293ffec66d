"""Points tracked from one image to the next by optical flow, each verified by tracking it back."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Image = npt.NDArray[np.uint8]

_WINDOW = 21
_MAX_ITERATIONS = 30
_PRECISION = 0.01
_MIN_SIDE = 40
_MAX_LEVELS = 5


def propagate_points(
    image_a: Image, image_b: Image, points: npt.ArrayLike, *, max_return_error: float = 1.5
) -> tuple[Floats, Flags]:
    """Find points of one image in another that was taken shortly after.

    Pyramidal Lucas-Kanade flow forward and back again (Z. Kalal et al., "Forward-Backward Error", ICPR 2010).

    Args:
        image_a, image_b: RGB or gray uint8 of the same size.
        points: (N, 2) x, y in ``image_a``, pixel centers at integers.
        max_return_error: largest distance of a point from where it started once it is tracked back; pixels of an image
            720 pixels high.

    Returns:
        points (N, 2) in ``image_b``; those that are not ``ok`` are moved by the median motion of the others.
        ok (N,): the point was found again. False for points outside of either image and for those that are not finite.

    Raises:
        MediaError: the images differ in size.
    """
    if image_a.shape[:2] != image_b.shape[:2]:
        raise MediaError(f"the images differ in size: {image_a.shape[1::-1]} and {image_b.shape[1::-1]}")
    old = np.asarray(points, np.float64).reshape(-1, 2)
    height, width = image_a.shape[:2]
    is_inside = _inside(old, width, height)
    new, ok = old.copy(), np.zeros(len(old), np.bool_)
    if is_inside.any():
        first, second = _gray(image_a), _gray(image_b)
        forward, forward_ok = _flow(first, second, old[is_inside])
        back, back_ok = _flow(second, first, forward)
        return_error = np.hypot(*(back - old[is_inside]).T)
        allowed = max_return_error * max(1.0, min(width, height) / 720)
        good = forward_ok & back_ok & (return_error <= allowed) & _inside(forward, width, height)
        new[np.flatnonzero(is_inside)[good]] = forward[good]
        ok[np.flatnonzero(is_inside)[good]] = True
    lost = ~ok & np.isfinite(old).all(axis=1)
    if ok.any():
        new[lost] = old[lost] + np.median(new[ok] - old[ok], axis=0)
    return new, ok


def _flow(first: Image, second: Image, points: Floats) -> tuple[Floats, Flags]:
    levels = int(np.clip(math.log2(max(1.0, min(first.shape) / _MIN_SIDE)), 0, _MAX_LEVELS))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _MAX_ITERATIONS, _PRECISION)
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        np.ascontiguousarray(points, np.float32).reshape(-1, 1, 2),
        None,
        winSize=(_WINDOW, _WINDOW),
        maxLevel=levels,
        criteria=criteria,
    )
    return moved.reshape(-1, 2).astype(np.float64), status.reshape(-1).astype(np.bool_)


def _gray(image: Image) -> Image:
    return np.ascontiguousarray(image) if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _inside(points: Floats, width: int, height: int) -> Flags:
    low, high = np.array([-0.5, -0.5]), np.array([width - 0.5, height - 0.5])
    with np.errstate(invalid="ignore"):
        return np.asarray(((points >= low) & (points <= high)).all(axis=1), np.bool_)
