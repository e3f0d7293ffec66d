"""CVAT's XML as labels.

Skeletons are poses; shapes of several points without names are poses with numbered keypoints; single points that share
a group are one pose, whose keypoints are named by their labels. A track of a video is read at the frames that the file
lists; where it lists keyframes only, the frames between them get what CVAT shows there: each point on the line between
its keyframes. Poses at keyframes are labels, those between are predictions of the source "interpolated".
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from engine.errors import LabelError
from engine.formats.category_schema import schema_of_names
from engine.formats.cvat.shapes import (
    MAX_FRAME,
    TRUE,
    ShapeReader,
    count_points,
    is_auto,
    label_of,
    source_of,
    state_of,
    whole_number,
)
from engine.formats.cvat.skeletons import CvatLabel, read_labels_of
from engine.formats.cvat.tracks import TrackElement, TrackReader
from engine.formats.text_files import iterate_nested_xml
from engine.labels.builder import LabelsBuilder, unnamed_video
from engine.labels.model import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Bytes, Floats, Instance
from engine.labels.reader import Labels
from engine.media.image_finder import plain_name
from engine.media.images import is_image
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import MAX_LABEL_BYTES
from engine.utils.limits import MAX_KEYPOINTS

INTERPOLATED = "interpolated"
"""``Instance.source`` of poses between keyframes, as in projects."""

_TAGS = frozenset({"meta", "image", "track"})
_OTHER_SHAPES = ("polygon", "polyline", "mask", "cuboid", "ellipse", "tag")
_STEP = 200
_SAVED_FRAME = re.compile(r"frame_(\d{6,8})(?:\.(?:png|jpe?g))?", re.IGNORECASE)


def read_cvat(path: Path, context: Context) -> Labels:
    """Read an XML file.

    Raises:
        LabelError: it cannot be read, or is no file of CVAT.
    """
    reader = _Reader(path, context)
    elements = iterate_nested_xml(path, _TAGS, {"track": frozenset({"skeleton"})}, limit=MAX_LABEL_BYTES)
    for count, (element, track) in enumerate(elements):
        if count % _STEP == 0:
            context.progress(count)
        if track is not None:
            reader.tracks.add_skeleton(element, track)
        elif element.tag == "meta":
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
    is_video: bool = True


class _Reader:
    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._context = path, context
        self._builder = LabelsBuilder()
        self._labels: dict[str, CvatLabel] = {}
        self._tasks: dict[str, _Task] = {}
        self._poses: list[_Pose] = []
        self._name_lists: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._boxes: list[tuple[int, str, Floats, int | None, str]] = []
        self._frame_files: dict[int, str] | None = None
        self._saved_names: set[str] | None = None
        self._has_reported_source = False
        self.tracks = TrackReader(context)
        self._shapes = ShapeReader(context)
        self._owners: dict[str, tuple[str, str, str]] = {}
        self._single_points: dict[int, list[tuple[str, Element]]] = {}
        self._point_labels: set[str] = set()
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
        frame, name = self._image_frame(element, name)
        groups: dict[str, list[Element]] = {}
        for index, shape in enumerate(element):
            group = shape.get("group_id") or "0"
            is_simple = shape.tag in ("box", "skeleton") or (shape.tag == "points" and count_points(shape) == 1)
            if is_simple and group != "0":
                groups.setdefault(group, []).append(shape)
            elif is_simple and shape.tag == "points" and not self._has_skeleton(label_of(shape)):
                self._single_points.setdefault(frame, []).append((f"{name}:{index}", shape))
            else:
                self._read_shape(shape, frame, f"{name}:{index}")
        for group, shapes in groups.items():
            self._read_group(shapes, frame, f"{name}:group {group}")

    def _image_frame(self, element: Element, name: str) -> tuple[int, str]:
        """The frame of an image element, and the name that its shapes go by."""
        width, height = (
            max(0, whole_number(element.get("width")) or 0),
            max(0, whole_number(element.get("height")) or 0),
        )
        task_id = (element.get("task_id") or "").strip()
        task = self._tasks.get(task_id) or next(iter(self._tasks.values()), _Task())
        saved = _SAVED_FRAME.fullmatch(name)
        if task.source and task.is_video and saved is not None and not self._has_image(name):
            media = self._builder.media(VIDEO, task.source)
            return self._builder.frame("", media, int(saved[1]), width=width, height=height), name
        owner = (task_id, (element.get("subset") or "").strip(), element.get("id") or "")
        if self._owners.setdefault(name, owner) != owner:  # tasks of one project may have images of the same name
            original, name = name, "/".join([owner[1] or "images", "_".join(filter(None, (task_id, owner[2]))), name])
            self._context.report(original, "Image of the same name as another", f"called {name}")
        return self._builder.frame(name, self._builder.media(IMAGES), width=width, height=height), name

    def _has_image(self, name: str) -> bool:
        """Whether an image that CVAT saved of a video is beside the file."""
        if self._saved_names is None:
            folder = self._path.absolute().parent
            files = [*folder.glob("frame_*.*"), *folder.glob("images/frame_*.*"), *folder.glob("images/*/frame_*.*")]
            self._saved_names = {file.stem for file in files if is_image(file.name)}
        return PurePosixPath(name).stem in self._saved_names

    def _has_skeleton(self, label: str) -> bool:
        known = self._labels.get(label)
        return known is not None and known.is_skeleton

    def _read_shape(self, shape: Element, frame: int, key: str) -> None:
        label = label_of(shape)
        if shape.tag == "skeleton":
            elements = [child for child in shape if child.tag == "points"]
            self._add(frame, label, elements, key, shape)
        elif shape.tag == "points":
            points = self._shapes.points(shape, key)
            if points is not None:
                state = OCCLUDED if shape.get("occluded") in TRUE else VISIBLE
                visibility = np.full(len(points), state, np.uint8)
                self._poses.append(
                    _Pose(frame, label, points, visibility, None, None, None, is_auto(shape), source_of(shape), key)
                )
        elif shape.tag == "box":
            box = self._shapes.box(shape, key)
            if box is not None:
                self._boxes.append((frame, label, box, None, key))
        elif shape.tag in _OTHER_SHAPES:
            self._context.report(key, f"Shape of the type {shape.tag}, which is no keypoint and no box", "left out")
        if shape.find("attribute") is not None:
            self._context.report(key, "Attributes of a shape", "not taken over", severity=INFO)

    def _read_group(self, shapes: Sequence[Element], frame: int, key: str) -> None:
        """Shapes of one group: single points are keypoints of one pose; a box belongs to the only pose."""
        boxes = [shape for shape in shapes if shape.tag == "box"]
        points = [shape for shape in shapes if shape.tag == "points"]
        skeletons = [shape for shape in shapes if shape.tag == "skeleton"]
        if len(boxes) <= 1 and len(skeletons) == 1 and not points:
            box = self._shapes.box(boxes[0], key) if boxes else None
            elements = [child for child in skeletons[0] if child.tag == "points"]
            self._add(frame, label_of(skeletons[0]), elements, key, skeletons[0], box)
        elif len(boxes) <= 1 and points and not skeletons and len({label_of(shape) for shape in points}) == len(points):
            box = self._shapes.box(boxes[0], key) if boxes else None
            self._add_points(points, label_of(boxes[0]) if boxes else "object", frame, key, box)
        else:
            for index, shape in enumerate(shapes):
                self._read_shape(shape, frame, f"{key}:{index}")

    def _add_points(
        self, points: Sequence[Element], label: str, frame: int, key: str, box: Floats | None = None
    ) -> None:
        """Add a pose of single points that are named by their labels."""
        self._labels.setdefault(label, CvatLabel(label)).is_skeleton = True
        self._point_labels.update(map(label_of, points))
        self._add(frame, label, points, key, points[0], box)

    def _read_single_points(self) -> None:
        """Points without a group: one pose an image where no image has two of a label, else each is a pose."""
        labels = [[label_of(shape) for _, shape in items] for items in self._single_points.values()]
        names = {name for image in labels for name in image}
        are_parts = len(names) > 1 and all(len(set(image)) == len(image) for image in labels)
        if are_parts:
            self._context.report(
                ", ".join(sorted(names)[:5]),
                "Points without a group",
                "taken as the keypoints of one pose in each image",
                severity=INFO,
            )
        for frame, items in self._single_points.items():
            if are_parts:
                self._add_points(
                    [shape for _, shape in items], "object", frame, f"{items[0][0].rpartition(':')[0]}:points"
                )
            else:
                for key, shape in items:
                    self._read_shape(shape, frame, key)

    def _add(
        self, frame: int, label: str, elements: Sequence[Element], key: str, shape: Element, box: Floats | None = None
    ) -> None:
        """Add a pose whose keypoints are elements with a label each."""
        points: dict[str, tuple[float, float]] = {}
        states: list[int] = []
        for element in elements:
            point = self._shapes.point(element, key)
            if point is None:
                continue
            name = label_of(element)
            if name in points:
                self._context.report(key, "Keypoint given twice", "taken once")
                continue
            points[name] = point
            states.append(state_of(element.get("outside") in TRUE, element.get("occluded") in TRUE))
        if not points:
            self._context.report(key, "Skeleton without points", "left out", severity=ERROR)
            return
        self._poses.append(
            _Pose(
                frame,
                label,
                np.array(list(points.values())),
                np.array(states, np.uint8),
                self._name_lists.setdefault(names := tuple(points), names),
                box,
                None,
                is_auto(shape),
                source_of(shape),
                key,
            )
        )

    def read_track(self, element: Element) -> None:
        self._is_cvat = True
        label, track_id = label_of(element), element.get("id") or ""
        where = f"track {track_id}"
        task = self._tasks.get((element.get("task_id") or "").strip()) or next(iter(self._tasks.values()), _Task())
        boxes = [shape for shape in element if shape.tag == "box"]
        other = [shape.tag for shape in element if shape.tag in _OTHER_SHAPES]
        if other:
            self._context.report(
                where, f"Shape of the type {other[0]}, which is no keypoint and no box", "left out", count=len(other)
            )
        identity, made_by_model = (task.source, track_id, label), is_auto(element)
        for shape in boxes:
            frame_index = self._shapes.frame_index(shape, where)
            box = self._shapes.box(shape, where)
            if frame_index is not None and box is not None and shape.get("outside") not in TRUE:
                frame = self._video_frame(task, frame_index)
                self._boxes.append((frame, label, box, self._builder.track(identity), f"{where}:{frame_index}"))
        elements = self.tracks.elements_of(element, where)
        if not elements:
            return
        track = self._builder.track(identity)
        names = None if set(elements) == {""} else tuple(elements)
        for frame_index in self.tracks.frames_of(elements.values(), task.stop, task.step, where):
            self._add_track_pose(elements, names, frame_index, task, label, track, where, made_by_model)

    def _add_track_pose(
        self,
        elements: dict[str, TrackElement],
        names: tuple[str, ...] | None,
        frame_index: int,
        task: _Task,
        label: str,
        track: int | None,
        where: str,
        made_by_model: bool,
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
            points = np.array(shape.points)
            visibility = np.full(len(points), OCCLUDED if shape.occluded else VISIBLE, np.uint8)
        else:
            points = np.array([(0.0, 0.0) if shape is None else shape.points[0] for shape in shapes])
            visibility = np.array(
                [ABSENT if shape is None else state_of(shape.outside, shape.occluded) for shape in shapes], np.uint8
            )
        frame = self._video_frame(task, frame_index)
        source = "" if is_key else INTERPOLATED
        key = f"{where}:{frame_index}"
        self._poses.append(
            _Pose(frame, label, points, visibility, names, None, track, not is_key or made_by_model, source, key)
        )

    def _video_frame(self, task: _Task, frame_index: int) -> int:
        """The frame of a video, or the image that CVAT saved of it beside the file."""
        name = self._saved_frames().get(frame_index)
        if name is not None:
            return self._builder.frame(name, self._builder.media(IMAGES), width=task.width, height=task.height)
        if not task.source and not self._has_reported_source:
            self._has_reported_source = True
            self._context.report(
                self._path.name, f"No video is named; {unnamed_video(self._path)} is looked for", severity=ERROR
            )
        media = self._builder.media(VIDEO, task.source)
        return self._builder.frame("", media, frame_index, width=task.width, height=task.height)

    def _saved_frames(self) -> dict[int, str]:
        """Images ``images/frame_000012.png`` beside the file by number of the frame."""
        if self._frame_files is None:
            self._frame_files = {}
            sources = [task.source for task in self._tasks.values() if task.source]
            folder = self._path.absolute().parent
            if not any(os.path.isfile(folder / PurePosixPath(plain_name(source)).name) for source in sources):
                for file in sorted((folder / "images").glob("frame_*.*")):
                    index = whole_number(file.stem.removeprefix("frame_"))
                    if index is not None and file.suffix.lower() in (".png", ".jpg", ".jpeg"):
                        self._frame_files.setdefault(index, f"images/{file.name}")
        return self._frame_files

    def build(self) -> Labels:
        if not self._is_cvat:
            raise LabelError("is not an XML file of CVAT", where=self._path)
        self._read_single_points()
        names = self._keypoint_names()
        categories = {label: self._category(label, points) for label, points in names.items()}
        positions_of: dict[tuple[str, tuple[str, ...]], list[int]] = {}
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
                positions = positions_of.get((pose.label, pose.names))
                if positions is None:
                    positions = [order.index(name) for name in pose.names]
                    positions_of[pose.label, pose.names] = positions
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
            if label not in categories and label not in self._point_labels:
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
    start, stop = whole_number(element.findtext("start_frame")), whole_number(element.findtext("stop_frame"))
    return _Task(
        source,
        start or 0,
        -1 if stop is None or stop > MAX_FRAME else stop,
        max(1, whole_number(filters.get("step")) or 1),
        max(0, whole_number(None if size is None else size.findtext("width")) or 0),
        max(0, whole_number(None if size is None else size.findtext("height")) or 0),
        (element.findtext("mode") or "").strip() != "annotation",
    )
