"""A project of Supervisely as labels.

Objects of the type ``graph`` are poses: ``nodes`` has a location for each node of the class, in pixels; a node that is
``disabled`` is occluded. Rectangles and points are boxes and keypoints; what shares a binding key (``instance``) with a
graph belongs to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.file_labels import FileLabels, json_files
from engine.formats.named_poses import (
    DEFAULT_CATEGORY,
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
from engine.formats.text_files import read_json
from engine.labels.model import OCCLUDED, VISIBLE
from engine.utils.context import ERROR, Context

_STEP = 100
_META = "meta.json"


def read_supervisely(path: Path, project: Path, context: Context) -> FileLabels:
    """Read a project.

    Args:
        path: what the labels are called after: the folder of the project, or its ``meta.json``.

    Raises:
        LabelError: ``meta.json`` cannot be used, or no annotation can be read.
    """
    reader = _Reader(project, context)
    reader.read_meta(project / _META)
    files = [file for file in json_files(project) if file.parent.name == "ann"]
    has_read = False
    for index, file in enumerate(files):
        if index % _STEP == 0:
            context.progress(index, len(files))
        try:
            reader.read_file(file, read_json(file))
            has_read = True
        except LabelError as error:
            context.report(str(file.relative_to(project)), f"File cannot be read: {error.message}", "left out",
                           severity=ERROR)  # fmt: skip
    if not has_read:
        raise LabelError("is a project without annotations that can be read", where=project)
    return reader.labels(path)


class _Reader:
    def __init__(self, project: Path, context: Context) -> None:
        self._project, self._context = project, context
        self._poses = NamedPoses(context)
        self._nodes: dict[str, dict[str, str]] = {}
        self._files: list[Path] = []

    def labels(self, path: Path) -> FileLabels:
        return FileLabels(self._poses.finish(), path, self._files)

    def read_meta(self, path: Path) -> None:
        """Raises: LabelError, it cannot be used."""
        classes = as_dict(read_json(path)).get("classes")
        if not isinstance(classes, list):
            raise LabelError("has no list of classes, as projects of Supervisely have", where=path)
        for index, record in enumerate(map(as_dict, classes)):
            title = text_of(record.get("title"))
            if not title:
                self._context.report(f"{_META}: class {index}", "Class without a title", "not used")
                continue
            geometry = as_dict(record.get("geometry_config"))
            nodes = as_dict(geometry.get("nodes"))
            names = {key: text_of(as_dict(node).get("label")) or key for key, node in nodes.items()}
            if len(set(names.values())) < len(names):
                self._context.report(f"{_META}: {title}", "Nodes of the same label", "called by their ids")
                names = {key: key for key in nodes}
            positions = {key: position for position, key in enumerate(names)}
            edges = [as_dict(edge) for edge in as_list(geometry.get("edges"))]
            ends = [(positions.get(text_of(e.get("src"))), positions.get(text_of(e.get("dst")))) for e in edges]
            limbs = [(a, b) for a, b in ends if a is not None and b is not None]
            if record.get("shape") in ("graph", "rectangle", "any") or names:
                self._poses.declare(title, list(names.values()), limbs)
            self._nodes[title] = names

    def read_file(self, file: Path, content: Any) -> None:
        """Add the annotation of an image.

        Raises:
            LabelError: it is none.
        """
        record = as_dict(content)
        if not isinstance(record.get("objects"), list):
            raise LabelError("has no list of objects", where=file)
        where = file.relative_to(self._project).as_posix()
        size = as_dict(record.get("size"))
        width, height = pixels(size.get("width")), pixels(size.get("height"))
        width, height = (width, height) if width and height else (0, 0)
        name = f"{file.parent.parent.relative_to(self._project).as_posix()}/img/{file.name[: -len('.json')]}"
        frame = self._poses.builder.frame(name.removeprefix("./"), width=width, height=height)
        if frame == len(self._files):
            self._files.append(file)
        graphs: list[tuple[str, str, str, list[Point]]] = []
        points: list[Point] = []
        boxes: list[Rectangle] = []
        for index, item in enumerate(map(as_dict, record["objects"])):
            key = text_of(item.get("id")) or f"{index}"
            self._read_object(item, key, f"{where}: object {key}", graphs, points, boxes)
        used: set[int] = set()
        for key, title, group, nodes in graphs:
            linked = next((b for b in boxes if group and b.group == group and id(b) not in used), None)
            if linked is not None:
                used.add(id(linked))
            box = None if linked is None else linked.box
            self._poses.add(frame, title, nodes, f"{where}: {key}", box=box, key=f"{where}:{key}")
        for rest in objects_of(points, [b for b in boxes if id(b) not in used], where, self._context):
            rectangle = rest.rectangle
            names = [point.name for point in rest.points]
            category = rectangle.category if rectangle else self._poses.category_with(names) or DEFAULT_CATEGORY
            box = None if rectangle is None else rectangle.box
            self._poses.add(frame, category, rest.points, where, box=box, key=f"{where}:{rest.key}")

    def _read_object(
        self,
        item: Mapping[str, Any],
        key: str,
        where: str,
        graphs: list[tuple[str, str, str, list[Point]]],
        points: list[Point],
        boxes: list[Rectangle],
    ) -> None:
        title, kind = text_of(item.get("classTitle")), text_of(item.get("geometryType"))
        group = text_of(item.get("instance"))
        corners = _corners(as_list(as_dict(item.get("points")).get("exterior")))
        if not title:
            self._context.report(where, "Object without a class", "left out", severity=ERROR)
        elif kind == "graph" and isinstance(item.get("nodes"), dict):
            graphs.append((key, title, group, self._nodes_of(item["nodes"], title, where)))
        elif kind not in ("graph", "rectangle", "point"):
            what = f"Object of the type {kind[:40]}, which is no keypoint and no box"
            self._context.report(where, what, "left out")
        elif not corners or (kind != "point" and len(corners) < 2):
            self._context.report(where, "Object without usable coordinates", "left out", severity=ERROR)
        elif kind == "point":
            points.append(Point(title, *corners[0], VISIBLE, group or None))
        else:
            box = box_around(corners)
            assert box is not None
            boxes.append(Rectangle(title, box, group or None, key=key))

    def _nodes_of(self, nodes: Mapping[str, Any], title: str, where: str) -> list[Point]:
        names = self._nodes.get(title, {})
        points = []
        for key, node in nodes.items():
            record = as_dict(node)
            corners = _corners([record.get("loc")])
            name = names.get(key) or text_of(record.get("label")) or text_of(key)
            if not corners or not name:
                self._context.report(f"{where}: {name}", "Keypoint without usable coordinates", "left out",
                                     severity=ERROR)  # fmt: skip
                continue
            state = OCCLUDED if record.get("disabled") is True else VISIBLE
            points.append(Point(name, *corners[0], state))
        return points


def _corners(values: Sequence[Any]) -> list[tuple[float, float]] | None:
    """Pairs of numbers; None if one of them is none."""
    corners = []
    for value in values:
        numbers = as_list(value)
        x, y = (coordinate(numbers[0]), coordinate(numbers[1])) if len(numbers) == 2 else (None, None)
        if x is None or y is None:
            return None
        corners.append((x, y))
    return corners
