"""Instances of images that the labels do not list."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check
from engine.utils.context import ERROR


@register_check
class UnlistedImage(Check):
    id = "unlisted_image"
    title = "Instance of an unknown image"
    help = "The file does not list the image that the instance belongs to, so that nothing can use it."
    severity = ERROR
    at_import = True

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if not frame.is_listed:
            for instance in frame.instances:
                yield self.finding(frame, "belongs to an image that the file does not list", instance)
