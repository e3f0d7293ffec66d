"""The schema of a category in a label file: a built-in one if the keypoint names match, else one made of the names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.matching import schema_with_names
from engine.schema.schema import Keypoint, Limb, Schema, Subset, UpstreamFlip, schema_from_names, unique_names

_PREFERRED = ("coco", "halpe26", "coco_wholebody", "halpe", "aic", "coco_wholebody_hand", "300w")
_FACES_BY_COUNT = {19: "aflw", 29: "cofw", 68: "300w", 98: "wflw"}
_BY_COUNT = {17: "coco", 26: "halpe26", 133: "coco_wholebody", 136: "halpe", 294: "deepfashion2"}


@dataclass(frozen=True)
class KeypointCounts:
    """What the annotations of a category hold.

    Attributes:
        counts: numbers of keypoints per annotation, the most frequent first.
        in_parts: whether they are in the five lists of COCO-WholeBody.
    """

    counts: tuple[int, ...] = ()
    in_parts: bool = False


def schema_of(
    category: str, names: Sequence[str], limbs: Sequence[tuple[int, int]], points: KeypointCounts
) -> Schema | None:
    """The schema of a category; None if its annotations are boxes and regions only.

    Args:
        category: its name. names: of its keypoints, as far as the file gives them.
        limbs: pairs of positions in ``names``, from 0.
    """
    if points.in_parts:
        return _with_category(find_schema("coco_wholebody"), category)
    if names and (not points.counts or len(names) in points.counts):
        return schema_of_names(names, category, limbs)
    if points.counts:
        return _schema_of_count(points.counts[0], category)
    return None


def schema_of_names(names: Sequence[str], category: str, limbs: Sequence[tuple[int, int]] = ()) -> Schema:
    """A schema with exactly these names in this order; those that are empty or given twice get a number.

    Colors, sigmas, swap partners and parts come from a built-in schema with the same names, if there is one.
    """
    unique = unique_names(names)
    if len(unique) in _BY_COUNT and all(name.isdigit() for name in unique):
        return _with_category(find_schema(_BY_COUNT[len(unique)]), category)
    builtin = _builtin_like(unique) or schema_with_names(unique)
    if builtin is not None:
        return _with_category(_renamed(builtin, unique), category)
    inside = [(a, b) for a, b in limbs if 0 <= a < len(unique) and 0 <= b < len(unique)]
    return schema_from_names(category or "category", unique, inside, category=category)


def _schema_of_count(count: int, category: str) -> Schema:
    if category.strip().lower() == "face" and count in _FACES_BY_COUNT:
        return find_schema(_FACES_BY_COUNT[count])
    if count in _BY_COUNT:
        return _with_category(find_schema(_BY_COUNT[count]), category)
    return schema_from_names(category, [f"point_{n}" for n in range(1, count + 1)], category=category)


def _builtin_like(names: Sequence[str]) -> Schema | None:
    """The built-in schema with these names, ignoring case and punctuation; preferably in this order."""
    normalized = [_normalized(name) for name in names]
    others = (name for name in builtin_schemas() if name not in _PREFERRED)
    schemas = [find_schema(name) for name in (*_PREFERRED, *others) if name in builtin_schemas()]
    same_size = [(s, [_normalized(name) for name in s.names]) for s in schemas if s.num_keypoints == len(names)]
    exact = next((s for s, _ in same_size if s.names == tuple(names)), None)
    ordered = next((s for s, own in same_size if own == normalized), None)
    shuffled = next((s for s, own in same_size if set(own) == set(normalized) and len(set(own)) == len(own)), None)
    return exact or ordered or shuffled


def _renamed(schema: Schema, names: Sequence[str]) -> Schema:
    """A schema with its keypoints renamed and reordered to these names."""
    if schema.names == tuple(names):
        return schema
    spelling = {_normalized(name): name for name in names}
    renamed = {point.name: spelling[_normalized(point.name)] for point in schema.keypoints}
    points = {renamed[p.name]: _with_names(p, renamed) for p in schema.keypoints}
    in_order = [renamed[name] for name in schema.names] == list(names)
    subsets: tuple[Subset, ...] = schema.subsets if in_order else ()
    flips: tuple[UpstreamFlip, ...] = ()
    return msgspec.structs.replace(
        schema,
        keypoints=tuple(points[name] for name in names),
        limbs=tuple(Limb(renamed[limb.start], renamed[limb.end], limb.color) for limb in schema.limbs),
        subsets=subsets,
        upstream_flip=flips,
    )


def _with_names(point: Keypoint, names: dict[str, str]) -> Keypoint:
    return msgspec.structs.replace(point, name=names[point.name], swap=names.get(point.swap, ""))


def _with_category(schema: Schema, category: str) -> Schema:
    return schema if schema.category == category else msgspec.structs.replace(schema, category=category)


def _normalized(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
