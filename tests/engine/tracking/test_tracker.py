"""Identities over frames: assignment is exact, tracks survive crossings, gaps, jumps and slips of the detector."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.pose import Prediction
from engine.schema.builtin import find_schema
from engine.tracking.assignment import assign, best_pairs
from engine.tracking.motion import BoxMotion
from engine.tracking.tracker import Tracker, TrackerOptions, track_frames, track_sequence

COCO = find_schema("coco")
RATE = 30.0
POSE = np.random.default_rng(3).random((17, 2)) * [40, 100] - [20, 50]


def person(
    x: float, y: float = 200.0, score: float = 0.9, pose: np.ndarray = POSE, category: str = "person", scale: float = 1
) -> Prediction:
    points = pose * scale + [x, y]
    box = np.concatenate([points.min(0) - 5, points.max(0) + 5])
    keypoints = np.column_stack([points, np.full(len(points), 0.9)])
    return Prediction(keypoints, box, score, box_score=score, category=category)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_assignment_is_as_cheap_as_the_best_of_all(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))
    cost = data.draw(arrays(np.float64, (rows, columns), elements=st.integers(-9, 9).map(lambda n: n / 4)))
    pairs = assign(cost)
    assert len(pairs) == min(rows, columns)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert list(pairs[:, 0]) == sorted(pairs[:, 0])
    small, table = (rows, cost) if rows <= columns else (columns, cost.T)
    best = (
        min(
            sum(table[n, c] for n, c in enumerate(chosen))
            for chosen in itertools.permutations(range(max(table.shape)), small)
        )
        if table.size
        else 0.0
    )
    assert sum(cost[a, b] for a, b in pairs) == pytest.approx(best)


def test_assignment_of_large_tables_has_no_cheaper_exchange() -> None:
    cost = np.random.default_rng(0).random((60, 80))
    pairs = assign(cost)
    chosen = cost[pairs[:, 0], pairs[:, 1]]
    exchanged = cost[pairs[:, 0][:, None], pairs[:, 1][None]]
    assert (exchanged + exchanged.T >= chosen[:, None] + chosen[None] - 1e-12).all()


def test_costs_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        assign([[np.nan, 1.0]])


def test_pairs_below_the_least_likeness_are_not_made() -> None:
    assert best_pairs([[0.9, 0.1], [0.0, 0.1]], 0.2) == [(0, 0)]
    assert best_pairs([[0.5, 0.6], [0.0, 0.4]], 0.2) == [(0, 0), (1, 1)]  # 0.9 together, not 0.6 alone
    assert best_pairs(np.zeros((0, 3)), 0.2) == []


def test_motion_learns_a_steady_speed_whatever_the_steps() -> None:
    motion = BoxMotion([0, 0, 40, 80])
    time = 0.0
    for step in np.random.default_rng(1).uniform(0.01, 0.08, 60):
        time += step
        motion.advance(step)
        motion.correct(np.array([0, 0, 40, 80]) + np.array([100 * time, 0, 100 * time, 0]))
    assert motion.velocity == pytest.approx([100, 0], abs=1)
    assert motion.box[0] == pytest.approx(100 * time, abs=0.5)


def test_two_who_cross_keep_their_numbers() -> None:
    other = POSE[::-1].copy()
    frames = [[person(100 + 4 * t), person(340 - 4 * t, 210, pose=other)] for t in range(60)]
    shuffled = [frame[::-1] if t % 3 else frame for t, frame in enumerate(frames)]
    result = track_sequence(shuffled, COCO)
    assert [ids[::-1] if t % 3 else ids for t, ids in enumerate(result)] == [[1, 2]] * 60


def test_one_hidden_for_a_while_comes_back_as_the_same() -> None:
    frames = [[] if 20 <= t < 40 else [person(100 + 3 * t)] for t in range(60)]
    result = track_sequence(frames, COCO)
    assert {n for ids in result for n in ids} == {1}


def test_one_hidden_too_long_is_somebody_new_and_numbers_are_not_used_again() -> None:
    frames = [[] if 10 <= t < 60 else [person(100)] for t in range(70)]
    result = track_sequence(frames, COCO, options=TrackerOptions(max_age=1.0))
    assert result[0] == [1]
    assert result[60] == result[69] == [2]


def test_gaps_are_measured_in_seconds_not_in_frames() -> None:
    frames = [[person(100)] for _ in range(6)]
    slow = [0.0, 0.5, 1.0, 1.5, 4.0, 4.5]
    assert track_sequence(frames, COCO, slow) == [[1]] * 4 + [[2]] * 2


@pytest.mark.parametrize(("gap", "values"), [(29, [1, 1]), (30, [1, 1]), (31, [1, 2]), (32, [1, 2])])
def test_a_track_lives_for_its_whole_age_and_no_frame_longer(gap: int, values: list[int]) -> None:
    """At 30 frames a second an age of 1 s lets a pose be met again 30 frames later."""
    frames = [[person(100)] if n in (0, gap) else [] for n in range(gap + 1)]
    options = TrackerOptions(max_age=1.0, birth_hits=1)
    result = track_sequence(frames, COCO, options=options)
    assert [result[0][0], result[gap][0]] == values
    times = [n / RATE for n in range(gap + 1)]
    result = track_sequence(frames, COCO, times, options=options)
    assert [result[0][0], result[gap][0]] == values


def test_a_pose_that_moved_as_far_as_limbs_do_between_frames_is_the_same() -> None:
    """Boxes do not touch and nothing may jump: the likeness of the poses alone decides, and it allows for motion."""
    thin = np.column_stack([np.zeros(17), np.linspace(-100, 100, 17)])
    first, second = person(100, pose=thin), person(111, pose=thin)
    assert first.box[2] < second.box[0]
    options = TrackerOptions(birth_hits=1, reach=0)
    assert track_sequence([[first], [second]], COCO, options=options) == [[1], [1]]
    assert track_sequence([[first], [person(130, pose=thin)]], COCO, options=options) == [[1], [2]]


def test_a_slip_of_the_detector_gets_no_number() -> None:
    frames = [[person(100)] + ([person(400)] if t == 10 else []) for t in range(20)]
    assert track_sequence(frames, COCO)[10] == [1, None]


def test_a_track_born_later_is_told_for_its_first_frame_too() -> None:
    tracker = Tracker(COCO)
    assert tracker.update([person(100)]) == [1]
    assert tracker.update([person(100), person(400)]) == [1, None]
    assert tracker.late == []
    assert tracker.update([person(400), person(101)]) == [2, 1]
    assert [tuple(late) for late in tracker.late] == [(1, 1, 2)]


def test_an_unsure_pose_goes_on_with_a_track_but_starts_none() -> None:
    frames = [[person(100 + t, score=0.9 if t < 5 else 0.2), person(400, score=0.3)] for t in range(15)]
    assert track_sequence(frames, COCO) == [[1, None]] * 15


def test_categories_do_not_share_tracks() -> None:
    frames = [[person(100, category="mouse" if t % 2 else "person")] for t in range(8)]
    result = track_sequence(frames, {"person": COCO}, options=TrackerOptions(birth_hits=1))
    assert [ids[0] for ids in result] == [1, 2] * 4


def test_a_sudden_jump_is_followed_where_nobody_else_is() -> None:
    frames = [[person(100)]] * 10 + [[person(145)]] * 10
    assert {n for ids in track_sequence(frames, COCO) for n in ids} == {1}


def test_someone_who_stops_between_two_pictures_far_apart_is_the_same() -> None:
    positions = [100, 145, 190, 235, 235, 235]
    frames = [[person(x, scale=1 + 0.2 * (n % 2))] for n, x in enumerate(positions)]
    assert track_sequence(frames, COCO, [n / 2 for n in range(6)]) == [[1]] * 6


def test_poses_without_box_or_points_do_no_harm() -> None:
    nowhere = Prediction(np.full((17, 3), np.nan), np.full(4, np.nan), 0.9, box_score=0.9)
    flat = Prediction(np.zeros((17, 3)), np.zeros(4), 0.9, box_score=0.9)
    boxless = Prediction(person(50).keypoints, np.full(4, np.nan), 0.9, box_score=0.9)
    result = track_sequence([[nowhere, flat, boxless]] * 5, COCO)
    assert all(ids[0] is None for ids in result)
    assert [ids[2] for ids in result] == [2] * 5 or [ids[2] for ids in result] == [1] * 5


def test_a_time_that_is_none_is_refused_and_one_that_goes_back_is_no_step() -> None:
    tracker = Tracker(COCO)
    tracker.update([person(1)], 5.0)
    assert tracker.update([person(1)], 4.0) == [1]
    with pytest.raises(ValueError, match="finite"):
        tracker.update([], float("nan"))


COORDINATE = st.one_of(st.just(0.0), st.floats(-1e5, 1e5))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_poses_get_one_number_each_and_the_same_ones_again(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    frames = [
        [
            Prediction(
                data.draw(arrays(np.float32, (count, 3), elements=st.floats(-100, 100, width=32))),
                np.array(data.draw(st.lists(COORDINATE, min_size=4, max_size=4))),
                1.0,
                box_score=data.draw(st.sampled_from([0.05, 0.3, 0.9])),
            )
            for _ in range(data.draw(st.integers(0, 4)))
        ]
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    result = track_sequence(frames, COCO)
    assert [len(ids) for ids in result] == [len(frame) for frame in frames]
    for ids in result:
        values = [n for n in ids if n is not None]
        assert len(set(values)) == len(values)
    assert result == track_sequence(frames, COCO)


@pytest.mark.parametrize("birth_hits", [1, 2, 3])
def test_a_stream_of_frames_comes_with_final_numbers_a_little_later(birth_hits: int) -> None:
    frames = [[person(60 + 4 * n)] + ([person(400 + 4 * n)] if n > 2 else []) for n in range(8)]
    options = TrackerOptions(birth_hits=birth_hits)
    read: list[int] = []

    def stream() -> Iterator[tuple[int, float | None, list[Prediction]]]:
        for index, predictions in enumerate(frames):
            read.append(index)
            yield index, None, predictions

    delays, values = [], []
    for index, predictions, tracks in track_frames(stream(), Tracker(COCO, options)):
        assert predictions is frames[index]
        delays.append(read[-1] - index)
        values.append(tracks)
    assert values == track_sequence(frames, COCO, options=options) == [[1]] * 3 + [[1, 2]] * 5
    assert max(delays) == birth_hits - 1
