"""COCO records whose ``num_keypoints`` is not the number of their labelled keypoints."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import ABSENT, Instance

_COUNT = re.compile(rb'[{,]\s*"num_keypoints"\s*:\s*(\d{1,6})\s*[,}]')
_PARTS = b'"face_kpts"'  # COCO-WholeBody counts those of the body only


@register_check
class WrongCount(Check):
    id = "num_keypoints"
    title = "Wrong number of keypoints"
    help = (
        "num_keypoints is not the number of keypoints with a visibility above 0. COCO's evaluation leaves out objects "
        "with 0, whatever their keypoints are."
    )
    of_files = True
    fix_title = "Count them again"

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        for instance in frame.instances:
            match = _COUNT.search(instance.label.raw) if instance.label.raw else None
            if match is None or instance.label.visibility is None or _PARTS in instance.label.raw:
                continue
            count = int(np.count_nonzero(instance.label.visibility != ABSENT))
            if int(match[1]) != count:
                yield self.finding(frame, f"num_keypoints is {int(match[1])}, and {count} are labelled", instance)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        return instance.label.replace(visibility=instance.label.visibility)  # the writer counts them
