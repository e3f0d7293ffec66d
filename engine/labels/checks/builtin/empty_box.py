"""Boxes without an area."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check


@register_check
class EmptyBox(Check):
    id = "empty_box"
    title = "Box without an area"
    help = "Width or height is zero or negative, or not a number: the box shows nothing. Draw it again or delete it."

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            box = instance.label.box
            if box is None:
                continue
            if not np.isfinite(box).all():
                yield self.finding(frame, "the box has a number that is not finite", instance)
            elif box[2] <= box[0] or box[3] <= box[1]:
                width, height = box[2] - box[0], box[3] - box[1]
                yield self.finding(frame, f"the box is {width:g} x {height:g} pixels", instance)
