"""Which individuals of DeepLabCut's tables are one category, and which column each keypoint of it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.formats.category_schema import schema_of_names
from engine.formats.deeplabcut.config import DlcConfig
from engine.formats.deeplabcut.table import DlcTable
from engine.labels.model import Category
from engine.schema.schema import Schema

ANIMAL = "animal"

Order = tuple[int | None, ...]
"""Of each keypoint of a category its position among the points of an individual; None if that one has no such point."""


@dataclass(frozen=True)
class DlcCategories:
    """Attributes:
    categories: all of them. of: position of the category, and the order of its keypoints, by table and individual.
    """

    categories: list[Category]
    of: dict[tuple[Path, str], tuple[int, Order]]


def categories_of(tables: Sequence[DlcTable], configs: Mapping[Path, DlcConfig]) -> DlcCategories:
    """One category for all individuals with about the same points: the points of the first, then what others add."""
    groups: dict[str, list[list[str]]] = {}
    for table in tables:
        for individual, points in table.points.items():
            same_name = groups.setdefault(category_name(table, individual), [])
            group = next((g for g in same_name if share_keypoints(g, list(points))), None)
            if group is None:
                same_name.append(list(points))
            else:
                group += [name for name in points if name not in group]
    categories: list[Category] = []
    position: dict[tuple[str, tuple[str, ...]], int] = {}
    of: dict[tuple[Path, str], tuple[int, Order]] = {}
    for table in tables:
        for individual, points in table.points.items():
            name = category_name(table, individual)
            names = next(g for g in groups[name] if set(points) <= set(g))
            schema = schema_of_points(name, names, configs[table.file])
            key = name, tuple(names)
            if key not in position:
                position[key] = len(categories)
                categories.append(Category(name, schema))
            else:
                known = categories[position[key]]
                assert known.schema is not None
                categories[position[key]] = Category(name, union(known.schema, schema))
            column = {point: n for n, point in enumerate(points)}
            of[table.file, individual] = position[key], tuple(column.get(point) for point in names)
    return DlcCategories(categories, of)


def schema_of_points(name: str, names: Sequence[str], config: DlcConfig) -> Schema:
    """The schema of a category with these keypoints, and the limbs of the configuration."""
    index = {point: n for n, point in enumerate(names)}
    limbs = [(index[a], index[b]) for a, b in config.skeleton if a in index and b in index]
    return schema_of_names(list(names), name, limbs)


def category_name(table: DlcTable, individual: str) -> str:
    """Points that only one thing in the image has (a corner of the cage) are a category of their own."""
    names = list(table.points[individual])
    is_alone = len(table.points) > 1 and sum(list(other) == names for other in table.points.values()) == 1
    return individual if is_alone and individual == "single" else ANIMAL


def share_keypoints(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists of keypoints have at least half of the shorter one in common: then they are one animal."""
    return 2 * len(set(names) & set(others)) >= max(1, min(len(names), len(others)))


def union(schema: Schema, other: Schema) -> Schema:
    """The keypoints and limbs of a schema, then those of another that it lacks."""
    keypoints = (*schema.keypoints, *(point for point in other.keypoints if point.name not in schema.index))
    known = {(limb.start, limb.end) for limb in schema.limbs}
    limbs = (*schema.limbs, *(limb for limb in other.limbs if (limb.start, limb.end) not in known))
    return msgspec.structs.replace(schema, keypoints=keypoints, limbs=limbs)
