"""Where missing points are offered: in the picture, apart from all else, and only those that nobody decided about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.schema.builtin import find_schema
from poseapp.canvas.missing_points import likely_places, missing_points
from poseapp.canvas.template_pose import template_pose
from poseapp.project.model import Instance, State

COCO = find_schema("coco")
K = COCO.num_keypoints
SIZE = (640, 480)
FIGURE = template_pose(COCO) * 400 + (320, 30)


def guess(absent: list[int], points: np.ndarray = FIGURE, score: float = 0.0, box: bool = True) -> Instance:
    seen = np.full(K, 2, np.uint8)
    seen[absent] = 0
    positions = np.where(seen[:, None] > 0, points, 0.0)
    low, high = points.min(0), points.max(0)
    return Instance(
        1, 1, positions, seen, np.zeros(K, bool), scores=np.where(seen > 0, 0.9, score), score=0.9,
        box=np.concatenate([low, high]) if box else None, source="m", state=State.PREDICTED,
    )  # fmt: skip


def test_a_point_is_offered_where_the_figure_has_it() -> None:
    for absent in ([9], [15, 16], [7, 9], [0, 3]):
        result = missing_points(guess(absent), COCO, SIZE)
        assert result is not None
        assert np.flatnonzero(result.missing).tolist() == absent
        assert np.linalg.norm(result.places[absent] - FIGURE[absent], axis=1).max() < 60


def test_a_proposal_for_the_kind_that_it_was_is_not_taken() -> None:
    pose = guess([9])
    other = replace(pose, keypoints=np.ones((3, 2)), visibility=np.full(3, 2, np.uint8), by_human=np.zeros(3, bool))
    result, alone = missing_points(pose, COCO, SIZE, proposed=other), missing_points(pose, COCO, SIZE)
    assert result is not None
    assert alone is not None
    assert np.array_equal(result.places, alone.places)


def test_a_person_seen_from_behind_is_not_turned_upside_down() -> None:
    behind = FIGURE * (-1, 1) + (640, 0)
    result = missing_points(guess([15], behind), COCO, SIZE)
    assert result is not None
    assert np.linalg.norm(result.places[15] - behind[15]) < 60


def test_what_the_model_saw_faintly_is_taken_where_it_saw_it() -> None:
    pose = guess([9], score=0.12)
    points = pose.keypoints.copy()
    points[9] = (500, 100)
    assert pose.box is not None
    pose = replace(pose, keypoints=points, box=np.array([200.0, 30, 520, 430]))
    result = missing_points(pose, COCO, SIZE)
    assert result is not None
    assert result.places[9].tolist() == [500, 100]
    proposed = replace(pose, visibility=np.full(K, 2, np.uint8), keypoints=FIGURE.copy())
    result = missing_points(pose, COCO, SIZE, proposed=proposed)
    assert result is not None
    np.testing.assert_allclose(result.places[9], FIGURE[9], atol=30)


def test_points_that_are_decided_or_withheld_are_not_offered() -> None:
    assert missing_points(guess([]), COCO, SIZE) is None
    pose = guess([9, 10])
    said = pose.by_human.copy()
    said[9] = True
    result = missing_points(replace(pose, by_human=said), COCO, SIZE)
    assert result is not None
    assert np.flatnonzero(result.missing).tolist() == [10]
    assert missing_points(pose, COCO, SIZE, hidden_or_locked=~said | said) is None


@settings(max_examples=60)
@given(
    absent=st.lists(st.integers(0, K - 1), min_size=1, unique=True),
    scale=st.sampled_from([0.0, 1e-3, 0.05, 1.0, 3.0]),
    shift=st.tuples(st.floats(-700, 700), st.floats(-700, 700)),
    turn=st.floats(0, 6.3),
    box=st.booleans(),
    size=st.sampled_from([SIZE, (1, 1), (40, 2000), None]),
)
def test_places_are_finite_and_inside_for_any_pose(
    absent: list[int],
    scale: float,
    shift: tuple[float, float],
    turn: float,
    box: bool,
    size: tuple[int, int] | None,
) -> None:
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pose = guess(absent, (FIGURE - 300) @ rotation.T * scale + shift, box=box)
    result = missing_points(pose, COCO, size, others=np.array([[10.0, 10.0], [300, 300]]))
    if result is None:
        assert size is None
        return
    assert sorted(absent) == np.flatnonzero(result.missing).tolist()
    positions = result.places[result.missing]
    assert np.isfinite(positions).all()
    if size is not None:
        assert ((positions >= 0) & (positions <= np.array(size) - 0.5)).all()
    assert result.arrays.shown.sum() == len(absent)
    likely = likely_places(pose, COCO, size)
    assert likely is None or np.isfinite(likely).all()


def test_places_keep_off_points_and_one_another() -> None:
    heap = np.tile([[300.0, 200.0]], (K, 1)) + np.arange(K)[:, None] * 3.0
    result = missing_points(guess(list(range(5, 17)), heap), COCO, SIZE)
    assert result is not None
    apart = np.linalg.norm(result.places[:, None] - result.places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert apart[5:].min() > 0.5
