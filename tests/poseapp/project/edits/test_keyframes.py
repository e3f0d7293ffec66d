"""Poses between keyframes and carried on by optical flow, on a real project."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.errors import ProjectError
from engine.pose import Prediction
from poseapp.project.edits.basic import delete_instances, move_keypoints
from poseapp.project.edits.keyframes import (
    interpolate_track,
    is_interpolated,
    is_keyframe,
    propagate_forward,
    propagate_pose,
)
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.queries.tracks import track_instances, tracks_of
from poseapp.project.store import ProjectStore
from tests.poseapp.project.track_project import add_video, put


def xs(store: ProjectStore, media: int) -> dict[int, float]:
    return {key.index: float(i.keypoints[0, 0]) for key, i in track_instances(store, 1, media)}


def test_frames_between_keyframes_are_filled_and_predictions_kept(store: ProjectStore) -> None:
    media = add_video(store, 12)
    for n, x in ((2, 20), (6, 40), (10, 10)):
        put(store, FrameKey(media, n), x, 1, labelled=True)
    remaining = put(store, FrameKey(media, 4), 99, 1)
    store.apply(interpolate_track(track_instances(store, 1, media), store.new_ids))
    assert xs(store, media) == {2: 20, 3: 25, 4: 99, 5: 35, 6: 40, 7: 32.5, 8: 25, 9: 17.5, 10: 10}
    created = dict(track_instances(store, 1, media))[FrameKey(media, 5)]
    assert (created.source, created.state, created.by_human.any()) == ("interpolated", State.PREDICTED, False)
    assert created.box is not None
    assert created.box.tolist() == [33, 18, 45, 30]
    assert store.instance(remaining.id).same_as(remaining)
    assert (tracks_of(store, media)[0].interpolated, tracks_of(store, media)[0].predicted) == (5, 1)
    store.undo()
    assert xs(store, media) == {2: 20, 4: 99, 6: 40, 10: 10}


def test_again_after_an_edit_it_follows_and_keeps_ids(store: ProjectStore) -> None:
    media = add_video(store, 12)
    first = put(store, FrameKey(media, 0), 0, 1, labelled=True)
    put(store, FrameKey(media, 4), 40, 1, labelled=True)
    last = put(store, FrameKey(media, 8), 40, 1, labelled=True)
    store.apply(interpolate_track(track_instances(store, 1, media), store.new_ids, smooth=True))
    ids = {key: i.id for key, i in track_instances(store, 1, media)}
    assert all(x == 40 for n, x in xs(store, media).items() if n > 4)
    assert interpolate_track(track_instances(store, 1, media), store.new_ids, smooth=True).frames == ()
    # An interpolated pose that a person moves is a keyframe; a keyframe that goes takes its curve along.
    middle = store.instance(ids[FrameKey(media, 2)])
    store.apply(move_keypoints(FrameKey(media, 2), middle, {0: (33.0, 20.0)}))
    store.apply(delete_instances(FrameKey(media, 8), [last]))
    items = track_instances(store, 1, media)
    assert [key.index for key, i in items if is_keyframe(i)] == [0, 2, 4]
    store.apply(interpolate_track(items, store.new_ids))
    assert xs(store, media) == {0: 0, 1: 16.5, 2: 33, 3: 36.5, 4: 40}
    assert {key: i.id for key, i in track_instances(store, 1, media)}.items() <= ids.items()
    assert not is_interpolated(first)


def test_smooth_stays_between_its_keyframes_and_times_count(store: ProjectStore) -> None:
    media = add_video(store, 12)
    for n, x in ((0, 0), (4, 30), (8, 32)):
        put(store, FrameKey(media, n), x, 1, labelled=True)
    edit = interpolate_track(track_instances(store, 1, media), store.new_ids, smooth=True)
    results = {f.frame.index: f.after[0].keypoints[0, 0] for f in edit.frames}
    assert 7.5 < results[1] < 30
    assert 30 < results[5] < 32
    late = interpolate_track(track_instances(store, 1, media), store.new_ids, time=lambda n: n if n < 4 else n + 4)
    assert {f.frame.index: f.after[0].keypoints[0, 0] for f in late.frames}[1] == pytest.approx(30 / 8)


def test_long_gaps_and_other_frames_can_be_left_out(store: ProjectStore) -> None:
    media = add_video(store, 12)
    for n in (0, 3, 11):
        put(store, FrameKey(media, n), n, 1, labelled=True)
    items = track_instances(store, 1, media)
    assert [f.frame.index for f in interpolate_track(items, store.new_ids, longest_gap=3).frames] == [1, 2]
    only = {FrameKey(media, 5)}
    assert [f.frame.index for f in interpolate_track(items, store.new_ids, frames=only).frames] == [5]


def test_what_cannot_be_interpolated(store: ProjectStore) -> None:
    media = add_video(store, 4)
    one = put(store, FrameKey(media, 0), 0, 1, labelled=True)
    two = put(store, FrameKey(media, 2), 0, 2, labelled=True)
    with pytest.raises(ProjectError, match="one track"):
        interpolate_track([(FrameKey(media, 0), one), (FrameKey(media, 2), two)], store.new_ids)
    assert interpolate_track([], store.new_ids).frames == ()
    assert interpolate_track([(FrameKey(media, 0), one)], store.new_ids).frames == ()
    twin = replace(two, track=1)
    with pytest.raises(ProjectError, match="ascend"):
        interpolate_track([(FrameKey(media, 0), one), (FrameKey(media, 2), twin)], store.new_ids, time=lambda _: 1.0)


def picture(shift: float) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    move = np.array([[1, 0, shift], [0, 1, 0]], np.float64)
    return cv2.warpAffine(cv2.GaussianBlur(noise, (0, 0), 2), move, (160, 120), borderMode=cv2.BORDER_REFLECT)


def carry(store: ProjectStore, start: FrameKey, pose: Instance, count: int, step: float = 3) -> None:
    pictures = ((FrameKey(start.media, start.index + n), picture(step * n)) for n in range(count))
    for edit in propagate_forward(start, pose, pictures, store.instances, store.new_ids, track=1):
        store.apply(edit)


def test_a_pose_is_carried_on_in_one_step_up_to_the_next_keyframe(store: ProjectStore) -> None:
    media = add_video(store, 12)
    pose = put(store, FrameKey(media, 0), 60, labelled=True)
    put(store, FrameKey(media, 2), 0, 1)
    put(store, FrameKey(media, 5), 0, 1, labelled=True)
    steps = store.history_length()[1]
    carry(store, FrameKey(media, 0), pose, 8)
    assert xs(store, media) == pytest.approx({0: 60, 1: 63, 2: 66, 3: 69, 4: 72, 5: 0}, abs=0.3)
    carried = dict(track_instances(store, 1, media))[FrameKey(media, 4)]
    assert carried.state is State.PREDICTED
    assert carried.score == 1.0
    assert carried.box == pytest.approx([70, 18, 82, 30], abs=0.5)
    assert store.history_length()[1] == steps + 1
    store.undo()
    assert xs(store, media) == {2: 0, 5: 0}


def test_a_lost_pose_is_not_carried_on(store: ProjectStore) -> None:
    media = add_video(store, 4)
    pose = put(store, FrameKey(media, 0), 60, labelled=True)
    black = np.zeros((120, 160, 3), np.uint8)
    assert propagate_pose(picture(0), black, pose, 9) is None
    empty = replace(pose, visibility=np.zeros(4, np.uint8))
    assert propagate_pose(picture(0), picture(1), empty, 9) is None


def test_a_model_looks_where_the_flow_has_carried_the_box(store: ProjectStore) -> None:
    media = add_video(store, 12)
    pose = put(store, FrameKey(media, 0), 60, 1, labelled=True)
    boxes: list[list[float]] = []

    def estimate(image: np.ndarray, box: np.ndarray) -> Prediction:
        boxes.append(box.tolist())
        points = np.array([[box[0], box[1], 0.9], [box[2], box[3], 0.8], [5, 5, 0.1], [np.nan, 5, 0.9]])
        return Prediction(points, box, 0.8 if len(boxes) < 4 else 0.05)

    pictures = ((FrameKey(media, n), picture(3 * n)) for n in range(8))
    for edit in propagate_forward(FrameKey(media, 0), pose, pictures, store.instances, store.new_ids, None, estimate):
        store.apply(edit)
    assert [key.index for key, _ in track_instances(store, 1, media)] == [0, 1, 2, 3]  # then it sees nothing
    assert boxes[0] == pytest.approx([61, 18, 73, 30], abs=0.5)
    result = dict(track_instances(store, 1, media))[FrameKey(media, 1)]
    assert result.visibility.tolist() == [2, 2, 0, 0]
    assert (result.source, result.state, result.score) == ("propagated", State.PREDICTED, 0.8)
    store.undo()
    assert len(track_instances(store, 1, media)) == 1


@pytest.mark.parametrize(("gap", "filled"), [(1, []), (2, [1, 2]), (3, [1, 2]), (7, [1, 2, *range(4, 11)])])
def test_the_longest_gap_counts_the_frames_between_two_keyframes(
    store: ProjectStore, gap: int, filled: list[int]
) -> None:
    media = add_video(store, 12)
    for n in (0, 3, 11):
        put(store, FrameKey(media, n), n, 1, labelled=True)
    edit = interpolate_track(track_instances(store, 1, media), store.new_ids, longest_gap=gap)
    assert [f.frame.index for f in edit.frames] == filled
