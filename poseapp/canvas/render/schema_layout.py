"""What drawing and hit tests need to know of a schema, worked out once for each. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.render.colors import LEFT, MIDDLE, RIGHT, SIDE_CODES, parse_hex

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NO_COLOR = -1
OUTLINE = -1
"""Stands in ``limb_index`` for a line that is no limb of the schema: the drawn outline of a face."""

# Curves of the two common face markups, as (first, last, closed). iBUG 300-W, 68 points; WFLW, 98 points.
_FACE_CURVES: dict[int, tuple[tuple[int, int, bool], ...]] = {
    68: (
        (0, 16, False),
        (17, 21, False),
        (22, 26, False),
        (27, 30, False),
        (31, 35, False),
        (36, 41, True),
        (42, 47, True),
        (48, 59, True),
        (60, 67, True),
    ),
    98: (
        (0, 32, False),
        (33, 41, True),
        (42, 50, True),
        (51, 54, False),
        (55, 59, False),
        (60, 67, True),
        (68, 75, True),
        (76, 87, True),
        (88, 95, True),
    ),
}


@dataclass(frozen=True, eq=False)
class SchemaLayout:
    """Arrays over the K points and L lines of a schema.

    Attributes:
        limbs: (L, 2) point positions; the schema's limbs first, then outlines.
        limb_index: (L,) position in ``schema.limbs``, or OUTLINE.
        sides, limb_sides: MIDDLE, LEFT or RIGHT.
        colors, limb_colors: packed colors of the schema, NO_COLOR where it gives none.
        part, limb_part: which part, as a position in ``parts``.
        parts: names of the parts.
        lines_of_part: for each part the lines that run inside it (they measure how dense it is).
    """

    num_keypoints: int
    limbs: Ints
    limb_index: Ints
    sides: Ints
    limb_sides: Ints
    colors: Ints
    limb_colors: Ints
    part: Ints
    limb_part: Ints
    parts: tuple[str, ...]
    lines_of_part: tuple[Ints, ...]


@lru_cache(maxsize=64)
def layout_of(schema: Schema) -> SchemaLayout:
    """The layout of a schema."""
    outlines = np.array(list(_outlines(schema)), dtype=np.int64).reshape(-1, 2)
    limbs = np.concatenate([schema.limb_indices, outlines])
    limb_index = np.concatenate([np.arange(len(schema.limbs)), np.full(len(outlines), OUTLINE)]).astype(np.int64)
    sides = np.array([SIDE_CODES[side] for side in schema.sides], dtype=np.int64)
    colors = _colors([point.color for point in schema.keypoints])
    limb_colors = np.concatenate([_colors([limb.color for limb in schema.limbs]), colors[outlines[:, 0]]])
    names = tuple(schema.parts)
    part = np.zeros(schema.num_keypoints, dtype=np.int64)
    for row, name in enumerate(names):
        part[list(schema.parts[name])] = row
    ends = part[limbs]
    within = ends[:, 0] == ends[:, 1]
    return SchemaLayout(
        num_keypoints=schema.num_keypoints,
        limbs=limbs,
        limb_index=limb_index,
        sides=sides,
        limb_sides=_limb_sides(sides[limbs]),
        colors=colors,
        limb_colors=limb_colors,
        part=part,
        limb_part=ends.max(axis=1) if len(ends) else np.zeros(0, dtype=np.int64),
        parts=names,
        lines_of_part=tuple(np.flatnonzero(within & (ends[:, 0] == row)) for row in range(len(names))),
    )


@lru_cache(maxsize=16)
def bare_layout(num_keypoints: int) -> SchemaLayout:
    """Points without a schema: no lines, one part. For instances whose category is not known."""
    none, zeros = np.zeros(0, dtype=np.int64), np.zeros(num_keypoints, dtype=np.int64)
    return SchemaLayout(
        num_keypoints=num_keypoints,
        limbs=np.zeros((0, 2), dtype=np.int64),
        limb_index=none,
        sides=zeros,
        limb_sides=none,
        colors=np.full(num_keypoints, NO_COLOR, dtype=np.int64),
        limb_colors=none,
        part=zeros,
        limb_part=none,
        parts=("",),
        lines_of_part=(none,),
    )


def _colors(values: list[str]) -> Ints:
    return np.array([parse_hex(value) if value else NO_COLOR for value in values], dtype=np.int64)


def _limb_sides(ends: Ints) -> Ints:
    """A limb from the middle to a side belongs to the side, one across belongs to the middle."""
    has_left, has_right = (ends == LEFT).any(axis=1), (ends == RIGHT).any(axis=1)
    sides = np.where(has_left & ~has_right, LEFT, np.where(has_right & ~has_left, RIGHT, MIDDLE))
    return sides.astype(np.int64)


def _outlines(schema: Schema) -> Iterator[tuple[int, int]]:
    """Lines along the curves of a face that the schema gives no limbs."""
    face = schema.parts.get("face", ())
    if not face and not schema.limbs:
        face = tuple(range(schema.num_keypoints))
    curves = _FACE_CURVES.get(len(face), ())
    with_limbs = set(schema.limb_indices.ravel().tolist())
    if not curves or with_limbs.intersection(face):
        return
    for first, last, closed in curves:
        for i in range(first, last):
            yield face[i], face[i + 1]
        if closed:
            yield face[last], face[first]
