"""Points carried from one picture to the next by optical flow, each checked by carrying it back."""

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
_STEPS = 30
_EXACT = 0.01
_LEAST_SIDE = 40
_MOST_LEVELS = 5


def propagate_points(
    image_a: Image, image_b: Image, points: npt.ArrayLike, *, max_return_error: float = 1.5
) -> tuple[Floats, Flags]:
    """Where points of one picture are in another that was taken shortly after.

    Pyramidal Lucas-Kanade flow there and back again (forward-backward error: Z. Kalal et al., "Forward-Backward Error",
    ICPR 2010).

    Args:
        image_a, image_b: RGB or grey uint8 of the same size.
        points: (N, 2) x, y in ``image_a``, pixel centres at integers.
        max_return_error: pixels that a point may be off when it is back, at a picture of 720 lines.

    Returns:
        points (N, 2) in ``image_b``, those that are not ``ok`` moved by the median of the others;
        ok (N,): the point was followed. False for points outside of either picture and for such that are not finite.

    Raises:
        MediaError: the pictures differ in size.
    """
    if image_a.shape[:2] != image_b.shape[:2]:
        raise MediaError(f"the pictures differ in size: {image_a.shape[1::-1]} and {image_b.shape[1::-1]}")
    places = np.asarray(points, np.float64).reshape(-1, 2)
    height, width = image_a.shape[:2]
    start = _inside(places, width, height)
    found, ok = places.copy(), np.zeros(len(places), np.bool_)
    if start.any():
        first, second = _grey(image_a), _grey(image_b)
        moved, there = _flow(first, second, places[start])
        back, again = _flow(second, first, moved)
        off = np.hypot(*(back - places[start]).T)
        allowed = max_return_error * max(1.0, min(width, height) / 720)
        good = there & again & (off <= allowed) & _inside(moved, width, height)
        found[np.flatnonzero(start)[good]] = moved[good]
        ok[np.flatnonzero(start)[good]] = True
    rest = ~ok & np.isfinite(places).all(axis=1)
    if ok.any():
        found[rest] = places[rest] + np.median(found[ok] - places[ok], axis=0)
    return found, ok


def _flow(first: Image, second: Image, points: Floats) -> tuple[Floats, Flags]:
    levels = int(np.clip(math.log2(max(1.0, min(first.shape) / _LEAST_SIDE)), 0, _MOST_LEVELS))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _EXACT)
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


def _grey(image: Image) -> Image:
    return np.ascontiguousarray(image) if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _inside(points: Floats, width: int, height: int) -> Flags:
    low, high = np.array([-0.5, -0.5]), np.array([width - 0.5, height - 0.5])
    with np.errstate(invalid="ignore"):
        return np.asarray(((points >= low) & (points <= high)).all(axis=1), np.bool_)
