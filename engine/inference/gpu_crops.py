"""Cutting crops on the device that runs the network: all boxes of all images at once.

The arithmetic is that of :func:`engine.geometry.warp_fixed_point`, so that crops are bit for bit the same on every
device: source positions rounded to 1/32 pixel, integer bilinear weights, black outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.geometry import MIN_SIDE, crop_affine, invert_affine, udp_affine

Float64Array = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]

POSITION_BITS = 10
FRACTION_BITS = 5
STEPS = 1 << FRACTION_BITS


@dataclass(frozen=True)
class PackedImages:
    """Images of any sizes in one buffer.

    Attributes:
        pixels: (sum of H * W, 3) uint8, row after row.
        starts, widths, heights: (N,) int64, the first row of each image in ``pixels`` and its size.
    """

    pixels: Tensor
    starts: Tensor
    widths: Tensor
    heights: Tensor


def pack_images(images: Sequence[ImageArray], device: torch.device) -> PackedImages:
    """Copy images (H, W, 3) to the device in one transfer."""
    sizes = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
    counts = sizes.prod(1)
    buffer = torch.empty((int(counts.sum()), 3), dtype=torch.uint8, pin_memory=device.type == "cuda")
    flat, start = buffer.numpy(), 0
    for image, count in zip(images, counts.tolist(), strict=True):
        flat[start : start + count] = image.reshape(-1, 3)
        start += count
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(counts) else counts
    on_device = [
        torch.from_numpy(np.ascontiguousarray(values)).to(device) for values in (starts, sizes[:, 1], sizes[:, 0])
    ]
    return PackedImages(buffer.to(device, non_blocking=True), *on_device)


def cut_crops(images: PackedImages, owners: npt.ArrayLike, affines: Float64Array, size_wh: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) uint8, channels-last.

    Args:
        owners: (B,) index of the image of each crop.
        affines: (B, 2, 3) from image to crop pixels.
        size_wh: width and height of the crops.
    """
    device = images.pixels.device
    width, height = size_wh
    owner = torch.as_tensor(np.asarray(owners, np.int64), device=device)
    inverse = torch.from_numpy(np.ascontiguousarray(inverse_as_opencv(affines))).to(device)
    scale = float(1 << POSITION_BITS)
    columns = torch.arange(width, device=device, dtype=torch.float64)
    rows = torch.arange(height, device=device, dtype=torch.float64)
    step = (inverse[:, :, 0, None] * columns * scale).round().long()
    along = inverse[:, :, 1, None] * rows + inverse[:, :, 2, None]
    start = (along * scale).round().long() + (1 << (POSITION_BITS - FRACTION_BITS - 1))
    # (B, 2, H, W) in 1/32 pixel.
    position = (start[:, :, :, None] + step[:, :, None, :]) >> (POSITION_BITS - FRACTION_BITS)
    whole, fraction = position >> FRACTION_BITS, (position & (STEPS - 1)).to(torch.int32)
    x, y = whole[:, 0], whole[:, 1]
    fx, fy = fraction[:, 0, ..., None], fraction[:, 1, ..., None]

    def at(dx: int, dy: int) -> Tensor:
        return _look_up(images, owner, x + dx, y + dy)

    total = at(0, 0) * ((STEPS - fx) * (STEPS - fy)) + at(1, 0) * (fx * (STEPS - fy))
    total += at(0, 1) * ((STEPS - fx) * fy) + at(1, 1) * (fx * fy)
    half = 1 << (2 * FRACTION_BITS - 1)
    return ((total + half) >> (2 * FRACTION_BITS)).to(torch.uint8).permute(0, 3, 1, 2)


def _look_up(images: PackedImages, owner: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Pixels (B, H, W, 3) int32 at positions x, y (B, H, W); 0 outside the image."""
    wide, high = (values[owner][:, None, None] for values in (images.widths, images.heights))
    inside = (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    index = torch.where(inside, images.starts[owner][:, None, None] + y * wide + x, 0)
    pixels = images.pixels[index].to(torch.int32)
    return torch.where(inside[..., None], pixels, 0)


def inverse_as_opencv(affines: Float64Array) -> Float64Array:
    """(B, 2, 3) -> (B, 2, 3), the inverse with OpenCV's order of operations, which decides how values round."""
    a, b, x = affines[:, 0].T
    c, d, y = affines[:, 1].T
    determinant = a * d - b * c
    reciprocal = np.divide(1.0, determinant, out=np.zeros_like(determinant), where=determinant != 0)
    first, second, third, fourth = d * reciprocal, b * -reciprocal, c * -reciprocal, a * reciprocal
    rows = [
        np.stack([first, second, -first * x - second * y], -1),
        np.stack([third, fourth, -third * x - fourth * y], -1),
    ]
    return np.stack(rows, 1)


def published_affines(
    boxes_xyxy: npt.ArrayLike, padding: float, size_wh: tuple[int, int], *, udp: bool = False
) -> tuple[Float64Array, Float64Array]:
    """As :func:`engine.geometry.published_affine` for many boxes at once.

    Returns:
        affines from image to crop pixels (B, 2, 3), and from decoded keypoints to image pixels (B, 2, 3).
    """
    box = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
    center = (box[:, :2] + box[:, 2:]) * np.float32(0.5)
    side = np.maximum(box[:, 2:] - box[:, :2], np.float32(MIN_SIDE)) * np.float32(padding)
    aspect = np.float32(size_wh[0] / size_wh[1])
    wide = side[:, 0] > side[:, 1] * aspect
    scale = np.where(
        wide[:, None],
        np.stack([side[:, 0], side[:, 0] / aspect], -1),
        np.stack([side[:, 1] * aspect, side[:, 1]], -1),
    ).astype(np.float32)
    back = invert_affine(crop_affine(center.astype(np.float64), scale.astype(np.float64), size_wh))
    if udp:
        return udp_affine(center, scale, size_wh).astype(np.float32).astype(np.float64), back
    # The three corners of :func:`engine.geometry.published_affine`: the center, the middle of the left side, and a
    # point as far above or below it.
    source, target = np.zeros((len(box), 3, 2), np.float32), np.zeros((3, 2), np.float32)
    source[:, 0], target[0] = center, np.array(size_wh) * 0.5
    source[:, 1, 0] = center[:, 0].astype(np.float64) - 0.5 * scale[:, 0].astype(np.float64)
    source[:, 1, 1], target[1] = center[:, 1], target[0] - np.array([size_wh[0] * 0.5, 0.0])
    for corners in (source, target[None]):
        corners[:, 2, 0] = corners[:, 1, 0]
        corners[:, 2, 1] = corners[:, 1, 1] + (corners[:, 0, 0] - corners[:, 1, 0])
    return affines_through(source.astype(np.float64), np.broadcast_to(target.astype(np.float64), source.shape)), back


def affines_through(source: Float64Array, target: Float64Array) -> Float64Array:
    """(B, 2, 3) affines that map three points (B, 3, 2) to three others.

    The elimination has the order of OpenCV's solver, so that every digit is the same.
    """
    count = len(source)
    left, right = np.zeros((count, 6, 6)), np.zeros((count, 6))
    left[:, 0::2, :2] = left[:, 1::2, 3:5] = source
    left[:, 0::2, 2] = left[:, 1::2, 5] = 1.0
    right[:, 0::2], right[:, 1::2] = target[..., 0], target[..., 1]
    every = np.arange(count)
    for i in range(6):
        pivot = i + np.abs(left[:, i:, i]).argmax(1)
        for table in (left, right):
            pivot_rows = table[every, pivot].copy()
            table[every, pivot] = table[:, i]
            table[:, i] = pivot_rows
        reciprocal = -1.0 / left[:, i, i]
        for j in range(i + 1, 6):
            factor = left[:, j, i] * reciprocal
            left[:, j, i + 1 :] += factor[:, None] * left[:, i, i + 1 :]
            right[:, j] += factor * right[:, i]
    for i in range(5, -1, -1):
        rest = right[:, i].copy()
        for j in range(i + 1, 6):
            rest -= left[:, i, j] * right[:, j]
        right[:, i] = rest / left[:, i, i]
    return right.reshape(count, 2, 3)
