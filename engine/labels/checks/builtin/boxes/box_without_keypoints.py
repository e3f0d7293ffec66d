"""Instances with a box and no labelled keypoint."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check
from engine.utils.context import INFO


@register_check
class BoxWithoutKeypoints(Check):
    id = "box_without_keypoints"
    title = "Box without keypoints"
    help = "A pose network learns nothing from it. Label its keypoints, or delete it if there is no object."
    severity = INFO

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            label = instance.label
            has_schema = instance.category is None or instance.category.schema is not None
            if label.box is not None and not label.is_crowd and has_schema and not instance.is_labelled.any():
                yield self.finding(frame, "has a box and no labelled keypoint", instance)
