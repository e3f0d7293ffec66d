"""Keypoints that are marked as absent and have coordinates all the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import ABSENT
from engine.utils.context import INFO


@register_check
class AbsentWithCoordinates(Check):
    id = "absent_with_coordinates"
    title = "Absent keypoint with coordinates"
    help = (
        "The visibility is 0, so the coordinates are not used. CVAT writes them for points outside the image; if they "
        "were meant as labels, their visibility is wrong."
    )
    severity = INFO
    of_files = True  # a project keeps them, so that marking a point as absent can be taken back

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            points, visibility = instance.label.keypoints, instance.label.visibility
            if points is None or visibility is None:
                continue
            absent = np.flatnonzero((visibility == ABSENT) & np.isfinite(points).all(1) & (points != 0).any(1))
            if len(absent):
                verb = "is" if len(absent) == 1 else "are"
                message = f"{instance.names_of(absent)} {verb} marked as absent and has coordinates"
                yield self.finding(frame, message, instance, absent)
