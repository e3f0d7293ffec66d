"""Labels that were made on another size or orientation of their image."""

from __future__ import annotations

from collections.abc import Iterator

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.image_size import Grid, GridTransform, are_on_stored_pixels, classify, transform_of
from engine.labels.model import Frame, Instance
from engine.media.image_headers import ImageHeader, read_header_of

MOST_HEADERS = 200_000
"""Images whose headers are kept; those behind are not looked at."""


@register_check
class LabelSizeDiffers(Check):
    id = "label_size"
    title = "Labels of another image size"
    help = (
        "The labels say another width and height than the image has: it was resized, or its EXIF orientation turns it "
        "and the program that wrote the labels did not. Turned and scaled they lie on the image as it is shown."
    )
    needs_images = True
    of_files = True
    fix_title = "Turn and scale the labels"
    fix_order = 10  # the other fixes work in the pixels of the labels

    def __init__(self) -> None:
        self._headers: dict[int, ImageHeader | None] = {}
        self._turns_all: bool | None = None
        self._records: dict[int, tuple[int, int]] = {}

    def learn(self, frame: CheckedFrame) -> None:
        self._header(frame)

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        header = self._header(frame)
        if header is None or frame.size is None:
            return
        record, (width, height) = frame.size, header.size
        turned = ", turned by its EXIF orientation" if header.orientation != 1 else ""
        message = f"the image is {width} x {height} pixels{turned}, its labels were made in {record[0]} x {record[1]}"
        if self._transform(frame) is None:
            if classify(record, (header.width, header.height), header.orientation) is Grid.CONTRADICTORY:
                yield self.finding(frame, message, fixable=False)
            return
        yield self.finding(frame, message)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        grid = self._transform(frame)
        if grid is None:
            return instance.label
        label = instance.label
        changes: dict[str, object] = {}
        if label.keypoints is not None:
            changes["keypoints"] = grid.points(label.keypoints)
        if label.box is not None:
            changes["box"] = grid.boxes(label.box)
        if label.area is not None:
            changes["area"] = label.area * (grid.shown[0] * grid.shown[1]) / (grid.labels[0] * grid.labels[1])
        return label.replace(**changes)

    def fix_frame(self, frame: CheckedFrame) -> Frame:
        grid = self._transform(frame)
        return frame.frame if grid is None else frame.frame.replace(width=grid.shown[0], height=grid.shown[1])

    def _transform(self, frame: CheckedFrame) -> GridTransform | None:
        header = self._header(frame)
        if header is None or frame.size is None:
            return None
        stored = (header.width, header.height)
        return transform_of(frame.size, stored, header.orientation, unsettled=self._turns_unsettled())

    def _turns_unsettled(self) -> bool:
        """Whether the program that made the labels did not apply orientations, as images show whose sizes tell."""
        if self._turns_all is None:
            self._turns_all = are_on_stored_pixels(
                (self._records[position], (header.width, header.height), header.orientation)
                for position, header in self._headers.items()
                if header is not None
            )
        return self._turns_all

    def _header(self, frame: CheckedFrame) -> ImageHeader | None:
        if frame.find_image is None or frame.size is None or not frame.is_listed:
            return None
        if frame.position not in self._headers:
            if len(self._headers) >= MOST_HEADERS:
                return None
            path = frame.find_image()
            self._headers[frame.position] = None if path is None else read_header_of(path)
            self._records[frame.position] = frame.size
        return self._headers[frame.position]
