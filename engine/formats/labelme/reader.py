"""JSON files of labelme and X-AnyLabeling as labels.

A file has ``shapes`` with ``label``, ``points``, ``shape_type`` and ``group_id``, in pixels. Shapes of a group are one
object: its rectangle has the category and the box, its points are keypoints named by their labels. Neither program has
visibilities: a point that is ``difficult``, has a flag such as "occluded", or the description "1" or "occluded" is
occluded; one with the description "0" is absent.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.file_labels import FileLabels, json_files
from engine.formats.labelme.pose_config import find_config
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
from engine.labels.model import ABSENT, OCCLUDED, VISIBLE
from engine.media.image_finder import plain_name
from engine.utils.context import ERROR, INFO, Context
from engine.utils.files import MAX_IMAGE_BYTES

AROUND_POINTS = "around_keypoints"
"""A flag of rectangles that are there for the category of a pose only."""

_STEP = 100
_OCCLUDED = frozenset({"occluded", "difficult", "hidden", "invisible", "not visible", "not_visible", "occlusion"})
_BOXES = frozenset({"rectangle"})
_IMAGES = (b"\x89PNG", b"\xff\xd8")


def read_labelme(path: Path, context: Context) -> FileLabels:
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
            content = read_json(file)
        except LabelError as error:
            context.report(str(file.relative_to(path)), f"File cannot be read: {error.message}", "left out",
                           severity=ERROR)  # fmt: skip
            continue
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            context.report(str(file.relative_to(path)), "File of another kind", "not read", severity=INFO)
            continue
        reader.read_file(file, content)
        has_read = True
    if not has_read:
        raise LabelError("holds no label file of labelme or X-AnyLabeling that can be read", where=path)
    return reader.labels()


class _Reader:
    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._context = path, context
        self._folder = path if path.is_dir() else path.absolute().parent
        self._poses = NamedPoses(context)
        config = find_config(self._folder, context)
        self._only_category = next(iter(config.names)) if len(config.names) == 1 else ""
        for category, names in config.names.items():
            self._poses.declare(category, names, config.limbs.get(category, ()))
        self._files: list[Path] = []

    def labels(self) -> FileLabels:
        return FileLabels(self._poses.finish(), self._path, self._files, image_in)

    def read_file(self, file: Path, content: Any) -> None:
        """Add what one file holds.

        Raises:
            LabelError: it is of another kind.
        """
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            raise LabelError("has no list of shapes, as files of labelme have", where=file)
        relative = file.relative_to(self._path).as_posix() if self._path.is_dir() else file.name
        frame = self._frame(file, relative, content)
        points: list[Point] = []
        rectangles: list[Rectangle] = []
        for index, shape in enumerate(content["shapes"]):
            self._read_shape(shape, f"{relative}: shape {index}", index, points, rectangles)
        for item in objects_of(points, rectangles, relative, self._context):
            rectangle = item.rectangle
            category = rectangle.category if rectangle is not None else self._category_of(item.points)
            self._poses.add(
                frame,
                category,
                item.points,
                f"{relative}: {item.key}",
                box=None if rectangle is None or rectangle.is_around_points else rectangle.box,
                score=None if rectangle is None else rectangle.score,
                key=f"{relative}:{item.key}",
            )

    def _category_of(self, points: Sequence[Point]) -> str:
        names = {point.name for point in points}
        return self._poses.category_with(names) or self._only_category or DEFAULT_CATEGORY

    def _frame(self, file: Path, relative: str, content: Mapping[str, Any]) -> int:
        name = plain_name(text_of(content.get("imagePath")))
        if not name:
            name = file.stem
            self._context.report(relative, "File that does not name its image", f"image {name} is looked for")
        elif not (posixpath.isabs(name) or name[1:2] == ":"):
            name = posixpath.normpath(posixpath.join(posixpath.dirname(relative), name))
        width, height = pixels(content.get("imageWidth")), pixels(content.get("imageHeight"))
        frame = self._poses.builder.frame(name, width=width if height else 0, height=height if width else 0)
        if frame < len(self._files):
            what = "Image of which there are several label files"
            self._context.report(f"{name}: {relative}", what, "labels of all are taken")
        else:
            self._files.append(file)
        return frame

    def _read_shape(self, shape: Any, where: str, index: int, points: list[Point], rectangles: list[Rectangle]) -> None:
        record = as_dict(shape)
        kind = text_of(record.get("shape_type")) or ("point" if len(as_list(record.get("points"))) == 1 else "polygon")
        if kind != "point" and kind not in _BOXES:
            self._context.report(where, f"Shape of the type {kind[:40]}, which is no keypoint and no box", "left out")
            return
        label = text_of(record.get("label"))
        corners = [(x, y) for x, y in map(_pair, as_list(record.get("points"))) if x is not None and y is not None]
        if (
            not label
            or len(corners) != len(as_list(record.get("points")))
            or len(corners) < (1 if kind == "point" else 2)
        ):
            what = (
                f"Shape of the type {kind} without a label"
                if not label
                else f"Shape of the type {kind} without usable points"
            )
            self._context.report(where, what, "left out", severity=ERROR)
            return
        group = text_of(record.get("group_id")) or None
        score = coordinate(record.get("score"))
        flags = as_dict(record.get("flags"))
        if kind == "point":
            points.append(Point(label, *corners[0], _state(record, flags), group, score))
            return
        box = box_around(corners)
        assert box is not None
        is_around = flags.get(AROUND_POINTS) is True
        rectangles.append(Rectangle(label, box, group, score, f"shape {index}", is_around))


def _pair(value: Any) -> tuple[float | None, float | None]:
    numbers = as_list(value)
    return (coordinate(numbers[0]), coordinate(numbers[1])) if len(numbers) == 2 else (None, None)


def _state(shape: Mapping[str, Any], flags: Mapping[str, Any]) -> int:
    description = text_of(shape.get("description")).lower() if shape.get("description") not in (None, "") else ""
    if description == "0":
        return ABSENT
    if shape.get("difficult") is True or description == "1" or description in _OCCLUDED:
        return OCCLUDED
    if flags and any(value is True and str(flag).strip().lower() in _OCCLUDED for flag, value in flags.items()):
        return OCCLUDED
    return VISIBLE


def image_in(file: Path) -> bytes | None:
    """The PNG or JPEG image that a label file holds; None if it holds none."""
    try:
        data = as_dict(read_json(file)).get("imageData")
    except LabelError:
        return None
    if not isinstance(data, str) or not data or len(data) > MAX_IMAGE_BYTES:
        return None
    try:
        image = base64.b64decode(data.partition(",")[2] if data.startswith("data:") else data)
    except (binascii.Error, ValueError):
        return None
    return image if image.startswith(_IMAGES) else None
