"""CVAT's XML as labels.

Skeletons are poses; shapes of several points without names are poses with numbered keypoints; single points that share
a group are one pose, whose keypoints are named by their labels. A track of a video is read at the frames that the file
lists; where it lists keyframes only, the frames between them get what CVAT shows there: each point on the line between
its keyframes. Poses at keyframes are labels, those between are predictions of the source "interpolated".
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from engine.errors import LabelError
from engine.formats.category_schema import schema_of_names
from engine.formats.cvat.skeletons import CvatLabel, read_labels_of
from engine.formats.text_files import iterate_xml
from engine.labels.builder import LabelsBuilder
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Bytes, Floats, Instance
from engine.labels.reader import Labels
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import MAX_LABEL_BYTES
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

INTERPOLATED = "interpolated"
"""``Instance.source`` of poses between keyframes, as in projects."""

_TAGS = frozenset({"meta", "image", "track"})
_OTHER_SHAPES = ("polygon", "polyline", "mask", "cuboid", "ellipse", "tag")
_MAX_FRAME = 100_000_000
_MAX_FILLED = 2_000_000
_STEP = 200
_TRUE = frozenset({"1", "true", "True"})


def read_cvat(path: Path, context: Context) -> Labels:
    """Read an XML file.

    Raises:
        LabelError: it cannot be read, or is no file of CVAT.
    """
    reader = _Reader(path, context)
    for count, element in enumerate(iterate_xml(path, _TAGS, limit=MAX_LABEL_BYTES)):
        if count % _STEP == 0:
            context.progress(count)
        if element.tag == "meta":
            reader.read_meta(element)
        elif element.tag == "image":
            reader.read_image(element)
        else:
            reader.read_track(element)
    return reader.build()


@dataclass
class _Pose:
    """A pose whose keypoints are known by name or, without names, by position."""

    frame: int
    label: str
    points: Floats
    visibility: Bytes
    names: tuple[str, ...] | None
    box: Floats | None
    track: int | None
    is_prediction: bool
    source: str
    key: str


@dataclass
class _Task:
    """What ``meta`` says of a video: its file, and which of its frames were labelled."""

    source: str = ""
    start: int = 0
    stop: int = -1
    step: int = 1
    width: int = 0
    height: int = 0


@dataclass
class _Shape:
    """Points of a track in one frame."""

    points: Floats
    outside: bool
    occluded: bool
    keyframe: bool


@dataclass
class _Element:
    """One keypoint of a track (or all of them, unnamed) in the frames that the file lists, ascending."""

    shapes: dict[int, _Shape] = field(default_factory=dict)

    def sort(self) -> None:
        self.shapes = dict(sorted(self.shapes.items()))
        self._frames = list(self.shapes)

    def at(self, frame: int) -> _Shape | None:
        """What is shown in a frame: as listed, else on the line between its neighbours; None before the first."""
        index = bisect_right(self._frames, frame) - 1
        if index < 0:
            return None
        start = self._frames[index]
        shape = self.shapes[start]
        if start == frame or shape.outside or index + 1 == len(self._frames):
            return shape
        stop = self._frames[index + 1]
        other = self.shapes[stop]
        if other.outside or len(other.points) != len(shape.points):
            return shape
        share = (frame - start) / (stop - start)
        return _Shape(shape.points + (other.points - shape.points) * share, False, shape.occluded, False)


class _Reader:
    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._context = path, context
        self._builder = LabelsBuilder()
        self._labels: dict[str, CvatLabel] = {}
        self._tasks: dict[str, _Task] = {}
        self._poses: list[_Pose] = []
        self._boxes: list[tuple[int, str, Floats, int | None, str]] = []
        self._filled = 0
        self._frame_files: dict[int, str] | None = None
        self._is_cvat = False

    def read_meta(self, meta: Element) -> None:
        self._is_cvat = True
        self._labels.update(read_labels_of(meta))
        for element in meta.iter():
            if element.tag in ("task", "job"):
                self._tasks.setdefault((element.findtext("id") or "").strip(), _task_of(element, meta))

    def read_image(self, element: Element) -> None:
        self._is_cvat = True
        name = plain_name(element.get("name") or "")
        if not name:
            self._context.report(f"image {element.get('id')}", "Image without a name", "left out", severity=ERROR)
            return
        width, height = _whole(element.get("width")) or 0, _whole(element.get("height")) or 0
        media = self._builder.media(IMAGES)
        frame = self._builder.frame(name, media, width=max(0, width), height=max(0, height))
        groups: dict[str, list[Element]] = {}
        for index, shape in enumerate(element):
            key = f"{name}:{index}"
            group = shape.get("group_id") or ""
            if shape.tag in ("box", "points") and group not in ("", "0") and _count(shape) == 1:
                groups.setdefault(group, []).append(shape)
            else:
                self._read_shape(shape, frame, key)
        for group, shapes in groups.items():
            points = [shape for shape in shapes if shape.tag == "points"]
            boxes = [shape for shape in shapes if shape.tag == "box"]
            if points and len({shape.get("label") for shape in points}) == len(points) and len(boxes) <= 1:
                self._read_group(points, boxes, frame, f"{name}:group {group}")
            else:
                for index, shape in enumerate(shapes):
                    self._read_shape(shape, frame, f"{name}:group {group}:{index}")

    def _read_shape(self, shape: Element, frame: int, key: str) -> None:
        label = _label(shape)
        if shape.tag == "skeleton":
            elements = [child for child in shape if child.tag == "points"]
            self._add(frame, label, elements, key, shape)
        elif shape.tag == "points":
            points = self._points(shape, key)
            if points is not None:
                state = OCCLUDED if shape.get("occluded") in _TRUE else VISIBLE
                visibility = np.full(len(points), state, np.uint8)
                self._poses.append(
                    _Pose(frame, label, points, visibility, None, None, None, _is_auto(shape), _source(shape), key)
                )
        elif shape.tag == "box":
            box = self._box(shape, key)
            if box is not None:
                self._boxes.append((frame, label, box, None, key))
        elif shape.tag in _OTHER_SHAPES:
            self._context.report(key, f"Shape of the type {shape.tag}, which is no keypoint and no box", "left out")
        if shape.find("attribute") is not None:
            self._context.report(key, "Attributes of a shape", "not taken over", severity=INFO)

    def _read_group(self, points: Sequence[Element], boxes: Sequence[Element], frame: int, key: str) -> None:
        box = self._box(boxes[0], key) if boxes else None
        label = _label(boxes[0]) if boxes else "object"
        known = self._labels.setdefault(label, CvatLabel(label))
        known.is_skeleton = True
        self._add(frame, label, points, key, points[0], box)

    def _add(
        self, frame: int, label: str, elements: Sequence[Element], key: str, shape: Element, box: Floats | None = None
    ) -> None:
        """Add a pose whose keypoints are elements with a label each."""
        names, points, states = [], [], []
        for element in elements:
            coordinates = self._points(element, key)
            name = _label(element)
            if coordinates is None:
                continue
            if len(coordinates) != 1 or name in names:
                self._context.report(key, "Keypoint given twice", "taken once")
                if name in names:
                    continue
            names.append(name)
            points.append(coordinates[0])
            states.append(_state(element.get("outside") in _TRUE, element.get("occluded") in _TRUE))
        if not names:
            self._context.report(key, "Skeleton without points", "left out", severity=ERROR)
            return
        self._poses.append(
            _Pose(
                frame,
                label,
                np.array(points),
                np.array(states, np.uint8),
                tuple(names),
                box,
                None,
                _is_auto(shape),
                _source(shape),
                key,
            )
        )

    def read_track(self, element: Element) -> None:
        self._is_cvat = True
        label, track_id = _label(element), element.get("id") or ""
        where = f"track {track_id}"
        task = self._tasks.get((element.get("task_id") or "").strip()) or next(iter(self._tasks.values()), _Task())
        elements = self._elements(element, where)
        boxes = [shape for shape in element if shape.tag == "box"]
        other = [shape.tag for shape in element if shape.tag in _OTHER_SHAPES]
        if other:
            self._context.report(
                where, f"Shape of the type {other[0]}, which is no keypoint and no box", "left out", count=len(other)
            )
        track = self._builder.track((task.source, track_id, label)) if elements or boxes else None
        for shape in boxes:
            frame_index = self._frame_index(shape, where)
            box = self._box(shape, where)
            if frame_index is not None and box is not None and shape.get("outside") not in _TRUE:
                frame = self._video_frame(task, frame_index)
                self._boxes.append((frame, label, box, track, f"{where}:{frame_index}"))
        if not elements:
            return
        names = None if set(elements) == {""} else tuple(elements)
        for frame_index in self._frames_of(elements.values(), task, where):
            self._add_track_pose(elements, names, frame_index, task, label, track, where, _is_auto(element))

    def _elements(self, track: Element, where: str) -> dict[str, _Element]:
        """The keypoints of a track by name; one without a name for shapes of several unnamed points."""
        elements: dict[str, _Element] = {}

        def add(name: str, shape: Element, frame_index: int | None) -> None:
            points = self._points(shape, where)
            if points is None or frame_index is None:
                return
            elements.setdefault(name, _Element()).shapes[frame_index] = _Shape(
                points,
                shape.get("outside") in _TRUE,
                shape.get("occluded") in _TRUE,
                shape.get("keyframe") in _TRUE or shape.get("keyframe") is None,
            )

        for child in track:
            if child.tag == "track":
                for shape in child.iter("points"):
                    add(_label(child), shape, self._frame_index(shape, where))
            elif child.tag == "skeleton":
                for shape in child.iter("points"):
                    shape.attrib.setdefault("keyframe", child.get("keyframe") or "1")
                    add(_label(shape), shape, self._frame_index(child, where))
            elif child.tag == "points":
                add("", child, self._frame_index(child, where))
        if "" in elements and len(elements) > 1:
            self._context.report(where, "Points without a name in a track with named ones", "left out", severity=ERROR)
            del elements[""]
        for element in elements.values():
            element.sort()
        return elements

    def _frames_of(self, elements: Iterable[_Element], task: _Task, where: str) -> list[int]:
        """The frames in which a track is shown."""
        elements = list(elements)
        listed = sorted({frame for element in elements for frame in element.shapes})
        if len(listed) < 1 or any(not shape.keyframe for element in elements for shape in element.shapes.values()):
            return listed
        last = max(listed[-1], task.stop) if task.stop >= 0 else listed[-1]
        frames = sorted({*listed, *range(listed[0], min(last, listed[0] + _MAX_FILLED) + 1, task.step)})
        self._filled += len(frames) - len(listed)
        if self._filled > _MAX_FILLED:
            self._filled -= len(frames) - len(listed)
            self._context.report(where, "Track with too many frames between its keyframes", "only keyframes are read")
            return listed
        return frames

    def _add_track_pose(
        self,
        elements: dict[str, _Element],
        names: tuple[str, ...] | None,
        frame_index: int,
        task: _Task,
        label: str,
        track: int | None,
        where: str,
        is_auto: bool,
    ) -> None:
        shapes = [element.at(frame_index) for element in elements.values()]
        if all(shape is None or shape.outside for shape in shapes):
            return
        is_key = any(
            (shape := element.shapes.get(frame_index)) is not None and shape.keyframe for element in elements.values()
        )
        if names is None:
            (shape,) = shapes
            assert shape is not None
            points = shape.points
            visibility = np.full(len(points), OCCLUDED if shape.occluded else VISIBLE, np.uint8)
        else:
            points = np.array([(0.0, 0.0) if shape is None else shape.points[0] for shape in shapes])
            visibility = np.array(
                [ABSENT if shape is None else _state(shape.outside, shape.occluded) for shape in shapes], np.uint8
            )
        frame = self._video_frame(task, frame_index)
        source = "" if is_key else INTERPOLATED
        key = f"{where}:{frame_index}"
        self._poses.append(
            _Pose(frame, label, points, visibility, names, None, track, not is_key or is_auto, source, key)
        )

    def _video_frame(self, task: _Task, frame_index: int) -> int:
        """The frame of a video, or the image that CVAT saved of it beside the file."""
        name = self._saved_frames().get(frame_index)
        if name is not None:
            return self._builder.frame(name, self._builder.media(IMAGES), width=task.width, height=task.height)
        media = self._builder.media(VIDEO, task.source)
        return self._builder.frame("", media, frame_index, width=task.width, height=task.height)

    def _saved_frames(self) -> dict[int, str]:
        """Images ``images/frame_000012.png`` beside the file by number of the frame."""
        if self._frame_files is None:
            self._frame_files = {}
            sources = [task.source for task in self._tasks.values() if task.source]
            folder = self._path.absolute().parent
            if not any((folder / PurePosixPath(plain_name(source)).name).is_file() for source in sources):
                for file in sorted((folder / "images").glob("frame_*.*")):
                    index = _whole(file.stem.removeprefix("frame_"))
                    if index is not None and file.suffix.lower() in (".png", ".jpg", ".jpeg"):
                        self._frame_files.setdefault(index, f"images/{file.name}")
        return self._frame_files

    def _frame_index(self, shape: Element, where: str) -> int | None:
        index = _whole(shape.get("frame"))
        if index is None or not 0 <= index <= _MAX_FRAME:
            self._context.report(where, "Shape whose frame is not a number", "left out", severity=ERROR)
            return None
        return index

    def _points(self, shape: Element, key: str) -> Floats | None:
        """(n, 2) coordinates of a shape; None if they cannot be used, which is reported."""
        text = shape.get("points") or ""
        pairs = text.split(";", MAX_KEYPOINTS + 1)
        try:
            points = np.array([[float(cell) for cell in pair.split(",")] for pair in pairs], np.float64)
        except ValueError:
            points = np.zeros((0, 0))
        if points.ndim != 2 or points.shape[1:] != (2,) or len(points) > MAX_KEYPOINTS or not np.isfinite(points).all():
            self._context.report(key, "Points that are not pairs of numbers", "left out", severity=ERROR)
            return None
        return points

    def _box(self, shape: Element, key: str) -> Floats | None:
        try:
            values = [float(shape.get(name) or "") for name in ("xtl", "ytl", "xbr", "ybr")]
        except ValueError:
            values = [math.nan]
        if not all(map(math.isfinite, values)):
            self._context.report(key, "Box whose corners are not numbers", "left out", severity=ERROR)
            return None
        return np.array(values)

    def build(self) -> Labels:
        if not self._is_cvat:
            raise LabelError("is not an XML file of CVAT", where=self._path)
        names = self._keypoint_names()
        categories = {label: self._category(label, points) for label, points in names.items()}
        for pose in self._poses:
            if pose.label not in categories:
                continue
            order = names[pose.label]
            keypoints, visibility = np.zeros((len(order), 2)), np.zeros(len(order), np.uint8)
            if pose.names is None:
                if len(pose.points) != len(order):
                    self._context.report(
                        pose.key,
                        f"Shape of {pose.label!r} with another number of points than most, {len(order)}",
                        "left out",
                        severity=ERROR,
                    )
                    continue
                keypoints[:], visibility[:] = pose.points, pose.visibility
            else:
                positions = [order.index(name) for name in pose.names]
                keypoints[positions], visibility[positions] = pose.points, pose.visibility
            self._builder.add(
                Instance(
                    pose.frame,
                    categories[pose.label],
                    keypoints,
                    visibility,
                    box=pose.box,
                    track=pose.track,
                    is_prediction=pose.is_prediction,
                    source=pose.source,
                    key=pose.key,
                )
            )
        for frame, label, box, track, key in self._boxes:
            if label not in categories:
                categories[label] = self._builder.category(label)
            self._builder.add(Instance(frame, categories[label], box=box, track=track, key=key))
        for label in self._labels:
            if label not in categories:
                self._builder.category(label)
        return self._builder.build(self._path)

    def _keypoint_names(self) -> dict[str, list[str]]:
        """The names of the keypoints of each label that has any, in the order of the file."""
        names: dict[str, list[str]] = {}
        counts: dict[str, Counter[int]] = {}
        for label in self._labels.values():
            if label.is_skeleton and label.points:
                names[label.name] = list(label.points)
        for pose in self._poses:
            if pose.names is None:
                counts.setdefault(pose.label, Counter())[len(pose.points)] += 1
                continue
            order = names.setdefault(pose.label, [])
            if not set(pose.names) <= set(order):
                order += [name for name in pose.names if name not in order]
        for name, order in names.items():
            if len(order) > MAX_KEYPOINTS:
                raise LabelError(f"has a label {name!r} with {len(order)} keypoints", where=self._path)
        for name, counter in counts.items():
            if name not in names:
                names[name] = [f"point_{n}" for n in range(1, counter.most_common(1)[0][0] + 1)]
        return names

    def _category(self, label: str, points: Sequence[str]) -> int:
        known = self._labels.get(label)
        edges = known.edges if known is not None and list(points[: len(known.points)]) == known.points else []
        return self._builder.category(label, schema_of_names(points, label, edges))


def _task_of(element: Element, meta: Element) -> _Task:
    size = element.find("original_size")
    filters = dict(part.partition("=")[::2] for part in (element.findtext("frame_filter") or "").split(","))
    source = (element.findtext("source") or meta.findtext("source") or "").strip()
    start, stop = _whole(element.findtext("start_frame")), _whole(element.findtext("stop_frame"))
    return _Task(
        source,
        start or 0,
        -1 if stop is None or stop > _MAX_FRAME else stop,
        max(1, _whole(filters.get("step")) or 1),
        max(0, _whole(None if size is None else size.findtext("width")) or 0),
        max(0, _whole(None if size is None else size.findtext("height")) or 0),
    )


def _state(outside: bool, occluded: bool) -> int:
    return ABSENT if outside else OCCLUDED if occluded else VISIBLE


def _label(element: Element) -> str:
    return (element.get("label") or "").strip()[:MAX_NAME] or "object"


def _is_auto(element: Element) -> bool:
    """Whether a model made the shape and nobody has changed it."""
    return element.get("source") == "auto"


def _source(element: Element) -> str:
    source = element.get("source") or ""
    return "" if source == "manual" else source


def _count(shape: Element) -> int:
    return 1 if shape.tag == "box" else (shape.get("points") or "").count(";") + 1


def _whole(text: str | None) -> int | None:
    """A whole number of at most nine digits; None for anything else."""
    text = (text or "").strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 9 else None
