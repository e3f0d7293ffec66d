"""Verbs of tracks and what is asked of them, on a real project; every one undone again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ProjectError
from poseapp.project.edits.tracks import (
    apply_tracks,
    assign_track,
    delete_track,
    join_tracks,
    split_track,
    swap_tracks,
    track_frames,
)
from poseapp.project.model import Edit, FrameKey, Instance
from poseapp.project.queries.tracks import Track, frames_with_instances, track_instances, tracks_of
from poseapp.project.store import ProjectStore
from tests.poseapp.project.track_project import add_video, put, tracks_at


@pytest.fixture
def media(store: ProjectStore) -> int:
    """Tracks 1 (left) and 2 (right) in frames 0..5; 2 is missing in frame 3."""
    index = add_video(store, 12)
    for n in range(6):
        put(store, FrameKey(index, n), 10 + n, 1, labelled=n == 0)
        if n != 3:
            put(store, FrameKey(index, n), 40 + n, 2)
    return index


def everything(store: ProjectStore, media: int) -> list[tuple[FrameKey, Instance]]:
    return [(key, i) for key, instances in frames_with_instances(store, media) for i in instances]


@pytest.fixture
def done(store: ProjectStore, media: int) -> Callable[[Edit], dict[int, list[int | None]]]:
    """Applies an edit, looks, undoes it, looks that all is as before, does it again."""

    def run(edit: Edit) -> dict[int, list[int | None]]:
        before = tracks_at(store, media)
        steps = store.history_length()[1]
        store.apply(edit)
        assert store.history_length()[1] == steps + 1
        after = tracks_at(store, media)
        store.undo()
        assert tracks_at(store, media) == before
        store.redo()
        assert tracks_at(store, media) == after
        return after

    return run


def test_lanes_tell_runs_gaps_and_states(store: ProjectStore, media: int) -> None:
    category = store.categories()[0].id
    put(store, FrameKey(media, 9), 1, 2, source="interpolated")
    one, two = tracks_of(store, media)
    assert one == Track(1, category, ((0, 5),), labelled=1, predicted=5)
    assert two == Track(2, category, ((0, 2), (4, 5), (9, 9)), predicted=5, interpolated=1)
    assert (two.first, two.last, two.frames, two.gaps) == (0, 9, 6, ((3, 3), (6, 8)))
    assert tracks_of(store, 1) == []


def test_poses_of_a_range_of_a_track(store: ProjectStore, media: int) -> None:
    assert [key.index for key, _ in track_instances(store, 2, media, 2, 4)] == [2, 4]
    assert [(key.index, len(result)) for key, result in frames_with_instances(store, media, 3, 4)] == [(3, 1), (4, 2)]


def test_numbers_are_never_given_twice(store: ProjectStore, media: int, tmp_path: Path) -> None:
    (index,) = store.new_track_numbers()
    assert index == 3
    put(store, FrameKey(media, 0), 70, index)
    store.undo()
    assert store.new_track_numbers(2) == range(4, 6)
    store.close()
    with ProjectStore.open(tmp_path / "test.pose") as again:
        assert again.new_track_numbers() == range(4, 5)  # undone, but used; those that nobody used are free again


def test_assigning_gives_the_other_the_old_number(store: ProjectStore, media: int, done: Callable) -> None:
    key = FrameKey(media, 2)
    instances = store.instances(key)
    assert done(assign_track(key, instances, instances[0], 2))[2] == [2, 1]
    assert done(assign_track(key, store.instances(key), store.instances(key)[0], None))[2] == [None, 1]
    assert store.instance(instances[0].id).state is instances[0].state


def test_swap_from_here_on(store: ProjectStore, media: int, done: Callable) -> None:
    result = done(swap_tracks(everything(store, media), 1, 2, FrameKey(media, 3)))
    assert result == {0: [1, 2], 1: [1, 2], 2: [1, 2], 3: [2], 4: [2, 1], 5: [2, 1]}


def test_split(store: ProjectStore, media: int, done: Callable) -> None:
    items = everything(store, media)
    assert done(split_track(items, 1, FrameKey(media, 4), 7)) == {
        0: [1, 2], 1: [1, 2], 2: [1, 2], 3: [1], 4: [7, 2], 5: [7, 2]
    }  # fmt: skip
    for index in (0, 6):
        with pytest.raises(ProjectError, match="nothing to split"):
            split_track(everything(store, media), 2, FrameKey(media, index), 8)


def test_join(store: ProjectStore, media: int, done: Callable) -> None:
    put(store, FrameKey(media, 8), 40, 5)
    assert done(join_tracks(everything(store, media), 2, 5))[8] == [2]
    with pytest.raises(ProjectError, match=r"both in 5 frames \(index 0, 1, 2, \.\.\.\)"):
        join_tracks(everything(store, media), 1, 2)
    with pytest.raises(ProjectError, match="itself"):
        join_tracks([], 1, 1)
    assert done(join_tracks(everything(store, media), 1, 2, drop_overlap=True)) == {
        **{n: [1, None] for n in (0, 1, 2, 4, 5)}, 3: [1], 8: [1]
    }  # fmt: skip


def test_delete_all_or_a_range(store: ProjectStore, media: int, done: Callable) -> None:
    result = done(delete_track(everything(store, media), 1, FrameKey(media, 2), FrameKey(media, 4)))
    assert result == {0: [1, 2], 1: [1, 2], 2: [2], 4: [2], 5: [1, 2]}
    assert done(delete_track(everything(store, media), 1, only_predicted=True))[0] == [1, 2]
    assert done(delete_track(everything(store, media), 1))[0] == [2]


def test_tracking_keeps_what_a_person_has_said(store: ProjectStore, done: Callable, media: int) -> None:
    index = add_video(store, 10, "other.mp4")
    for n in range(10):
        put(store, FrameKey(index, n), 10 + n)
        put(store, FrameKey(index, n), 45 - n, 77 if n == 5 else None, labelled=n == 5)
    frames = list(frames_with_instances(store, index))
    categories = {c.id: c for c in store.categories()}
    seen: list[tuple[int, int]] = []
    first = store.new_track_numbers(1)[0]
    values = track_frames(frames, categories, first_number=first, progress=lambda *n: seen.append(n))
    assert seen[-1] == (9, 10)
    store.apply(apply_tracks(frames, values))
    assert {tuple(ids) for n, ids in tracks_at(store, index).items()} == {(first, 77)}
    assert store.instance(frames[5][1][1].id).track == 77
    store.undo()
    assert set(tracks_at(store, index)[0]) == {None}
    store.apply(apply_tracks(frames, values, keep_labelled=False))
    assert {tuple(ids) for ids in tracks_at(store, index).values()} == {(first, first + 1)}


def test_two_tracks_never_meet_in_a_frame_after_tracking(store: ProjectStore) -> None:
    index = add_video(store, 3, "other.mp4")
    for n in range(3):
        # the person says that the two changed places in frame 1
        put(store, FrameKey(index, n), 10, 8 if n == 1 else 9, labelled=True)
        put(store, FrameKey(index, n), 45, 9 if n == 1 else None, labelled=n == 1)
    frames = list(frames_with_instances(store, index))
    values = track_frames(frames, {c.id: c for c in store.categories()}, first_number=100)
    store.apply(apply_tracks(frames, values))
    for ids in tracks_at(store, index).values():
        assert len(set(ids)) == len(ids)
    assert tracks_at(store, index)[1] == [8, 9]


def test_a_prediction_of_what_is_labelled_stays_without_a_track(store: ProjectStore) -> None:
    index = add_video(store, 4, "other.mp4")
    for n in range(4):
        put(store, FrameKey(index, n), 10.5)
        if n < 2:
            put(store, FrameKey(index, n), 10, labelled=True)
    frames = list(frames_with_instances(store, index))
    store.apply(apply_tracks(frames, track_frames(frames, {c.id: c for c in store.categories()}, first_number=5)))
    assert tracks_at(store, index) == {0: [5, None], 1: [5, None], 2: [5], 3: [5]}


def test_an_empty_project_has_no_tracks(store: ProjectStore) -> None:
    assert track_frames([], {}) == []
    assert apply_tracks([], []).frames == ()
    assert delete_track([], 3).frames == ()
    assert np.array_equal(tracks_of(store, 99), [])
