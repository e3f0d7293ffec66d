"""Datumaro's own JSON as labels (https://docs.cvat.ai/docs/dataset_management/formats/format-datumaro/).

Labels are a list; a skeleton's keypoints are named by ``categories.points``. Skeletons have three numbers a keypoint,
with the visibility as in COCO; shapes of the type ``points`` have two, and are poses if ``categories.points`` names
their keypoints. A box of the same group is the box of the pose. ``size`` is height, width.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import LabelError
from engine.formats.base import BaseFormat
from engine.formats.category_schema import schema_of_names
from engine.formats.named_poses import as_dict, as_list, coordinate, pixels, position_of, text_of
from engine.formats.registry import CERTAIN, NO, ReadOptions, register_format
from engine.formats.results.files import first_keys
from engine.formats.text_files import read_json
from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import ABSENT, OCCLUDED, VIDEO, VISIBLE, Floats, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

_STEP = 200
_POSES = ("skeleton", "points")


class DatumaroFormat(BaseFormat):
    """A JSON file with ``categories`` and ``items``, one for each subset of a data set."""

    name = "datumaro"
    title = "Datumaro"
    suffixes: tuple[str, ...] = (".json",)
    can_write = False
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        if path.suffix.lower() != ".json":
            return NO
        is_list, keys, values = first_keys(path)
        is_one = not is_list and "categories" in keys and isinstance(values.get("categories", {}), dict)
        return CERTAIN if is_one and ("items" in keys or "label" in as_dict(values.get("categories"))) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        document = as_dict(read_json(path))
        if not isinstance(document.get("items"), list):
            raise LabelError("is not a file of Datumaro: it has no items", where=path)
        return _Reader(path, document, context).read()


class _Reader:
    def __init__(self, path: Path, document: Mapping[str, Any], context: Context) -> None:
        self._path, self._document, self._context = path, document, context
        self._builder = LabelsBuilder()
        categories = as_dict(document.get("categories"))
        labels = as_list(as_dict(categories.get("label")).get("labels"))
        self._labels = [text_of(as_dict(label).get("name"))[:MAX_NAME] for label in labels]
        parts = {text_of(as_dict(label).get("name")) for label in labels if as_dict(label).get("parent")}
        self._keypoints: dict[int, tuple[list[str], list[tuple[int, int]]]] = {}
        for item in as_list(as_dict(categories.get("points")).get("items")):
            self._read_keypoints(as_dict(item))
        for position, name in enumerate(self._labels):
            if name and name not in parts:
                self._category(position)

    def _read_keypoints(self, item: Mapping[str, Any]) -> None:
        label, names = (
            position_of(item.get("label_id")),
            [text_of(name)[:MAX_NAME] for name in as_list(item.get("labels"))],
        )
        if label is None or not 0 < len(names) <= MAX_KEYPOINTS:
            return
        limbs: list[tuple[int, int]] = []
        for pair in as_list(item.get("joints")):
            ends = [position_of(end) for end in as_list(pair)]
            if len(ends) == 2 and ends[0] and ends[1] and max(ends[0], ends[1]) <= len(names):
                limbs.append((ends[0] - 1, ends[1] - 1))
        self._keypoints[label] = names, limbs

    def read(self) -> LabelReader:
        items = as_list(self._document.get("items"))
        for position, item in enumerate(items):
            if position % _STEP == 0:
                self._context.progress(position, len(items))
            self._read_item(as_dict(item), f"item {text_of(as_dict(item).get('id')) or position}")
        return self._builder.build(self._path)

    def _read_item(self, item: Mapping[str, Any], where: str) -> None:
        annotations = [as_dict(annotation) for annotation in as_list(item.get("annotations"))]
        frame = self._frame(item)
        if frame is None:
            count = max(1, len(annotations))
            self._context.report(where, "Item without a name", "left out with its labels", count=count, severity=ERROR)
            return
        boxes: dict[int, Floats] = {}
        poses = [a for a in annotations if a.get("type") in _POSES]
        of_poses = {position_of(a.get("group")) for a in poses} - {0, None}
        for order, annotation in enumerate(annotations):
            kind, record = annotation.get("type"), f"{where}: annotation {order}"
            if kind == "bbox":
                box, group = _box(annotation.get("bbox")), position_of(annotation.get("group"))
                if box is None:
                    self._context.report(record, "Box whose corners are not numbers", "left out", severity=ERROR)
                elif group in of_poses and group not in boxes:
                    boxes[group or 0] = box
                else:
                    self._add(annotation, frame, record, None, box)
            elif kind not in _POSES:
                what = f"Annotation of the type {str(kind)[:40]}, which is no keypoint and no box"
                self._context.report(record, what, "left out")
        for order, annotation in enumerate(annotations):
            if annotation.get("type") in _POSES:
                record = f"{where}: annotation {order}"
                box = boxes.pop(position_of(annotation.get("group")) or -1, None)
                self._add(annotation, frame, record, self._points(annotation, record), box)

    def _frame(self, item: Mapping[str, Any]) -> int | None:
        media = next((m for key in ("image", "media", "video_frame") if (m := as_dict(item.get(key)))), {})
        size = as_list(media.get("size"))
        height, width = (pixels(size[0]), pixels(size[1])) if len(size) == 2 else (0, 0)
        video, index = text_of(media.get("video_path")), position_of(media.get("frame_index"))
        if video and index is not None:
            return self._builder.frame("", self._builder.media(VIDEO, video), index, width=width, height=height)
        name = text_of(media.get("path")) or text_of(item.get("id"))
        return self._builder.frame(name, width=width, height=height) if name else None

    def _points(self, annotation: Mapping[str, Any], where: str) -> Floats | None:
        """(K, 3) x, y, visibility; None if they cannot be used, which is reported."""
        numbers = [coordinate(value) for value in as_list(annotation.get("points"))]
        names, _ = self._keypoints.get(position_of(annotation.get("label_id")) or 0, ([], []))
        step = 3 if annotation.get("type") == "skeleton" else 2
        if not names or len(numbers) != step * len(names) or None in numbers:
            what = "Points that are not the keypoints of their label"
            self._context.report(where, what, "left out", severity=ERROR)
            return None
        table = np.full((len(names), 3), float(VISIBLE))
        table[:, :step] = np.array(numbers, np.float64).reshape(-1, step)
        given = as_list(annotation.get("visibility"))
        if step == 2 and len(given) == len(names) and all(v in (ABSENT, OCCLUDED, VISIBLE) for v in given):
            table[:, 2] = given
        return table

    def _add(
        self, annotation: Mapping[str, Any], frame: int, where: str, table: Floats | None, box: Floats | None
    ) -> None:
        if table is None and box is None:
            return
        label = position_of(annotation.get("label_id"))
        if label is None or label >= len(self._labels):
            self._context.report(where, "Annotation without a label of the file", "left out", severity=ERROR)
            return
        visibility = None if table is None else np.clip(table[:, 2], ABSENT, VISIBLE).astype(np.uint8)
        if visibility is not None and not visibility.any() and box is None:
            self._context.report(where, "Pose without a keypoint", severity=INFO)
        attributes = as_dict(annotation.get("attributes"))
        track = position_of(attributes.get("track_id"))
        self._builder.add(
            Instance(
                frame,
                self._category(label),
                None if table is None or visibility is None else np.where(visibility[:, None] > 0, table[:, :2], 0.0),
                visibility,
                box=box,
                track=None if track is None else self._builder.track(track),
                key=where,
            )
        )

    def _category(self, label: int) -> int:
        names, limbs = self._keypoints.get(label, ([], []))
        name = self._labels[label]
        return self._builder.category(name, schema_of_names(names, name, limbs) if names else None)


def _box(value: object) -> Floats | None:
    """x1, y1, x2, y2 of x, y, width, height."""
    numbers: Sequence[float | None] = [coordinate(cell) for cell in as_list(value)]
    if len(numbers) != 4 or None in numbers:
        return None
    x, y, width, height = (float(cell or 0.0) for cell in numbers)
    return np.array([x, y, x + width, y + height])


register_format(DatumaroFormat())
