"""Any data set as a plain COCO keypoint file, with which training, evaluation and the projects can work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.errors import LabelError
from engine.formats.coco.dataset import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
    Number,
    make_annotation,
    make_category,
    make_image,
    write_coco,
)
from engine.formats.coco.document import SECTIONS, Document, patch_record
from engine.formats.datasets.dataset import NOT_COVERED, Floats, ImageRecord, KeypointDataset, TopDownSample
from engine.formats.datasets.kinds import KINDS, WHOLE_BODY_PARTS
from engine.formats.datasets.loading import open_dataset, plain_coco
from engine.formats.registry import ReadOptions, find_format
from engine.geometry import xyxy_to_xywh
from engine.labels.model import Instance
from engine.labels.reader import LabelReader
from engine.media.source import frame_file_name
from engine.schema.builtin import schema_of_subset
from engine.schema.schema import Schema, Subset

_PART_LISTS = tuple(name for name, _ in WHOLE_BODY_PARTS[1:])
_WHOLE = 2.0**53  # whole floats beyond are left as floats


def to_coco(data: KeypointDataset, *, own_points: bool = False) -> CocoDataset:
    """A data set as a COCO file in memory.

    Every annotation has ``keypoints`` (v 0, 1 or 2; other positive numbers become 2), ``num_keypoints``, ``iscrowd``,
    ``area`` and, where there is one, the ``bbox`` of the file (not clipped). Other keys stay as they were, except the
    part lists of COCO-WholeBody, which are joined. Points that the source never labels are named in ``not_covered``.

    Args:
        own_points: of a schema whose categories have their own ranges (DeepFashion2), each category gets only its own
            points, named as such; otherwise all categories have all points, as published networks do.
    """
    subsets = _subsets(data, own_points)
    return CocoDataset(
        images=(_image(image) for image in data.images),
        annotations=_annotations(data, subsets),
        categories=(_category(category, data.schema, subsets) for category in data.categories),
        header=_header(data),
        key_order=_keys(data),
    )


def write_as_coco(data: KeypointDataset, path: Path | str, *, own_points: bool = False) -> None:
    """Write what :func:`to_coco` gives, without ever having it in memory.

    Raises:
        CocoError: the file cannot be written.
    """
    subsets = _subsets(data, own_points)
    sections = {
        "images": (_image(image).encoded() for image in data.images),
        "annotations": (annotation.encoded() for annotation in _annotations(data, subsets)),
        "categories": (_category(category, data.schema, subsets).encoded() for category in data.categories),
    }
    write_coco(path, _keys(data), _header(data), sections, set())


def to_document(data: KeypointDataset, *, own_points: bool = False) -> Document:
    """What :func:`to_coco` gives, as records that are not parsed."""
    subsets = _subsets(data, own_points)
    return Document(
        keys=_keys(data),
        header=_header(data),
        images=[msgspec.Raw(_image(image).encoded()) for image in data.images],
        annotations=[msgspec.Raw(annotation.encoded()) for annotation in _annotations(data, subsets)],
        categories=[msgspec.Raw(_category(c, data.schema, subsets).encoded()) for c in data.categories],
    )


def read_as_coco(
    annotations: Path | str, images: Path | str = "", kind: str = "", names: Sequence[str] = ()
) -> CocoDataset:
    """A plain COCO file as it is, any other kind converted: what takes COCO files can take them all with this.

    Args:
        images: folder of the images; only needed where the layout does not tell their sizes.
        kind: see :func:`engine.formats.datasets.loading.open_dataset`; "" = as the content tells.
        names: of the keypoints that are wanted, so that a file which has them is left alone.

    Raises:
        CocoError: naming file and record that cannot be understood.
    """
    if not kind:
        dataset = read_registered(annotations, images)
        if dataset is None:
            dataset = plain_coco(annotations, names)
        if dataset is not None:
            return dataset
    return to_coco(open_dataset(kind, annotations, images))


def read_registered(annotations: Path | str, images: Path | str = "") -> CocoDataset | None:
    """Labels of a format other than COCO and the published data sets, such as SLEAP; None for any other file.

    Raises:
        LabelError: the file cannot be read.
    """
    path = Path(annotations)
    try:
        format = find_format(path)
    except LabelError:  # a data set of this module, or nothing that is known: opening it says why
        return None
    if format.name in KINDS:
        return None
    options = ReadOptions(images=Path(images) if str(images) else None)
    with format.read(path, None, options) as labels:
        return labels_to_coco(labels)


def labels_to_coco(labels: LabelReader) -> CocoDataset:
    """Labels as a COCO file in memory, without predictions that nobody has accepted.

    Ids are positions, from 1. A frame of a video gets the name of an image.
    """
    images = [
        make_image(position, frame.name or frame_file_name(labels.media[frame.media].path, frame.index),
                   frame.width, frame.height)
        for position, frame in enumerate(labels.frames(), 1)
    ]  # fmt: skip
    categories = [
        CocoCategory(position, category.name)
        if category.schema is None
        else make_category(position, category.schema, category.name)
        for position, category in enumerate(labels.categories, 1)
    ]
    annotations = [
        _annotation_of(position, instance)
        for position, instance in enumerate(labels.instances(), 1)
        if instance.frame >= 0 and instance.category >= 0 and not instance.is_prediction
    ]
    return CocoDataset(images, annotations, categories)


def _annotation_of(id: int, instance: Instance) -> CocoAnnotation:
    keypoints = None
    if instance.keypoints is not None and instance.visibility is not None:
        is_present = (instance.visibility > 0) & np.isfinite(instance.keypoints).all(axis=1)
        points = np.where(is_present[:, None], instance.keypoints, 0.0)
        keypoints = np.column_stack([points, np.where(is_present, instance.visibility, 0)])
    return make_annotation(
        id,
        instance.frame + 1,
        instance.category + 1,
        keypoints,
        None if instance.box is None else xyxy_to_xywh(instance.box),
        area=instance.area,
        iscrowd=int(instance.is_crowd),
        track_id=instance.track,
    )


def _subsets(data: KeypointDataset, own_points: bool) -> dict[str, Subset]:
    return {subset.name: subset for subset in data.schema.subsets} if own_points else {}


def _header(data: KeypointDataset) -> dict[str, msgspec.Raw]:
    return {key: value for key, value in data.header.items() if key not in SECTIONS}


def _keys(data: KeypointDataset) -> list[str]:
    return [*_header(data), *SECTIONS]


def _category(category: CocoCategory, schema: Schema, subsets: dict[str, Subset]) -> CocoCategory:
    subset = subsets.get(category.name)
    own = schema if subset is None else schema_of_subset(schema, subset)
    return make_category(category.id, own, category.name)


def _image(image: ImageRecord) -> CocoImage:
    raw = image.raw
    if raw and image.width and image.height and (b'"width"' not in raw or b'"height"' not in raw):
        raw = patch_record(raw, {"width": image.width, "height": image.height})
    return CocoImage(image.id, image.file_name, image.width, image.height, raw)


def _annotations(data: KeypointDataset, subsets: dict[str, Subset]) -> Iterator[CocoAnnotation]:
    for sample in data.samples:
        subset = subsets.get(sample.category)
        span = slice(None) if subset is None else slice(subset.start, subset.stop)
        yield _annotation(sample, span)


def _annotation(sample: TopDownSample, span: slice) -> CocoAnnotation:
    v = sample.visibility[span]
    states = np.where(v <= 0, 0, np.where(v == 1, 1, 2))
    flat = _flat(sample.keypoints[span], states)
    fields: dict[str, Any] = {
        "id": sample.id,
        "image_id": sample.image_id,
        "category_id": sample.category_id,
        "keypoints": flat,
        "num_keypoints": sample.num_keypoints if span == slice(None) else int(np.count_nonzero(states)),
        "area": sample.area,
        "iscrowd": int(sample.iscrowd),
    }
    if sample.bbox is not None:
        fields["bbox"] = [_short(value) for value in sample.bbox]
    missing = np.flatnonzero(~sample.covered[span]).tolist()
    extra = {NOT_COVERED: missing} if missing else {}
    if len(sample.raw):
        raw = patch_record(bytes(sample.raw), {**fields, **extra}, remove=_PART_LISTS)
    else:
        raw = msgspec.json.encode({**fields, **extra})
    return CocoAnnotation(**fields, raw=raw)


def _flat(points: Floats, states: Any) -> list[Number]:
    """Flat x, y, v; whole coordinates as whole numbers, as most files write them."""
    flat: list[Number] = []
    for (x, y), v in zip(points.tolist(), states.tolist()):
        flat += (_short(x), _short(y), v)
    return flat


def _short(value: float) -> Number:
    return int(value) if abs(value) < _WHOLE and value == int(value) else value
