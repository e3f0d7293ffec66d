"""Labels of videos with pixels that are not square, made by programs that show the stored pixels."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import MediaError
from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.registry import register_check
from engine.labels.image_size import GridTransform
from engine.labels.model import VIDEO, Instance
from engine.labels.reader import LabelReader
from engine.media.video_finder import find_videos


@register_check
class VideoPixels(Check):
    id = "video_pixels"
    title = "Labels in the stored pixels of a video"
    help = (
        "The video is shown wider, narrower or mirrored, compared with what is stored, and the labels were made on the "
        "stored pixels (OpenCV shows these). An import into a project moves them; other programs see them in the wrong "
        "place."
    )
    of_files = True
    fix_title = "Move the labels to the shown pixels"
    fix_order = 10

    def __init__(self) -> None:
        self._grids: dict[int, GridTransform] = {}

    def check_labels(self, labels: LabelReader) -> Iterator[Finding]:
        videos = {n: media.path for n, media in enumerate(labels.media) if media.type == VIDEO and media.stored_pixels}
        if not videos:
            return iter(())
        from engine.media.video.frame_size import opencv_grid  # needs the video library

        paths, _ = find_videos(videos.values(), labels.path)
        for position, name in videos.items():
            if name not in paths:
                continue
            try:
                grid = opencv_grid(paths[name])
            except MediaError:  # a video that cannot be read; whoever needs it says so
                continue
            if grid is not None:
                self._grids[position] = grid
        return iter(())

    def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
        grid = self._grids.get(frame.frame.media) if frame.is_video else None
        if grid is not None and frame.instances:
            stored, shown = grid.labels, grid.shown
            message = f"it is shown in {shown[0]} x {shown[1]} pixels, its labels are in {stored[0]} x {stored[1]}"
            yield self.finding(frame, message)

    def fix(self, frame: CheckedFrame, instance: CheckedInstance) -> Instance:
        grid, label = self._grids.get(frame.frame.media), instance.label
        if grid is None:
            return label
        changes: dict[str, object] = {}
        if label.keypoints is not None:
            changes["keypoints"] = grid.points(label.keypoints)
        if label.box is not None:
            changes["box"] = grid.boxes(label.box)
        return label.replace(**changes)

    def moved_media(self) -> frozenset[int]:
        """Positions of the videos whose labels the fix moves."""
        return frozenset(self._grids)
