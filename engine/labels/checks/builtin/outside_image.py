"""Keypoints that lie outside the image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check

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

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if frame.size is None:
            return
        width, height = frame.size
        for instance in frame.instances:
            x, y = instance.points[:, 0], instance.points[:, 1]
            inside = (
                (x >= -TOLERANCE) & (y >= -TOLERANCE) & (x <= width - 1 + TOLERANCE) & (y <= height - 1 + TOLERANCE)
            )
            outside = np.flatnonzero(instance.is_labelled & ~inside)
            if len(outside):
                verb = "lies" if len(outside) == 1 else "lie"
                message = f"{instance.names_of(outside)} {verb} outside the image ({width} x {height} pixels)"
                yield self.finding(frame, message, instance, outside)
