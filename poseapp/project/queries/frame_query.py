"""Which frames a list shows and in what order, as one statement of SQL over the lines of the frames."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np

from poseapp.project.queries.frame_keys import FrameKeys, Packed
from poseapp.project.storage.database import Database


class Labels(StrEnum):
    """What a frame holds."""

    UNLABELLED = "unlabelled"
    """No instance at all."""
    LABELLED = "labelled"
    """Only what a person made or accepted."""
    PREDICTED = "predicted"
    """Only predictions that wait."""
    MIXED = "mixed"
    """Both."""
    ANY_LABELLED = "any labelled"
    ANY_PREDICTED = "any predicted"


class Points(StrEnum):
    """Visibility that at least one point of the frame has."""

    OCCLUDED = "occluded"
    ABSENT = "absent"
    NEITHER = "neither"
    """There are poses, and every point of them is visible."""


class Sort(StrEnum):
    NUMBER = "number"
    NAME = "name"
    SCORE = "lowest score"
    CHANGED = "last changed"


@dataclass(frozen=True)
class FrameQuery:
    """Conditions that all must hold; None or "" asks nothing.

    Attributes:
        text: words that all stand in the frame's name, in any order; ASCII letters match in both cases.
        min_score, max_score: bounds (inclusive) of the lowest score among the frame's predictions.
        category: holds an instance of it.
        track: holds an instance of it.
        has_tracks: holds instances with a track, or none such.
        negative: a person has said that there is nothing here.
        nothing_found: the last run of a model found nothing.
        changed_since: seconds since 1970 of the last change of labels or state; never changed frames have none.
    """

    text: str = ""
    labels: Labels | None = None
    category: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    track: int | None = None
    has_tracks: bool | None = None
    points: Points | None = None
    flagged: bool | None = None
    reviewed: bool | None = None
    negative: bool | None = None
    nothing_found: bool | None = None
    media: int | None = None
    changed_since: float | None = None
    sort: Sort = Sort.NUMBER
    descending: bool = False

    @property
    def is_plain(self) -> bool:
        """Every frame, in its own order."""
        return self == FrameQuery()

    @property
    def filters(self) -> bool:
        """Whether some frames may be left out."""
        return any(getattr(self, f.name) != f.default for f in fields(self) if f.name not in ("sort", "descending"))


_LABELS = {
    Labels.UNLABELLED: "labelled = 0 AND predicted = 0",
    Labels.LABELLED: "labelled > 0 AND predicted = 0",
    Labels.PREDICTED: "labelled = 0 AND predicted > 0",
    Labels.MIXED: "labelled > 0 AND predicted > 0",
    Labels.ANY_LABELLED: "labelled > 0",
    Labels.ANY_PREDICTED: "predicted > 0",
}
_POINTS = {
    Points.OCCLUDED: "occluded > 0",
    Points.ABSENT: "absent > 0",
    Points.NEITHER: "occluded = 0 AND absent = 0 AND labelled + predicted > 0",
}
_BITS = {"reviewed": 1, "flagged": 2, "negative": 4, "nothing_found": 8}
_KEY = "media << 32 | idx"
_SORTS = {Sort.SCORE: "low", Sort.CHANGED: "changed"}


def find_frames(database: Database, query: FrameQuery) -> FrameKeys:
    """The frames that meet the query, in its order. Equal ones, and those without the value, follow by number."""
    held = _by_category(database, query)
    others = replace(query, category=None, sort=Sort.NUMBER, descending=False)
    if query.sort is Sort.NAME:
        direction = "DESC" if query.descending else "ASC"
        packed = database.numbers(f"SELECT {_KEY} FROM frame ORDER BY name COLLATE NOCASE {direction}, media, idx")
        if others.filters:
            packed = packed[np.isin(packed, _plain(database, others), assume_unique=True)]
        return FrameKeys(packed if held is None else packed[np.isin(packed, held, assume_unique=True)])
    column = _SORTS.get(query.sort)
    if column is None:
        packed = _plain(database, others) if held is None or others.filters else held
        if held is not None and packed is not held:
            packed = np.intersect1d(packed, held, assume_unique=True)
        return FrameKeys(packed[::-1].copy() if query.descending else packed)
    parts, values = _conditions(others)
    # 1e999 is infinite: no value. Keys are whole numbers far below 2 ** 53.
    sql = f"SELECT {_KEY}, coalesce({column}, 1e999) FROM frame {_where(parts)} ORDER BY media, idx"
    table = database.floats(sql, 2, values)
    packed, by = table[:, 0].astype(np.int64), table[:, 1]
    if held is not None:
        remaining = np.isin(packed, held, assume_unique=True)
        packed, by = packed[remaining], by[remaining]
    return FrameKeys(_sorted(packed, by, query.descending))


def _by_category(database: Database, query: FrameQuery) -> Packed | None:
    """The frames that hold the category asked for, None where none is. They are listed: no frame is asked."""
    if query.category is None:
        return None
    sql = f"SELECT {_KEY} FROM frame_category WHERE category = ? ORDER BY media, idx"
    return database.numbers(sql, (query.category,))


def _plain(database: Database, query: FrameQuery) -> Packed:
    """All conditions but the category, by number."""
    parts, values = _conditions(query)
    return database.numbers(f"SELECT {_KEY} FROM frame {_where(parts)} ORDER BY media, idx", values)


def _where(parts: list[str]) -> str:
    return f"WHERE {' AND '.join(parts)}" if parts else ""


def _sorted(packed: Packed, by: np.ndarray[Any, np.dtype[np.float64]], descending: bool) -> Packed:
    """Stable, what has no value last. Numbers sort faster here than rows in SQL."""
    known = np.isfinite(by)
    order = np.argsort(-by[known] if descending else by[known], kind="stable")
    return np.concatenate([packed[known][order], packed[~known]])


def _conditions(query: FrameQuery) -> tuple[list[str], list[Any]]:
    parts: list[str] = []
    values: list[Any] = []

    def add(sql: str, *given: Any) -> None:
        parts.append(sql)
        values.extend(given)

    for word in query.text.split():
        add("name LIKE ? ESCAPE '\\'", f"%{_escaped(word)}%")
    if query.labels is not None:
        add(_LABELS[query.labels])
    if query.points is not None:
        add(_POINTS[query.points])
    for name, bit in _BITS.items():
        expected = getattr(query, name)
        if expected is not None:
            add(f"state & {bit} {'<>' if expected else '='} 0")
    if query.min_score is not None:
        add("low >= ?", query.min_score)
    if query.max_score is not None:
        add("low <= ?", query.max_score)
    if query.media is not None:
        add("media = ?", query.media)
    if query.changed_since is not None:
        add("changed >= ?", query.changed_since)
    if query.has_tracks is not None:
        add("tracked > 0" if query.has_tracks else "tracked = 0")
    if query.track is not None:
        add(
            "tracked > 0 AND EXISTS (SELECT 1 FROM instance t "
            "WHERE t.track = ? AND t.media = frame.media AND t.idx = frame.idx)",
            query.track,
        )
    return parts, values


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
