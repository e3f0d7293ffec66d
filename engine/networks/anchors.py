"""Anchor boxes of EfficientDet-Lite and the box coding that goes with them.

Coordinates are letterbox pixels measured from the image's edge (the first pixel covers 0..1), as COCO boxes are;
subtract 0.5 for coordinates whose integers are pixel centres.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STRIDES = (8, 16, 32, 64, 128)
# Three octaves outermost, three aspects (width / height) within: 9 anchors a cell.
OCTAVES = (0, 1, 2)
ASPECTS = (1.0, 2.0, 0.5)
ANCHORS_PER_CELL = len(OCTAVES) * len(ASPECTS)
ANCHOR_SCALE = 3.0
# exp() of a wild network output must not overflow; e^8 times the largest anchor is far beyond any image.
MAX_LOG_SIZE = 8.0


def make_anchors(size: int | tuple[int, int] = 320) -> Tensor:
    """Anchors of an input of ``size`` pixels (a side, or width and height).

    Returns:
        (A, 4) float32 rows cy, cx, h, w in letterbox pixels; levels of stride 8 to 128, row by row, 9 to a cell.
        A is 19206 for 320.
    """
    width, height = (size, size) if isinstance(size, int) else size
    levels = []
    for stride in STRIDES:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        shapes = [
            (base / math.sqrt(aspect), base * math.sqrt(aspect))
            for base in (ANCHOR_SCALE * stride * 2 ** (octave / len(OCTAVES)) for octave in OCTAVES)
            for aspect in ASPECTS
        ]
        hw = torch.tensor(shapes, dtype=torch.float32).expand(rows, columns, -1, 2)
        cy = (torch.arange(rows, dtype=torch.float32) + 0.5) * stride
        cx = (torch.arange(columns, dtype=torch.float32) + 0.5) * stride
        centres = torch.stack(torch.meshgrid(cy, cx, indexing="ij"), -1)[:, :, None].expand(-1, -1, len(shapes), 2)
        levels.append(torch.cat([centres, hw], -1).reshape(-1, 4))
    return torch.cat(levels)


def decode_boxes(raw: Tensor, anchors: Tensor) -> Tensor:
    """Network output to boxes.

    Args:
        raw: (..., A, 4) ty, tx, th, tw.
        anchors: (A, 4) of :func:`make_anchors`.

    Returns:
        (..., A, 4) x1, y1, x2, y2 in letterbox pixels, not clipped.
    """
    centre = raw[..., :2] * anchors[:, 2:] + anchors[:, :2]
    half = torch.exp(raw[..., 2:].clamp(max=MAX_LOG_SIZE)) * anchors[:, 2:] / 2
    return torch.cat([(centre - half).flip(-1), (centre + half).flip(-1)], -1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of :func:`decode_boxes`: xyxy in letterbox pixels, one row an anchor -> (A, 4) ty, tx, th, tw."""
    y1x1, y2x2 = boxes[..., :2].flip(-1), boxes[..., 2:].flip(-1)
    size = (y2x2 - y1x1).clamp(min=1e-3)
    centre = (y1x1 + y2x2) / 2
    return torch.cat([(centre - anchors[:, :2]) / anchors[:, 2:], torch.log(size / anchors[:, 2:])], -1)
