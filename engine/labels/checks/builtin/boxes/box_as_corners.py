"""Boxes that a file gives as two corners, where a corner and a size are expected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import Floats, Instance

SHARE = 0.9
"""Share of the boxes that must make sense as two corners."""
BEYOND = 0.5
"""Share of them that must reach beyond the image, or far beyond their keypoints where its size is not known."""
NEAR = 0.25
"""Times the extent of the keypoints."""
MARGIN = 0.1
"""Share of the size of a box by which keypoints may lie outside it."""


@register_check
class BoxAsCorners(Check):
    id = "box_as_corners"
    title = "Box written as two corners"
    help = (
        "The boxes were written as x1, y1, x2, y2 where x, y, width, height were expected, so that they reach far "
        "beyond the objects. Read as corners they fit."
    )
    at_import = True
    fix_title = "Read the boxes as two corners"

    def __init__(self) -> None:
        self._tested = self._sensible = self._beyond = 0

    def learn(self, frame: CheckedFrame) -> None:
        for instance in frame.instances:
            box = instance.label.box
            if box is None or instance.label.is_crowd or not np.isfinite(box).all():
                continue
            self._tested += 1
            if _makes_sense(frame, instance, _as_corners(box)):
                self._sensible += 1
                self._beyond += _reaches_beyond(frame, instance, box)

    @property
    def _is_usual(self) -> bool:
        """Whether the file writes its boxes so; a single box tells nothing."""
        return self._beyond > 0 and self._sensible >= SHARE * self._tested and self._beyond >= BEYOND * self._tested

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if not self._is_usual:
            return
        for instance in frame.instances:
            box = instance.label.box
            if box is not None and not instance.label.is_crowd and _makes_sense(frame, instance, _as_corners(box)):
                yield self.finding(frame, "the box fits if its last two numbers are a corner, not a size", instance)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        box = instance.label.box
        return instance.label if box is None else instance.label.replace(box=_as_corners(box))


def _as_corners(box: Floats) -> Floats:
    """(4,) x1, y1, x2, y2 of a box whose last two numbers were taken as width and height."""
    return np.array([box[0], box[1], box[2] - box[0], box[3] - box[1]])


def _makes_sense(frame: CheckedFrame, instance: CheckedInstance, box: Floats) -> bool:
    """Whether a box has an area, lies in the image, and holds the keypoints."""
    if not (np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]):
        return False
    if frame.size is not None and (box[2] > frame.size[0] + 1 or box[3] > frame.size[1] + 1):
        return False
    points = instance.points[instance.is_labelled]
    if not len(points):
        return frame.size is not None
    margin = MARGIN * (box[2:] - box[:2]) + 1
    return bool(((points >= box[:2] - margin) & (points <= box[2:] + margin)).all())


def _reaches_beyond(frame: CheckedFrame, instance: CheckedInstance, box: Floats) -> bool:
    if frame.size is not None:
        return bool(box[2] > frame.size[0] + 2 or box[3] > frame.size[1] + 2)
    points = instance.points[instance.is_labelled]
    if len(points) < 2:
        return False
    return _is_tight(_as_corners(box), points) and not _is_tight(box, points)


def _is_tight(box: Floats, points: Floats) -> bool:
    """Whether the lower right corner of a box is near that of the keypoints."""
    return bool((box[2:] - points.max(axis=0) <= NEAR * (np.ptp(points, axis=0) + 1)).all())
