"""Frames that are worth labelling, and the queue they are put in: the flagged frames."""

from __future__ import annotations

from collections.abc import Iterable

from poseapp.project.edits.basic import combined, set_frame_state
from poseapp.project.model import Edit, Frame, FrameKey
from poseapp.project.store import ProjectStore


def frame_scores(store: ProjectStore, media: int) -> list[tuple[int, float]]:
    """Index and lowest instance score of the frames of a media that hold predictions; for
    :func:`engine.frame_selection.select_uncertain`."""
    sql = "SELECT idx, low FROM frame WHERE media = ? AND predicted > 0 AND low IS NOT NULL ORDER BY idx"
    return [(int(index), float(low)) for index, low in store.database.rows(sql, (media,))]


def labelled_frames(store: ProjectStore, media: int) -> set[int]:
    """Indices of frames that nobody needs to be sent to again: labelled, reviewed, negative or in the queue already."""
    sql = "SELECT idx FROM frame WHERE media = ? AND (labelled > 0 OR state <> 0)"
    return {int(index) for (index,) in store.database.rows(sql, (media,))}


def queue_frames(frames: Iterable[Frame]) -> Edit:
    """Put frames into the labelling queue, as one step."""
    unflagged = [frame for frame in frames if not frame.state.flagged]
    text = "Queue 1 frame for labelling" if len(unflagged) == 1 else f"Queue {len(unflagged)} frames for labelling"
    return combined(text, [set_frame_state(frame.key, frame.state, flagged=True) for frame in unflagged])


def frames_of(store: ProjectStore, media: int, indices: Iterable[int]) -> list[Frame]:
    """Frames of a media by index.

    Raises:
        ProjectError: there is no such frame.
    """
    return [store.frame(FrameKey(media, index)) for index in indices]
