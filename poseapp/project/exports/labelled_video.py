"""A video with the poses drawn on it, with the frames and times of the original."""

from __future__ import annotations

import colorsys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError, ProjectError
from engine.media.source import DEFAULT_RATE, FrameSource, ImageSequence, open_media
from engine.media.video.audio import AudioSpan
from engine.media.video.index.index import NO_TIME, VideoIndex
from engine.media.video.writer import QUALITY, write_mp4
from engine.pose import Prediction
from engine.schema.schema import Schema
from engine.utils.context import Context
from engine.visualization import draw_poses
from poseapp.project.edits.geometry import extent
from poseapp.project.edits.tracks import labelled_too
from poseapp.project.exports.files import FilesReport, Steps, written
from poseapp.project.exports.registry import ExportOptions, register_export
from poseapp.project.model import Category, FrameKey, Instance, Media, State
from poseapp.project.store import ProjectStore

Image = npt.NDArray[np.uint8]

_GOLDEN = 0.618034

PoseColors = Callable[[Sequence[Instance], Mapping[int, Schema]], list[tuple[Image, Image]]]
"""Returns per pose the RGB colors of its keypoints (K, 3) and limbs (L, 3)."""


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn.

    Attributes:
        include_predicted: also predictions that nobody has accepted.
        threshold: predicted keypoints with a lower score are left out.
        track_numbers: draw the track number of each pose.
        colors: of keypoints and limbs, as on the canvas; None = those of the schema.
    """

    include_predicted: bool = True
    threshold: float = 0.2
    track_numbers: bool = True
    colors: PoseColors | None = None


def export_labelled_video(
    store: ProjectStore,
    path: Path | str,
    media: int,
    options: DrawOptions | None = None,
    *,
    first: int = 0,
    last: int | None = None,
    quality: int = QUALITY,
    cache: Path | None = None,
) -> Steps[FilesReport]:
    """Write an mp4 of the frames ``first`` to ``last``, both included; the first is at time 0.

    The audio is copied if an mp4 can hold it; otherwise the report says so. A frame that cannot be decoded repeats the
    one before it, so that the number of frames stays the same.

    Args:
        cache: folder where indices of videos are kept.

    Raises:
        ProjectError: there are no such media or frames, or the file cannot be written.
        MediaError: the video cannot be opened or written.
    """
    path = Path(path)
    report = FilesReport(path)
    chosen = options or DrawOptions()
    with open_source(store, media, cache) as source:
        end = source.frame_count - 1 if last is None else min(last, source.frame_count - 1)
        if not 0 <= first <= end:
            raise ProjectError(f"has no frames {first} to {end}; it has {source.frame_count}", where=source.path)
        indices = range(first, end + 1)
        start = source.exact_time(first)
        times = [source.exact_time(index) - start for index in indices]
        pictures = _pictures(store, media, source, indices, chosen, report)
        with written(path) as temporary:
            lasts = _last_duration(source, end)
            sound = _sound(source, first, times[-1] + lasts)
            for done in write_mp4(
                temporary, pictures, times, source.size, lasts, quality=quality, audio=sound, problems=report.problems
            ):
                yield done, len(indices)
    report.count = len(indices)
    return report


def open_source(store: ProjectStore, media: int, cache: Path | None = None) -> FrameSource:
    """The frames of a media as the project numbers them.

    Raises:
        ProjectError: there is no such media. MediaError: it cannot be opened.
    """
    entry = next((m for m in store.media() if m.id == media), None)
    if entry is None:
        raise ProjectError(f"there is no media {media}", where=store.path)
    return open_media(entry.path, cache=cache) if entry.kind == "video" else _images(store, entry)


def draw_instances(
    image: Image, instances: Sequence[Instance], categories: Mapping[int, Category], options: DrawOptions
) -> Image:
    """A copy of an RGB image with the poses of its frame, without predictions of objects that are labelled."""
    by_category: defaultdict[int, list[Instance]] = defaultdict(list)
    for instance, twice in zip(instances, labelled_too(instances, categories)):
        is_included = options.include_predicted or instance.state is State.LABELLED
        if is_included and not twice and extent(instance) is not None:
            by_category[instance.category].append(instance)
    drawn = image
    for category_id, group in by_category.items():
        category = categories[category_id]
        colors = None if options.colors is None else options.colors(group, {category_id: category.schema})
        drawable = [_drawable(i, category) for i in group]
        drawn = draw_poses(drawn, drawable, category.schema, options.threshold, colors)
    if options.track_numbers:
        drawn = drawn.copy() if drawn is image else drawn
        for instance in (i for group in by_category.values() for i in group if i.track is not None):
            _draw_number(drawn, instance)
    return drawn


def _pictures(
    store: ProjectStore,
    media: int,
    source: FrameSource,
    indices: Sequence[int],
    options: DrawOptions,
    report: FilesReport,
) -> Iterator[Image]:
    categories = {c.id: c for c in store.categories()}
    shown: Image = np.zeros((source.size[1], source.size[0], 3), np.uint8)
    for index in indices:
        try:
            shown = source.read(index)
        except MediaError as error:
            report.problems.append(str(error))
            yield shown
            continue
        yield draw_instances(shown, store.instances(FrameKey(media, index)), categories, options)


def _drawable(instance: Instance, category: Category) -> Prediction:
    """Keypoints that a person has set are drawn whatever their score."""
    sure = np.ones(instance.num_keypoints) if instance.scores is None else instance.scores.copy()
    if instance.state is State.LABELLED:
        sure[:] = 1.0
    sure[instance.by_human] = 1.0
    keypoints = np.column_stack([instance.keypoints, np.where(instance.visibility > 0, sure, -1.0)])
    box = extent(instance)
    return Prediction(keypoints, np.zeros(4) if box is None else box, instance.score or 0.0, 1.0, category.name)


def _draw_number(image: Image, instance: Instance) -> None:
    box = extent(instance)
    if box is None or instance.track is None:
        return
    scale = max(0.5, min(image.shape[:2]) / 600)
    red, green, blue = colorsys.hsv_to_rgb(instance.track * _GOLDEN % 1.0, 0.7, 1.0)
    color = (round(255 * red), round(255 * green), round(255 * blue))
    x, y = np.clip(box[:2], -30000, 30000)
    corner = (round(float(x)), max(round(24 * scale), round(float(y)) - round(6 * scale)))
    for ink, width in (((16, 16, 16), 4), (color, 2)):
        thickness = max(1, round(width * scale))
        cv2.putText(image, str(instance.track), corner, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)


def _sound(source: FrameSource, first: int, seconds: Fraction) -> AudioSpan | None:
    """The audio of the frames; None for images, which have no clock."""
    index: VideoIndex | None = getattr(source, "index", None)
    if index is None:
        return None
    start = index.packets.pts[index.order[first]]
    if start == NO_TIME:
        return None
    when = int(start) * index.time_base
    return AudioSpan(source.path, when, when + seconds)


def _last_duration(source: FrameSource, last: int) -> Fraction:
    """Duration of a frame: until the next one, or, for the last frame, that of the one before it."""
    if last + 1 < source.frame_count:
        return source.exact_time(last + 1) - source.exact_time(last)
    if last > 0 and source.exact_time(last) > source.exact_time(last - 1):
        return source.exact_time(last) - source.exact_time(last - 1)
    return 1 / DEFAULT_RATE


def _images(store: ProjectStore, media: Media) -> ImageSequence:
    return ImageSequence([Path(media.path) / frame.name for frame in store.frames(media.id)], Path(media.path))


class LabelledVideoExport:
    """An mp4 with the poses drawn."""

    name, action, unit = "labelled_video", "export_video", "frames"
    title, suffix = "Videos", ".mp4"

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        if options.media is None:
            raise ProjectError("say of which video or folder the video is to be", where=target)
        first, last = (0, None) if options.frames is None else options.frames
        drawn = DrawOptions(include_predicted=options.include_predicted, colors=options.colors)
        return export_labelled_video(store, target, options.media, drawn, first=first, last=last, cache=options.cache)


register_export(LabelledVideoExport())
