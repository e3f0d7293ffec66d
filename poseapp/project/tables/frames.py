"""Media and frames of a project: what there is to look at, where it lies, how large it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.media.source import use_as_frames
from poseapp.project.model import Counts, Frame, FrameCounts, FrameKey, FrameState, Media, Summary
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys, Packed
from poseapp.project.storage.database import Database, Row
from poseapp.project.storage.file_names import from_stored, to_stored
from poseapp.project.tables.instance_rows import frame_state

KINDS = ("images", "video")
_UNSURE = "coalesce(low, 1.0)"
_FOUND_NOTHING = "state & 8 <> 0 AND state & 5 = 0 AND labelled = 0 AND predicted = 0"
"""A model found nothing in the frame, and no person has said anything about it."""


class FrameTable:
    """The media and frame tables of one project."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._media: dict[int, Media] | None = None
        self._home = database.path.parent

    def forget(self) -> None:
        """Read the media anew next time."""
        self._media = None

    def media(self) -> dict[int, Media]:
        if self._media is None or self._home != self._db.path.parent:  # the folder may be renamed while it is open
            self._home = self._db.path.parent
            rows = self._db.rows("SELECT id, kind, path FROM media ORDER BY id")
            self._media = {i: Media(i, kind, self._absolute(path)) for i, kind, path in rows}
        return self._media

    def add_media(self, kind: str, path: Path | str) -> Media:
        """Raises ProjectError for a kind that is none."""
        if kind not in KINDS:
            raise ProjectError(f"there is no kind of media {kind!r}; it is one of {', '.join(KINDS)}", where=path)
        with self._db.write():
            media_id = self._db.run("INSERT INTO media (kind, path) VALUES (?, ?)", (kind, self.stored(path)))
        self.forget()
        return self.media()[media_id]

    def move_media(self, media: int, path: Path | str) -> Media:
        """Tell where a folder of images or a video lies now."""
        self._known(media)
        with self._db.write():
            self._db.run("UPDATE media SET path = ? WHERE id = ?", (self.stored(path), media))
        self.forget()
        return self.media()[media]

    def add(self, media: int, frames: Sequence[tuple[str, int, int]]) -> list[FrameKey]:
        """Append frames (name, width, height) behind those that the media has."""
        self._known(media)
        with self._db.write():
            row = self._db.row("SELECT max(idx) FROM frame WHERE media = ?", (media,))
            start = 0 if row is None or row[0] is None else int(row[0]) + 1
            keys = [FrameKey(media, start + n) for n in range(len(frames))]
            self._db.many(
                "INSERT INTO frame (media, idx, name, width, height) VALUES (?, ?, ?, ?, ?)",
                ((*key, to_stored(name), int(w), int(h)) for key, (name, w, h) in zip(keys, frames)),
            )
        return keys

    def all(self, media: int | None = None) -> list[Frame]:
        where, values = ("", ()) if media is None else ("WHERE media = ?", (media,))
        rows = self._db.rows(
            f"SELECT media, idx, name, width, height, state FROM frame {where} ORDER BY media, idx", values
        )
        return [Frame(FrameKey(m, i), from_stored(name), w, h, frame_state(state)) for m, i, name, w, h, state in rows]

    def names(self, media: int) -> list[str]:
        return [
            from_stored(name)
            for (name,) in self._db.rows("SELECT name FROM frame WHERE media = ? ORDER BY idx", (media,))
        ]

    def keys(self) -> FrameKeys:
        """All of them in order. A media row without gaps, as all are today, is not read frame by frame."""
        runs: list[Packed] = []
        for media, first, last, count in self._db.rows(
            "SELECT media, min(idx), max(idx), count(*) FROM frame GROUP BY media ORDER BY media"
        ):
            if last - first + 1 == count:
                indices = np.arange(first, last + 1, dtype=np.int64)
            else:
                indices = self._db.numbers("SELECT idx FROM frame WHERE media = ? ORDER BY idx", (media,))
            runs.append(media << 32 | indices)
        return FrameKeys(np.concatenate(runs)) if runs else NO_FRAMES

    def count(self) -> int:
        row = self._db.row("SELECT count(*) FROM frame")
        return int(row[0]) if row else 0

    def marks(self) -> npt.NDArray[np.uint8]:
        """(N,) of all frames in order: bits 1 labelled, 2 predicted, 4 reviewed, 8 flagged, 16 negative."""
        sql = "SELECT (labelled > 0) + 2 * (predicted > 0) + 4 * (state & 7) FROM frame ORDER BY media, idx"
        return self._db.numbers(sql).astype(np.uint8)

    def counts(self) -> Counts:
        rows = self._db.rows("SELECT media, idx, labelled, predicted, low FROM frame WHERE labelled OR predicted")
        return Counts({FrameKey(m, i): FrameCounts(n, p, low) for m, i, n, p, low in rows})

    def counts_of(self, key: FrameKey) -> FrameCounts:
        """All zero for a frame that is not there."""
        row = self._row(key)
        return FrameCounts() if row is None else FrameCounts(*row[4:7])

    def summary(self) -> Summary:
        row = self._db.row(
            "SELECT count(*), sum(labelled > 0), sum(predicted > 0), sum(state & 1 <> 0), sum(state & 2 <> 0), "
            "sum(labelled), sum(predicted) FROM frame"
        )
        return Summary(*(int(n or 0) for n in row)) if row else Summary()

    def review_queue(self) -> FrameKeys:
        """Frames with predictions, the lowest score first; a prediction without a score counts as sure. Then the frames
        in which a model found nothing."""
        predicted = f"SELECT media << 32 | idx FROM frame WHERE predicted > 0 ORDER BY {_UNSURE}, media, idx"
        empty = f"SELECT media << 32 | idx FROM frame WHERE {_FOUND_NOTHING} ORDER BY media, idx"
        return FrameKeys(np.concatenate([self._db.numbers(predicted), self._db.numbers(empty)]))

    def waits_for_review(self, key: FrameKey) -> bool:
        """Whether a frame is in the review queue."""
        row = self._row(key)
        return row is not None and bool(row[7])

    def get(self, key: FrameKey) -> Frame:
        """Raises ProjectError when there is no such frame."""
        row = self._row(key)
        if row is None:
            raise ProjectError(f"there is no frame {key.index} of media {key.media}", where=self._db.path)
        name, width, height, state = row[:4]
        return Frame(FrameKey(*key), from_stored(name), width, height, frame_state(state))

    def _row(self, key: FrameKey) -> Row | None:
        """Name, width, height, state, labelled, predicted, low, whether it waits for review; all in one read."""
        sql = (
            "SELECT name, width, height, state, labelled, predicted, low, "
            f"predicted > 0 OR {_FOUND_NOTHING} FROM frame WHERE media = ? AND idx = ?"
        )
        return self._db.cached(("frame", *key), lambda: self._db.row(sql, key))

    def state(self, key: FrameKey) -> FrameState:
        return self.get(key).state

    def path(self, key: FrameKey) -> Path:
        """The image file of a frame, or the video that it is in."""
        media = self._known(key.media)
        if media.kind == "video":
            use_as_frames(media.path)
            return Path(media.path)
        path = Path(media.path) / self.get(key).name
        use_as_frames(path, yes=False)
        return path

    def set_sizes(self, sizes: Iterable[tuple[FrameKey, int, int]]) -> None:
        with self._db.write():
            self._db.many(
                "UPDATE frame SET width = ?, height = ? WHERE media = ? AND idx = ?",
                ((int(width), int(height), *key) for key, width, height in sizes),
            )

    def _known(self, media: int) -> Media:
        known = self.media().get(media)
        if known is None:
            raise ProjectError(f"there is no media {media}", where=self._db.path)
        return known

    def stored(self, path: Path | str) -> str:
        """Relative below or beside the project file, so that both can be moved together; absolute elsewhere."""
        absolute = Path(os.path.abspath(path))
        home = Path(os.path.abspath(self._db.path.parent))
        return to_stored(absolute.relative_to(home).as_posix() if absolute.is_relative_to(home) else str(absolute))

    def _absolute(self, stored: str) -> str:
        return os.path.abspath(self._db.path.parent / from_stored(stored))
