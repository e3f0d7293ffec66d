"""Darwin JSON as labels.

An annotation has a class and a geometry: ``skeleton`` is a pose, ``bounding_box`` a box, ``keypoint`` a single point
named by its class. What shares class and ``instance_id`` is one object. Annotations of a video have the geometry at
some ``frames``; those are read, and not what V7 shows between them.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.darwin.classes import declare_classes
from engine.formats.file_labels import FileLabels, json_files
from engine.formats.named_poses import (
    DEFAULT_CATEGORY,
    NamedPoses,
    Point,
    Rectangle,
    as_dict,
    as_list,
    coordinate,
    objects_of,
    pixels,
    text_of,
)
from engine.formats.text_files import read_json
from engine.labels.model import OCCLUDED, VIDEO, VISIBLE
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, INFO, Context

_STEP = 100
_MAX_FRAME = 100_000_000
_NAMESPACE = uuid.UUID("6f3a8f0e-3f4c-5d0b-9c57-9f1f3b1c7a52")
_GEOMETRIES = ("polygon", "ellipse", "line", "cuboid", "mask", "raster_layer", "tag", "string", "graph", "table")


def read_darwin(path: Path, context: Context) -> FileLabels:
    """Read a file, or all files below a folder.

    Raises:
        LabelError: the file cannot be used, or the folder holds none that can.
    """
    reader = _Reader(path, context)
    if not path.is_dir():
        reader.read_file(path, read_json(path))
        return reader.labels()
    files = json_files(path)
    has_read = False
    for index, file in enumerate(files):
        if index % _STEP == 0:
            context.progress(index, len(files))
        try:
            reader.read_file(file, read_json(file))
            has_read = True
        except LabelError as error:
            context.report(str(file.relative_to(path)), f"File cannot be read: {error.message}", "left out",
                           severity=ERROR)  # fmt: skip
    if not has_read:
        raise LabelError("holds no file of V7 Darwin that can be read", where=path)
    return reader.labels()


class _Reader:
    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._context = path, context
        self._poses = NamedPoses(context)
        self._files: dict[int, Path] = {}
        declare_classes(path if path.is_dir() else path.absolute().parent, self._poses, context)

    def labels(self) -> FileLabels:
        builder = self._poses.finish()
        files = [self._files.get(position, self._path) for position in range(builder.num_frames)]
        return FileLabels(builder, self._path, files)

    def read_file(self, file: Path, content: Any) -> None:
        """Add what one file holds.

        Raises:
            LabelError: it is of another kind.
        """
        record = as_dict(content)
        where = file.relative_to(self._path).as_posix() if self._path.is_dir() else file.name
        item, image = as_dict(record.get("item")), as_dict(record.get("image"))
        is_known = bool(item or image) or text_of(record.get("version")).startswith("2")
        if not is_known or not isinstance(record.get("annotations"), list):
            raise LabelError("is no file of V7 Darwin 2.0 or 1.0", where=file)
        slots = [as_dict(slot) for slot in as_list(item.get("slots"))]
        slot = slots[0] if slots else image
        annotations = []
        for index, annotation in enumerate(map(as_dict, record["annotations"])):
            names = [text_of(name) for name in as_list(annotation.get("slot_names"))]
            if names and slots and text_of(slot.get("slot_name")) not in names:
                self._context.report(f"{where}: annotation {index}", "Annotation of a second slot", "left out")
            elif annotation:
                annotations.append((index, annotation))
            else:
                self._context.report(f"{where}: annotation {index}", "Annotation without content", "left out",
                                     severity=ERROR)  # fmt: skip
        name = self._name_of(item or image, slot, file, where)
        width, height = pixels(slot.get("width")), pixels(slot.get("height"))
        width, height = (width, height) if width and height else (0, 0)
        is_video = slot.get("type") == "video" or slot.get("frame_count") is not None
        if not is_video and not any("frames" in annotation for _, annotation in annotations):
            frame = self._poses.builder.frame(name, width=width, height=height)
            if self._files.setdefault(frame, file) != file:
                what = "Image of which there are several label files"
                self._context.report(f"{name}: {where}", what, "labels of all are taken")
            self._read_frame(annotations, frame, where, where)
            return
        media = self._poses.builder.media(VIDEO, name)
        by_frame: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}
        for index, annotation in annotations:
            for frame_index, merged in self._at_frames(annotation, f"{where}: annotation {index}"):
                by_frame.setdefault(frame_index, []).append((index, merged))
        for frame_index in sorted(by_frame):
            frame = self._poses.builder.frame("", media, frame_index, width=width, height=height)
            self._files.setdefault(frame, file)
            self._read_frame(by_frame[frame_index], frame, f"{where}: frame {frame_index}", where)

    def _name_of(self, item: Mapping[str, Any], slot: Mapping[str, Any], file: Path, where: str) -> str:
        source = as_dict(next(iter(as_list(slot.get("source_files"))), None))
        names = [item.get("name"), item.get("original_filename"), item.get("filename"), source.get("file_name")]
        name = next((plain_name(text_of(name)) for name in names if text_of(name)), "")
        if not name:
            name = file.stem
            self._context.report(where, "File that does not name its image", f"image {name} is looked for")
        folder = plain_name(text_of(item.get("path"))).strip("/")
        return posixpath.normpath(posixpath.join(folder, name.lstrip("/")))

    def _at_frames(self, annotation: Mapping[str, Any], where: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Index of a frame, and the annotation with its geometry there."""
        frames = as_dict(annotation.get("frames"))
        if not frames:
            self._context.report(where, "Annotation of a video without frames", "left out", severity=ERROR)
        elif annotation.get("interpolated") is True and len(frames) > 1:
            self._context.report(where, "Annotation of a video with frames between its keyframes",
                                 "only keyframes are read", severity=INFO)  # fmt: skip
        is_track = len(frames) > 1
        common = {key: annotation[key] for key in ("id", "name", "instance_id", "inference") if key in annotation}
        for key, geometry in frames.items():
            index = int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else _MAX_FRAME
            if index >= _MAX_FRAME or not isinstance(geometry, dict):
                self._context.report(where, f"Frame {key[:40]} of a video", "left out", severity=ERROR)
                continue
            yield index, {**common, **geometry, "is_track": is_track}

    def _read_frame(self, annotations: list[tuple[int, Mapping[str, Any]]], frame: int, where: str, file: str) -> None:
        skeletons: list[tuple[str, object, Mapping[str, Any], list[Point]]] = []
        points: list[Point] = []
        boxes: list[Rectangle] = []
        tracks: dict[str, object] = {}
        for index, annotation in annotations:
            name = text_of(annotation.get("name"))
            annotation_id = text_of(annotation.get("id")) or f"{index}"
            record = f"{where}: annotation {annotation_id}"
            instance_id = text_of(as_dict(annotation.get("instance_id")).get("value"))
            group = (name, instance_id) if instance_id else None
            if not name:
                self._context.report(record, "Annotation without a class", "left out", severity=ERROR)
            elif isinstance(annotation.get("skeleton"), dict):
                skeletons.append((annotation_id, group, annotation, self._nodes(annotation["skeleton"], record)))
            elif isinstance(annotation.get("keypoint"), dict):
                x, y = _pair(annotation["keypoint"])
                if x is None or y is None:
                    self._context.report(record, "Keypoint without usable coordinates", "left out", severity=ERROR)
                else:
                    points.append(Point(name, x, y, VISIBLE, instance_id or None))
            elif isinstance(annotation.get("bounding_box"), dict) and not any(key in annotation for key in _GEOMETRIES):
                box = _box(annotation["bounding_box"])
                if box is None:
                    self._context.report(record, "Box without usable coordinates", "left out", severity=ERROR)
                else:
                    boxes.append(Rectangle(name, box, group, _score(annotation), annotation_id))
                    tracks[annotation_id] = _track(annotation, annotation_id, instance_id)
            else:
                kind = next((key for key in _GEOMETRIES if key in annotation), "unknown")
                self._context.report(record, f"Annotation of the type {kind}, which is no keypoint and no box",
                                     "left out")  # fmt: skip
        by_group: dict[object, Rectangle] = {box.group: box for box in reversed(boxes) if box.group is not None}
        by_id = {box.key: box for box in boxes}
        used: set[str] = set()
        for annotation_id, own_group, annotation, nodes in skeletons:
            linked = by_id.get(box_id_of(annotation_id)) or by_group.get(own_group)
            linked = None if linked is None or linked.key in used else linked
            if linked is not None:
                used.add(linked.key)
            instance_id = text_of(as_dict(annotation.get("instance_id")).get("value"))
            self._add(
                frame,
                text_of(annotation.get("name")),
                nodes,
                where,
                box=None if linked is None else linked.box,
                score=_score(annotation),
                track=self._track_of(_track(annotation, annotation_id, instance_id), file),
                source=text_of(as_dict(as_dict(annotation.get("inference")).get("model")).get("name")),
                key=f"{where}:{annotation_id}",
            )
        loose = [Rectangle(b.category, b.box, None, b.score, b.key) for b in boxes if b.key not in used]
        for item in objects_of(points, loose, where, self._context):
            rectangle = item.rectangle
            names = [point.name for point in item.points]
            category = rectangle.category if rectangle else self._poses.category_with(names) or DEFAULT_CATEGORY
            track = None if rectangle is None else self._track_of(tracks.get(rectangle.key), file)
            box = None if rectangle is None else rectangle.box
            self._add(frame, category, item.points, where, box=box, track=track, key=f"{where}:{item.key}")

    def _add(self, frame: int, category: str, points: Any, where: str, **fields: Any) -> None:
        self._poses.add(frame, category, points, where, **fields)

    def _track_of(self, identity: object, file: str) -> int | None:
        """The number of a track: instance ids are of the data set, annotations of their file."""
        if identity is None:
            return None
        return self._poses.builder.track(identity if isinstance(identity, tuple) else (file, identity))

    def _nodes(self, skeleton: Mapping[str, Any], where: str) -> list[Point]:
        points = []
        for node in map(as_dict, as_list(skeleton.get("nodes"))):
            name = text_of(node.get("name"))
            x, y = _pair(node)
            if not name or x is None or y is None:
                self._context.report(f"{where}: {name}", "Keypoint without a name or usable coordinates", "left out",
                                     severity=ERROR)  # fmt: skip
                continue
            points.append(Point(name, x, y, OCCLUDED if node.get("occluded") is True else VISIBLE))
        return points


def _track(annotation: Mapping[str, Any], annotation_id: str, instance_id: str) -> object:
    if instance_id:
        return (text_of(annotation.get("name")), instance_id)
    return annotation_id if annotation.get("is_track") is True else None


def _score(annotation: Mapping[str, Any]) -> float | None:
    return coordinate(as_dict(annotation.get("inference")).get("confidence"))


def _pair(record: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return coordinate(record.get("x")), coordinate(record.get("y"))


def _box(record: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    x, y = _pair(record)
    width, height = coordinate(record.get("w")), coordinate(record.get("h"))
    if x is None or y is None or width is None or height is None:
        return None
    return x, y, x + width, y + height


def box_id_of(annotation_id: str) -> str:
    """The id of the annotation with the box of a skeleton."""
    return str(uuid.uuid5(_NAMESPACE, f"box of {annotation_id}"))


def annotation_id_of(text: str) -> str:
    """An id for a new annotation, the same for the same text."""
    return str(uuid.uuid5(_NAMESPACE, text))
