"""From COCO records of whatever origin to a data set: points as arrays, boxes clipped, everything checked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import CocoError, MediaError
from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, CocoImage, Id, Number
from engine.formats.coco.document import load_record
from engine.formats.datasets.dataset import (
    NOT_COVERED,
    Floats,
    ImageRecord,
    KeypointDataset,
    Mask,
    TopDownSample,
    Weights,
)
from engine.formats.datasets.kinds import Kind
from engine.media.image_finder import ImageLookup
from engine.media.images import image_size
from engine.utils.skipped import Skipped

_MARK = f'"{NOT_COVERED}"'.encode()
_BLOCK = 2048
_FARTHEST = 1e30  # pixels; boxes of larger numbers would not fit float32
_AREA_OF_BOX = 0.53  # of a person's box, by MMPose's metric for data sets that give no areas

Points = Callable[[CocoAnnotation, str], "list[Number] | None"]
"""Flat x, y, v of an annotation (None without any); the text says where it stands, for messages."""


def assemble(
    kind: Kind,
    file: Path,
    folder: Path,
    images: Iterable[CocoImage],
    annotations: Iterable[CocoAnnotation],
    categories: Sequence[CocoCategory],
    header: dict[str, msgspec.Raw] | None = None,
    points: Points | None = None,
    skipped: Skipped | None = None,
) -> KeypointDataset:
    """A data set of these records.

    Args:
        folder: of the images. points: how an annotation tells its points; left out, by ``keypoints``.
        skipped: gets the annotations at fault, and the images whose size neither the file nor the picture tells.

    Raises:
        CocoError: an image id stands twice; and without ``skipped``: a record has another number of points, or stands
            for an unknown category.
    """
    records = _image_records(images, folder, file)
    of_points = points or (lambda annotation, _: annotation.keypoints)
    builder = _Builder(kind, file, records, categories, of_points, skipped)
    samples = tuple(builder.samples(annotations))
    return KeypointDataset(
        kind=kind.name,
        file=file,
        schema=builder.schema,
        images=tuple(builder.images),
        samples=samples,
        categories=tuple(categories),
        header=dict(header or {}),
        dropped=builder.dropped,
    )


def _image_records(images: Iterable[CocoImage], folder: Path, file: Path) -> list[ImageRecord]:
    records: dict[Id, ImageRecord] = {}
    images = list(images)
    lookup = ImageLookup((image.file_name for image in images), folder)
    for image in images:
        known = records.get(image.id)
        if known is None:
            records[image.id] = ImageRecord(
                image.id, image.file_name, folder, image.width, image.height, image.raw, lookup
            )
        elif known.file_name != image.file_name:
            raise CocoError(
                f"the same id is used for {known.file_name} and for {image.file_name}",
                where=f"{file}: image {image.id}",
            )
    return list(records.values())


class _Builder:
    """Turns annotations into samples block by block, so that the numbers of a large file go into arrays at once."""

    def __init__(
        self,
        kind: Kind,
        file: Path,
        images: list[ImageRecord],
        categories: Sequence[CocoCategory],
        points: Points,
        skipped: Skipped | None,
    ) -> None:
        self._skipped = skipped
        self.schema = kind.load_schema()
        self.images = images
        self.dropped: Counter[str] = Counter()
        self._kind = kind
        self._file = file
        self._points = points
        self._place = {image.id: position for position, image in enumerate(images)}
        self._names = {category.id: category.name for category in categories}
        self._covered = np.ones(self.schema.num_keypoints, np.bool_)

    def samples(self, annotations: Iterable[CocoAnnotation]) -> Iterator[TopDownSample]:
        queue = iter(annotations)
        while block := list(islice(queue, _BLOCK)):
            yield from self._block(block)

    def _block(self, block: Sequence[CocoAnnotation]) -> Iterator[TopDownSample]:
        usable: list[CocoAnnotation] = []
        flats: list[list[Number]] = []
        for annotation in block:
            try:
                flat = self._checked(annotation)
            except CocoError as error:
                if self._skipped is None:
                    raise
                self._skipped.add_error(error)
                continue
            if flat is not None:
                usable.append(annotation)
                flats.append(flat)
        count = self.schema.num_keypoints
        values = self._numbers(usable, flats).reshape(len(usable), count, 3)
        keypoints, visibility = values[..., :2], values[..., 2]
        seen = visibility > 0 if self._kind.weights == "positive" else np.clip(visibility, 0, 1)
        weights = seen.astype(np.float32)
        touched = np.count_nonzero(keypoints.max(axis=2), axis=1) if count else np.zeros(len(usable), np.intp)
        for row, annotation in enumerate(usable):
            image_position = self._place[annotation.image_id]
            bbox = _bbox(annotation)
            yield TopDownSample(
                id=annotation.id,
                image=image_position,
                image_id=annotation.image_id,
                keypoints=keypoints[row],
                visibility=visibility[row],
                weights=weights[row],
                covered=self._covered_of(annotation),
                bbox=bbox,
                box=self._clipped(bbox, image_position),
                area=_area(annotation, bbox),
                iscrowd=bool(annotation.iscrowd),
                num_keypoints=int(touched[row]) if annotation.num_keypoints is None else annotation.num_keypoints,
                category_id=annotation.category_id,
                category=self._names[annotation.category_id],
                source=self._kind.name,
                raw=annotation.raw,
            )

    def _checked(self, annotation: CocoAnnotation) -> list[Number] | None:
        """Flat points of an annotation that belongs here, None for one that is counted and left out."""
        where = f"{self._file}: annotation {annotation.id}"
        flat = self._points(annotation, where)
        if not flat:
            self.dropped["no keypoints in the record"] += 1
            return None
        if annotation.image_id not in self._place:
            self.dropped["of an image that the file does not list"] += 1
            return None
        if annotation.category_id not in self._names:
            raise CocoError(f"is of category {annotation.category_id}, which the file does not list", where=where)
        if len(flat) != 3 * self.schema.num_keypoints:
            raise CocoError(
                f"has {len(flat) / 3:g} keypoints, {self._kind.name} has {self.schema.num_keypoints}", where=where
            )
        if self._skipped is not None and not _is_finite(flat):
            raise CocoError("'keypoints' contains a number that is too large", where=where)
        return flat

    def _covered_of(self, annotation: CocoAnnotation) -> Mask:
        if _MARK not in annotation.raw:
            return self._covered
        positions = load_record(annotation.raw, f"{self._file}: annotation {annotation.id}").get(NOT_COVERED)
        covered = self._covered.copy()
        for position in positions if isinstance(positions, list) else []:
            if isinstance(position, int) and 0 <= position < len(covered):
                covered[position] = False
        return covered

    def _numbers(self, annotations: Sequence[CocoAnnotation], flats: Sequence[list[Number]]) -> Floats:
        try:
            values = np.array(flats, dtype=np.float64)
            if np.isfinite(values).all():
                return values
        except OverflowError:
            pass
        faulty = next(annotation for annotation, flat in zip(annotations, flats) if not _is_finite(flat))
        raise CocoError(
            "'keypoints' contains a number that is too large", where=f"{self._file}: annotation {faulty.id}"
        )

    def _clipped(self, bbox: tuple[float, float, float, float] | None, image_position: int) -> Weights:
        if bbox is None:
            return np.zeros(4, np.float32)
        x, y, width, height = bbox
        corners = np.array([x, y, x + width, y + height]).clip(-_FARTHEST, _FARTHEST)
        image = self.images[image_position]
        if not (image.width and image.height):
            image = self.images[image_position] = _measured(image, self._skipped)
        if image.width and image.height:
            corners[0::2] = corners[0::2].clip(0, image.width - 1)
            corners[1::2] = corners[1::2].clip(0, image.height - 1)
        return corners.astype(np.float32)


def _measured(image: ImageRecord, skipped: Skipped | None = None) -> ImageRecord:
    """With the size that the image file tells; as it is where that cannot be read."""
    try:
        width, height = image_size(image.path)
    except MediaError as error:
        if skipped is not None:
            skipped.add(image.path, f"{error.message}; its size is not known, and its boxes are not cut to it")
        return image
    return replace(image, width=width, height=height)


def _is_finite(values: Sequence[Number]) -> bool:
    """Whether all of them are, and fit a float."""
    try:
        return all(map(math.isfinite, values))
    except OverflowError:
        return False


def _bbox(annotation: CocoAnnotation) -> tuple[float, float, float, float] | None:
    if annotation.bbox is None or not _is_finite(annotation.bbox):
        return None
    x, y, width, height = map(float, annotation.bbox)
    return x, y, width, height


def _area(annotation: CocoAnnotation, bbox: tuple[float, float, float, float] | None) -> float:
    if annotation.area is not None:
        return float(annotation.area)
    return 0.0 if bbox is None else _AREA_OF_BOX * bbox[2] * bbox[3]
