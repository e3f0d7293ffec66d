"""Boxes, crops and the way back, all in float64.

Coordinates are image pixels (x, y) with pixel centers at integers; boxes are x1 y1 x2 y2. A crop is described by the
center and the size ("scale") of the rectangle of the image that fills it; the affine of a crop maps image pixels to
crop pixels. Conventions are those of top-down pose estimation as MMPose does it, so that its published models give
their published numbers: the rectangle's center goes to (W/2, H/2), without half-pixel terms.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

# Boxes without extent are given one: a crop must have an inverse.
MIN_SIDE = 1.0
# A box around keypoints that lie on a line, or a single one, is at least this wide and high.
MIN_KEYPOINT_BOX = 2.0
# Coordinates beyond this are no image's; warps with them overflow the fixed-point arithmetic of the pixel loops.
MAX_COORDINATE = 1e6


def box_to_center_scale(box_xyxy: npt.ArrayLike, padding: float = 1.25, aspect: float = 1.0) -> tuple[Floats, Floats]:
    """The rectangle to crop for a box: padded, then widened or heightened to the aspect of the network's input.

    Args:
        box_xyxy: (..., 4).
        padding: factor on both sides.
        aspect: width / height of the input.

    Returns:
        center (..., 2) and scale (..., 2) = width, height, image pixels, with scale[0] = aspect * scale[1].
    """
    box = np.asarray(box_xyxy, np.float64)
    center = (box[..., :2] + box[..., 2:]) / 2
    side = np.maximum(box[..., 2:] - box[..., :2], MIN_SIDE) * padding
    width = np.maximum(side[..., 0], side[..., 1] * aspect)
    return center, np.stack([width, width / aspect], -1)


def crop_affine(
    center: npt.ArrayLike, scale: npt.ArrayLike, size_wh: tuple[int, int], rotation: npt.ArrayLike = 0.0
) -> Floats:
    """Affine from image pixels to crop pixels: x' = k R(-rotation) (x - center) + (W/2, H/2), k = W / scale[0].

    Args:
        center, scale: (..., 2), as :func:`box_to_center_scale` gives them.
        size_wh: width and height of the crop.
        rotation: degrees; the picture in the crop is turned by it against the clock (the axes have y downwards).

    Returns:
        (..., 2, 3).
    """
    center, scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
    angle = np.deg2rad(np.asarray(rotation, np.float64))
    k = size_wh[0] / scale[..., 0]
    cos, sin = k * np.cos(angle), k * np.sin(angle)
    cos, sin = np.broadcast_arrays(cos, sin)
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    middle = np.array([size_wh[0] / 2, size_wh[1] / 2])
    shift = middle - (linear @ center[..., None])[..., 0]
    return np.concatenate([linear, shift[..., None]], -1)


def udp_affine(
    center: npt.ArrayLike, scale: npt.ArrayLike, size_wh: tuple[int, int], rotation: npt.ArrayLike = 0.0
) -> Floats:
    """Affine from image pixels to crop pixels that maps the rectangle to the crop's W - 1 by H - 1 pixel steps.

    x' = (W - 1) / scale[0] * (R(rotation) (x - center) + scale / 2), likewise y'. Huang et al., "The Devil is in the
    Details" (CVPR 2020). It turns the other way round than :func:`crop_affine` for the same angle, as MMPose does.

    Args:
        center, scale: (..., 2), as :func:`box_to_center_scale` gives them.
        size_wh: width and height of the crop.
        rotation: degrees.

    Returns:
        (..., 2, 3).
    """
    center, scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
    angle = np.deg2rad(np.asarray(rotation, np.float64))
    factor = (np.array(size_wh, np.float64) - 1) / scale
    cos, sin = np.broadcast_arrays(np.cos(angle), np.sin(angle))
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    linear = factor[..., :, None] * turn
    shift = factor * scale / 2 - (linear @ center[..., None])[..., 0]
    return np.concatenate([np.broadcast_to(linear, (*shift.shape[:-1], 2, 2)), shift[..., None]], -1)


def published_affine(
    box_xyxy: npt.ArrayLike, padding: float, size_wh: tuple[int, int], *, udp: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Center, scale and affine of a crop with the single-precision steps of the programs that published the weights.

    It differs from :func:`crop_affine` by up to a thousandth of a pixel, which is enough to tip roundings of
    :func:`warp_fixed_point`; with it crops are equal bit for bit.

    Args:
        box_xyxy: (4,).
        padding: factor on both sides.
        size_wh: width and height of the crop.
        udp: the affine of :func:`udp_affine`.

    Returns:
        center (2,), scale (2,) and affine (2, 3).
    """
    box = np.asarray(box_xyxy, np.float32)
    center = (box[:2] + box[2:]) * np.float32(0.5)
    side = np.maximum(box[2:] - box[:2], np.float32(MIN_SIDE)) * np.float32(padding)
    aspect = np.float32(size_wh[0] / size_wh[1])
    if side[0] > side[1] * aspect:
        scale = np.array([side[0], side[0] / aspect], np.float32)
    else:
        scale = np.array([side[1] * aspect, side[1]], np.float32)
    if udp:
        affine = udp_affine(center, scale, size_wh).astype(np.float32).astype(np.float64)
    else:
        # Three corners of a right angle: the center, the middle of the left side, and as far above or below it.
        source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
        source[0], target[0] = center, np.array(size_wh) * 0.5
        for corner, half in ((source, scale[0] * 0.5), (target, size_wh[0] * 0.5)):
            corner[1] = corner[0] - np.array([half, 0.0])
            along = corner[0] - corner[1]
            corner[2] = corner[1] + np.array([-along[1], along[0]])
        affine = np.asarray(cv2.getAffineTransform(source, target), np.float64)
    return center.astype(np.float64), scale.astype(np.float64), affine


def invert_affine(affine: npt.ArrayLike) -> Floats:
    """(..., 2, 3) -> (..., 2, 3), the inverse.

    Raises:
        ValueError: the affine flattens the plane.
    """
    a = np.asarray(affine, np.float64)
    determinant = a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]
    if np.any(determinant == 0) or not np.all(np.isfinite(determinant)):
        raise ValueError("this affine has no inverse")
    inverse = (
        np.stack([np.stack([a[..., 1, 1], -a[..., 0, 1]], -1), np.stack([-a[..., 1, 0], a[..., 0, 0]], -1)], -2)
        / determinant[..., None, None]
    )
    shift = -(inverse @ a[..., 2:])
    return np.concatenate([inverse, shift], -1)


def apply_affine(points: npt.ArrayLike, affine: npt.ArrayLike) -> Floats:
    """Map points (..., N, 2) by an affine (2, 3), or each group by its own (..., 2, 3)."""
    points, affine = np.asarray(points, np.float64), np.asarray(affine, np.float64)
    mapped: Floats = points @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2]
    return mapped


def compose_affine(outer: npt.ArrayLike, inner: npt.ArrayLike) -> Floats:
    """The (..., 2, 3) affine that applies ``inner``, then ``outer``."""
    outer, inner = np.asarray(outer, np.float64), np.asarray(inner, np.float64)
    linear = outer[..., :2] @ inner[..., :2]
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([linear, shift], -1)


def warp(image: Image, affine: npt.ArrayLike, size_wh: tuple[int, int]) -> Image:
    """Cut (H, W, C) uint8 out of an image by an affine from image to crop pixels; bilinear, black outside."""
    matrix = np.asarray(affine, np.float64)
    return _pixels(cv2.warpAffine(image, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


def warp_fixed_point(image: Image, affine: npt.ArrayLike, size_wh: tuple[int, int]) -> Image:
    """As :func:`warp`, with source positions rounded to 1/32 pixel, bit for bit as OpenCV before version 5 cut crops.

    Published heatmap models were measured on such crops. Slower than :func:`warp`; the two differ by a few grey values.
    """
    width, height = size_wh
    inverse = _inverse_as_opencv(np.asarray(affine, np.float64))
    # Steps and row starts are rounded to 10 fractional bits each, then the sum is cut to 5.
    step = np.rint(inverse[:, 0, None] * np.arange(width) * 1024).astype(np.int64)
    start = np.rint((inverse[:, 1, None] * np.arange(height) + inverse[:, 2, None]) * 1024).astype(np.int64) + 16
    x, y = ((start[axis][:, None] + step[axis]) >> 5 for axis in (0, 1))
    whole = np.clip(np.stack([x >> 5, y >> 5], -1), -32768, 32767).astype(np.int16)
    fraction = ((y & 31) * 32 + (x & 31)).astype(np.uint16)
    return _pixels(cv2.remap(image, whole, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


def _inverse_as_opencv(affine: Floats) -> Floats:
    """The inverse with the order of operations that decides on which side a rounding falls."""
    (a, b, x), (c, d, y) = affine.tolist()
    determinant = a * d - b * c
    reciprocal = 1.0 / determinant if determinant else 0.0
    first, second, third, fourth = d * reciprocal, b * -reciprocal, c * -reciprocal, a * reciprocal
    return np.array([[first, second, -first * x - second * y], [third, fourth, -third * x - fourth * y]], np.float64)


def letterbox(image: Image, size: int | tuple[int, int]) -> tuple[Image, float]:
    """Shrink or enlarge to fit into ``size`` (a side, or width and height), at the top left on black.

    Returns:
        The (height, width, 3) canvas and the factor: canvas pixels = factor * image pixels, measured from the edges.
    """
    width, height = (size, size) if isinstance(size, int) else size
    factor = min(width / image.shape[1], height / image.shape[0])
    inner = (
        max(1, min(width, round(image.shape[1] * factor))),
        max(1, min(height, round(image.shape[0] * factor))),
    )
    canvas = np.zeros((height, width, 3), np.uint8)
    # Area averaging when shrinking: bilinear would skip pixels and turn fine texture into noise.
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas[: inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=how)
    return canvas, factor


def clip_box(box_xyxy: npt.ArrayLike, width: float, height: float) -> Floats:
    """Boxes (..., 4) cut to 0..width and 0..height."""
    box = np.asarray(box_xyxy, np.float64)
    return np.clip(box, 0.0, np.array([width, height, width, height], np.float64))


def box_from_keypoints(
    keypoints: npt.ArrayLike, visibility: npt.ArrayLike | None = None, margin: float = 0.0
) -> Floats | None:
    """The box around the labelled keypoints.

    Args:
        keypoints: (K, 2) or (K, 3); only x and y are read.
        visibility: (K,); points with 0 do not count. None: all finite points count.
        margin: pixels added on every side.

    Returns:
        (4,) x1 y1 x2 y2, at least ``MIN_KEYPOINT_BOX`` wide and high; None when no point counts.
    """
    points = np.asarray(keypoints, np.float64)[:, :2]
    use = np.isfinite(points).all(1)
    if visibility is not None:
        use &= np.asarray(visibility) > 0
    if not use.any():
        return None
    low, high = points[use].min(0) - margin, points[use].max(0) + margin
    lacking = np.maximum(MIN_KEYPOINT_BOX - (high - low), 0) / 2
    return np.concatenate([low - lacking, high + lacking])


def xywh_to_xyxy(box_xywh: npt.ArrayLike) -> Floats:
    """COCO's x, y, width, height -> x1, y1, x2, y2; (..., 4)."""
    box = np.asarray(box_xywh, np.float64)
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], -1)


def xyxy_to_xywh(box_xyxy: npt.ArrayLike) -> Floats:
    """The inverse of :func:`xywh_to_xyxy`."""
    box = np.asarray(box_xyxy, np.float64)
    return np.concatenate([box[..., :2], box[..., 2:] - box[..., :2]], -1)


def box_is_usable(box_xyxy: npt.ArrayLike) -> bool:
    """Finite, of positive width and height, and within the range that warps can do."""
    box = np.asarray(box_xyxy, np.float64)
    finite = all(math.isfinite(value) and abs(value) <= MAX_COORDINATE for value in box)
    return finite and bool(box[2] > box[0] and box[3] > box[1])


def _pixels(image: Any) -> Image:
    return np.asarray(image, np.uint8)
