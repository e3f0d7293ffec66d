"""The numbers behind the timeline: visible frames, track lanes, ticks of the ruler."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseapp.project.queries.tracks import INTERPOLATED
from poseapp.project.store import ProjectStore

Codes = npt.NDArray[np.uint8]
Packed = npt.NDArray[np.int64]

NOTHING, PREDICTED_POSE, INTERPOLATED_POSE, LABELLED_POSE = 0, 1, 2, 3
"""What a track has in a frame; the larger counts where several frames share a pixel."""
MIN_FRAMES = 12
"""So many frames at least are in sight, however near one looks."""

_KIND = f"CASE WHEN state = 1 THEN {LABELLED_POSE} WHEN source = ? THEN {INTERPOLATED_POSE} ELSE {PREDICTED_POSE} END"
_TRACK_SHIFT, _INDEX_SHIFT = 34, 2
_INDEX_MASK, _KIND_MASK = (1 << 32) - 1, 3


@dataclass(frozen=True)
class Sight:
    """The visible range: ``count`` of ``total`` frames from ``start`` on; both may be fractions."""

    total: int
    start: float
    count: float

    @staticmethod
    def whole(total: int) -> Sight:
        return Sight(total, 0.0, float(max(total, 1)))

    @property
    def is_whole(self) -> bool:
        return self.count >= self.total

    def at(self, share: float) -> float:
        """The frame at a fraction of the width: 0 is left, 1 is right."""
        return self.start + share * self.count

    def share(self, frame: float) -> float:
        return (frame - self.start) / self.count

    def zoomed(self, factor: float, share: float) -> Sight:
        """Zoomed in (factor above 1) or out; the frame at this fraction of the width stays in place."""
        most = float(max(self.total, 1))
        count = min(max(self.count / factor, min(MIN_FRAMES, most)), most)
        return self._placed(self.at(share) - share * count, count)

    def moved(self, frames: float) -> Sight:
        return self._placed(self.start + frames, self.count)

    def showing(self, frame: int, *, page: bool = False) -> Sight:
        """Scrolled so that a frame is visible: by as little as possible, or by ``page``."""
        if self.start <= frame and frame + 1 <= self.start + self.count:
            return self
        if page:
            return self._placed(frame - 0.05 * self.count, self.count)
        start = frame - 0.1 * self.count if frame < self.start else frame + 1 - 0.9 * self.count
        return self._placed(start, self.count)

    def _placed(self, start: float, count: float) -> Sight:
        return Sight(self.total, min(max(start, 0.0), max(self.total - count, 0.0)), count)


class TrackLanes:
    """The tracks of one media, frame by frame.

    Args:
        packed: (N,) int64 as :func:`read_lanes` gives them.
    """

    def __init__(self, packed: Packed | None = None) -> None:
        has_frame = np.zeros(0, np.int64) if packed is None else np.sort(packed)
        # Two poses of one track in a frame: the sort has put the one that counts last.
        self._packed = has_frame[np.diff(has_frame >> _INDEX_SHIFT, append=-1) != 0] if len(has_frame) else has_frame
        self.tracks: tuple[int, ...] = tuple(np.unique(self._packed >> _TRACK_SHIFT).tolist())

    def __len__(self) -> int:
        return len(self.tracks)

    def of(self, track: int) -> tuple[Packed, Codes]:
        """Indices of the frames of a track, ascending, and its state in each."""
        return self._between(track, 0, _INDEX_MASK)

    def in_columns(self, track: int, start: float, count: float, columns: int) -> Codes:
        """(columns,) state of a track in the frames ``start`` to ``start + count``, one value per column."""
        has_frame = np.zeros(max(columns, 1), np.uint8)
        indices, kinds = self._between(track, max(int(start), 0), int(np.ceil(start + count)))
        if not len(indices):
            return has_frame
        left = np.clip(np.floor((indices - start) / count * columns), 0, columns - 1).astype(np.int64)
        right = np.clip(np.ceil((indices + 1 - start) / count * columns) - 1, left, columns - 1).astype(np.int64)
        for kind in (PREDICTED_POSE, INTERPOLATED_POSE, LABELLED_POSE):
            of_kind = kinds == kind
            edges = np.zeros(columns + 1, np.int64)
            np.add.at(edges, left[of_kind], 1)
            np.add.at(edges, right[of_kind] + 1, -1)
            has_frame[np.cumsum(edges)[:columns] > 0] = kind
        return has_frame

    def replaced(self, indices: Iterable[int], packed: Packed) -> TrackLanes:
        """A copy with new poses in these frames; the same object if nothing differs."""
        gone = np.fromiter(indices, np.int64)
        touched = np.isin((self._packed >> _INDEX_SHIFT) & _INDEX_MASK, gone)
        if np.array_equal(self._packed[touched], TrackLanes(packed)._packed):
            return self
        return TrackLanes(np.concatenate([self._packed[~touched], packed]))

    def _between(self, track: int, first: int, last: int) -> tuple[Packed, Codes]:
        low = np.searchsorted(self._packed, track << _TRACK_SHIFT | first << _INDEX_SHIFT)
        high = np.searchsorted(self._packed, track << _TRACK_SHIFT | last << _INDEX_SHIFT | _KIND_MASK, side="right")
        part = self._packed[low:high]
        return (part >> _INDEX_SHIFT) & _INDEX_MASK, (part & _KIND_MASK).astype(np.uint8)


def read_lanes(store: ProjectStore, media: int, index: int | None = None) -> Packed:
    """(N,) one packed number per pose with a track: track, frame index and state.

    Of one frame, or of the whole media.
    """
    sql = (
        f"SELECT (track << {_TRACK_SHIFT}) | (idx << {_INDEX_SHIFT}) | ({_KIND}) FROM instance "
        "WHERE track IS NOT NULL AND media = ?"
    )
    values: list[object] = [INTERPOLATED, media]
    if index is not None:
        sql, values = f"{sql} AND idx = ?", [*values, index]
    return store.database.numbers(sql, values)


def in_columns(marks: npt.NDArray[np.bool_], start: float, count: float, columns: int) -> npt.NDArray[np.bool_]:
    """(columns,) whether a frame of each column is marked; ``marks`` is (N,), one per frame."""
    label_font = np.zeros(max(columns, 1), np.bool_)
    edges = np.clip(start + np.arange(columns + 1) * (count / max(columns, 1)), 0, len(marks))
    low, high = np.floor(edges[:-1]).astype(np.int64), np.ceil(edges[1:]).astype(np.int64)
    before = np.concatenate([[0], np.cumsum(marks[low[0] : high[-1]])]) if columns > 0 and len(marks) else None
    if before is not None:
        label_font = before[high - low[0]] > before[low - low[0]]
    return label_font


def runs_of(codes: Codes | npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Runs of equal nonzero columns: first, last (inclusive), code."""
    if not len(codes):
        return []
    cuts = np.flatnonzero(np.diff(codes)) + 1
    first = np.concatenate([[0], cuts])
    last = np.concatenate([cuts - 1, [len(codes) - 1]])
    return [(a, b, int(codes[a])) for a, b in zip(first.tolist(), last.tolist()) if codes[a]]


def frame_step(count: float, width: float, room: float) -> int:
    """Frames between two labels of the ruler: 1, 2, 5, 10, 20, ..., so that each has ``room`` pixels."""
    least = max(count * room / max(width, 1.0), 1.0)
    power = 10 ** int(np.floor(np.log10(least)))
    return int(next(power * n for n in (1, 2, 5, 10) if power * n >= least))


def clock_text(seconds: float) -> str:
    """``h:mm:ss.mmm``."""
    thousandths = round(max(seconds, 0.0) * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{rest:03}"
