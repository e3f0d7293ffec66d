"""Which file a video of the project is, and what frames it has: the part of a step that takes another file for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from engine.errors import ProjectError
from poseapp.project.storage.database import Database

_MOST = 1 << 31
"""More frames than any film has."""


def frame_name(index: int) -> str:
    """What a frame of a video is called, in lists and as a file."""
    return f"{index:06d}"


class MediaState(msgspec.Struct, frozen=True, array_like=True):
    """A video as the project knows it.

    Attributes:
        path: as it stands in the table, relative to the project where it lies beside it.
        fingerprint: text of an :class:`engine.media.alignment.fingerprint.Fingerprint`; "" while none is kept.
        runs: number of frames, width and height of each stretch of frames of one size, in order.
    """

    path: str
    fingerprint: str
    runs: tuple[tuple[int, int, int], ...]

    @property
    def frame_count(self) -> int:
        return sum(count for count, _, _ in self.runs)


class MediaDelta(NamedTuple):
    """One video in a step. ``moved``: frame i of the one file is not frame i of the other."""

    media: int
    before: MediaState
    after: MediaState
    moved: bool


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(MediaState).decode


def decode(data: bytes) -> MediaState:
    """Raises ProjectError for what :data:`encode` has not made."""
    try:
        state = _decode(data)
    except (msgspec.MsgspecError, TypeError):
        state = None
    if state is None or any(not 0 <= n < _MOST for run in state.runs for n in run) or state.frame_count >= _MOST:
        raise ProjectError("the history of a video's file is damaged; restore the project from a backup")
    return state


def read_state(database: Database, media: int) -> MediaState:
    """Raises ProjectError when there is no such media."""
    row = database.row(
        "SELECT path, coalesce(text, '') FROM media LEFT JOIN fingerprint ON media = id WHERE id = ?", (media,)
    )
    if row is None:
        raise ProjectError(f"there is no media {media}", where=database.path)
    runs: list[tuple[int, int, int]] = []
    for width, height in database.rows("SELECT width, height FROM frame WHERE media = ? ORDER BY idx", (media,)):
        if runs and runs[-1][1:] == (width, height):
            runs[-1] = (runs[-1][0] + 1, width, height)
        else:
            runs.append((1, width, height))
    return MediaState(row[0], row[1], tuple(runs))


def grow(database: Database, media: int, state: MediaState) -> None:
    """Add the frames that a state has and the project has not; before instances go there."""
    count = _count(database, media)
    database.many(
        "INSERT INTO frame (media, idx, name) VALUES (?, ?, ?)",
        ((media, index, frame_name(index)) for index in range(count, state.frame_count)),
    )


def settle(database: Database, media: int, state: MediaState) -> None:
    """Bring file, fingerprint, number and sizes of frames to a state; after instances have left the frames that go."""
    database.run("UPDATE media SET path = ? WHERE id = ?", (state.path, media))
    if state.fingerprint:
        database.run("INSERT OR REPLACE INTO fingerprint VALUES (?, ?)", (media, state.fingerprint))
    else:
        database.run("DELETE FROM fingerprint WHERE media = ?", (media,))
    database.run("DELETE FROM frame WHERE media = ? AND idx >= ?", (media, state.frame_count))
    first = 0
    for count, width, height in state.runs:
        database.run(
            "UPDATE frame SET width = ?1, height = ?2 WHERE media = ?3 AND idx BETWEEN ?4 AND ?5 "
            "AND (width <> ?1 OR height <> ?2)",
            (width, height, media, first, first + count - 1),
        )
        first += count


@contextlib.contextmanager
def counted_once(database: Database, media: Sequence[int]) -> Iterator[None]:
    """While most instances of some media are moved: what lists filter by is made anew at the end, and not a row at a
    time by triggers. Within a transaction; for no media nothing is different.
    """
    if not media:
        yield
        return
    triggers = database.rows("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'instance'")
    for name, _ in triggers:
        database.run(f'DROP TRIGGER "{name}"')
    yield
    for index in media:
        for statement in _RECOUNT:
            database.run(statement, (index,))
    for _, statement in triggers:
        database.run(statement)


_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_RECOUNT = (
    f"""UPDATE frame
      SET labelled = 0, predicted = 0, low = NULL, occluded = 0, absent = 0, tracked = 0, changed = {_NOW}
      WHERE media = ?1 AND (labelled OR predicted)""",
    f"""UPDATE frame SET labelled = f.labelled, predicted = f.predicted, low = f.low, occluded = f.occluded,
      absent = f.absent, tracked = f.tracked, changed = {_NOW}
      FROM (
        SELECT idx, sum(state = 1) AS labelled, sum(state = 0) AS predicted,
          min(CASE WHEN state = 0 THEN score END) AS low,
          count(CASE WHEN instr(visibility, x'01') THEN 1 END) AS occluded,
          count(CASE WHEN instr(visibility, x'00') THEN 1 END) AS absent, count(track) AS tracked
        FROM instance WHERE media = ?1 GROUP BY idx
      ) AS f WHERE frame.media = ?1 AND frame.idx = f.idx""",
    "DELETE FROM frame_category WHERE media = ?1",
    """INSERT INTO frame_category
      SELECT category, media, idx, count(*) FROM instance WHERE media = ?1 GROUP BY category, media, idx""",
)


def _count(database: Database, media: int) -> int:
    row = database.row("SELECT coalesce(max(idx) + 1, 0) FROM frame WHERE media = ?", (media,))
    return int(row[0]) if row else 0
