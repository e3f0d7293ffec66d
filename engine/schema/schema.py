"""Keypoint schemas: names, order, left/right partners, limbs, colors, sigmas and parts.

A schema is a TOML file (``resources/schemas/*.toml`` or the user's own)::

    name = "coco"                 # identifier, also the file's stem
    title = "COCO, 17 body keypoints"
    category = "person"           # name of the COCO category that carries it
    source = "..."                # where the facts come from
    notes = ["..."]               # what differs from the source, and why
    keypoints = [
      {name = "nose", color = "#3399ff", sigma = 0.026, part = "body", group = "upper"},
      {name = "left_eye", swap = "right_eye", color = "#3399ff", sigma = 0.025, part = "body", group = "upper"},
    ]
    limbs = [ {from = "left_ankle", to = "left_knee", color = "#00ff00"} ]
    subsets = [ {name = "vest", start = 128, stop = 143} ]   # categories that own a range of the points
    upstream_flip = [ {name = "vest_kpt13", takes = "vest_kpt13"} ]  # where weights were trained with another flip map

Left and right are the subject's own. The id of a keypoint is its position in the list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import SchemaError
from engine.schema.sides import guess_swaps, side_of
from engine.utils.limits import MAX_KEYPOINTS, MAX_LIMBS, MAX_NAME
from engine.utils.toml_file import read_toml

__all__ = [
    "DEFAULT_PART",
    "DEFAULT_SIGMA",
    "Keypoint",
    "Limb",
    "Schema",
    "Subset",
    "UpstreamFlip",
    "guess_swaps",
    "load_schema",
    "schema_from_dict",
    "schema_from_names",
    "unique_names",
]

DEFAULT_SIGMA = 0.05
DEFAULT_PART = "body"


class Keypoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named point.

    ``swap`` names the left/right partner ("" for a point on the middle line). ``sigma`` is the OKS fall-off of the COCO
    keypoint metric. ``color`` is ``#rrggbb`` or "" for the palette's choice. ``group`` is "upper", "lower" or "" (the
    halves of the half-body augmentation). ``side`` is "left", "right" or "middle" where the names do not tell; "" lets
    the names decide.
    """

    name: str
    swap: str = ""
    color: str = ""
    sigma: float = DEFAULT_SIGMA
    part: str = DEFAULT_PART
    group: str = ""
    side: str = ""


class Limb(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """A line drawn between two keypoints, given by their names."""

    start: str
    end: str
    color: str = ""


class Subset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A category that uses only the keypoints ``start <= i < stop`` of the schema."""

    name: str
    start: int
    stop: int


class UpstreamFlip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Under the flip map that published weights were trained with, channel ``name`` takes channel ``takes``."""

    name: str
    takes: str


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A checked keypoint schema, made by :func:`load_schema`, :func:`schema_from_dict`, :func:`schema_from_names`."""

    name: str
    keypoints: tuple[Keypoint, ...]
    limbs: tuple[Limb, ...] = ()
    title: str = ""
    category: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    subsets: tuple[Subset, ...] = ()
    upstream_flip: tuple[UpstreamFlip, ...] = ()

    @property
    def num_keypoints(self) -> int:
        return len(self.keypoints)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(point.name for point in self.keypoints)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each keypoint name."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def flip_indices(self) -> npt.NDArray[np.int64]:
        """(K,) int64: ``mirrored[i] = original[flip_indices[i]]``; an involution."""
        order = [self.index[p.swap] if p.swap else i for i, p in enumerate(self.keypoints)]
        return np.asarray(order, dtype=np.int64)

    @cached_property
    def upstream_flip_indices(self) -> npt.NDArray[np.int64]:
        """(K,) int64: ``flip_indices`` as the source of the schema has them, faults included.

        Only for reproducing published weights to the last digit; it need not be an involution.
        """
        order = self.flip_indices.copy()
        for row in self.upstream_flip:
            order[self.index[row.name]] = self.index[row.takes]
        return order

    def subset(self, name: str) -> Schema:
        """The schema of one category that owns a range of the points: its points, limbs and partners.

        Raises:
            SchemaError: no subset of that name, or its points have partners outside.
        """
        match = next((subset for subset in self.subsets if subset.name == name), None)
        if match is None:
            known = ", ".join(subset.name for subset in self.subsets) or "none"
            raise SchemaError(f"schema {self.name!r} has no subset {name!r}; it has {known}")
        points = self.keypoints[match.start : match.stop]
        names = {point.name for point in points}
        data = {
            "name": f"{self.name}_{name}",
            "title": f"{self.title}: {name.replace('_', ' ')}" if self.title else name,
            "category": name,
            "source": self.source,
            "keypoints": [msgspec.to_builtins(point) for point in points],
            "limbs": [msgspec.to_builtins(limb) for limb in self.limbs if {limb.start, limb.end} <= names],
            "upstream_flip": [msgspec.to_builtins(row) for row in self.upstream_flip if row.name in names],
        }
        return schema_from_dict(data, where=f"subset {name!r} of schema {self.name!r}")

    @cached_property
    def sigmas(self) -> npt.NDArray[np.float64]:
        """(K,) OKS sigmas (COCO keypoint evaluation, k_i = 2 sigma_i)."""
        return np.asarray([p.sigma for p in self.keypoints], dtype=np.float64)

    @cached_property
    def limb_indices(self) -> npt.NDArray[np.int64]:
        """(L, 2) int64, zero-based."""
        pairs = [(self.index[limb.start], self.index[limb.end]) for limb in self.limbs]
        return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """Keypoint positions of each part, parts in order of first appearance."""
        parts: dict[str, list[int]] = {}
        for i, point in enumerate(self.keypoints):
            parts.setdefault(point.part, []).append(i)
        return {part: tuple(points) for part, points in parts.items()}

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """Per keypoint "left", "right" or "middle": as stated, else opposite to the partner's, else from the names."""
        stated = {point.name: point.side for point in self.keypoints}
        opposite = {"left": "right", "right": "left"}
        return tuple(
            p.side or opposite.get(stated.get(p.swap, ""), "") or side_of(p.name, p.swap) for p in self.keypoints
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the inverse of :func:`schema_from_dict`."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def schema_from_dict(data: dict[str, Any], *, where: object = None) -> Schema:
    """Check plain data and make a schema of it.

    Raises:
        SchemaError: naming the entry that is wrong.
    """
    try:
        schema = msgspec.convert(data, Schema)
    except msgspec.ValidationError as error:
        raise SchemaError(f"not a keypoint schema: {error}", where=where) from None
    _check(schema, where)
    return schema


def load_schema(path: Path | str) -> Schema:
    """Read a schema TOML file.

    Raises:
        SchemaError: file missing, not TOML, or contradicting itself.
    """
    path = Path(path)
    return schema_from_dict(read_toml(path, SchemaError), where=path)


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of which none is empty and none is given twice: "ear", "ear" becomes "ear", "ear_2"."""
    taken: set[str] = set()
    unique: list[str] = []
    for position, name in enumerate(names, 1):
        stem = name.strip() or f"point_{position}"
        choice, index = stem, 2
        while choice in taken or (choice != stem and choice in names):
            choice, index = f"{stem}_{index}", index + 1
        taken.add(choice)
        unique.append(choice)
    return unique


def schema_from_names(
    name: str, keypoints: Sequence[str], skeleton: Sequence[tuple[int, int]] = (), *, category: str = ""
) -> Schema:
    """A schema for a COCO category that only gives names and zero-based limbs; partners are guessed from the names.

    Limbs that stand twice are taken once, limbs from a point to itself are left out: such files are about, and nothing
    is lost by reading them.

    Raises:
        SchemaError: a limb leads outside the list, or two keypoints share a name.
    """
    names = [str(point) for point in keypoints]
    partners = guess_swaps(names)
    where = f"category {(category or name)!r}"
    limbs: dict[frozenset[int], tuple[int, int]] = {}
    for a, b in skeleton:
        if not (0 <= a < len(names) and 0 <= b < len(names)):
            raise SchemaError(f"limb {a} - {b} leads outside the {len(names)} keypoints (counted from 0)", where=where)
        if a != b:
            limbs.setdefault(frozenset((a, b)), (a, b))
    return schema_from_dict(
        {
            "name": name,
            "title": name,
            "category": category or name,
            "keypoints": [{"name": n, "swap": partners.get(n, "")} for n in names],
            "limbs": [{"from": names[a], "to": names[b]} for a, b in limbs.values()],
        },
        where=where,
    )


def _check(schema: Schema, where: object) -> None:
    if not schema.name:
        raise SchemaError("has no name", where=where)
    if not schema.keypoints:
        raise SchemaError("has no keypoints", where=where)
    _check_sizes(schema, where)
    _check_keypoints(schema, where)
    _check_swaps(schema, where)
    _check_limbs(schema, where)
    for subset in schema.subsets:
        if not 0 <= subset.start < subset.stop <= len(schema.keypoints):
            span = f"{subset.start}..{subset.stop}"
            raise SchemaError(f"subset {subset.name!r}: {span} is not a range of points", where=where)
    for row in schema.upstream_flip:
        for name in (row.name, row.takes):
            if name not in schema.index:
                raise SchemaError(f"upstream_flip: no keypoint {name!r}", where=where)


def _check_sizes(schema: Schema, where: object) -> None:
    """Before anything is compared with anything: files may say what they like."""
    for what, count, most in (
        ("keypoints", len(schema.keypoints), MAX_KEYPOINTS),
        ("limbs", len(schema.limbs), MAX_LIMBS),
        ("subsets", len(schema.subsets), MAX_KEYPOINTS),
        ("lines of upstream_flip", len(schema.upstream_flip), MAX_KEYPOINTS),
    ):
        if count > most:
            raise SchemaError(f"has {count} {what}, at most {most} are possible", where=where)
    names = [schema.name, schema.category, *(text for point in schema.keypoints for text in (point.name, point.part))]
    for name in (*names, *(subset.name for subset in schema.subsets)):
        if len(name) > MAX_NAME or "\0" in name:
            raise SchemaError(f"the name {name[:40]!r} is too long or holds a zero byte", where=where)


def _check_keypoints(schema: Schema, where: object) -> None:
    seen: set[str] = set()
    for i, point in enumerate(schema.keypoints):
        if not point.name:
            raise SchemaError(f"keypoint {i} has an empty name", where=where)
        what = f"keypoint {point.name!r}"
        if point.name in seen:
            raise SchemaError(f"duplicate keypoint name {point.name!r}", where=where)
        seen.add(point.name)
        if not (point.sigma > 0 and math.isfinite(point.sigma)):
            raise SchemaError(f"{what}: sigma must be a number above 0, not {point.sigma}", where=where)
        if point.group not in ("", "upper", "lower"):
            raise SchemaError(f'{what}: group must be "upper", "lower" or left out, not {point.group!r}', where=where)
        if point.side not in ("", "left", "right", "middle"):
            raise SchemaError(f'{what}: side must be "left", "right" or "middle", not {point.side!r}', where=where)
        if not point.part:
            raise SchemaError(f"{what}: part is empty; leave it out instead", where=where)
        _check_color(point.color, what, where)


def _check_swaps(schema: Schema, where: object) -> None:
    points = {point.name: point for point in schema.keypoints}
    for point in schema.keypoints:
        if not point.swap:
            continue
        other = points.get(point.swap)
        if other is None:
            raise SchemaError(f"keypoint {point.name!r} swaps with {point.swap!r}, which does not exist", where=where)
        if other is point:
            raise SchemaError(f"keypoint {point.name!r} swaps with itself; leave swap out instead", where=where)
        if other.swap != point.name:
            back = f"{other.name!r} swaps with {other.swap!r}" if other.swap else f"{other.name!r} swaps with none"
            raise SchemaError(f"keypoint {point.name!r} swaps with {point.swap!r}, but {back}", where=where)
        if point.side and point.side == other.side:
            both = f"{point.name!r} and {other.name!r}"
            raise SchemaError(f"keypoints {both} swap, yet both are {point.side!r}", where=where)


def _check_limbs(schema: Schema, where: object) -> None:
    seen: set[frozenset[str]] = set()
    for limb in schema.limbs:
        what = f"limb {limb.start!r} - {limb.end!r}"
        for end in (limb.start, limb.end):
            if end not in schema.index:
                raise SchemaError(f"{what}: no keypoint {end!r}", where=where)
        if limb.start == limb.end:
            raise SchemaError(f"limb joins {limb.start!r} to itself", where=where)
        ends = frozenset((limb.start, limb.end))
        if ends in seen:
            raise SchemaError(f"{what} is a duplicate", where=where)
        seen.add(ends)
        _check_color(limb.color, what, where)


def _check_color(color: str, what: str, where: object) -> None:
    if color and not (len(color) == 7 and color[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in color[1:])):
        raise SchemaError(f"{what}: color {color!r} is not #rrggbb", where=where)
