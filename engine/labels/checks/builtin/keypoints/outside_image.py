"""Keypoints that lie outside the image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding, Flags
from engine.labels.checks.registry import register_check
from engine.labels.model import ABSENT, Instance

TOLERANCE = 1.0
"""Pixels: tools clip to different edges of the outermost pixel."""


@register_check
class OutsideImage(Check):
    id = "outside_image"
    title = "Keypoint outside the image"
    help = (
        "Labelled keypoints must lie in the image. Usually the labels were made for another size of the image, or x "
        "and y are exchanged; a single one was dragged by mistake."
    )
    at_import = True
    fix_title = "Mark as absent"

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            outside = np.flatnonzero(_outside(frame, instance))
            if len(outside) and frame.size is not None:
                verb = "lies" if len(outside) == 1 else "lie"
                width, height = frame.size
                message = f"{instance.names_of(outside)} {verb} outside the image ({width} x {height} pixels)"
                yield self.finding(frame, message, instance, outside)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        visibility = instance.label.visibility
        if visibility is None:
            return instance.label
        return instance.label.replace(visibility=np.where(_outside(frame, instance), ABSENT, visibility))


def _outside(frame: CheckedFrame, instance: CheckedInstance) -> Flags:
    """(K,) which keypoints are labelled and lie outside the image; none where its size is not known."""
    if frame.size is None:
        return np.zeros(len(instance.points), np.bool_)
    limits = np.subtract(frame.size, 1) + TOLERANCE
    is_inside = ((instance.points >= -TOLERANCE) & (instance.points <= limits)).all(axis=1)
    return np.asarray(instance.is_labelled & ~is_inside)
