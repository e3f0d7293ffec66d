"""Poses, boxes and scores of JSON records that another program wrote, and a report of those that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.formats.category_schema import KeypointCounts, schema_of, schema_of_names
from engine.labels.builder import LabelsBuilder
from engine.labels.model import ABSENT, VISIBLE, Bytes, Floats, Instance
from engine.schema.schema import Schema
from engine.utils.context import ERROR, Context

_LARGEST = 1e9
"""Coordinates and sizes above it, in pixels, are damage."""

MAX_KEYPOINTS = 10_000


class UnusableRecord(Exception):
    """A record without usable keypoints; the message says why."""


@dataclass(frozen=True, eq=False)
class Points:
    """The keypoints of a record: (K, 2) coordinates, (K,) visibilities, (K,) scores or None."""

    keypoints: Floats
    visibility: Bytes
    scores: Floats | None
    num_unusable: int = 0

    @property
    def count(self) -> int:
        return len(self.keypoints)


def table_of(value: Any, columns: Collection[int]) -> Floats:
    """A (K, C) table of a flat list of numbers or of a list of rows; C is the first of ``columns`` that fits.

    Raises:
        UnusableRecord: it is no such list.
    """
    if not isinstance(value, list):
        raise UnusableRecord("Record without a list of keypoints")
    try:
        table = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise UnusableRecord("Record with keypoints that are not numbers") from None
    if table.ndim == 1:
        width = next((count for count in columns if len(table) % count == 0), 0)
        if not width:
            raise UnusableRecord("Record with an incomplete keypoint")
        table = table.reshape(-1, width)
    if table.ndim != 2 or table.shape[1] not in columns:
        raise UnusableRecord("Record with an incomplete keypoint")
    if not 0 < len(table) <= MAX_KEYPOINTS:
        raise UnusableRecord("Record without keypoints" if not len(table) else "Record with too many keypoints")
    return table


def points_of(table: Floats, scores: Floats | None = None) -> Points:
    """Keypoints of a (K, 2 or 3) table of x, y and a score. A point at (0, 0) with the score 0 is absent.

    Whole thirds of 0, 1 and 2, with a 2 among them, are visibilities as in COCO files.
    """
    keypoints = table[:, :2].copy()
    thirds = scores if table.shape[1] == 2 else table[:, 2]
    usable = (np.abs(keypoints) < _LARGEST).all(axis=1)  # False for NaN and infinity too
    absent = ~usable | ((keypoints == 0).all(axis=1) & (True if thirds is None else ~(thirds > 0)))
    keypoints[absent] = 0
    visibility = np.where(absent, ABSENT, VISIBLE).astype(np.uint8)
    if thirds is None:
        return Points(keypoints, visibility, None, int((~usable).sum()))
    if (thirds == 2).any() and ((thirds == 0) | (thirds == 1) | (thirds == 2)).all():
        marks = np.where(absent, ABSENT, thirds).astype(np.uint8)
        return Points(keypoints, marks, None, int((~usable).sum()))
    usable_scores = np.where(absent | ~(np.abs(thirds) < _LARGEST), 0.0, thirds)
    return Points(keypoints, visibility, usable_scores, int((~usable).sum()))


def number_of(value: Any) -> float | None:
    """A finite number, also as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) and abs(parsed) < _LARGEST else None


def box_of(value: Any, *, is_corners: bool = False) -> Floats | None:
    """The box x1, y1, x2, y2 of four numbers x, y, width, height, or of two corners; None if they are not four."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if not isinstance(value, list) or len(value) < 4:
        return None
    numbers = [number_of(entry) for entry in value[:4]]
    if None in numbers:
        return None
    x, y, a, b = (value or 0.0 for value in numbers)
    return np.array([x, y, a, b] if is_corners else [x, y, x + a, y + b], np.float64)


def index_of(value: Any) -> int | None:
    """A whole number that is not negative, also as text; None for anything else."""
    parsed = number_of(value)
    return int(parsed) if parsed is not None and parsed >= 0 and parsed == int(parsed) else None


def identity_of(value: Any) -> Hashable | None:
    """The number or text that names a track, also as the only entry of a list; None for none, and for -1."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value:
        return value
    parsed = number_of(value)
    return None if parsed is None or parsed < 0 else parsed


class ResultsBuilder:
    """Builds labels of poses that a program has found.

    Args:
        source: name of the program.
        is_prediction: False for labels that a person made.
    """

    def __init__(self, context: Context, source: str, *, is_prediction: bool = True) -> None:
        self.labels = LabelsBuilder()
        self.context = context
        self._source = source
        self._is_prediction = is_prediction
        self._schemas: dict[tuple[str, int, tuple[str, ...]], Schema | None] = {}

    def left_out(self, where: str, what: str, records: Any = None) -> None:
        """Report a record that is not in the result, or a list of records."""
        count = max(1, len(records)) if isinstance(records, list) else 1
        self.context.report(where, what, "left out", count=count, severity=ERROR)

    def category(
        self,
        name: str,
        count: int,
        names: Sequence[str] = (),
        limbs: Sequence[tuple[int, int]] = (),
        id: int | str | None = None,
    ) -> int:
        """The category of poses with so many keypoints; those of another count are a category of their own."""
        key = (name, count, tuple(names))
        if key not in self._schemas:
            self._schemas[key] = (
                schema_of_names(names, name, limbs)
                if len(names) == count
                else schema_of(name, [], [], KeypointCounts((count,)))
            )
            same_name = [other for other in self._schemas if other[0] == name]
            if len(same_name) > 1:
                self.context.report(name, "Poses of one category with different numbers of keypoints",
                                    "each number is a category of its own")  # fmt: skip
        first = next(other for other in self._schemas if other[0] == name)
        title = name if key == first else f"{name} ({count} keypoints)"
        return self.labels.category(title, self._schemas[key], id=id)

    def box_category(self, name: str, id: int | str | None = None) -> int:
        """The category of boxes without keypoints: that of the poses with this name, which must be added first."""
        key = next((other for other in self._schemas if other[0] == name), None)
        return self.labels.category(name, None if key is None else self._schemas[key], id=id)

    def add(
        self,
        frame: int,
        category: int,
        points: Points | None,
        where: str,
        *,
        box: Floats | None = None,
        score: float | None = None,
        track: int | None = None,
        key: str = "",
    ) -> None:
        """Add a pose, or a box alone."""
        if points is not None and points.num_unusable:
            self.context.report(where, "Keypoint whose coordinates are no usable numbers", "taken as absent",
                                count=points.num_unusable)  # fmt: skip
        self.labels.add(
            Instance(
                frame,
                category,
                None if points is None else points.keypoints,
                None if points is None else points.visibility,
                None if points is None else points.scores,
                box,
                score,
                track,
                is_prediction=self._is_prediction,
                source=self._source,
                key=key or where,
            )
        )

    def check_values(self, record: dict[str, Any], where: str, *, box: str = "", score: str = "") -> None:
        """Report a box and a score that are there and cannot be used."""
        if box and record.get(box) not in (None, []) and box_of(record[box]) is None:
            self.context.report(where, "Box that is not four numbers", "left out", severity=ERROR)
        if score and record.get(score) is not None and number_of(record[score]) is None:
            self.context.report(where, "Score that is no number", "left out", severity=ERROR)
