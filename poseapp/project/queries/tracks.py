"""What the project knows of identities: where each track is, its poses, and numbers for new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from poseapp.project.model import FrameKey, Instance
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

INTERPOLATED = "interpolated"
"""``source`` of poses made from keyframes."""

# Frames in a row have the same difference to their rank: those are the runs.
_RUNS = """
  WITH there AS (
    SELECT track, idx, idx - dense_rank() OVER (PARTITION BY track ORDER BY idx) AS run, state, source, category
    FROM instance WHERE track IS NOT NULL AND media = ?1
  )
  SELECT track, min(idx), max(idx), count(DISTINCT idx), sum(state = 1), sum(state = 0),
    sum(state = 0 AND source = ?2), min(category)
  FROM there GROUP BY track, run ORDER BY track, min(idx)
"""


@dataclass(frozen=True)
class Track:
    """One identity in one media.

    Attributes:
        number: its number in the project.
        category: of its first pose.
        runs: first and last frame index of each stretch without a gap, in order.
        labelled, predicted, interpolated: number of poses; the interpolated are not among the predicted.
    """

    number: int
    category: int
    runs: tuple[tuple[int, int], ...]
    labelled: int = 0
    predicted: int = 0
    interpolated: int = 0

    @property
    def first(self) -> int:
        return self.runs[0][0]

    @property
    def last(self) -> int:
        return self.runs[-1][1]

    @property
    def frames(self) -> int:
        """In how many frames it is."""
        return sum(last - first + 1 for first, last in self.runs)

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last frame index of each stretch between its first and last frame in which it is not."""
        return tuple((before[1] + 1, after[0] - 1) for before, after in pairwise(self.runs))


def tracks_of(store: ProjectStore, media: int) -> list[Track]:
    """The tracks of a media by number, read in one pass."""
    results: list[Track] = []
    listed = store.database.rows(_RUNS, (media, INTERPOLATED))
    for index, lines in groupby(listed, key=lambda row: row[0]):
        runs = list(lines)
        labelled, waiting, interpolated = (sum(int(run[n]) for run in runs) for n in (4, 5, 6))
        spans = tuple((int(run[1]), int(run[2])) for run in runs)
        results.append(Track(int(index), int(runs[0][7]), spans, labelled, waiting - interpolated, interpolated))
    return results


def track_instances(
    store: ProjectStore, track: int, media: int, first: int = 0, last: int | None = None
) -> list[tuple[FrameKey, Instance]]:
    """The poses of a track in a media from one frame index to another, both included, in order."""
    where, values = "track = ? AND media = ? AND idx >= ?", [track, media, first]
    if last is not None:
        where, values = f"{where} AND idx <= ?", [*values, last]
    result = store.database.rows(f"{instance_rows.SELECT} WHERE {where} ORDER BY idx, id", values)
    return [(FrameKey(row[1], row[2]), instance_rows.from_row(row)) for row in result]


def frames_with_instances(
    store: ProjectStore, media: int, first: int = 0, last: int | None = None
) -> Iterator[tuple[FrameKey, tuple[Instance, ...]]]:
    """Frames of a media that hold poses, with these, from one frame index to another, both included, in order."""
    where, values = "media = ? AND idx >= ?", [media, first]
    if last is not None:
        where, values = f"{where} AND idx <= ?", [*values, last]
    sql = f"{instance_rows.SELECT} WHERE {where} ORDER BY idx, id"
    listed = (row for block in store.database.stream(sql, values) for row in block)
    for index, of_frame in groupby(listed, key=lambda row: int(row[2])):
        yield FrameKey(media, index), tuple(instance_rows.from_row(row) for row in of_frame)
