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
    at_import = True
    fix_title = "Merge the records"

    def __init__(self) -> None:
        self._first: dict[tuple[int, str, int], int] = {}
        self._merged: dict[int, int] = {}

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if not frame.is_listed or not frame.frame.name:
            return
        # A video may give all of its frames one name; images of one name that differ in their number are one image.
        index = frame.frame.index if frame.is_video else 0
        first = self._first.setdefault((frame.frame.media, frame.frame.name, index), frame.position)
        if first != frame.position:
            self._merged[frame.position] = first
            yield self.finding(frame, "is listed more than once")

    def merged_frame(self, position: int) -> int | None:
        return self._merged.get(position)
