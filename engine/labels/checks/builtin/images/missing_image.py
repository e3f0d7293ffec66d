"""Images that are not where the labels say."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check
from engine.utils.context import ERROR


@register_check
class MissingImage(Check):
    id = "missing_image"
    title = "Missing image"
    help = "The image file of these labels was not found. Name the folder of the images, or restore the file."
    severity = ERROR
    needs_images = True

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if frame.find_image is not None and frame.find_image() is None:
            yield self.finding(frame, "the image file was not found")
