"""Label Studio's tasks as labels.

A task has the address of an image and annotations, each with the result of one person, and predictions, each with that
of a model. Coordinates are in percent of the image. A keypoint names its box by ``parentID``, or a relation joins them,
as in files of sleap-io; others are joined as in :func:`engine.formats.named_poses.objects_of`. Label Studio has
no visibilities: a point is occluded if a choice for its region, or the remark on it, says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.label_studio.configuration import find_configuration
from engine.formats.named_poses import (
    DEFAULT_CATEGORY,
    Box,
    NamedPoses,
    Point,
    Rectangle,
    as_dict,
    as_list,
    box_around,
    coordinate,
    objects_of,
    pixels,
    text_of,
)
from engine.formats.registry import ReadOptions
from engine.formats.text_files import iterate_json_list
from engine.labels.model import OCCLUDED, VISIBLE
from engine.labels.reader import Labels
from engine.media.image_finder import find_images, likely_folders
from engine.media.image_headers import read_header_of
from engine.utils.context import ERROR, INFO, Context

AROUND_KEYPOINTS = "around keypoints"
"""The remark of boxes that are there for the category of a pose only."""

_STEP = 200
_IMAGE_KEYS = ("image", "img", "image_url", "url", "picture", "photo")
_OCCLUDED = frozenset({"occluded", "hidden", "invisible", "not visible", "not_visible"})
_KEYPOINTS, _BOXES = "keypointlabels", "rectanglelabels"
_OTHER_KINDS = frozenset({"relation", "choices", "textarea", "rating", "taxonomy"})


def read_label_studio(path: Path, context: Context, options: ReadOptions) -> Labels:
    """Read a file of tasks.

    Raises:
        LabelError: it cannot be used.
    """
    reader = _Reader(path, context, options)
    has_task = False
    for index, task in enumerate(iterate_json_list(path)):
        if index % _STEP == 0:
            context.progress(index)
        has_task |= isinstance(task, dict) and isinstance(task.get("data"), dict)
        reader.read_task(index, task)
    if not has_task:
        raise LabelError("has no tasks with data, as files of Label Studio have; export as JSON", where=path)
    return reader.labels()


class _Reader:
    def __init__(self, path: Path, context: Context, options: ReadOptions) -> None:
        self._path, self._context, self._options = path, context, options
        self._poses = NamedPoses(context)
        self._frames: set[int] = set()
        self._sizes: dict[str, tuple[int, int] | None] = {}
        configuration = find_configuration(path, context)
        self._only_category = configuration.boxes[0] if len(configuration.boxes) == 1 else ""
        for name in configuration.boxes:
            self._poses.declare(name, ())
        common: list[str] = []
        for keypoints in configuration.keypoints:
            if keypoints.category:
                self._poses.declare(keypoints.category, keypoints.names, keypoints.limbs)
            else:
                common += keypoints.names
        self._poses.declare_common(list(dict.fromkeys(common)))

    def labels(self) -> Labels:
        return self._poses.finish().build(self._path)

    def read_task(self, index: int, task: Any) -> None:
        record = as_dict(task)
        where = f"task {text_of(record.get('id')) or index}"
        name = _image_of(as_dict(record.get("data")))
        if not name:
            count = sum(_num_regions(record.get(key)) for key in ("annotations", "predictions"))
            self._context.report(where, "Task without an image", "left out", count=max(1, count), severity=ERROR)
            return
        annotations = [
            as_dict(a) for a in as_list(record.get("annotations") or record.get("completions"))
            if isinstance(a, dict) and a.get("was_cancelled") is not True
        ]  # fmt: skip
        chosen = _chosen(annotations)
        if len(annotations) > 1:
            what = "Task with several annotations"
            action = "the approved one is taken, else the latest"
            self._context.report(where, what, action, count=len(annotations) - 1)
        predictions = [as_dict(prediction) for prediction in as_list(record.get("predictions"))]
        sources = [a for a in (chosen, *predictions) if a is not None]
        size = next((size for a in sources for size in [_size_in(as_list(a.get("result")))] if size), None)
        is_negative = chosen is not None and chosen.get("result") == []
        width, height = size or (0, 0)
        frame = self._poses.builder.frame(name, width=width, height=height, is_negative=is_negative)
        if frame in self._frames:
            self._context.report(f"{where}: {name}", "Image of several tasks", "labels of all are taken")
        self._frames.add(frame)
        if chosen is not None:
            self._read_result(as_list(chosen.get("result")), frame, name, where, {})
        for prediction in predictions:
            source = text_of(prediction.get("model_version"))
            fields = {"is_prediction": True, "source": source, "score": coordinate(prediction.get("score"))}
            where_prediction = f"{where}: prediction {source}".strip()
            self._read_result(as_list(prediction.get("result")), frame, name, where_prediction, fields)

    def _read_result(self, result: Sequence[Any], frame: int, name: str, where: str, fields: Mapping[str, Any]) -> None:
        regions = [as_dict(region) for region in result]
        states, boxes_of = _states(regions), _related_boxes(regions)
        points: list[Point] = []
        rectangles: list[Rectangle] = []
        parents: dict[str, str] = {}
        given_size: tuple[object, object] = (None, None)
        size: tuple[int, int] | None = None
        for index, region in enumerate(regions):
            kind = text_of(region.get("type")).lower()
            if kind in _OTHER_KINDS:
                continue
            region_id = text_of(region.get("id"))
            value = as_dict(region.get("value"))
            label = _label_of(value, kind)
            if region_id and label:
                parents[region_id] = label
            if kind not in (_KEYPOINTS, _BOXES):
                what = f"Region of the type {kind[:40]}, which is no keypoint and no box"
                self._context.report(_where(where, region_id, index), what, "left out")
                continue
            written_size = region.get("original_width"), region.get("original_height")
            if size is None or written_size != given_size:  # that of all regions of an image is the same
                given_size = written_size
                size = _size_of(region) or self._size_of_image(name)
            x, y = coordinate(value.get("x")), coordinate(value.get("y"))
            corners = _corners(value, x, y) if kind == _BOXES else None
            if not label or x is None or y is None or size is None or (kind == _BOXES and corners is None):
                reason = "usable coordinates" if label else "a label"
                reason = "the size of its image" if size is None else reason
                record = _where(where, region_id, index)
                self._context.report(record, f"Region without {reason}", "left out", severity=ERROR)
                continue
            if region.get("image_rotation") and coordinate(region["image_rotation"]):
                record = _where(where, region_id, index)
                self._context.report(record, "Region of an image that was turned in Label Studio", severity=INFO)
            group = text_of(region.get("parentID")) or boxes_of.get(region_id)
            score = coordinate(region.get("score"))
            if corners is None:
                state = states.get(region_id, VISIBLE) if region_id else VISIBLE
                points.append(Point(label, x / 100 * size[0], y / 100 * size[1], state, group, score))
                continue
            box = _turned(corners, coordinate(value.get("rotation")) or 0.0, size)
            is_around = AROUND_KEYPOINTS in _remarks(region)
            rectangles.append(Rectangle(label, box, region_id or None, score, f"region {index}", is_around))
        self._join(points, rectangles, parents, frame, where, fields)

    def _join(
        self,
        points: Sequence[Point],
        rectangles: Sequence[Rectangle],
        parents: Mapping[str, str],
        frame: int,
        where: str,
        fields: Mapping[str, Any],
    ) -> None:
        owners = {point.group for point in points}
        if None in owners:  # boxes that no keypoint names may hold those that name none
            rectangles = [
                r if r.group in owners else Rectangle(r.category, r.box, None, r.score, f"group {r.group or r.key}",
                                                      r.is_around_points)
                for r in rectangles
            ]  # fmt: skip
        for item in objects_of(points, rectangles, where, self._context):
            rectangle = item.rectangle
            if rectangle is not None:
                category = rectangle.category
            else:
                group = next((text_of(point.group) for point in item.points), "")
                names = [point.name for point in item.points]
                category = parents.get(group) or self._poses.category_with(names) or self._only_category
            own = dict(fields)
            if rectangle is not None and rectangle.score is not None:
                own["score"] = rectangle.score
            self._poses.add(
                frame,
                category or DEFAULT_CATEGORY,
                item.points,
                f"{where}: {item.key}",
                box=None if rectangle is None or rectangle.is_around_points else rectangle.box,
                key=f"{where}:{item.key}",
                **own,
            )

    def _size_of_image(self, name: str) -> tuple[int, int] | None:
        if name not in self._sizes:
            path = find_images([name], likely_folders(self._path, self._options.images)).paths[0]
            header = None if path is None else read_header_of(path)
            self._sizes[name] = None if header is None else header.size
        return self._sizes[name]


def _num_regions(annotations: Any) -> int:
    return sum(len(as_list(as_dict(annotation).get("result"))) for annotation in as_list(annotations))


def _image_of(data: Mapping[str, Any]) -> str:
    for key in (*_IMAGE_KEYS, *data):
        value = data.get(key)
        if isinstance(value, str) and value.strip() and (key in _IMAGE_KEYS or "/" in value or "." in value):
            return text_of(value)
    return ""


def _chosen(annotations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The annotation to take: one marked as ground truth, else the latest."""
    if not annotations:
        return None
    ranks = [
        (a.get("ground_truth") is True, text_of(a.get("updated_at") or a.get("created_at")), index)
        for index, a in enumerate(annotations)
    ]
    return annotations[max(ranks)[2]]


def _size_in(result: Sequence[Any]) -> tuple[int, int] | None:
    return next((size for size in (_size_of(as_dict(region)) for region in result) if size), None)


def _size_of(region: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = pixels(region.get("original_width")), pixels(region.get("original_height"))
    return (width, height) if width and height else None


def _states(regions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Visibility of regions by their id, of those that are said to be occluded."""
    states = {}
    for region in regions:
        if not region.get("meta") and region.get("type") != "choices":
            continue
        value = as_dict(region.get("value"))
        choices = [text_of(choice).lower() for choice in as_list(value.get("choices"))]
        if not _OCCLUDED.isdisjoint([*choices, *_remarks(region)]):
            states[text_of(region.get("id"))] = OCCLUDED
    return states


def _related_boxes(regions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Ids of boxes by those of regions that a relation joins to them."""
    relations = [region for region in regions if region.get("type") == "relation"]
    boxes = {text_of(region.get("id")) for region in regions if region.get("type") == _BOXES} if relations else set()
    boxes_of: dict[str, str] = {}
    for relation in relations:
        one, other = text_of(relation.get("from_id")), text_of(relation.get("to_id"))
        if (one in boxes) != (other in boxes):
            boxes_of.setdefault(*((other, one) if one in boxes else (one, other)))
    return boxes_of


def _remarks(region: Mapping[str, Any]) -> list[str]:
    return [text_of(text).lower() for text in as_list(as_dict(region.get("meta")).get("text"))]


def _corners(value: Mapping[str, Any], x: float | None, y: float | None) -> list[tuple[float, float]] | None:
    """Two corners of a box, in percent."""
    width, height = coordinate(value.get("width")), coordinate(value.get("height"))
    if x is None or y is None or width is None or height is None:
        return None
    return [(x, y), (x + width, y + height)]


def _label_of(value: Mapping[str, Any], kind: str) -> str:
    """The first label of a region that is no empty text."""
    for label in as_list(value.get(kind)):
        text = text_of(label)
        if text:
            return text
    return ""


def _where(where: str, region_id: str, index: int) -> str:
    return f"{where}: region {region_id or index}"


def _turned(corners: Sequence[tuple[float, float]], degrees: float, size: tuple[int, int]) -> Box:
    """The box around a rectangle that is turned about its first corner, in pixels."""
    (x1, y1), (x2, y2) = [(x / 100 * size[0], y / 100 * size[1]) for x, y in corners]
    if not degrees:
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    sides = [(dx, dy) for dx in (0.0, x2 - x1) for dy in (0.0, y2 - y1)]
    box = box_around([(x1 + dx * cos - dy * sin, y1 + dx * sin + dy * cos) for dx, dy in sides])
    assert box is not None
    return box
