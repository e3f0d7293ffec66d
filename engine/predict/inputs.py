"""The inputs of ``engine.predict``: images, frames of videos, or the images and boxes that label files list."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import CocoError, MediaError
from engine.formats.coco.dataset import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
    Id,
    make_category,
    read_results,
)
from engine.formats.coco.document import encode_json
from engine.geometry import box_is_usable, clip_box, xywh_to_xyxy, xyxy_to_xywh
from engine.labels.image_size import GridTransform
from engine.media import image_finder
from engine.media.image_finder import Kind
from engine.media.images import is_image, list_images
from engine.media.label_images import label_transforms
from engine.media.pages import has_pages
from engine.media.source import frame_file_name, is_video, open_media, use_as_frames
from engine.media.video.index.index import index_folder
from engine.schema.schema import Schema
from engine.utils.skipped import Skipped

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class GivenBoxes:
    """Boxes of one image, with what is written out beside the pose.

    Attributes:
        xyxy: (N, 4) float64, the boxes to crop.
        xywh: (N, 4) float64, as in the file.
        scores: (N,).
        category_ids: N ids.
    """

    xyxy: npt.NDArray[np.float64]
    xywh: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    category_ids: list[Id]


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """One image to predict.

    Attributes:
        image: its record; width and height are 0 while unknown.
        path: its file, or the video that it is a frame of.
        boxes: None = detect.
        frame: index of the frame in a video, time: its seconds from the first frame; 0 for an image.
    """

    image: CocoImage
    path: Path
    boxes: GivenBoxes | None = None
    frame: int = 0
    time: float = 0.0

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame of a video."""
        return is_video(self.path)


def find_images(inputs: Sequence[str | Path], skipped: Skipped) -> list[Source]:
    """Images and videos given on the command line, folders searched recursively, each file once; ids count from 1.

    ``file_name`` is relative to the folder given, or to the common folder of all inputs. Each frame of a video is an
    image; its record also has the keys ``video`` and ``frame_index``.

    Args:
        skipped: gets inputs that are missing, are neither image nor video, or cannot be opened; empty and unreadable
            folders.

    Raises:
        MediaError: nothing is left.
    """
    files: dict[Path, None] = {}
    roots: list[Path] = []
    for given in map(Path, inputs):
        folder = given.absolute() if given.is_dir() else given.absolute().parent
        if folder.is_dir():  # so that names do not depend on which inputs can be read
            roots.append(folder)
        try:
            if given.is_dir():
                paths = list_images(given, unreadable=skipped.add_error)
                if not paths:
                    raise MediaError("contains no images (name videos one by one)", where=given)
                files |= dict.fromkeys(path.absolute() for path in paths)
                note_videos(given, skipped)
            else:
                _check_is_media(given)
                files[given.absolute()] = None
        except MediaError as error:
            skipped.add_error(error)
    root = _common_folder(roots)
    names = [path.as_posix() if root is None else path.relative_to(root).as_posix() for path in files]
    sources: list[Source] = []
    for name, path in zip(names, files, strict=True):
        if has_pages(path):
            use_as_frames(path)
        if is_video(path):
            try:
                sources += _frames(path, name, len(sources) + 1, skipped)
            except MediaError as error:
                skipped.add_error(error)
        else:
            sources.append(Source(CocoImage(len(sources) + 1, name), path))
    check_something_is_left(len(sources), skipped)
    return sources


def note_videos(folder: Path, skipped: Skipped) -> None:
    """Report that the videos of a folder are not read, only its images."""
    videos = [
        os.path.join(parent, name)
        for parent, names in _walk(folder)
        for name in names
        if not name.startswith(".") and is_video(name)
    ]
    if videos:
        first = os.path.relpath(min(videos), folder)
        more = f" and {len(videos) - 1} more" if len(videos) > 1 else ""
        skipped.add(folder, f"contains videos, which were not read: {first}{more} (name videos one by one)")


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The folders that :func:`list_images` reads, with the names of their files."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, names


def check_something_is_left(count: int, skipped: Skipped) -> None:
    """Raise MediaError if all images were skipped: a run that has read nothing has failed."""
    first = next(iter(skipped), None)
    if count or first is None:
        return
    if len(skipped) == 1:
        raise MediaError(first.reason, where=first.where)
    raise MediaError(f"nothing could be read of {len(skipped)} inputs; the first, {first}")


def _frames(path: Path, name: str, first_id: int, skipped: Skipped) -> list[Source]:
    """The frames of a video, named like files that hold them; ``skipped`` gets what is wrong with the video."""
    with open_media(path, cache=index_folder()) as video:
        times = [video.time(index) for index in range(video.frame_count)]
        width, height = video.size
        if video.problems:
            skipped.add(path, "; ".join(video.problems))
    sources = []
    for index, time in enumerate(times):
        image_id, file_name = first_id + index, frame_file_name(name, index)
        record = {"id": image_id, "file_name": file_name, "width": width, "height": height}
        raw = encode_json(record | {"video": name, "frame_index": index})
        sources.append(Source(CocoImage(image_id, file_name, width, height, raw), path, frame=index, time=time))
    return sources


def _check_is_media(path: Path) -> None:
    if not path.exists():
        raise MediaError("does not exist", where=path)
    if path.suffix.lower() == ".pose":
        raise MediaError(
            "is a project; export it as COCO, and give that file with --annotations and the folder of its images",
            where=path,
        )
    if not is_image(path) and not is_video(path):
        raise MediaError(
            f"is neither an image nor a video (files ending in {path.suffix or 'nothing'} are not read)", where=path
        )


def _common_folder(folders: Sequence[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # different drives
        return None


def find_annotated_images(
    dataset: CocoDataset, roots: Sequence[str | Path], where: object, skipped: Skipped | None = None
) -> list[Source]:
    """The files of a label file's images, below one of the roots.

    Args:
        skipped: gets the images without a file; None = raise.

    Raises:
        CocoError: an image has no file, and ``skipped`` is None; the record is named.
        MediaError: a root is missing, or no image has a file.
    """
    folders = [Path(root) for root in roots]
    for folder in folders:
        if not folder.is_dir():
            why = (
                "is not a folder; with --annotations give the folder of the images"
                if folder.exists()
                else "does not exist"
            )
            raise MediaError(why, where=folder)
    matches = image_finder.find_images(
        (image.file_name for image in dataset.images),
        folders,
        [(image.width, image.height) for image in dataset.images],
    )
    kinds = {finding.name: finding.kind for finding in matches.findings}
    sources = []
    for image, path in zip(dataset.images, matches.paths, strict=True):
        if path is not None:
            sources.append(Source(image, path))
            continue
        error = _not_found(image, folders, kinds.get(image.file_name, Kind.MISSING), where)
        if skipped is None:
            raise error
        skipped.add_error(error)
    if skipped is not None:
        check_something_is_left(len(sources), skipped)
    moved = [finding for finding in matches.findings if finding.path is not None]
    if moved:
        log.warning("%s: %d images lie elsewhere than it says; the first: %s", where, len(moved), moved[0].case)
    return sources


def _not_found(image: CocoImage, folders: Sequence[Path], kind: Kind, where: object) -> CocoError:
    record = f"{where}: image {image.id!r}"
    if not image.file_name:
        return CocoError("has no file_name", where=record)
    if kind is not Kind.MISSING:
        return CocoError(f"{kind.value}: {image.file_name!r}", where=record)
    return CocoError(f"file {image.file_name!r} is not in {' or '.join(map(str, folders))}", where=record)


def choose_category(categories: Sequence[CocoCategory], schema: Schema, name: str) -> tuple[CocoCategory, bool]:
    """The category of a model's poses, and whether the label file has it unchanged.

    In this order: the one with the model's category name; the only one with the model's number of keypoints; a new one
        with
    a new id. A category without the model's keypoints gets them, and keeps its id.
    """
    named = [category for category in categories if category.name.lower() == name.lower()]
    fitting = [category for category in categories if len(category.keypoints) == schema.num_keypoints]
    chosen = next((c for c in named if c in fitting), None) or (named[0] if named else None)
    if chosen is None and len(fitting) == 1:
        chosen = fitting[0]
    if chosen is None:
        ids = [category.id for category in categories if isinstance(category.id, int)]
        return make_category(max(ids, default=0) + 1, schema, name), False
    if len(chosen.keypoints) == schema.num_keypoints:
        return chosen, True
    return make_category(chosen.id, schema, chosen.name), False


def boxes_of_annotations(
    dataset: CocoDataset, sources: Sequence[Source], category: CocoCategory, num_keypoints: int, where: object
) -> list[Source]:
    """Sources with the boxes of the annotations, clipped to the image as usual for labelled boxes.

    Crowds and annotations without a box are left out. Annotations of ``category`` count or, if there are none, those of
    every category with as many keypoints.

    Raises:
        CocoError: the file has no such box.
    """
    fitting = {c.id for c in dataset.categories if len(c.keypoints) == num_keypoints}
    category_ids = {category.id}
    if not any(annotation.category_id in category_ids for annotation in dataset.annotations):
        category_ids = fitting
    by_image: dict[Id, list[CocoAnnotation]] = {}
    skipped = 0
    for annotation in dataset.annotations:
        if annotation.category_id not in category_ids or annotation.iscrowd:
            continue
        if not _is_box(annotation.bbox):
            skipped += 1
            continue
        by_image.setdefault(annotation.image_id, []).append(annotation)
    if not by_image:
        raise CocoError(f"has no boxes of {category.name!r}; run without --boxes gt", where=where)
    if skipped:
        log.warning("%s: %d annotations have no box with an area and are left out", where, skipped)
    return [_with_annotations(source, by_image.get(source.image.id, [])) for source in sources]


def _with_annotations(source: Source, annotations: Sequence[CocoAnnotation]) -> Source:
    xywh = np.array([annotation.bbox for annotation in annotations], np.float64).reshape(-1, 4)
    xyxy = xywh_to_xyxy(xywh)
    if source.image.width and source.image.height:
        clipped = clip_box(xyxy, source.image.width - 1, source.image.height - 1)
        inside = (clipped[:, 2:] > clipped[:, :2]).all(axis=1, keepdims=True)
        xyxy = np.where(inside, clipped, xyxy)
    ids = [annotation.category_id for annotation in annotations]
    return Source(source.image, source.path, GivenBoxes(xyxy, xywh, np.ones(len(xywh)), ids))


def boxes_on_pictures(sources: Sequence[Source], where: object) -> list[Source]:
    """Sources with boxes in the pixels of the images as they are shown, if images were turned or resized since; logs
    it."""
    transforms, remarks = label_transforms([source for source in sources if not source.is_frame])
    for sentence in remarks:
        log.warning("%s: %s", where, sentence)
    moves = iter(transforms)
    return [source if source.is_frame else _moved(source, next(moves)) for source in sources]


def _moved(source: Source, move: GridTransform | None) -> Source:
    if move is None or source.boxes is None:
        return source
    xyxy, xywh = move.boxes(source.boxes.xyxy), xyxy_to_xywh(move.boxes(xywh_to_xyxy(source.boxes.xywh)))
    return replace(source, boxes=replace(source.boxes, xyxy=xyxy, xywh=xywh))


def boxes_of_results(
    path: Path | str,
    sources: Sequence[Source],
    dataset: CocoDataset,
    category: CocoCategory,
    skipped: Skipped,
) -> list[Source]:
    """Sources with the boxes of a COCO results list, unchanged.

    Args:
        skipped: gets the lines with an invalid box or score, or of an image that the annotations do not list.

    Raises:
        CocoError: the file cannot be read, or no line can be used.
    """
    listed = {image.id for image in dataset.images}
    categories = {c.id for c in dataset.categories}
    by_image: dict[Id, list[tuple[list[float], float, Id]]] = {}
    first: CocoError | None = None

    def unreadable(position: int, error: CocoError) -> None:
        nonlocal first
        first = first or error
        skipped.add_error(error)

    for position, result in enumerate(read_results(path, unreadable)):
        where = f"{path}: result {position} (image {result.image_id!r})"
        why = ""
        if result.image_id not in listed:
            why = "the annotations name no such image"
        elif result.bbox is None or not _is_box(result.bbox):
            why = f"bbox {result.bbox} is not x, y, width, height of a box"
        elif not np.isfinite(result.score):
            why = "the score is not a finite number"
        if why:
            first = first or CocoError(why, where=where)
            skipped.add(where, why)
            continue
        assert result.bbox is not None
        category_id = result.category_id if result.category_id in categories else category.id
        row = ([float(value) for value in result.bbox], float(result.score), category_id)
        by_image.setdefault(result.image_id, []).append(row)
    if first is not None and not by_image:
        raise first
    return [_with_rows(source, by_image.get(source.image.id, [])) for source in sources]


def _is_box(bbox: Sequence[float] | None) -> bool:
    return bbox is not None and len(bbox) == 4 and box_is_usable(xywh_to_xyxy(bbox))


def _with_rows(source: Source, rows: Sequence[tuple[list[float], float, Id]]) -> Source:
    xywh = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    given = GivenBoxes(xywh_to_xyxy(xywh), xywh, np.array([row[1] for row in rows]), [row[2] for row in rows])
    return Source(source.image, source.path, given)
