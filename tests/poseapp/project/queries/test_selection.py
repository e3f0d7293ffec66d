"""From selected frames to the labelling queue."""

from __future__ import annotations

import pytest

from engine.errors import ProjectError
from engine.frame_selection import select_uncertain
from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_query import FrameQuery
from poseapp.project.queries.selection import frame_scores, frames_of, labelled_frames, queue_frames
from poseapp.project.store import ProjectStore
from tests.poseapp.project.track_project import add_video, put


def test_the_unsurest_frames_are_queued_in_one_step(store: ProjectStore) -> None:
    media = add_video(store, 6)
    put(store, FrameKey(media, 1), 5)
    put(store, FrameKey(media, 3), 5)
    put(store, FrameKey(media, 4), 5, labelled=True)
    assert frame_scores(store, media) == [(1, 0.9), (3, 0.9)]
    chosen = select_uncertain(frame_scores(store, media), 1, exclude=labelled_frames(store, media))
    edit = queue_frames(frames_of(store, media, chosen))
    assert edit.text == "Queue 1 frame for labelling"
    store.apply(edit)
    assert list(store.find_frames(FrameQuery(flagged=True))) == [FrameKey(media, 1)]
    assert labelled_frames(store, media) == {1, 4}
    store.undo()
    assert labelled_frames(store, media) == {4}
    assert queue_frames([]).frames == ()
    with pytest.raises(ProjectError):
        frames_of(store, media, [99])
