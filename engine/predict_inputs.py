"""What ``engine.predict`` works on: images, frames of videos, or the images and boxes that COCO files name."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from engine.contract.coco import CocoAnnotation, CocoCategory, CocoDataset, CocoImage, Id, make_category, read_results
from engine.contract.errors import CocoError, MediaError
from engine.contract.schema import Schema
from engine.geometry import box_is_usable, clip_box, xywh_to_xyxy
from engine.media.images import is_image, list_images
from engine.media.source import frame_file_name, is_video, open_media
from engine.media.video_index import index_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class GivenBoxes:
    """Boxes of one image, with what must come out beside the pose.

    Attributes:
        xyxy: (N, 4) float64, what the crops are made from.
        xywh: (N, 4) float64, as the file has them.
        scores: (N,).
        category_ids: N ids.
    """

    xyxy: npt.NDArray[np.float64]
    xywh: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    category_ids: list[Id]


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """One image to work on.

    Attributes:
        image: its record; width and height are 0 while unknown.
        path: its file, or the video that it is a frame of.
        boxes: None = detect.
        frame: number of the frame in a video.
    """

    image: CocoImage
    path: Path
    boxes: GivenBoxes | None = None
    frame: int = 0

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame of a video."""
        return is_video(self.path)


def find_images(inputs: Sequence[str | Path]) -> list[Source]:
    """Images and videos named on the command line, folders read through, each file once; ids count from 1.

    ``file_name`` is relative to the folder given, or to the folder that all inputs have in common. A video gives all of
    its frames; their records also name the ``video`` and the ``frame_index``.

    Raises:
        MediaError: an input is missing or neither image nor video, or a folder holds none.
    """
    files: dict[Path, None] = {}
    roots: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found = list_images(given)
            if not found:
                raise MediaError("holds no images (name videos one by one)", where=given)
            files |= dict.fromkeys(path.absolute() for path in found)
            roots.append(given.absolute())
        else:
            _check_is_media(given)
            files[given.absolute()] = None
            roots.append(given.absolute().parent)
    root = _common_folder(roots)
    names = [path.as_posix() if root is None else path.relative_to(root).as_posix() for path in files]
    sources: list[Source] = []
    for name, path in zip(names, files, strict=True):
        if is_video(path):
            sources += _frames(path, name, len(sources) + 1)
        else:
            sources.append(Source(CocoImage(len(sources) + 1, name), path))
    return sources


def _frames(path: Path, name: str, first_id: int) -> list[Source]:
    """The frames of a video, named as files that hold them would be; what is wrong with it is logged."""
    with open_media(path, cache=index_folder()) as video:
        count, (width, height) = video.frame_count, video.size
        for problem in video.problems:
            log.warning("%s %s", path, problem)
    sources = []
    for index in range(count):
        number, file_name = first_id + index, frame_file_name(name, index)
        record = {"id": number, "file_name": file_name, "width": width, "height": height}
        raw = msgspec.json.encode(record | {"video": name, "frame_index": index})
        sources.append(Source(CocoImage(number, file_name, width, height, raw), path, frame=index))
    return sources


def _check_is_media(path: Path) -> None:
    if not path.exists():
        raise MediaError("does not exist", where=path)
    if not is_image(path) and not is_video(path):
        raise MediaError(
            f"is no image and no video (files ending in {path.suffix or 'nothing'} are not read)", where=path
        )


def _common_folder(folders: Sequence[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # different drives
        return None


def find_annotated_images(dataset: CocoDataset, roots: Sequence[str | Path], where: object) -> list[Source]:
    """The files of a COCO file's images, below one of the roots.

    Raises:
        CocoError: an image has no file; the record is named.
        MediaError: a root is missing.
    """
    folders = [Path(root) for root in roots]
    for folder in folders:
        if not folder.is_dir():
            why = "is no folder; with --annotations give that of the images" if folder.exists() else "does not exist"
            raise MediaError(why, where=folder)
    return [Source(image, _locate(image, folders, where)) for image in dataset.images]


def _locate(image: CocoImage, folders: Sequence[Path], where: object) -> Path:
    name = image.file_name.replace("\\", "/")
    if not name:
        raise CocoError("has no file_name", where=f"{where}: image {image.id!r}")
    # The name as it stands, then its last part: files move, and tools write absolute paths and addresses.
    for candidate in (name, name.rsplit("/", 1)[-1]):
        for folder in folders:
            if (folder / candidate).is_file():
                return folder / candidate
    looked = " or ".join(map(str, folders))
    raise CocoError(f"file {image.file_name!r} is not in {looked}", where=f"{where}: image {image.id!r}")


def choose_category(categories: Sequence[CocoCategory], schema: Schema, name: str) -> tuple[CocoCategory, bool]:
    """The category that a model's poses belong to, and whether the file has it as it is.

    In this order: of the model's name; the only one with the model's number of keypoints; a new one, with an id of its
    own. One that lacks the model's keypoints is given them, under its id.
    """
    named = [category for category in categories if category.name.lower() == name.lower()]
    fitting = [category for category in categories if len(category.keypoints) == schema.num_keypoints]
    chosen = next((c for c in named if c in fitting), None) or (named[0] if named else None)
    if chosen is None and len(fitting) == 1:
        chosen = fitting[0]
    if chosen is None:
        numbers = [category.id for category in categories if isinstance(category.id, int)]
        return make_category(max(numbers, default=0) + 1, schema, name), False
    if len(chosen.keypoints) == schema.num_keypoints:
        return chosen, True
    return make_category(chosen.id, schema, chosen.name), False


def boxes_of_annotations(
    dataset: CocoDataset, sources: Sequence[Source], category: CocoCategory, num_keypoints: int, where: object
) -> list[Source]:
    """Sources with the boxes of the file's annotations, cut to the image as is the custom for labelled boxes.

    Crowds and annotations without a box of positive size are left out. Annotations of ``category`` count, or, where
    there are none, of every category with as many keypoints.

    Raises:
        CocoError: the file holds no box of that kind.
    """
    fitting = {c.id for c in dataset.categories if len(c.keypoints) == num_keypoints}
    wanted = {category.id}
    if not any(annotation.category_id in wanted for annotation in dataset.annotations):
        wanted = fitting
    by_image: dict[Id, list[CocoAnnotation]] = {}
    skipped = 0
    for annotation in dataset.annotations:
        if annotation.category_id not in wanted or annotation.iscrowd:
            continue
        if not _is_box(annotation.bbox):
            skipped += 1
            continue
        by_image.setdefault(annotation.image_id, []).append(annotation)
    if not by_image:
        raise CocoError(f"holds no boxes of {category.name!r}; run without --boxes gt", where=where)
    if skipped:
        log.warning("%s: %d annotations have no box of positive size and are left out", where, skipped)
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


def boxes_of_results(
    path: Path | str, sources: Sequence[Source], dataset: CocoDataset, category: CocoCategory
) -> list[Source]:
    """Sources with the boxes of a COCO results list, as given.

    Raises:
        CocoError: unreadable, a box that is none, or an image that the annotations do not name; the line is told.
    """
    known = {source.image.id for source in sources}
    categories = {c.id for c in dataset.categories}
    by_image: dict[Id, list[tuple[list[float], float, Id]]] = {}
    for position, result in enumerate(read_results(path)):
        where = f"{path}: result {position} (image {result.image_id!r})"
        if result.image_id not in known:
            raise CocoError("the annotations name no such image", where=where)
        if result.bbox is None or not _is_box(result.bbox):
            raise CocoError(f"bbox {result.bbox} is not x, y, width, height of a box", where=where)
        if not np.isfinite(result.score):
            raise CocoError(f"score {result.score} is not a number", where=where)
        category_id = result.category_id if result.category_id in categories else category.id
        row = ([float(value) for value in result.bbox], float(result.score), category_id)
        by_image.setdefault(result.image_id, []).append(row)
    return [_with_rows(source, by_image.get(source.image.id, [])) for source in sources]


def _is_box(bbox: Sequence[float] | None) -> bool:
    return bbox is not None and len(bbox) == 4 and box_is_usable(xywh_to_xyxy(bbox))


def _with_rows(source: Source, rows: Sequence[tuple[list[float], float, Id]]) -> Source:
    xywh = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    given = GivenBoxes(xywh_to_xyxy(xywh), xywh, np.array([row[1] for row in rows]), [row[2] for row in rows])
    return Source(source.image, source.path, given)
