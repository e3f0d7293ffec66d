"""All poses of a frame as flat arrays: what the painter draws and the hit test searches. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.render.schema_layout import SchemaLayout, bare_layout, layout_of
from poseapp.project.model import Instance, State

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HIDDEN, TINY, SMALL, FULL = 0, 1, 2, 3
"""How large the points of a part are drawn, by the room there is between them."""

_ROOM = (5.0, 10.0, 22.0)
"""Screen pixels between neighbours from which on points are tiny, small, full."""

SPECK = 16.0
"""Screen pixels: a pose whose points span less is marked by a square of this size, for its lines are too short to be
seen or taken hold of."""

_ELBOW_ROOM = (7.0, 13.0)
"""Screen pixels to the nearest neighbour from which on a point is small, full; it never vanishes for that alone."""


@dataclass(frozen=True, eq=False)
class PoseArrays:
    """N instances with P points, L lines and Q parts in all.

    Attributes:
        ids: (N,) instance ids; ``start`` (N,) their first point.
        predicted: (N,) bool; ``score`` (N,) NaN where there is none; ``boxes`` (N, 4) xyxy, NaN where there is none.
        points: (P, 2) x, y in image pixels; ``shown`` (P,) bool, placed (v > 0) and finite.
        owner: (P,) row of the instance; ``index`` (P,) keypoint number; ``part`` (P,) row in ``spacing``.
        scores: (P,) NaN where there is none; ``room`` (P,) length of the shortest line at the point, image pixels.
        limbs: (L, 2) rows of ``points``; ``limb_index`` (L,) limb of the schema or layout.OUTLINE.
        limb_shown: (L,) bool, both ends shown.
        spacing: (Q,) usual distance between neighbours of a part, image pixels; ``lineless`` (Q,) parts without lines.
        part_names: (Q,) names.
    """

    instances: tuple[Instance, ...]
    ids: Ints
    start: Ints
    predicted: Flags
    score: Floats
    boxes: Floats
    points: Floats
    shown: Flags
    visibility: Ints
    by_human: Flags
    scores: Floats
    owner: Ints
    index: Ints
    sides: Ints
    colors: Ints
    part: Ints
    room: Floats
    limbs: Ints
    limb_owner: Ints
    limb_index: Ints
    limb_sides: Ints
    limb_colors: Ints
    limb_part: Ints
    limb_shown: Flags
    spacing: Floats
    lineless: Flags
    part_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.instances)

    @cached_property
    def pointless(self) -> Flags:
        """(N,) bool: instances with no placed point. Only their box can show that they are there."""
        without = np.ones(len(self), dtype=np.bool_)
        without[self.owner[self.shown]] = False
        return without

    @cached_property
    def extents(self) -> Floats:
        """(N, 4) xyxy around the placed points of each instance, image pixels; infinite without any."""
        low, high = np.full((len(self), 2), np.inf), np.full((len(self), 2), -np.inf)
        np.minimum.at(low, self.owner[self.shown], self.points[self.shown])
        np.maximum.at(high, self.owner[self.shown], self.points[self.shown])
        return np.concatenate([low, high], axis=1)

    def specks(self, scale: float) -> Flags:
        """(N,) bool: instances with several placed points that span less than :data:`SPECK` on screen."""
        specks = np.zeros(len(self), dtype=np.bool_)
        rows = np.flatnonzero(np.bincount(self.owner[self.shown], minlength=len(self)) > 1)
        specks[rows] = (self.extents[rows, 2:] - self.extents[rows, :2]).max(axis=1) * scale < SPECK
        return specks

    def speck_boxes(self, scale: float, rows: Flags | Ints) -> Floats:
        """(n, 4) xyxy in image pixels of the squares that mark the chosen :meth:`specks`."""
        extents = self.extents[rows]
        middle = (extents[:, :2] + extents[:, 2:]) / 2
        return np.concatenate([middle - SPECK / 2 / scale, middle + SPECK / 2 / scale], axis=1)

    def point_sizes(self, scale: float, parts: frozenset[str] | None = None, *, with_limbs: bool = True) -> Ints:
        """(P,) HIDDEN..FULL at ``scale`` screen pixels to the image pixel; ``parts`` hides all other parts.

        Dense parts have no points, their lines show them. An instance of which nothing else would be drawn keeps its
        points, tiny: one that spans a few pixels, has no line, or has its lines switched off (``bones``).

        Painter and hit test both ask here, so that what is not drawn is never hit.
        """
        alone = np.searchsorted(np.array(_ELBOW_ROOM), self.room * scale, side="right") + TINY
        sizes: Ints = np.minimum(self.part_sizes(scale, parts)[self.part], alone) * self.shown
        lost = ~self.pointless
        lost[self.owner[sizes > HIDDEN]] = False
        if not lost.any():
            return sizes
        visible_part = self.shown if parts is None else self.shown & self.parts_in(parts)[self.part]
        if with_limbs:
            lined = np.zeros(len(self), dtype=np.bool_)
            drawn = self.limb_shown if parts is None else self.limb_shown & self.parts_in(parts)[self.limb_part]
            lined[self.limb_owner[drawn]] = True
            lost &= self.specks(scale) | ~lined
        return np.where(visible_part & lost[self.owner], np.maximum(sizes, TINY), sizes)

    def part_sizes(self, scale: float, parts: frozenset[str] | None = None) -> Ints:
        """(Q,) HIDDEN..FULL, before absent points are taken out."""
        sizes = np.searchsorted(np.array(_ROOM), self.spacing * scale, side="right")
        sizes = np.where(self.lineless, np.maximum(sizes, TINY), sizes)
        if parts is not None:
            sizes = sizes * self.parts_in(parts)
        return sizes.astype(np.int64)

    def parts_in(self, parts: frozenset[str]) -> Flags:
        """(Q,) bool, which parts bear one of these names."""
        return np.array([name in parts for name in self.part_names], dtype=np.bool_)

    def row_of(self, instance_id: int) -> int | None:
        """Row of an instance, or None."""
        rows = np.flatnonzero(self.ids == instance_id)
        return int(rows[0]) if len(rows) else None


def build_arrays(instances: Sequence[Instance], schemas: Mapping[int, Schema]) -> PoseArrays:
    """Flatten instances. ``schemas`` maps category ids; an instance of an unknown category is drawn without bones."""
    groups = _by_layout(instances, schemas)
    columns: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in _POINT_COLUMNS + _LINE_COLUMNS}
    start = np.zeros(len(instances), dtype=np.int64)
    names: list[str] = []
    points_so_far = 0
    for layout, rows in groups.items():
        start[rows] = points_so_far + layout.num_keypoints * np.arange(len(rows))
        group = _flatten(layout, [instances[row] for row in rows], np.array(rows), points_so_far, len(names))
        for name, values in group.items():
            columns[name].append(values)
        names.extend(layout.parts * len(rows))
        points_so_far += layout.num_keypoints * len(rows)
    joined = {name: np.concatenate(parts) if parts else _EMPTY[name] for name, parts in columns.items()}
    return PoseArrays(
        instances=tuple(instances),
        ids=np.array([i.id for i in instances], dtype=np.int64),
        start=start,
        predicted=np.array([i.state == State.PREDICTED for i in instances], dtype=np.bool_),
        score=np.array([np.nan if i.score is None else i.score for i in instances], dtype=np.float64),
        boxes=np.array([_NO_BOX if i.box is None else i.box for i in instances], dtype=np.float64).reshape(-1, 4),
        part_names=tuple(names),
        **joined,  # type: ignore[arg-type]
    )


_NO_BOX = np.full(4, np.nan)
_POINT_COLUMNS = (
    "points shown visibility by_human scores owner index sides colors part room".split()  # noqa: SIM905
)
_LINE_COLUMNS = (
    "limbs limb_owner limb_index limb_sides limb_colors limb_part limb_shown spacing lineless".split()  # noqa: SIM905
)
_EMPTY: dict[str, npt.NDArray[np.generic]] = {
    **{name: np.zeros(0, dtype=np.int64) for name in _POINT_COLUMNS + _LINE_COLUMNS},
    **{name: np.zeros(0, dtype=np.bool_) for name in ("shown", "by_human", "limb_shown", "lineless")},
    **{name: np.zeros(0, dtype=np.float64) for name in ("scores", "spacing", "room")},
    "points": np.zeros((0, 2), dtype=np.float64),
    "limbs": np.zeros((0, 2), dtype=np.int64),
}


def _by_layout(instances: Sequence[Instance], schemas: Mapping[int, Schema]) -> dict[SchemaLayout, list[int]]:
    """Rows of the instances that share a layout."""
    known: dict[tuple[int, int], SchemaLayout] = {}  # hashing a large schema for every instance would be felt
    groups: dict[SchemaLayout, list[int]] = {}
    for row, instance in enumerate(instances):
        key = instance.category, instance.num_keypoints
        if key not in known:
            schema = schemas.get(instance.category)
            fits = schema is not None and schema.num_keypoints == instance.num_keypoints
            known[key] = layout_of(schema) if fits else bare_layout(instance.num_keypoints)
        groups.setdefault(known[key], []).append(row)
    return groups


def _flatten(
    layout: SchemaLayout, instances: Sequence[Instance], rows: Ints, first_point: int, first_part: int
) -> dict[str, npt.NDArray[np.generic]]:
    n, k, lines, parts = len(instances), layout.num_keypoints, len(layout.limbs), len(layout.parts)
    points = np.stack([i.keypoints for i in instances]).astype(np.float64)
    visibility = np.stack([i.visibility for i in instances]).astype(np.int64)
    shown = (visibility > 0) & np.isfinite(points).all(axis=2)
    points = np.where(shown[:, :, None], points, 0.0)
    limb_shown: Flags = np.asarray(shown[:, layout.limbs].all(axis=2))
    ends = points[:, layout.limbs]
    lengths = np.hypot(*np.moveaxis(ends[:, :, 0] - ends[:, :, 1], 2, 0))
    spacing = _spacing(layout, points, shown, lengths, limb_shown)
    each = np.arange(n)[:, None]
    return {
        "points": points.reshape(-1, 2),
        "shown": shown.ravel(),
        "visibility": visibility.ravel(),
        "by_human": np.stack([i.by_human for i in instances]).ravel(),
        "scores": np.stack([_scores(i, k) for i in instances]).ravel(),
        "owner": np.repeat(rows, k),
        "index": np.tile(np.arange(k), n),
        "sides": np.tile(layout.sides, n),
        "colors": np.tile(layout.colors, n),
        "part": (first_part + each * parts + layout.part).ravel(),
        "room": _room(layout, lengths, limb_shown).ravel(),
        "limbs": (first_point + each[:, :, None] * k + layout.limbs).reshape(-1, 2),
        "limb_owner": np.repeat(rows, lines),
        "limb_index": np.tile(layout.limb_index, n),
        "limb_sides": np.tile(layout.limb_sides, n),
        "limb_colors": np.tile(layout.limb_colors, n),
        "limb_part": (first_part + each * parts + layout.limb_part).ravel(),
        "limb_shown": limb_shown.ravel(),
        "spacing": spacing.ravel(),
        "lineless": np.tile([len(part_lines) == 0 for part_lines in layout.lines_of_part], n),
    }


def _scores(instance: Instance, k: int) -> Floats:
    if instance.scores is not None:
        return instance.scores
    return np.full(k, np.nan if instance.score is None or instance.state != State.PREDICTED else instance.score)


def _room(layout: SchemaLayout, lengths: Floats, limb_shown: Flags) -> Floats:
    """(N, K) length of the shortest line that ends at each point; infinite without any."""
    room = np.full((layout.num_keypoints, len(lengths)), np.inf)
    known = np.where(limb_shown, lengths, np.inf).T
    for end in (0, 1):
        np.minimum.at(room, layout.limbs[:, end], known)
    return room.T


def _spacing(layout: SchemaLayout, points: Floats, shown: Flags, lengths: Floats, limb_shown: Flags) -> Floats:
    """(N, parts) usual distance between neighbours: mean length of the lines inside the part, or from its extent."""
    lengths = np.where(limb_shown, lengths, 0.0)
    spacing = np.empty((len(points), len(layout.parts)))
    for row, lines in enumerate(layout.lines_of_part):
        if len(lines) and (count := limb_shown[:, lines].sum(axis=1)).any():
            # A part of which too little is placed to have a line gets the room of a lone point: plenty.
            spacing[:, row] = np.where(count > 0, lengths[:, lines].sum(axis=1) / np.maximum(count, 1), np.inf)
        else:
            spacing[:, row] = _spread(points[:, layout.part == row], shown[:, layout.part == row])
    return spacing


def _spread(points: Floats, shown: Flags) -> Floats:
    """(N,) distance of neighbours if the points were spread evenly over their extent; infinite for a lone point."""
    count = shown.sum(axis=1)
    low = np.where(shown[:, :, None], points, np.inf).min(axis=1, initial=np.inf)
    high = np.where(shown[:, :, None], points, -np.inf).max(axis=1, initial=-np.inf)
    size = np.where(count[:, None] > 0, high - low, 0.0)
    return np.where(count > 1, np.hypot(size[:, 0], size[:, 1]) / np.sqrt(np.maximum(count, 1)), np.inf)
