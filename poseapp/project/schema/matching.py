"""Which schema an imported category follows: a built-in one where the names tell, else one made of the names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from engine.formats.coco.dataset import CocoCategory, unique_names
from engine.schema.builtin import builtin_schemas, find_schema
from engine.schema.matching import schema_with_names
from engine.schema.schema import Keypoint, Limb, Schema, Subset, UpstreamFlip, schema_from_names

_FIRST_CHOICE = ("coco", "halpe26", "coco_wholebody", "halpe", "aic", "coco_wholebody_hand", "300w")
_BY_COUNT = {17: "coco", 26: "halpe26", 133: "coco_wholebody", 136: "halpe", 294: "deepfashion2"}


@dataclass(frozen=True)
class Points:
    """What the annotations of a category hold: numbers of points met, the commonest first, and whether in parts."""

    counts: tuple[int, ...] = ()
    in_parts: bool = False


def schema_of(category: CocoCategory, points: Points) -> Schema | None:
    """The schema for a category; None for one whose annotations are boxes and regions only."""
    names = category.keypoints
    if points.in_parts:
        return _of_category(find_schema("coco_wholebody"), category.name)
    if names and (not points.counts or len(names) in points.counts):
        return schema_of_names(names, category)
    if points.counts:
        return _schema_of_count(points.counts[0], category.name)
    return None


def schema_of_names(names: Sequence[str], category: CocoCategory) -> Schema:
    """A schema with exactly these names in this order; colours, sigmas, partners, parts of a built-in one that fits."""
    distinct = unique_names(names)
    if len(distinct) in _BY_COUNT and all(name.isdigit() for name in distinct):
        return _of_category(find_schema(_BY_COUNT[len(distinct)]), category.name)
    builtin = _builtin_like(distinct) or schema_with_names(distinct)
    if builtin is not None:
        return _of_category(_renamed(builtin, distinct), category.name)
    return msgspec.structs.replace(category, keypoints=distinct).schema()


def _schema_of_count(count: int, category: str) -> Schema:
    if count in _BY_COUNT:
        return _of_category(find_schema(_BY_COUNT[count]), category)
    return schema_from_names(category, [f"point_{n}" for n in range(1, count + 1)], category=category)


def _builtin_like(names: Sequence[str]) -> Schema | None:
    """The built-in schema with these names, however spelled; in this order if there is one, else in any."""
    wanted = [_plain(name) for name in names]
    others = (name for name in builtin_schemas() if name not in _FIRST_CHOICE)
    schemas = [find_schema(name) for name in (*_FIRST_CHOICE, *others) if name in builtin_schemas()]
    same_size = [(s, [_plain(name) for name in s.names]) for s in schemas if s.num_keypoints == len(wanted)]
    exact = next((s for s, _ in same_size if s.names == tuple(names)), None)
    ordered = next((s for s, plain in same_size if plain == wanted), None)
    shuffled = next((s for s, plain in same_size if set(plain) == set(wanted) and len(set(plain)) == len(plain)), None)
    return exact or ordered or shuffled


def _renamed(schema: Schema, names: Sequence[str]) -> Schema:
    """A schema with its points in the order of these names, and called so."""
    if schema.names == tuple(names):
        return schema
    called = {_plain(name): name for name in names}
    old = {point.name: called[_plain(point.name)] for point in schema.keypoints}
    points = {old[p.name]: _with_names(p, old) for p in schema.keypoints}
    in_order = [old[name] for name in schema.names] == list(names)
    subsets: tuple[Subset, ...] = schema.subsets if in_order else ()
    flips: tuple[UpstreamFlip, ...] = ()
    return msgspec.structs.replace(
        schema,
        keypoints=tuple(points[name] for name in names),
        limbs=tuple(Limb(old[limb.start], old[limb.end], limb.color) for limb in schema.limbs),
        subsets=subsets,
        upstream_flip=flips,
    )


def _with_names(point: Keypoint, names: dict[str, str]) -> Keypoint:
    return msgspec.structs.replace(point, name=names[point.name], swap=names.get(point.swap, ""))


def _of_category(schema: Schema, category: str) -> Schema:
    return schema if schema.category == category else msgspec.structs.replace(schema, category=category)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
