"""Images that the labels list more than once."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check


@register_check
class DuplicateImage(Check):
    id = "duplicate_image"
    title = "Image listed twice"
    help = "Its labels are split over several records. Merge them: each record counts as an image of its own."

    def __init__(self) -> None:
        self._seen: set[tuple[int, str]] = set()

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if not frame.is_listed or not frame.frame.name:
            return
        key = (frame.frame.media, frame.frame.name)
        if key in self._seen:
            yield self.finding(frame, "is listed more than once")
        self._seen.add(key)
