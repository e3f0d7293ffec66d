"""Where the next frame of a kind is: with labels, predictions, a flag, a keyframe; and the ends of a track."""

from __future__ import annotations

from enum import StrEnum

from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore


class Mark(StrEnum):
    """What a frame may have, or lack. A frame with "nothing here" is labelled."""

    UNLABELLED = "unlabelled"
    LABELLED = "labelled"
    PREDICTED = "predicted"
    FLAGGED = "flagged"


_HOLDS = {
    Mark.UNLABELLED: "labelled = 0 AND state & 4 = 0",
    Mark.LABELLED: "(labelled > 0 OR state & 4 <> 0)",
    Mark.PREDICTED: "predicted > 0",
    Mark.FLAGGED: "state & 2 <> 0",
}


def next_marked(store: ProjectStore, key: FrameKey, mark: Mark, back: bool = False) -> FrameKey | None:
    """The next frame behind ``key`` (before it with ``back``) that has something; None when there is none."""
    sign, order = ("<", "DESC") if back else (">", "ASC")
    row = store.database.row(
        f"SELECT media, idx FROM frame WHERE (media, idx) {sign} (?, ?) AND {_HOLDS[mark]} "
        f"ORDER BY media {order}, idx {order} LIMIT 1",
        key,
    )
    return None if row is None else FrameKey(*row)


def next_keyframe(store: ProjectStore, key: FrameKey, track: int | None = None, back: bool = False) -> FrameKey | None:
    """The next frame of the same media in which a person has set a pose of a track, any track when None."""
    sign, order = ("<", "DESC") if back else (">", "ASC")
    if track is None:
        where, values = "track IS NOT NULL AND", [key.media, key.index]
    else:
        where, values = "track = ? AND", [track, key.media, key.index]
    row = store.database.row(
        f"SELECT idx FROM instance WHERE {where} media = ? AND idx {sign} ? AND state = 1 ORDER BY idx {order} LIMIT 1",
        values,
    )
    return None if row is None else FrameKey(key.media, row[0])


def between_keyframes(store: ProjectStore, key: FrameKey, track: int | None = None) -> FrameKey | None:
    """The frame in the middle of the two keyframes around ``key``; None when there is none on one of the sides.

    A keyframe itself counts as the earlier one.
    """
    before = next_keyframe(store, FrameKey(key.media, key.index + 1), track, back=True)
    after = next_keyframe(store, key, track)
    if before is None or after is None:
        return None
    return FrameKey(key.media, (before.index + after.index) // 2)


def track_ends(store: ProjectStore, media: int, track: int) -> tuple[int, int] | None:
    """First and last frame index of a track in a media; None where it is not."""
    results = [
        store.database.row(
            f"SELECT idx FROM instance WHERE track = ? AND media = ? ORDER BY idx {order} LIMIT 1", (track, media)
        )
        for order in ("ASC", "DESC")
    ]
    return None if results[0] is None or results[1] is None else (int(results[0][0]), int(results[1][0]))
