"""Bounds on what the description of a checkpoint may ask for, checked before a network is built from it.

Published models stay far below; larger numbers are damage or a trap, and would take gigabytes or fail in torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ModelError
from engine.models.metadata import CheckpointInfo
from engine.utils.limits import MAX_KEYPOINTS

MAX_SIDE = 4096  # pixels of the network's input
MAX_INPUT_PIXELS = 2048 * 2048
MAX_BOX_PADDING = 10.0
MAX_CLASSES = 10_000
MAX_CHANNELS = 20_000
MAX_TEXT = 255  # characters
MAX_NUMBER = 1e6
MAX_NESTING = 4
MAX_LIST = 1000


def check_bounds(info: CheckpointInfo, *, where: object = None) -> None:
    """Refuse a description whose numbers no network can have.

    Raises:
        ModelError: naming the entry.
    """
    width, height = info.input_size
    points = 1 if info.schema is None else len(info.schema["keypoints"])
    values = (*info.normalization["mean"], *info.normalization["std"])
    channels = info.conventions.get("channels", (0, 1))
    counts = [info.arguments.get(name, 1) for name in ("num_keypoints", "num_classes")]
    rules = {
        f"input_size: at most {MAX_SIDE} a side and {MAX_INPUT_PIXELS} pixels": max(width, height) <= MAX_SIDE
        and width * height <= MAX_INPUT_PIXELS,
        f"box_padding: at most {MAX_BOX_PADDING:.0f}": info.box_padding <= MAX_BOX_PADDING,
        f"schema: at most {MAX_KEYPOINTS} keypoints": points <= MAX_KEYPOINTS,
        f"categories: at most {MAX_CLASSES} names of {MAX_TEXT} characters": len(info.categories) <= MAX_CLASSES
        and all(len(name) <= MAX_TEXT for name in info.categories),
        f"normalization: numbers up to {MAX_NUMBER:.0f}, std from {1 / MAX_NUMBER}": all(
            abs(value) <= MAX_NUMBER for value in values
        )
        and all(std >= 1 / MAX_NUMBER for std in info.normalization["std"]),
        f"conventions: channels up to {MAX_CHANNELS}": channels[1] <= MAX_CHANNELS,
        f"arguments: num_keypoints and num_classes from 1 to {MAX_CHANNELS}": all(
            isinstance(count, int) and 1 <= count <= MAX_CHANNELS for count in counts
        ),
        f"arguments: numbers up to {MAX_NUMBER:.0f} and short texts": _is_bounded(info.arguments),
        f"codec: numbers up to {MAX_NUMBER:.0f} and short texts": _is_bounded(info.codec),
        f"detector: at most {MAX_TEXT} characters": len(info.detector or "") <= MAX_TEXT,
    }
    for rule, holds in rules.items():
        if not holds:
            raise ModelError(f"its description cannot be right ({rule}); the file is damaged", where=where)


def check_points(info: CheckpointInfo, channels: int, *, where: object = None) -> None:
    """Refuse a network that gives another number of points than its schema has: poses would not fit their category.

    Args:
        channels: points that the network gives.

    Raises:
        ModelError: they differ.
    """
    if info.schema is None:
        return
    points = len(info.schema["keypoints"])
    start, stop = info.conventions.get("channels", (0, channels))
    if stop > channels or stop - start != points:
        given = max(0, min(stop, channels) - start)
        raise ModelError(f"its schema has {points} keypoints, its network gives {given}; it is damaged", where=where)


def _is_bounded(value: Any, depth: int = 0) -> bool:
    """Whether plain data hold only numbers of a sensible size, short texts and short lists."""
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return depth < MAX_NESTING and len(value) <= MAX_LIST and all(_is_bounded(item, depth + 1) for item in value)
    if isinstance(value, int | float):
        return abs(value) <= MAX_NUMBER  # False for what is not a number
    return not isinstance(value, str) or len(value) <= MAX_TEXT
