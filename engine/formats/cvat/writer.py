"""CVAT's XML from any labels: skeletons of images, and tracks of skeletons in a video.

Each pose is a skeleton whose points are ``outside`` where the keypoint is absent. A run of neighbouring frames of a
track ends with points that are outside, so that CVAT draws nothing between two runs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

import msgspec

from engine.errors import LabelError
from engine.formats.cvat.reader import INTERPOLATED
from engine.formats.cvat.skeletons import drawing_of
from engine.formats.deeplabcut.writer import free_names
from engine.formats.frame_images import FrameImages, name_of_frame
from engine.formats.registry import WriteOptions
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, UNKNOWN, Category, Instance
from engine.labels.reader import LabelReader
from engine.media.image_finder import plain_name
from engine.schema.schema import unique_names
from engine.utils.context import ERROR, Context
from engine.utils.files import kept_mode, replacing

_STEP = 500
_BAD = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)], "\N{REPLACEMENT CHARACTER}"
)


def write_images(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write "CVAT for images 1.1": an image element a frame, frames of videos by the names of their images.

    Raises:
        LabelError: it cannot be written. Cancelled: the context was cancelled; nothing is left behind.
    """
    by_frame = _poses_by_frame(labels, options, context)
    categories = _renamed(labels.categories, context)
    images = FrameImages(labels)
    taken: set[str] = set()
    try:
        with replacing(path, mode=kept_mode(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
            count = len(images.frames)
            _write_head(file, categories, "annotation", path.stem, count)
            for position, frame in enumerate(images.frames):
                if position % _STEP == 0:
                    context.progress(position, count)
                if frame.media == UNKNOWN:  # a record that could not be read, of which the reader has told
                    continue
                size = images.size(position)
                name = _free_name(name_of_frame(labels, frame), taken, context)
                if size is None and by_frame.get(position):
                    context.report(name, "Size of the image is unknown", "written as 0, which CVAT may refuse")
                width, height = size or (0, 0)
                file.write(f'  <image id="{position}" name={_quoted(name)} width="{width}" height="{height}">\n')
                for instance in by_frame.get(position, ()):
                    _write_skeleton(file, categories[instance.category], instance)
                file.write("  </image>\n")
            file.write("</annotations>\n")
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None
    finally:
        images.close()


def write_videos(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write "CVAT for video 1.1": the first video to ``path``, each other one beside it. Images are numbered in their
    order, as in a task of images in CVAT.

    Raises:
        LabelError: a file cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    videos = range(len(labels.media))
    categories = _renamed(labels.categories, context)
    frames = list(labels.frames())
    tracks: dict[int, dict[object, list[tuple[int, Instance]]]] = {media: {} for media in videos}
    for position, instance in enumerate(_poses(labels, options, context)):
        frame = frames[instance.frame]
        if frame.media == UNKNOWN:
            context.report(instance.key, "Pose in a record that could not be read", "left out", severity=ERROR)
            continue
        key: object = (instance.track, instance.category) if instance.track is not None else f"single {position}"
        tracks[frame.media].setdefault(key, []).append((frame.index, instance))
    targets = free_names(path, [PurePosixPath(plain_name(labels.media[m].path)).stem for m in videos])
    images = FrameImages(labels)
    try:
        with contextlib.ExitStack() as stack:  # all of the files or none
            for media, target in zip(videos, targets, strict=True):
                temporary = stack.enter_context(replacing(target, mode=kept_mode(target)))
                indices = [frame.index for frame in frames if frame.media == media]
                num_frames = images.num_frames(media) or max(indices, default=-1) + 1
                is_video = labels.media[media].type != IMAGES
                name = PurePosixPath(plain_name(labels.media[media].path)).name if is_video else ""
                size = next((images.size(n) for n, frame in enumerate(frames) if frame.media == media), None)
                with temporary.open("w", encoding="utf-8") as file:
                    _write_head(
                        file,
                        categories,
                        "interpolation" if is_video else "annotation",
                        target.stem,
                        num_frames,
                        source=name,
                        size=size,
                    )
                    for track_id, items in enumerate(tracks[media].values()):
                        context.check_cancelled()
                        _write_track(file, track_id, categories[items[0][1].category], items, num_frames)
                    file.write("</annotations>\n")
                if not is_video:
                    context.report(
                        target.name, "Images are written as frames in their order", "names of images are not kept"
                    )
                if target != path:
                    context.report(target.name, "Another video has a file of its own")
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None
    finally:
        images.close()


def _renamed(categories: Sequence[Category], context: Context) -> list[Category]:
    """Categories with a name each, as labels in CVAT need."""
    names = unique_names([category.name for category in categories])
    for category, name in zip(categories, names, strict=True):
        if name != category.name:
            context.report(category.name, "Category without a name of its own", f"written as {name}")
    return [msgspec.structs.replace(c, name=name) for c, name in zip(categories, names, strict=True)]


def _free_name(name: str, taken: set[str], context: Context) -> str:
    """The name of an image, with a number if another image has it."""
    path, number, free = PurePosixPath(plain_name(name)), 1, name
    while free in taken:
        number += 1
        free = path.with_name(f"{path.stem}_{number}{path.suffix}").as_posix()
    if free != name:
        context.report(name, "Image of the same name as another", f"written as {free}")
    taken.add(free)
    return free


def _poses(labels: LabelReader, options: WriteOptions, context: Context) -> Iterator[Instance]:
    total = labels.num_instances()
    for index, instance in enumerate(labels.instances()):
        if index % _STEP == 0:
            context.progress(index, total)
        if not instance.is_pose:
            context.report(instance.key, "Crowd, or record without keypoints, which is no skeleton", "left out")
            continue
        schema = labels.categories[instance.category].schema
        if schema is None or instance.keypoints is None or len(instance.keypoints) != schema.num_keypoints:
            context.report(
                instance.key, "Pose whose keypoints are not those of its category", "left out", severity=ERROR
            )
        elif options.include_predictions or not instance.is_prediction:
            yield instance


def _poses_by_frame(labels: LabelReader, options: WriteOptions, context: Context) -> dict[int, list[Instance]]:
    by_frame: dict[int, list[Instance]] = {}
    for instance in _poses(labels, options, context):
        by_frame.setdefault(instance.frame, []).append(instance)
    return by_frame


def _write_head(
    file: TextIO,
    categories: Sequence[Category],
    mode: str,
    name: str,
    count: int,
    *,
    source: str = "",
    size: tuple[int, int] | None = None,
) -> None:
    file.write(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
    )
    file.write(f"      <name>{_escaped(name)}</name>\n      <size>{count}</size>\n      <mode>{mode}</mode>\n")
    file.write(f"      <start_frame>0</start_frame>\n      <stop_frame>{max(count - 1, 0)}</stop_frame>\n")
    file.write("      <labels>\n")
    for category in categories:
        _write_label(file, category)
    file.write("      </labels>\n")
    if size is not None:
        width, height = size
        file.write("      <original_size>\n")
        file.write(f"        <width>{width}</width>\n        <height>{height}</height>\n      </original_size>\n")
    if source:
        file.write(f"      <source>{_escaped(source)}</source>\n")
    file.write("    </task>\n  </meta>\n")


def _write_label(file: TextIO, category: Category) -> None:
    name, schema = _escaped(category.name), category.schema
    kind = "rectangle" if schema is None else "skeleton"
    file.write(f"        <label>\n          <name>{name}</name>\n          <type>{kind}</type>\n")
    file.write("          <attributes>\n          </attributes>\n")
    if schema is None:
        file.write("        </label>\n")
        return
    count = schema.num_keypoints
    circle = [
        (50 + 40 * math.sin(2 * math.pi * n / count), 50 - 40 * math.cos(2 * math.pi * n / count)) for n in range(count)
    ]
    layout = [(round(x, 3), round(y, 3)) for x, y in circle]
    file.write(f"          <svg>{_escaped(drawing_of(schema, layout))}</svg>\n        </label>\n")
    for point in schema.keypoints:
        file.write(f"        <label>\n          <name>{_escaped(point.name)}</name>\n          <type>points</type>\n")
        file.write(
            f"          <attributes>\n          </attributes>\n          <parent>{name}</parent>\n        </label>\n"
        )


def _write_skeleton(file: TextIO, category: Category, instance: Instance) -> None:
    source = "auto" if instance.is_prediction else "manual"
    file.write(f'    <skeleton label={_quoted(category.name)} source="{source}" occluded="0" z_order="0">\n')
    for name, attributes in _points(category, instance):
        file.write(f'      <points label={name} source="{source}" {attributes} z_order="0">\n      </points>\n')
    file.write("    </skeleton>\n")


def _points(category: Category, instance: Instance) -> Iterable[tuple[str, str]]:
    """The name of each keypoint, and its attributes."""
    assert category.schema is not None
    assert instance.keypoints is not None
    assert instance.visibility is not None
    rows = zip(category.schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), strict=True)
    for name, (x, y), state in rows:
        position = f"{x:.3f},{y:.3f}" if math.isfinite(x) and math.isfinite(y) else "0.000,0.000"
        yield (
            _quoted(name),
            f'outside="{int(state == ABSENT)}" occluded="{int(state == OCCLUDED)}" points="{position}"',
        )


def _write_track(
    file: TextIO, track_id: int, category: Category, items: Sequence[tuple[int, Instance]], num_frames: int
) -> None:
    """A track as CVAT writes and imports it: a skeleton for each frame, whose points say whether they are keyframes."""
    items = sorted(items, key=lambda item: item[0])
    assert category.schema is not None
    is_auto = all(instance.is_prediction and instance.source != INTERPOLATED for _, instance in items)
    source = "auto" if is_auto else "manual"
    file.write(f'  <track id="{track_id}" label={_quoted(category.name)} source="{source}">\n')
    following = [after for _, (after, _) in pairwise(items)] + [-1]
    for (frame_index, instance), next_index in zip(items, following, strict=True):
        is_key = not (instance.is_prediction and instance.source == INTERPOLATED)
        points = list(_points(category, instance))
        _write_track_skeleton(file, frame_index, is_key, points)
        if next_index != frame_index + 1 and frame_index + 1 < num_frames:  # CVAT refuses frames after the last
            positions = [(name, attributes.rpartition(" ")[2]) for name, attributes in points]
            hidden = [(name, f'outside="1" occluded="0" {position}') for name, position in positions]
            _write_track_skeleton(file, frame_index + 1, True, hidden)
    file.write("  </track>\n")


def _write_track_skeleton(file: TextIO, frame_index: int, is_key: bool, points: Iterable[tuple[str, str]]) -> None:
    keyframe = f'keyframe="{int(is_key)}"'
    file.write(f'    <skeleton frame="{frame_index}" {keyframe} z_order="0">\n')
    for name, attributes in points:
        file.write(f"      <points label={name} {keyframe} {attributes}>\n      </points>\n")
    file.write("    </skeleton>\n")


def _escaped(text: str) -> str:
    return escape(text.translate(_BAD))


def _quoted(text: str) -> str:
    return quoteattr(text.translate(_BAD))
