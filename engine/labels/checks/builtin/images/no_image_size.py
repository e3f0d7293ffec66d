"""Images of which the labels do not say the size."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, Finding
from engine.labels.checks.registry import register_check
from engine.labels.model import Frame
from engine.media.image_headers import ImageHeader, read_header_of
from engine.utils.context import INFO


@register_check
class NoImageSize(Check):
    id = "no_image_size"
    title = "Image without a size"
    help = (
        "Width or height is 0 or missing. Other programs refuse such files, and nobody can tell whether labels lie "
        "outside the image. The image itself says its size."
    )
    severity = INFO
    needs_images = True
    of_files = True
    fix_title = "Take the size of the image"
    fix_order = -3

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        if frame.find_image is not None and frame.size is None:
            yield self.finding(frame, "width or height is not known", fixable=_header(frame) is not None)

    def fix_frame(self, frame: CheckedFrame) -> Frame:
        header = _header(frame)
        return frame.frame if header is None else frame.frame.replace(width=header.size[0], height=header.size[1])


def _header(frame: CheckedFrame) -> ImageHeader | None:
    path = None if frame.find_image is None else frame.find_image()
    return None if path is None else read_header_of(path)
