"""What a project is made of. No Qt, no files: frozen values that edits pass around."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

ABSENT, OCCLUDED, VISIBLE = 0, 1, 2


class FrameKey(NamedTuple):
    """One picture of the project: a media row and the index in it (image number, or video frame number)."""

    media: int
    index: int  # type: ignore[assignment]


class State(StrEnum):
    """Who answers for an instance."""

    PREDICTED = "predicted"
    LABELLED = "labelled"


@dataclass(frozen=True, eq=False)
class Instance:
    """One pose in one frame. Immutable: arrays are set read-only, a change is a new Instance with the same id.

    Attributes:
        id: unique in the project, never reused.
        category: id of the project's category row.
        keypoints: (K, 2) float64 x, y in image pixels. Where visibility is 0 the numbers are kept but mean nothing.
        visibility: (K,) uint8, 0 absent, 1 occluded, 2 visible (COCO).
        scores: (K,) float64 keypoint scores of the model, or None. A score is never a visibility.
        by_human: (K,) bool, points that a person has set or confirmed.
        score: instance score of the model, or None.
        box: (4,) float64 x1 y1 x2 y2, or None.
        track: identity across frames, or None.
        source: "human", or the id of the model that made it.
        state: predicted until a person makes, edits or accepts it.
    """

    id: int
    category: int
    keypoints: Floats
    visibility: Bytes
    by_human: Flags
    scores: Floats | None = None
    score: float | None = None
    box: Floats | None = None
    track: int | None = None
    source: str = "human"
    state: State = State.LABELLED

    def __post_init__(self) -> None:
        for array in (self.keypoints, self.visibility, self.by_human, self.scores, self.box):
            if array is not None:
                array.flags.writeable = False

    @property
    def num_keypoints(self) -> int:
        return len(self.visibility)

    def same_as(self, other: Instance) -> bool:
        """Equal in every field, arrays compared by value."""
        return (
            (self.id, self.category, self.score, self.track, self.source, self.state)
            == (other.id, other.category, other.score, other.track, other.source, other.state)
            and np.array_equal(self.keypoints, other.keypoints)
            and np.array_equal(self.visibility, other.visibility)
            and np.array_equal(self.by_human, other.by_human)
            and _same_optional(self.scores, other.scores)
            and _same_optional(self.box, other.box)
        )


def _same_optional(a: Floats | None, b: Floats | None) -> bool:
    if a is None or b is None:
        return a is None and b is None
    return bool(np.array_equal(a, b))


@dataclass(frozen=True)
class Category:
    """A kind of object and the schema its instances follow."""

    id: int
    name: str
    schema: Schema


@dataclass(frozen=True)
class Media:
    """A set of images below one root, or one video file. ``kind`` is "images" or "video"."""

    id: int
    kind: str
    path: str


@dataclass(frozen=True)
class FrameState:
    """What is known of a whole frame.

    Attributes:
        reviewed, flagged: a person has said so.
        negative: a person has said that there is nothing to label.
        nothing_found: the last run of a model over the frame found nothing.
    """

    reviewed: bool = False
    flagged: bool = False
    negative: bool = False
    nothing_found: bool = False


@dataclass(frozen=True)
class Frame:
    """A frame as the project knows it. ``name`` is the path below the media's root; sizes are 0 while unknown."""

    key: FrameKey
    name: str
    width: int = 0
    height: int = 0
    state: FrameState = FrameState()


@dataclass(frozen=True)
class FrameEdit:
    """What an edit does to one frame: instances (by id) that were, and that are.

    An id only in ``before`` is deleted, only in ``after`` is new, in both is replaced. Instances not named stay.
    ``state`` is (before, after), or None when untouched.
    """

    frame: FrameKey
    before: tuple[Instance, ...] = ()
    after: tuple[Instance, ...] = ()
    state: tuple[FrameState, FrameState] | None = None


@dataclass(frozen=True)
class Edit:
    """One step of the history. Undo is the swap of before and after.

    ``text`` stands in the history and the Undo menu ("Move left_wrist"). Consecutive edits with the same non-empty
    ``merge_key`` become one step (a drag, a bulk accept, a job's results).
    """

    text: str
    frames: tuple[FrameEdit, ...]
    merge_key: str = ""

    def inverted(self) -> Edit:
        """The edit that takes this one back."""
        frames = tuple(
            replace(f, before=f.after, after=f.before, state=None if f.state is None else (f.state[1], f.state[0]))
            for f in self.frames
        )
        return replace(self, frames=frames)


@dataclass(frozen=True)
class Change:
    """What was touched, told to every view after an edit, an undo or an import."""

    frames: frozenset[FrameKey] = field(default_factory=frozenset)
    instances: frozenset[int] = field(default_factory=frozenset)
    structure: bool = False
    """True when media, frames or categories came or went, so lists must be read again."""
    media: frozenset[int] = field(default_factory=frozenset)
    """Videos that are another file now, so their pictures must be read again."""


class FrameCounts(NamedTuple):
    """What a frame holds: labelled instances, predicted ones, and the lowest instance score among the predicted."""

    labelled: int = 0
    predicted: int = 0
    min_score: float | None = None


class Counts(dict[FrameKey, FrameCounts]):
    """Counts of the frames that hold instances; ``counts[key]`` of any other frame is all zero."""

    def __missing__(self, key: FrameKey) -> FrameCounts:
        return FrameCounts()


@dataclass(frozen=True)
class Summary:
    """Totals of a project. ``labelled_frames`` and ``predicted_frames`` hold at least one such instance."""

    frames: int = 0
    labelled_frames: int = 0
    predicted_frames: int = 0
    reviewed_frames: int = 0
    flagged_frames: int = 0
    labelled: int = 0
    predicted: int = 0


@dataclass(frozen=True)
class Step:
    """One line of the history. ``time`` is seconds since 1970; ``done`` is False for what redo would bring back."""

    id: int
    text: str
    time: float
    done: bool
