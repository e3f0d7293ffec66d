"""Boxes without an area."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import Instance


@register_check
class EmptyBox(Check):
    id = "empty_box"
    title = "Box without an area"
    help = "Width or height is zero or negative, or not a number: the box shows nothing. Draw it again or delete it."
    at_import = True
    fix_title = "Take the box of the keypoints"

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            box = instance.label.box
            if box is None:
                continue
            fixable = bool(instance.is_labelled.any())
            if not np.isfinite(box).all():
                yield self.finding(frame, "the box has a number that is not finite", instance, fixable=fixable)
            elif box[2] <= box[0] or box[3] <= box[1]:
                width, height = box[2] - box[0], box[3] - box[1]
                yield self.finding(frame, f"the box is {width:g} x {height:g} pixels", instance, fixable=fixable)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        points = instance.points[instance.is_labelled]
        if not len(points):
            return instance.label
        # Half a pixel around: keypoints are the centers of pixels, boxes their edges. A single point has a box too.
        return instance.label.replace(box=np.concatenate([points.min(axis=0) - 0.5, points.max(axis=0) + 0.5]))
