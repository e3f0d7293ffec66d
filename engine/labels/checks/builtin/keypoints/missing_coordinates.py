"""Keypoints that are marked as labelled and have no coordinates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import ABSENT, Bytes, Flags, Floats, Instance


@register_check
class MissingCoordinates(Check):
    id = "missing_coordinates"
    title = "Visibility without coordinates"
    help = (
        "The keypoint is marked as visible or occluded, but lies at (0, 0) or nowhere. Place it, or mark it as absent: "
        "a network would learn to find it in the corner."
    )
    at_import = True
    fix_title = "Mark as absent"

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            points, visibility = instance.label.keypoints, instance.label.visibility
            if points is None or visibility is None:
                continue
            bad = np.flatnonzero(_nowhere(points, visibility))
            if len(bad):
                verb = "is" if len(bad) == 1 else "are"
                message = f"{instance.names_of(bad)} {verb} marked as labelled and without coordinates"
                yield self.finding(frame, message, instance, bad)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        points, visibility = instance.label.keypoints, instance.label.visibility
        if points is None or visibility is None:
            return instance.label
        nowhere = _nowhere(points, visibility)
        return instance.label.replace(
            keypoints=np.where(nowhere[:, None], 0.0, points), visibility=np.where(nowhere, ABSENT, visibility)
        )


def _nowhere(points: Floats, visibility: Bytes) -> Flags:
    """(K,) which keypoints are labelled and have no coordinates."""
    nowhere = ~np.isfinite(points).all(axis=1) | (points == 0).all(axis=1)
    return np.asarray((visibility != ABSENT) & nowhere)
