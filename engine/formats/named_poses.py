"""Poses of formats that write each keypoint by its name: single points and boxes are joined to poses here, and the
schemas of the categories are made from the names."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from engine.formats.category_schema import schema_of_names
from engine.formats.registry import WriteOptions
from engine.labels.builder import LabelsBuilder
from engine.labels.model import ABSENT, UNKNOWN, Category, Instance
from engine.labels.reader import LabelReader
from engine.schema.schema import unique_names
from engine.utils.context import ERROR, INFO, Context
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

DEFAULT_CATEGORY = "object"
"""The category of points that nothing gives a category."""

_LARGEST = 1e7  # pixels
_MOST_PAIRS = 2_000_000
_STEP = 500
Box = tuple[float, float, float, float]


class Point(msgspec.Struct, frozen=True):
    """A keypoint: its name, x and y in pixels, and visibility.

    Attributes:
        group: what the points and the box of one object share; None if the file does not say.
        category: of its object, if the file says.
    """

    name: str
    x: float
    y: float
    state: int
    group: object = None
    score: float | None = None
    category: str = ""


class Rectangle(msgspec.Struct, frozen=True):
    """A box: its category, and x1, y1, x2, y2 in pixels.

    Attributes:
        group: as in :class:`Point`.
        key: of the record in its image, where it has no group.
        is_around_points: written for the category of a pose that has no box.
    """

    category: str
    box: Box
    group: object = None
    score: float | None = None
    key: str = ""
    is_around_points: bool = False


@dataclass(frozen=True)
class ObjectOfImage:
    """Points with different names and at most one box that are one object. ``key`` is unique in the image."""

    key: str
    points: Sequence[Point]
    rectangle: Rectangle | None = None


class NamedPoses:
    """Collects poses whose keypoints are known by name; :meth:`finish` gives them to ``builder`` in their order.

    Keypoints of a category are in the order of :meth:`declare`, then in that of their first appearance.
    """

    def __init__(self, context: Context) -> None:
        self.builder = LabelsBuilder()
        self._context = context
        self._positions: dict[str, dict[str, int]] = {}
        self._limbs: dict[str, list[tuple[int, int]]] = {}
        self._declared: set[str] = set()
        self._common: list[str] = []
        self._poses: list[tuple[int, str, tuple[int, ...], array[float], dict[str, Any]]] = []
        self._shared: dict[tuple[int, ...], tuple[int, ...]] = {}

    def declare(self, category: str, names: Sequence[str], limbs: Iterable[tuple[int, int]] = ()) -> None:
        """State the keypoints of a category; limbs are pairs of positions in ``names``."""
        if len(names) > MAX_KEYPOINTS or any(len(name) > MAX_NAME for name in names):
            self._context.report(category, "Category with too many or too long keypoint names", "its list is not used")
            return
        positions = self._positions.setdefault(category, {})
        for name in names:
            positions.setdefault(name, len(positions))
        if names:
            self._declared.add(category)
        pairs = [
            (positions[names[a]], positions[names[b]]) for a, b in limbs if max(a, b) < len(names) > min(a, b) >= 0
        ]
        self._limbs.setdefault(category, []).extend(pairs)

    def declare_common(self, names: Sequence[str]) -> None:
        """State the keypoints of every category that has points and no list of its own."""
        self._common = list(names)[:MAX_KEYPOINTS]

    def category_with(self, names: Iterable[str]) -> str:
        """The only declared category that has all of these keypoints; "" if none or several have."""
        names = set(names)
        fitting = [category for category in self._declared if names <= self._positions[category].keys()]
        return fitting[0] if len(fitting) == 1 else ""

    def add(self, frame: int, category: str, points: Sequence[Point], where: str, **fields: Any) -> None:
        """Add a pose; of points with the same name the first is taken.

        Args:
            fields: of :class:`Instance`; a box may be four numbers.
        """
        if len(category) > MAX_NAME:
            self._context.report(where, "Category with a name that is too long", "left out", severity=ERROR)
            return
        positions = self._positions.setdefault(category, {})
        if points and category not in self._declared and self._common:
            self.declare(category, self._common)
        indices: list[int] = []
        numbers = array("d")
        seen: set[str] = set()
        for point in points:
            if point.name in seen:
                self._context.report(where, "Keypoint that the object has already", "left out", severity=ERROR)
                continue
            seen.add(point.name)
            index = positions.get(point.name)
            if index is None:
                if len(positions) >= MAX_KEYPOINTS or len(point.name) > MAX_NAME:
                    self._context.report(where, "Keypoint beyond those that a category may have", "left out",
                                         severity=ERROR)  # fmt: skip
                    continue
                if category in self._declared:
                    self._context.report(f"{category}: {point.name}", "Keypoint that the list of its category lacks",
                                         "added to the category", severity=INFO)  # fmt: skip
                index = positions[point.name] = len(positions)
            indices.append(index)
            numbers.extend((point.x, point.y, point.state, math.nan if point.score is None else point.score))
        key = tuple(indices)
        self._poses.append((frame, category, self._shared.setdefault(key, key), numbers, fields))

    def finish(self) -> LabelsBuilder:
        """Make the categories and the instances."""
        categories = {
            name: self.builder.category(
                name, schema_of_names(list(positions), name, self._limbs.get(name, ())) if positions else None
            )
            for name, positions in self._positions.items()
        }
        sizes = {name: len(positions) for name, positions in self._positions.items()}
        for frame, category, indices, numbers, fields in self._poses:
            box = fields.get("box")
            if box is not None:
                fields["box"] = np.array(box, np.float64)
            count = sizes[category]
            if count:
                keypoints, visibility = np.zeros((count, 2)), np.full(count, ABSENT, np.uint8)
                rows = np.frombuffer(numbers, np.float64).reshape(-1, 4)
                where = list(indices)
                keypoints[where], visibility[where] = rows[:, :2], rows[:, 2]
                if len(rows) and not np.isnan(rows[:, 3]).all():
                    fields["scores"] = scores = np.full(count, np.nan)
                    scores[where] = rows[:, 3]
                fields |= {"keypoints": keypoints, "visibility": visibility}
            self.builder.add(Instance(frame, categories[category], **fields))
        self._poses.clear()
        return self.builder


def objects_of(
    points: Sequence[Point], rectangles: Sequence[Rectangle], where: str, context: Context
) -> Iterator[ObjectOfImage]:
    """The objects that the points and boxes of one image are.

    Points and boxes of a group are one object. Points without a group are one object if their names differ and there is
    at most one box without a group; points of one name without boxes are an object each; otherwise each belongs to the
    smallest box that holds it. What fits nowhere is reported.
    """
    groups: dict[object, tuple[list[Point], list[Rectangle]]] = {}
    for point in points:
        groups.setdefault(point.group, ([], []))[0].append(point)
    for rectangle in rectangles:
        groups.setdefault(rectangle.group, ([], []))[1].append(rectangle)
    loose_points, loose = groups.pop(None, ([], []))
    for group, (members, boxes) in groups.items():
        yield ObjectOfImage(f"group {group}", members, boxes[0] if boxes else None)
        for index, box in enumerate(boxes[1:], 2):
            context.report(where, "Group with several boxes", "the first has the points, the others have none")
            yield ObjectOfImage(f"group {group} box {index}", (), box)
    names = [point.name for point in loose_points]
    is_unique = len(set(names)) == len(names)
    if not loose_points:
        yield from (ObjectOfImage(box.key, (), box) for box in loose)
    elif len(loose) <= 1 and is_unique:
        yield ObjectOfImage("points", loose_points, loose[0] if loose else None)
    elif not loose and len(set(names)) == 1:
        yield from (ObjectOfImage(f"point {index}", (point,)) for index, point in enumerate(loose_points))
    else:
        yield from _by_boxes(loose_points, loose, where, context)


def _by_boxes(
    points: Sequence[Point], rectangles: Sequence[Rectangle], where: str, context: Context
) -> Iterator[ObjectOfImage]:
    by_size = sorted(range(len(rectangles)), key=lambda n: _area(rectangles[n].box))
    owned: list[list[Point]] = [[] for _ in rectangles]
    if len(points) * len(rectangles) > _MOST_PAIRS:
        by_size = []
    for point in points:
        owner = next((n for n in by_size if _holds(rectangles[n].box, point)), None)
        if owner is None:
            what = "Point without a group that is in no box"
            context.report(f"{where}: {point.name}", what, "left out", severity=ERROR)
        else:
            owned[owner].append(point)
    for rectangle, members in zip(rectangles, owned, strict=True):
        yield ObjectOfImage(rectangle.key, members, rectangle)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _holds(box: Box, point: Point) -> bool:
    return box[0] <= point.x <= box[2] and box[1] <= point.y <= box[3]


def box_around(points: Sequence[tuple[float, float]]) -> Box | None:
    """x1, y1, x2, y2 around points; None without points."""
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def coordinate(value: object) -> float | None:
    """A finite number of a size that pixels may have, also one written as text; else None."""
    if type(value) is float and -_LARGEST <= value <= _LARGEST:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value) if not isinstance(value, str) or len(value) < 40 else math.nan
    except (ValueError, OverflowError):
        return None
    return result if abs(result) <= _LARGEST else None


def pixels(value: object) -> int:
    """A width or height; 0 for what is none."""
    if type(value) is int and 0 < value <= _LARGEST:
        return value
    length = coordinate(value)
    return 0 if length is None or length < 1 else int(length)


def position_of(value: object) -> int | None:
    """A whole number from 0, as it numbers records; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def text_of(value: object) -> str:
    """A name: text, or a number as text; "" for everything else."""
    if type(value) is str:
        return value.strip() if "\0" not in value else value.replace("\0", "").strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else ""


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def as_dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def named_categories(labels: LabelReader, context: Context) -> list[Category]:
    """The categories, each with a name of its own."""
    names = unique_names([category.name for category in labels.categories])
    for category, name in zip(labels.categories, names, strict=True):
        if name != category.name:
            context.report(category.name, "Category without a name of its own", f"written as {name}")
    return [msgspec.structs.replace(c, name=name) for c, name in zip(labels.categories, names, strict=True)]


def poses_by_frame(labels: LabelReader, options: WriteOptions, context: Context) -> dict[int, list[Instance]]:
    """The poses that are to be written, by position of the frame; what is none is reported."""
    by_frame: dict[int, list[Instance]] = {}
    frames = [frame.media for frame in labels.frames()]
    total = labels.num_instances()
    for index, instance in enumerate(labels.instances()):
        if index % _STEP == 0:
            context.progress(index, total)
        if not instance.is_pose or instance.category >= len(labels.categories):
            context.report(
                instance.key, "Crowd, or record without keypoints, which this format does not have", "left out"
            )
        elif frames[instance.frame] == UNKNOWN:
            context.report(instance.key, "Pose in a record that could not be read", "left out", severity=ERROR)
        elif options.include_predictions or not instance.is_prediction:
            schema = labels.categories[instance.category].schema
            if schema is None or instance.keypoints is None or len(instance.keypoints) != schema.num_keypoints:
                context.report(instance.key, "Pose with another number of keypoints than its category", "left out",
                               severity=ERROR)  # fmt: skip
            else:
                by_frame.setdefault(instance.frame, []).append(instance)
    return by_frame


def points_of(instance: Instance, names: Sequence[str], where: str, context: Context) -> list[Point]:
    """The keypoints of a pose that are there and have finite coordinates."""
    assert instance.keypoints is not None
    assert instance.visibility is not None
    scores = [None] * len(names) if instance.scores is None else instance.scores.tolist()
    points = []
    rows = zip(names, instance.keypoints.tolist(), instance.visibility.tolist(), scores, strict=True)
    for name, (x, y), state, score in rows:
        if state == ABSENT:
            continue
        if not (math.isfinite(x) and math.isfinite(y)):
            context.report(where, "Keypoint without finite coordinates", "written as absent", severity=ERROR)
            continue
        points.append(Point(name, x, y, state, score=score if score is not None and math.isfinite(score) else None))
    return points


def finite_box(instance: Instance) -> Box | None:
    """The box of an instance as four numbers; None if it has none, or not all are finite."""
    if instance.box is None or not np.isfinite(instance.box).all():
        return None
    x1, y1, x2, y2 = instance.box.tolist()
    return x1, y1, x2, y2
