"""What the shapes of CVAT's XML say: labels, points, boxes, frames. What cannot be used is reported."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

import numpy as np

from engine.labels.model import ABSENT, OCCLUDED, VISIBLE, Floats
from engine.utils.context import ERROR, Context
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

TRUE = frozenset({"1", "true", "True"})
_LARGEST = 1e9  # pixels
MAX_FRAME = 100_000_000


class ShapeReader:
    """Reads numbers of shapes.

    Args:
        context: gets what cannot be used; the ``key`` of a shape says which it is.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def frame_index(self, shape: Element, where: str) -> int | None:
        """The number of the frame of a shape in its video; None if it has none, which is reported."""
        index = whole_number(shape.get("frame"))
        if index is None or not 0 <= index <= MAX_FRAME:
            self._context.report(where, "Shape whose frame is not a number", "left out", severity=ERROR)
            return None
        return index

    def points(self, shape: Element, key: str) -> Floats | None:
        """(n, 2) coordinates of a shape; None if they cannot be used, which is reported."""
        text = shape.get("points") or ""
        pairs = text.split(";", MAX_KEYPOINTS + 1)
        try:
            points = np.array([[float(cell) for cell in pair.split(",")] for pair in pairs], np.float64)
        except ValueError:
            points = np.zeros((0, 0))
        are_pairs = points.ndim == 2 and points.shape[1] == 2 and len(points) <= MAX_KEYPOINTS
        if not are_pairs or not (np.abs(points) < _LARGEST).all():
            self._context.report(key, "Points that are not pairs of numbers", "left out", severity=ERROR)
            return None
        return points

    def point(self, shape: Element, key: str) -> tuple[float, float] | None:
        """x and y of a keypoint, the first of several; None if it cannot be used, which is reported."""
        try:
            x, y = map(float, (shape.get("points") or "").split(",", 2))
            if -_LARGEST < x < _LARGEST and -_LARGEST < y < _LARGEST:
                return x, y
        except ValueError:
            pass
        points = self.points(shape, key)
        if points is None:
            return None
        if len(points) > 1:
            self._context.report(key, "Keypoint of several points", "the first is taken")
        return float(points[0, 0]), float(points[0, 1])

    def box(self, shape: Element, key: str) -> Floats | None:
        """(4,) x1, y1, x2, y2; None if they cannot be used, which is reported."""
        try:
            values = [float(shape.get(name) or "") for name in ("xtl", "ytl", "xbr", "ybr")]
        except ValueError:
            values = [math.nan]
        if not all(-_LARGEST < value < _LARGEST for value in values):
            self._context.report(key, "Box whose corners are not numbers", "left out", severity=ERROR)
            return None
        return np.array(values)


def state_of(outside: bool, occluded: bool) -> int:
    """The visibility of a keypoint that CVAT calls outside or occluded."""
    return ABSENT if outside else OCCLUDED if occluded else VISIBLE


def label_of(element: Element) -> str:
    """The label of a shape, "object" without one."""
    return (element.get("label") or "").strip()[:MAX_NAME] or "object"


def is_auto(element: Element) -> bool:
    """Whether a model made the shape and nobody has changed it."""
    return element.get("source") == "auto"


def source_of(element: Element) -> str:
    """Who made a shape; "" for a person."""
    source = element.get("source") or ""
    return "" if source == "manual" else source


def count_points(shape: Element) -> int:
    """How many points a shape has; 1 for a box."""
    return 1 if shape.tag == "box" else (shape.get("points") or "").count(";") + 1


def whole_number(text: str | None) -> int | None:
    """A whole number of at most nine digits; None for anything else."""
    text = (text or "").strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 9 else None
