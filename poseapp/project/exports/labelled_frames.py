"""Labelled frames as images with a COCO file beside them: what training reads, also from videos."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError, ProjectError
from engine.formats.coco.dataset import make_category, make_image, patch_record, write_coco
from engine.media.images import image_size
from engine.media.source import FrameSource
from engine.utils.context import Context
from engine.utils.file_names import side_name
from engine.utils.files import open_regular
from engine.visualization import write_image
from poseapp.project.exports.files import FilesReport, Steps, written
from poseapp.project.exports.labelled_video import open_source
from poseapp.project.exports.registry import ExportOptions, register_export
from poseapp.project.formats.coco.exporter import annotation_of
from poseapp.project.model import Frame, FrameKey, Media, State
from poseapp.project.store import ProjectStore

IMAGES = "images"
ANNOTATIONS = "annotations.json"
FORMATS = ("png", "jpg")
_MAX_MEDIA_NAME_BYTES = 200

Image = npt.NDArray[np.uint8]


def export_labelled_frames(
    store: ProjectStore,
    folder: Path | str,
    *,
    media: Sequence[int] | None = None,
    include_predicted: bool = False,
    include_negative: bool = True,
    picture_format: str = "png",
    cache: Path | None = None,
) -> Steps[FilesReport]:
    """Write ``images/`` and ``annotations.json`` into a folder.

    A frame of a video becomes ``images/VIDEO/VIDEO_000123.png``, and its record has ``video`` and ``frame_index``.
    Image files are copied unchanged. A frame that cannot be read is left out and reported.

    Args:
        media: ids of media; None = all.
        include_predicted: also predictions that nobody has accepted, and frames that hold only these.
        include_negative: also frames that a person has marked as empty.
        picture_format: "png", or "jpg", which is smaller and lossy.
        cache: folder where indices of videos are kept.

    Raises:
        ProjectError: there is nothing to write, the format is unknown, or the folder cannot be written.
    """
    if picture_format not in FORMATS:
        raise ProjectError(f"pictures are written as {' or '.join(FORMATS)}, not {picture_format!r}")
    folder = Path(folder)
    report = FilesReport(folder)
    chosen = _chosen(store, media, include_predicted, include_negative)
    total = sum(len(frames) for _, frames in chosen)
    if not total:
        raise ProjectError("there are no labelled frames to export", where=store.path)
    records: list[tuple[FrameKey, bytes]] = []
    taken: set[str] = set()
    for entry, frames in chosen:
        name = _free_name(Path(entry.path).stem if entry.kind == "video" else Path(entry.path).name, taken)
        for frame, record in _written(store, entry, frames, folder, name, picture_format, cache, report):
            if record:
                records.append((frame.key, patch_record(record, {"id": len(records) + 1})))
            report.count += 1
            yield report.count, total
    report.count = len(records)
    if not records:
        raise ProjectError(f"none of the {total} labelled frames could be read. {report.problems[0]}", where=store.path)
    _write_annotations(store, folder / ANNOTATIONS, records, include_predicted)
    return report


def _chosen(
    store: ProjectStore, media: Sequence[int] | None, include_predicted: bool, include_negative: bool
) -> list[tuple[Media, list[Frame]]]:
    counts = store.counts()
    chosen: list[tuple[Media, list[Frame]]] = []
    for entry in store.media():
        if media is not None and entry.id not in media:
            continue
        frames = [
            frame
            for frame in store.frames(entry.id)
            if counts[frame.key].labelled
            or (include_predicted and counts[frame.key].predicted)
            or (include_negative and frame.state.negative)
        ]
        chosen.append((entry, frames))
    return chosen


def _written(
    store: ProjectStore,
    media: Media,
    frames: Sequence[Frame],
    folder: Path,
    name: str,
    picture_format: str,
    cache: Path | None,
    report: FilesReport,
) -> Iterator[tuple[Frame, bytes]]:
    """Each frame with its image record, still without an id; b"" for a frame that cannot be read."""
    if not frames:
        return
    if media.kind != "video":
        for frame in frames:
            yield frame, _copied(Path(media.path), frame, folder, name, report)
        return
    try:
        source = open_source(store, media.id, cache)
    except MediaError as error:
        report.problems.append(f"Left out with {len(frames)} labelled frames: {error}")
        for frame in frames:
            yield frame, b""
        return
    with source:
        for frame in frames:
            image_name = f"{name}/{name}_{frame.key.index:06d}.{picture_format}"
            yield frame, _drawn_from(source, frame, folder, image_name, report)


def _drawn_from(source: FrameSource, frame: Frame, folder: Path, image_name: str, report: FilesReport) -> bytes:
    try:
        picture = source.read(frame.key.index)
    except (MediaError, IndexError) as error:
        report.problems.append(f"Frame {frame.key.index} left out: {error}")
        return b""
    try:
        write_image(folder / IMAGES / image_name, picture)
    except MediaError as error:
        raise ProjectError(error.message, where=error.where) from None
    record = make_image(0, image_name, picture.shape[1], picture.shape[0]).encoded()
    return patch_record(record, {"video": source.path.name, "frame_index": frame.key.index})


def _copied(root: Path, frame: Frame, folder: Path, name: str, report: FilesReport) -> bytes:
    origin = root / frame.name
    inside = [part for part in Path(frame.name).parts if part not in (os.sep, "..", ".") and ":" not in part]
    image_name = "/".join((name, *inside))
    try:
        width, height = image_size(origin)
    except MediaError as error:
        report.problems.append(f"Left out: {error}")
        return b""
    target = folder / IMAGES / image_name
    with written(target) as temporary, open_regular(origin) as source, open(temporary, "wb") as copy:
        shutil.copyfileobj(source, copy)
    return make_image(0, image_name, width, height).encoded()


def _write_annotations(
    store: ProjectStore, path: Path, records: Sequence[tuple[FrameKey, bytes]], include_predicted: bool
) -> None:
    def annotations() -> Iterator[bytes]:
        annotation_id = 0
        for image, (key, _) in enumerate(records, 1):
            for instance in store.instances(key):
                if include_predicted or instance.state is State.LABELLED:
                    annotation_id += 1
                    yield annotation_of(instance, annotation_id, image, instance.category).encoded()

    sections = {
        "images": (record for _, record in records),
        "annotations": annotations(),
        "categories": (make_category(c.id, c.schema, c.name).encoded() for c in store.categories()),
    }
    write_coco(path, list(sections), {}, sections, set())


def _free_name(preferred: str, taken: set[str]) -> str:
    """A folder name that no other media has, ignoring case."""
    base = re.sub(r"[^\w.\- ]", "_", preferred).strip(". ") or "media"
    base = side_name(base, "", _MAX_MEDIA_NAME_BYTES)  # the names of frames are longer by a number
    name, suffix = base, 2
    while name.lower() in taken:
        name, suffix = f"{base}_{suffix}", suffix + 1
    taken.add(name.lower())
    return name


class LabelledFramesExport:
    """A folder with the labelled frames as images, and a COCO file."""

    name, action, unit = "labelled_frames", "export_frames", "frames"
    title, suffix = "Labelled frames", ""

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        return export_labelled_frames(store, target, include_predicted=options.include_predicted, cache=options.cache)


register_export(LabelledFramesExport())
