"""``data.yaml``: which classes, keypoints and images a YOLO-pose data set has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import msgspec
import numpy as np

from engine.errors import LabelError
from engine.formats.category_schema import KeypointCounts, schema_of, schema_of_names
from engine.formats.text_files import read_yaml
from engine.schema.schema import Schema
from engine.utils.limits import MAX_KEYPOINTS, MAX_NAME

SPLITS = ("train", "val", "test")
T = TypeVar("T")

_PEOPLE = frozenset({"person", "people", "human", "pedestrian"})
_MAX_CLASSES = 100_000


@dataclass
class Configuration:
    """Attributes:
    path: the file. root: the folder that names of images begin at.
    splits: files and folders of each split, as they are written.
    names: of the classes by number.
    num_keypoints, num_values: of ``kpt_shape``; 2 or 3 values a keypoint.
    schemas: the keypoints of each class.
    """

    path: Path
    root: Path
    splits: dict[str, list[str]]
    names: dict[int, str]
    num_keypoints: int
    num_values: int
    schemas: dict[int, Schema] = field(default_factory=dict)


def read_configuration(path: Path) -> Configuration:
    """Read a ``data.yaml``.

    Raises:
        LabelError: it cannot be read, or says nothing usable of its keypoints.
    """
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise LabelError("is not the description of a data set", where=path)
    shape = data.get("kpt_shape")
    if not _is_list_of(shape, int) or len(shape) != 2:
        raise LabelError("has no kpt_shape with the numbers of keypoints and of values a keypoint", where=path)
    count, num_values = shape
    if not 0 < count <= MAX_KEYPOINTS or num_values not in (2, 3):
        raise LabelError(f"says kpt_shape {shape}: needed are at least one keypoint and 2 or 3 values each", where=path)
    names = _names(data.get("names"), data.get("nc"), path)
    result = Configuration(path, _root(path, data.get("path")), _splits(data), names, count, num_values)
    flip = data.get("flip_idx")
    order = list(flip) if _is_list_of(flip, int) else None
    if order is not None and (sorted(order) != list(range(count)) or any(order[order[i]] != i for i in range(count))):
        order = None
    keypoint_names = data.get("kpt_names")
    for class_id, name in names.items():
        result.schemas[class_id] = _schema(name, count, _keypoint_names(keypoint_names, class_id, name, count), order)
    return result


def _root(path: Path, root: Any) -> Path:
    """The folder of the data set; that of the file if another one is named that is not there."""
    here = path.absolute().parent
    if isinstance(root, str) and root and "\0" not in root:
        named = here / root.replace("\\", "/")
        if os.path.isdir(named):
            return named.resolve() if ".." in named.parts else named
    return here


def _splits(data: Mapping[Any, Any]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for key, value in data.items():
        split = {"valid": "val", "validation": "val"}.get(str(key).lower(), str(key).lower())
        if split in SPLITS:
            values = value if isinstance(value, list) else [value]
            splits.setdefault(split, []).extend(v for v in values if isinstance(v, str) and v and "\0" not in v)
    return splits


def _names(names: Any, count: Any, path: Path) -> dict[int, str]:
    if names is None and isinstance(count, int) and 0 < count <= _MAX_CLASSES:
        names = [f"class_{n}" for n in range(count)]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or len(names) > _MAX_CLASSES:
        raise LabelError("names no classes", where=path)
    by_id = {}
    for key, name in names.items():
        if isinstance(key, bool) or not str(key).isdecimal():
            raise LabelError(f"names a class with the number {str(key)[:40]!r}", where=path)
        by_id[int(key)] = str(name)[:MAX_NAME] if isinstance(name, str | int | float) else f"class {key}"
    return by_id


def _keypoint_names(names: Any, class_id: int, category: str, count: int) -> list[str] | None:
    """The names of the keypoints of a class, if the file says them: one list, or a list by number or name of class."""
    if isinstance(names, dict):
        names = next((names[key] for key in (class_id, str(class_id), category) if key in names), None)
    if _is_list_of(names, str) and len(names) == count:
        return [name[:MAX_NAME] for name in names]
    return None


def _schema(category: str, count: int, names: list[str] | None, flip: Sequence[int] | None) -> Schema:
    if names is not None:
        schema = schema_of_names(names, category)
    else:
        schema = _known_schema(category, count, flip) or schema_of_names(
            [f"point_{n}" for n in range(1, count + 1)], category
        )
    if flip is None or list(flip) == list(range(count)) or np.array_equal(schema.flip_indices, flip):
        return schema
    points = [
        msgspec.structs.replace(point, swap="" if flip[n] == n else schema.names[flip[n]], side="")
        for n, point in enumerate(schema.keypoints)
    ]
    return msgspec.structs.replace(schema, keypoints=tuple(points), upstream_flip=())


def _known_schema(category: str, count: int, flip: Sequence[int] | None) -> Schema | None:
    """The published keypoints that a data set without names must mean: for people by their number, for others only
    where the mirrored order says the same."""
    schema = schema_of(category, (), (), KeypointCounts((count,)))
    if schema is None:
        return None
    if flip is not None and list(flip) != list(range(count)):
        return schema if np.array_equal(schema.flip_indices, flip) else None
    return schema if category.lower() in _PEOPLE else None


def _is_list_of(value: Any, type_: type[T]) -> TypeGuard[list[T]]:
    return isinstance(value, list) and all(isinstance(v, type_) and not isinstance(v, bool) for v in value)
