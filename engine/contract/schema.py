"""Keypoint schemas: names, order, left/right partners, limbs, colours, sigmas and parts.

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

Left and right are the subject's own. The id of a keypoint is its position in the list.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.contract.errors import SchemaError

DEFAULT_SIGMA = 0.05
DEFAULT_PART = "body"


class Keypoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named point.

    ``swap`` names the left/right partner ("" for a point on the middle line), ``sigma`` is the OKS fall-off of the COCO
    keypoint metric, ``color`` is ``#rrggbb`` or "" for the palette's choice, ``group`` is "upper", "lower" or "".
    """

    name: str
    swap: str = ""
    color: str = ""
    sigma: float = DEFAULT_SIGMA
    part: str = DEFAULT_PART
    group: str = ""


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


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A checked keypoint schema. Build with :func:`load_schema`, :func:`schema_from_dict` or :func:`schema_from_names`."""

    name: str
    keypoints: tuple[Keypoint, ...]
    limbs: tuple[Limb, ...] = ()
    title: str = ""
    category: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    subsets: tuple[Subset, ...] = ()

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
        found = [self.index[p.swap] if p.swap else i for i, p in enumerate(self.keypoints)]
        return np.asarray(found, dtype=np.int64)

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
        found: dict[str, list[int]] = {}
        for i, point in enumerate(self.keypoints):
            found.setdefault(point.part, []).append(i)
        return {part: tuple(points) for part, points in found.items()}

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """"left", "right" or "middle" for each keypoint, from its name and partner."""
        return tuple(_side(point) for point in self.keypoints)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the inverse of :func:`schema_from_dict`."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def _side(point: Keypoint) -> str:
    words = f" {point.name.lower()} ".replace("_", " ").replace("-", " ")
    if " left" in words or words.startswith((" l ", " l.")):
        return "left"
    if " right" in words or words.startswith((" r ", " r.")):
        return "right"
    return "middle"


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
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SchemaError(f"cannot be read ({error.strerror})", where=path) from None
    except UnicodeDecodeError:
        raise SchemaError("is not UTF-8 text; save it as UTF-8", where=path) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"is not valid TOML: {error}", where=path) from None
    return schema_from_dict(data, where=path)


def schema_from_names(
    name: str, keypoints: Sequence[str], skeleton: Sequence[tuple[int, int]] = (), *, category: str = ""
) -> Schema:
    """A schema for a COCO category that only gives names and zero-based limbs; partners are guessed from the names."""
    names = [str(point) for point in keypoints]
    partners = guess_swaps(names)
    return schema_from_dict(
        {
            "name": name,
            "title": name,
            "category": category or name,
            "keypoints": [{"name": n, "swap": partners.get(n, "")} for n in names],
            "limbs": [{"from": names[a], "to": names[b]} for a, b in skeleton],
        },
        where=f"category {name!r}",
    )


def guess_swaps(names: Sequence[str]) -> dict[str, str]:
    """Left/right partners that follow from the names: left/right, l/r as a word or prefix, L1/R1, in any case."""
    known = set(names)
    found: dict[str, str] = {}
    for name in names:
        for left, right in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("L", "R"), ("l", "r")):
            for candidate in _renamed(name, left, right):
                if candidate in known and candidate != name and candidate not in found:
                    found[name], found[candidate] = candidate, name
                    break
            if name in found:
                break
    return found


def _renamed(name: str, left: str, right: str) -> list[str]:
    if len(left) > 1:
        return [name.replace(left, right)] if left in name else []
    out = []
    if name.startswith(left) and (len(name) == 1 or not name[1].islower() or name[1] in "_-. "):
        out.append(right + name[1:])
    for separator in "_-. ":
        if name.endswith(separator + left):
            out.append(name[: -len(left)] + right)
        if f"{separator}{left}{separator}" in name:
            out.append(name.replace(f"{separator}{left}{separator}", f"{separator}{right}{separator}"))
    return out


def _check(schema: Schema, where: object) -> None:
    if not schema.name:
        raise SchemaError("has no name", where=where)
    if not schema.keypoints:
        raise SchemaError("has no keypoints", where=where)
    seen: set[str] = set()
    for i, point in enumerate(schema.keypoints):
        if not point.name:
            raise SchemaError(f"keypoint {i} has an empty name", where=where)
        if point.name in seen:
            raise SchemaError(f"keypoint name {point.name!r} stands twice", where=where)
        seen.add(point.name)
        if not point.sigma > 0:
            raise SchemaError(f"keypoint {point.name!r}: sigma must be above 0, not {point.sigma}", where=where)
        _check_color(point.color, f"keypoint {point.name!r}", where)
    partner = {point.name: point.swap for point in schema.keypoints}
    for name, swap in partner.items():
        if swap and swap not in partner:
            raise SchemaError(f"keypoint {name!r} swaps with {swap!r}, which does not exist", where=where)
        if swap and partner[swap] != name:
            raise SchemaError(f"keypoint {name!r} swaps with {swap!r}, but {swap!r} swaps with {partner[swap]!r}", where=where)
    for limb in schema.limbs:
        for end in (limb.start, limb.end):
            if end not in partner:
                raise SchemaError(f"limb {limb.start!r} - {limb.end!r}: no keypoint {end!r}", where=where)
        if limb.start == limb.end:
            raise SchemaError(f"limb joins {limb.start!r} to itself", where=where)
        _check_color(limb.color, f"limb {limb.start!r} - {limb.end!r}", where)
    for subset in schema.subsets:
        if not 0 <= subset.start < subset.stop <= len(schema.keypoints):
            raise SchemaError(f"subset {subset.name!r}: {subset.start}..{subset.stop} is not a range of points", where=where)


def _check_color(color: str, what: str, where: object) -> None:
    if color and not (len(color) == 7 and color[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in color[1:])):
        raise SchemaError(f"{what}: colour {color!r} is not #rrggbb", where=where)
