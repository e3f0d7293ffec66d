"""Samples and targets of a detector: boxes to anchors. NumPy and OpenCV only.

Boxes and anchors are measured from the edge of the image, like COCO boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.train.config import AugmentConfig
from engine.train.data.augmentation import random_color
from engine.train.data.pose_crops import ImageCache
from engine.train.data.training_set import TrainingSet

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]

BACKGROUND, LEFT_OUT = -1, -2
POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.4
# An object of which less than this share is inside the canvas is neither a target nor background.
LEAST_VISIBLE = 0.3
FREE_ANGLE = 90.0  # from this largest rotation on, images are rotated by multiples of 90 degrees
TRIES = 10


@dataclass(frozen=True, eq=False)
class BoxSample:
    """A canvas (H, W, 3) uint8 with boxes (N, 4) xyxy, their classes (N,), and regions (M, 4) to ignore."""

    canvas: Image
    boxes: Array
    labels: Labels
    ignored: Array


class BoxDataset:
    """Canvases of a training set's images, letterboxed as in prediction.

    Args:
        size: width and height of the canvas.
        augment: None = as in prediction. ``scale`` is of the letterboxed image, which is then placed anywhere on the
            canvas or extends beyond it; if ``rotation`` allows 90 degrees, images are rotated by multiples of it.
    """

    def __init__(
        self, data: TrainingSet, size: tuple[int, int], augment: AugmentConfig | None, cache: ImageCache
    ) -> None:
        # An image without any boxes would teach that its objects are background.
        self.images = [image for image in data.images if len(image.boxes)]
        self.size = size
        self.augment = augment
        self._cache = cache

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> tuple[Image, float]:
        """The image, shrunk if it is large, and the factor."""
        return self._cache.get(self.images[index].path)

    def sample(self, index: int, rng: np.random.Generator) -> BoxSample:
        """One image, with random changes drawn from ``rng``."""
        record = self.images[index]
        image, factor = self.image(index)
        boxes, crowds = record.boxes * factor, record.crowds * factor
        if self.augment is not None:
            turns = int(rng.integers(4)) if self.augment.rotation >= FREE_ANGLE else 0
            flip = bool(rng.random() < self.augment.flip)
            boxes, crowds = (turn_boxes(b, turns, flip, image.shape[1], image.shape[0]) for b in (boxes, crowds))
            image = turn_image(image, turns, flip)
        scale, offset = self._layout(image, boxes, rng)
        canvas = place(image, scale, offset, self.size)
        if self.augment is not None:
            canvas = random_color(canvas, self.augment, rng)
        moved = boxes * scale + np.tile(offset, 2)
        clipped, is_visible = clip_to_canvas(moved, self.size)
        gone, _ = clip_to_canvas(crowds * scale + np.tile(offset, 2), self.size)
        ignored = np.concatenate([clipped[~is_visible], gone]).astype(np.float32)
        return BoxSample(canvas, clipped[is_visible].astype(np.float32), record.labels[is_visible], ignored)

    def _layout(self, image: Image, boxes: Array, rng: np.random.Generator) -> tuple[float, Array]:
        """Factor and offset (2,) from image to canvas; at least one box has its center on the canvas."""
        canvas = np.asarray(self.size, float)
        shape = np.asarray([image.shape[1], image.shape[0]], float)
        fitted = float((canvas / shape).min())
        if self.augment is None:
            return fitted, np.zeros(2)
        low, high = np.log(self.augment.scale)
        for _ in range(TRIES):
            scale = fitted * float(np.exp(rng.uniform(low, high)))
            room = canvas - shape * scale
            offset = np.floor(rng.uniform(0, 1, 2) * room)
            centers = (boxes[:, :2] + boxes[:, 2:]) / 2 * scale + offset
            if ((centers > 0) & (centers < canvas)).all(axis=1).any():
                return scale, offset
        return fitted, np.zeros(2)


def turn_image(image: Image, turns: int, flip: bool) -> Image:
    """Quarter turns counterclockwise, then a horizontal mirror."""
    turned = np.rot90(image, turns)
    return np.ascontiguousarray(turned[:, ::-1] if flip else turned)


def turn_boxes(boxes: Array, turns: int, flip: bool, width: int, height: int) -> Array:
    """Boxes (N, 4) of an image of this size after :func:`turn_image`."""
    x1, y1, x2, y2 = boxes.T
    for _ in range(turns % 4):
        x1, y1, x2, y2 = y1, width - x2, y2, width - x1
        width, height = height, width
    if flip:
        x1, x2 = width - x2, width - x1
    return np.stack([x1, y1, x2, y2], 1)


def place(image: Image, scale: float, offset: Array, size: tuple[int, int]) -> Image:
    """The image resized by ``scale``, with its corner at ``offset`` (whole pixels) on a black canvas of ``size``."""
    width, height = size
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, inner, interpolation=how)
    canvas = np.zeros((height, width, 3), np.uint8)
    x, y = int(offset[0]), int(offset[1])
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + inner[0], width), min(y + inner[1], height)
    if right > left and bottom > top:
        canvas[top:bottom, left:right] = resized[top - y : bottom - y, left - x : right - x]
    return canvas


def clip_to_canvas(boxes: Array, size: tuple[int, int]) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Boxes (N, 4) clipped to the canvas, and for each whether enough of it is left."""
    limit = np.asarray([*size, *size], float)
    clipped = np.clip(boxes, 0, limit)
    area = np.maximum(area_of(boxes), 1e-9)
    return clipped, area_of(clipped) / area >= LEAST_VISIBLE


def area_of(boxes: Array) -> Array:
    """(..., 4) xyxy -> (...)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou_matrix(a: Array, b: Array) -> Array:
    """(N, 4) and (M, 4) xyxy -> (N, M) intersection over union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    union = area_of(a)[:, None] + area_of(b)[None] - common
    return np.asarray(common / np.maximum(union, 1e-9))


def match(anchors: Array, sample: BoxSample) -> tuple[Labels, Array]:
    """Targets of one sample.

    An anchor is assigned the object it overlaps by half or more; every object gets its best anchor even below that.
    Anchors with an overlap of 0.4 to 0.5, or centered in an ignored region, are left out.

    Args:
        anchors: (A, 4) cy, cx, h, w.

    Returns:
        classes (A,) int64 (:data:`BACKGROUND`, :data:`LEFT_OUT`, or the class) and box codes (A, 4) float32.
    """
    labels = np.full(len(anchors), BACKGROUND, np.int64)
    codes = np.zeros((len(anchors), 4), np.float32)
    center, side = anchors[:, 1::-1], anchors[:, :1:-1]  # x, y and w, h
    for x1, y1, x2, y2 in sample.ignored:
        labels[((center > (x1, y1)) & (center < (x2, y2))).all(axis=1)] = LEFT_OUT
    if not len(sample.boxes):
        return labels, codes
    overlap = iou_matrix(np.concatenate([center - side / 2, center + side / 2], 1), sample.boxes)
    owner, best = overlap.argmax(axis=1), overlap.max(axis=1)
    labels[best >= NEGATIVE_IOU] = LEFT_OUT
    taken = best >= POSITIVE_IOU
    for box_index, anchor in enumerate(overlap.argmax(axis=0)):
        owner[anchor], taken[anchor] = box_index, True
    labels[taken] = sample.labels[owner[taken]]
    box = sample.boxes[owner[taken]]
    middle, extent = (box[:, :2] + box[:, 2:]) / 2, np.maximum(box[:, 2:] - box[:, :2], 1.0)
    codes[taken, 1::-1] = (middle - center[taken]) / side[taken]
    codes[taken, :1:-1] = np.log(extent / side[taken])
    return labels, codes
