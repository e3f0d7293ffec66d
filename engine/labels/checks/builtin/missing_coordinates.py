"""Keypoints that are marked as labelled and have no coordinates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import ABSENT


@register_check
class MissingCoordinates(Check):
    id = "missing_coordinates"
    title = "Visibility without coordinates"
    help = (
        "The keypoint is marked as visible or occluded, but lies at (0, 0) or nowhere. Place it, or mark it as absent: "
        "a network would learn to find it in the corner."
    )

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            points, visibility = instance.label.keypoints, instance.label.visibility
            if points is None or visibility is None:
                continue
            nowhere = ~np.isfinite(points).all(axis=1) | (points == 0).all(axis=1)
            bad = np.flatnonzero((visibility != ABSENT) & nowhere)
            if len(bad):
                verb = "is" if len(bad) == 1 else "are"
                message = f"{instance.names_of(bad)} {verb} marked as labelled and without coordinates"
                yield self.finding(frame, message, instance, bad)
