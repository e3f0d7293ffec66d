"""Boxes that hold none of their keypoints."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check


@register_check
class KeypointsOutsideBox(Check):
    id = "keypoints_outside_box"
    title = "Box holds none of its keypoints"
    help = "Box and keypoints belong to different objects. The network would look for the pose in the wrong place."
    at_import = True

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            box, labelled = instance.label.box, instance.is_labelled
            if box is None or not labelled.any() or box[2] <= box[0] or box[3] <= box[1]:
                continue
            points = instance.points[labelled]
            if not ((points >= box[:2]) & (points <= box[2:])).all(axis=1).any():
                yield self.finding(frame, "the box holds none of the labelled keypoints", instance)
