"""Instances as rows of the project file, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import ProjectError
from poseapp.project.model import Category, FrameKey, FrameState, Instance, State

COLUMNS = (
    "id", "media", "idx", "category", "state", "score", "min_score", "track", "source", "num_visible",
    "keypoints", "visibility", "by_human", "scores", "box",
)  # fmt: skip
SELECT = f"SELECT {', '.join(COLUMNS)} FROM instance"
INSERT = f"INSERT INTO instance ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

_STATES = (State.PREDICTED, State.LABELLED)
_FLOAT = np.dtype("<f8")

Row = tuple[Any, ...]
Values = dict[int, Any]
"""Columns by position, without the id."""


def to_row(instance: Instance, frame: FrameKey) -> Row:
    """The row of an instance, in the order of ``COLUMNS``."""
    scores = instance.scores
    lowest: float | None = None
    if scores is not None and len(scores):
        seen = scores[instance.visibility > 0]
        lowest = float(seen.min() if len(seen) else scores.min())
    return (
        instance.id,
        frame.media,
        frame.index,
        instance.category,
        _STATES.index(instance.state),
        None if instance.score is None else float(instance.score),
        lowest,
        instance.track,
        instance.source,
        int(np.count_nonzero(instance.visibility)),
        instance.keypoints.astype(_FLOAT, copy=False).tobytes(),
        instance.visibility.tobytes(),
        instance.by_human.tobytes(),
        None if scores is None else scores.astype(_FLOAT, copy=False).tobytes(),
        None if instance.box is None else instance.box.astype(_FLOAT, copy=False).tobytes(),
    )


def from_row(row: Row) -> Instance:
    """The instance of a row.

    Raises:
        ProjectError: a value that this program cannot have written.
    """
    try:
        instance = _from_row(row)
    except (ValueError, TypeError, IndexError):
        instance = None
    if instance is None or not _holds_together(instance):
        raise ProjectError("is damaged, or was changed by another program", where=f"instance {row[0]}")
    return instance


def _holds_together(instance: Instance) -> bool:
    count = len(instance.visibility)
    arrays = (instance.keypoints, instance.by_human, instance.scores)
    return all(array is None or len(array) == count for array in arrays) and (
        instance.box is None or len(instance.box) == 4
    )


def _from_row(row: Row) -> Instance:
    identity, _, _, category, state, score, _, track, source, _, points, visibility, human, scores, box = row
    return Instance(
        id=identity,
        category=category,
        keypoints=np.frombuffer(points, _FLOAT).reshape(-1, 2),
        visibility=np.frombuffer(visibility, np.uint8),
        by_human=np.frombuffer(human, np.uint8) != 0,  # any other byte is no truth value to numpy
        scores=None if scores is None else np.frombuffer(scores, _FLOAT),
        score=score,
        box=None if box is None else np.frombuffer(box, _FLOAT),
        track=track,
        source=source,
        state=_STATES[state],
    )


def changed(before: Row, after: Row) -> tuple[Values, Values]:
    """The columns in which two rows of one instance differ: as they were, and as they are."""
    columns = [i for i in range(1, len(COLUMNS)) if before[i] != after[i]]
    return {i: before[i] for i in columns}, {i: after[i] for i in columns}


def full(row: Row) -> Values:
    """Every column of a row."""
    return dict(enumerate(row[1:], 1))


def are_values(values: Values) -> bool:
    """Whether columns of a row, by position, have the types that :func:`to_row` gives."""
    return all(column in _TYPES and isinstance(value, _TYPES[column]) for column, value in values.items())


_NONE = type(None)
_TYPES: dict[int, tuple[type, ...]] = {
    COLUMNS.index(name): types
    for names, types in (
        (("media", "idx", "category", "state", "num_visible"), (int,)),
        (("score", "min_score"), (_NONE, int, float)),
        (("track",), (_NONE, int)),
        (("source",), (str,)),
        (("keypoints", "visibility", "by_human"), (bytes,)),
        (("scores", "box"), (_NONE, bytes)),
    )
    for name in names
}


def check(instance: Instance, categories: Mapping[int, Category]) -> None:
    """Refuse an instance that does not fit its category.

    Raises:
        ProjectError: unknown category, arrays of another length, numbers that are not finite, a visibility above 2.
    """
    where = f"instance {instance.id}"
    category = categories.get(instance.category)
    if category is None:
        raise ProjectError(f"there is no category {instance.category}", where=where)
    count = category.schema.num_keypoints
    shapes: Sequence[tuple[str, Any, tuple[int, ...]]] = (
        ("keypoints", instance.keypoints, (count, 2)),
        ("visibility", instance.visibility, (count,)),
        ("by_human", instance.by_human, (count,)),
        ("scores", instance.scores, (count,)),
        ("box", instance.box, (4,)),
    )
    for name, array, shape in shapes:
        if array is not None and array.shape != shape:
            raise ProjectError(f"{name} has shape {array.shape}, {category.name!r} wants {shape}", where=where)
    if instance.visibility.dtype != np.uint8 or instance.by_human.dtype != np.bool_:
        raise ProjectError("visibility must be uint8 and by_human bool", where=where)
    if count and instance.visibility.max() > 2:
        raise ProjectError("a visibility is above 2", where=where)
    arrays = [a for a in (instance.keypoints, instance.scores, instance.box) if a is not None]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ProjectError("a number is not finite", where=where)
    if instance.score is not None and not np.isfinite(instance.score):
        raise ProjectError("the score is not finite", where=where)


def frame_state(bits: int) -> FrameState:
    """The state of a frame from its column; bits that this version does not know are left out."""
    return STATES_OF_BITS[bits & (len(STATES_OF_BITS) - 1)]


def state_bits(state: FrameState) -> int:
    return state.reviewed | state.flagged << 1 | state.negative << 2 | state.nothing_found << 3


STATES_OF_BITS = tuple(FrameState(bool(n & 1), bool(n & 2), bool(n & 4), bool(n & 8)) for n in range(16))
