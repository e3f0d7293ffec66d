"""Labels as a COCO file. Records that came from a COCO file are written as they came, with what was edited and no more.

New records get ids above all others. A frame of a video gets the name of an image and tells ``video`` and
``frame_index`` besides; see :mod:`engine.formats.coco.reader`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.formats.coco.dataset import write_coco
from engine.formats.coco.document import SECTIONS, patch_record
from engine.formats.coco.parsing import parse_annotations
from engine.formats.coco.reader import RAW_FORMAT, SECTION_PLACEHOLDER
from engine.formats.coco.records import CocoAnnotation, Id, Number, make_annotation, make_category, make_image
from engine.formats.registry import WriteOptions
from engine.labels.model import ABSENT, UNKNOWN, VIDEO, Category, Floats, Frame, Instance
from engine.labels.reader import LabelReader
from engine.media.source import frame_file_name
from engine.utils.context import INFO, Context

_STEP = 4096
_IMAGE_KEYS = {"width": "width", "height": "height", "name": "file_name"}
"""Attributes of a frame, and the keys of its record."""
_LARGEST_ID = 1 << 53  # larger ones are no whole numbers to every reader of JSON


class _Identity(msgspec.Struct):
    id: int | str | None = None


_identity = msgspec.json.Decoder(_Identity).decode


def write_coco_labels(
    labels: LabelReader, path: Path, options: WriteOptions | None = None, context: Context | None = None
) -> None:
    """Write labels of any origin, whole or not at all; none of the records need to be in memory at once.

    Raises:
        CocoError: the file cannot be written. Cancelled.
    """
    writer = _Writer(labels, options or WriteOptions(), context or Context())
    header = {key: msgspec.Raw(value) for key, value in labels.header.items() if value != SECTION_PLACEHOLDER}
    is_coco = labels.raw_format == RAW_FORMAT
    keys = list(labels.header) if is_coco and labels.header else list(SECTIONS)
    records: dict[str, Callable[[], Iterator[bytes]]] = {
        "images": writer.images,
        "annotations": writer.annotations,
        "categories": writer.categories,
    }
    empty = {section for section, start in records.items() if next(start(), None) is None}
    sections = {section: start() for section, start in records.items()}
    write_coco(path, keys, header if is_coco else {}, sections, empty)


class _Writer:
    """One run. Ids are settled first; the records then flow from the labels to the file."""

    def __init__(self, labels: LabelReader, options: WriteOptions, context: Context) -> None:
        self._labels, self._options, self._context = labels, options, context
        self._has_raw = labels.raw_format == RAW_FORMAT
        self._frame_ids = self._ids(frame.raw for frame in labels.frames())
        given = [None if category.id is None else category.id for category in labels.categories]
        self._category_ids = _completed(given)
        self._videos = _video_names(labels)
        self._next_annotation: int | None = None

    def images(self) -> Iterator[bytes]:
        for position, frame in enumerate(self._labels.frames()):
            if position % _STEP == 0:
                self._context.check_cancelled()
            if not (self._has_raw and frame.raw):
                yield self._image(frame, self._frame_ids[position])
            elif frame.edited:
                edited = {key: getattr(frame, name) for name, key in _IMAGE_KEYS.items() if name in frame.edited}
                yield patch_record(frame.raw, edited)
            else:
                yield frame.raw

    def categories(self) -> Iterator[bytes]:
        for position, category in enumerate(self._labels.categories):
            if self._has_raw and category.raw:
                yield category.raw if not category.edited else _edited_category(category)
            elif category.id is None or not self._has_raw:  # else only the annotations of the file name it
                yield self._category(category, self._category_ids[position])

    def annotations(self) -> Iterator[bytes]:
        self._next_annotation = None
        total = self._labels.num_instances()
        for position, instance in enumerate(self._labels.instances()):
            if position % _STEP == 0:
                self._context.progress(position, total, "Writing")
            if instance.is_prediction and not self._options.include_predictions:
                continue
            if not (self._has_raw and instance.raw):
                annotation = self._annotation(instance)
                if annotation is not None:
                    yield annotation.encoded()
            elif instance.edited:
                yield self._edited(instance)
            else:
                yield instance.raw

    def _ids(self, raws: Iterator[bytes]) -> list[Id]:
        return _completed([_id_of(raw) if self._has_raw and raw else None for raw in raws])

    def _image(self, frame: Frame, identity: Id) -> bytes:
        if frame.media not in self._videos:
            return make_image(identity, frame.name, frame.width, frame.height).encoded()
        video = self._videos[frame.media]
        record = make_image(identity, frame_file_name(video, frame.index), frame.width, frame.height).encoded()
        return patch_record(record, {"video": video, "frame_index": frame.index})

    def _category(self, category: Category, identity: Id) -> bytes:
        if category.schema is None:
            return msgspec.json.encode({"id": identity, "name": category.name, "supercategory": category.name})
        return make_category(identity, category.schema, category.name).encoded()

    def _annotation(self, instance: Instance) -> CocoAnnotation | None:
        """The record of an instance that has none; None for one that a COCO file cannot hold."""
        if UNKNOWN in (instance.frame, instance.category):
            self._context.report(instance.key, "Record of an unknown frame or category", "left out")
            return None
        if instance.is_prediction and _score(instance) is None:
            self._context.report(instance.key, "Prediction without a score, which is read as a label", severity=INFO)
        box = _extent(instance)
        return make_annotation(
            self._new_id(),
            self._frame_ids[instance.frame],
            self._category_ids[instance.category],
            None if instance.keypoints is None else _table(instance),
            None if box is None else (box[0], box[1], box[2] - box[0], box[3] - box[1]),
            area=instance.area,
            iscrowd=int(instance.is_crowd),
            score=_score(instance) if instance.is_prediction else None,
            keypoint_scores=instance.scores if instance.is_prediction else None,
            track_id=None if instance.track is None else self._labels.tracks.get(instance.track, instance.track),
        )

    def _new_id(self) -> int:
        if self._next_annotation is None:
            largest = 0
            if self._has_raw:
                ids = (_id_of(instance.raw) for instance in self._labels.instances() if instance.raw)
                largest = max((i for i in ids if isinstance(i, int) and i < _LARGEST_ID), default=0)
            self._next_annotation = largest + 1
        self._next_annotation += 1
        return self._next_annotation - 1

    def _edited(self, instance: Instance) -> bytes:
        """The record of an instance with what was edited."""
        annotation = next(parse_annotations([instance.raw], [], self._labels.path, pairs=()))
        changes: dict[str, Any] = {}
        edited = instance.edited
        if "frame" in edited:
            changes["image_id"] = self._frame_ids[instance.frame]
        if "category" in edited:
            changes["category_id"] = self._category_ids[instance.category]
        if edited & {"keypoints", "visibility"} and instance.keypoints is not None:
            table = _table(instance)
            changes["keypoints"] = _with_numbers_of(annotation.keypoints, table)
            changes["num_keypoints"] = int(np.count_nonzero(table[:, 2]))
        if "is_crowd" in edited:
            changes["iscrowd"] = int(instance.is_crowd)
        removed: list[str] = []
        for name, key, value in (
            ("box", "bbox", None if instance.box is None else _xywh(instance.box)),
            ("area", "area", instance.area),
            ("score", "score", instance.score),
            ("scores", "keypoint_scores", None if instance.scores is None else instance.scores.tolist()),
            ("track", "track_id", self._labels.tracks.get(instance.track or 0, instance.track)),
        ):
            if name in edited and value is None:
                removed.append(key)
            elif name in edited:
                changes[key] = value
        return annotation.patched(removed, **changes).raw


def _edited_category(category: Category) -> bytes:
    """The record of a category with what was edited."""
    changes: dict[str, Any] = {"name": category.name} if "name" in category.edited else {}
    if "schema" in category.edited and category.schema is not None:
        limbs = category.schema.limb_indices
        changes |= {"keypoints": list(category.schema.names), "skeleton": [[int(a) + 1, int(b) + 1] for a, b in limbs]}
    return patch_record(category.raw, changes)


def _completed(given: list[Id | None]) -> list[Id]:
    """Ids with a new one, above all others, where none is given."""
    next_id = 1 + max((i for i in given if isinstance(i, int) and i < _LARGEST_ID), default=0)
    completed: list[Id] = []
    for identity in given:
        completed.append(next_id if identity is None else identity)
        next_id += identity is None
    return completed


def _id_of(raw: bytes) -> Id | None:
    try:
        return _identity(raw).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _video_names(labels: LabelReader) -> dict[int, str]:
    """Names of the videos in the file, by position: their file names, with the folder where two have the same."""
    paths = {n: Path(media.path) for n, media in enumerate(labels.media) if media.type == VIDEO}
    count = Counter(path.name for path in paths.values())
    return {n: path.name if count[path.name] == 1 else f"{path.parent.name}/{path.name}" for n, path in paths.items()}


def _score(instance: Instance) -> float | None:
    """The score of a prediction; where only its keypoints have scores, the mean of those that are there."""
    if instance.score is not None or instance.scores is None:
        return instance.score
    scores = instance.scores if instance.visibility is None else instance.scores[instance.visibility != ABSENT]
    scores = scores[np.isfinite(scores)]
    return float(np.clip(scores, 0.0, 1.0).mean()) if len(scores) else None


def _table(instance: Instance) -> Floats:
    """(K, 3) x, y, visibility, with 0, 0, 0 for absent points."""
    assert instance.keypoints is not None
    assert instance.visibility is not None
    table = np.zeros((len(instance.visibility), 3))
    table[:, :2] = instance.keypoints
    table[:, 2] = instance.visibility
    table[instance.visibility == ABSENT] = 0
    return table


def _with_numbers_of(given: Sequence[Number] | None, table: Floats) -> list[Number]:
    """Flat keypoints; those that are as in the record keep its numbers, also the coordinates of absent points."""
    flat: list[Number] = [value for x, y, v in table.tolist() for value in (x, y, int(v))]
    if given is None or len(given) != len(flat):
        return flat
    for start in range(0, len(flat), 3):
        x, y, v = given[start : start + 3]
        if v == flat[start + 2] and (v == ABSENT or [x, y] == flat[start : start + 2]):
            flat[start : start + 3] = x, y, v
    return flat


def _extent(instance: Instance) -> Floats | None:
    """(4,) x1, y1, x2, y2: the box of an instance, else the one around its points; None if it has neither."""
    if instance.box is not None or instance.keypoints is None or instance.visibility is None:
        return instance.box
    points = instance.keypoints[instance.visibility > 0]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]) if len(points) else None


def _xywh(box: Floats) -> list[Number]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
