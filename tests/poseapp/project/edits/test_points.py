"""Several points placed at once, as one step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProjectError
from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.edits import points
from poseapp.project.model import Category, FrameKey, Instance, State

SCHEMA = schema_from_names("mouse", ["nose", "left_ear", "right_ear", "tail"])
FRAME = FrameKey(1, 0)
PLACES = np.array([[1.0, 2.0], [30.0, 4.0], [5.0, 60.0], [7.0, 8.0]])


def pose(visibility: list[int], box: list[float] | None = None) -> Instance:
    created = edits.make_instance(1, Category(1, "mouse", SCHEMA), np.full((4, 2), 5.0), visibility, box=box)
    return replace(created, state=State.PREDICTED, by_human=np.zeros(4, np.bool_))


@given(st.lists(st.integers(0, 2), min_size=4, max_size=4), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_placed_points_take_place_and_visibility_and_the_others_stay(before: list[int], placed: list[int]) -> None:
    first = pose(before)
    edit = points.place_points(FRAME, first, PLACES, placed, SCHEMA)
    (after,) = edit.frames[0].after
    for k in range(4):
        assert after.keypoints[k].tolist() == (PLACES[k] if placed[k] else first.keypoints[k]).tolist()
        assert after.visibility[k] == (placed[k] or before[k])
        assert after.by_human[k] == bool(placed[k])
    assert edit.inverted().frames[0].after[0].same_as(first)


def test_the_box_grows_and_one_point_is_named() -> None:
    edit = points.place_points(FRAME, pose([2, 0, 0, 2], [4, 4, 9, 9]), PLACES, [0, 0, 1, 0], SCHEMA)
    assert edit.text == "Place right_ear"
    assert edit.frames[0].after[0].box is not None
    assert edit.frames[0].after[0].box.tolist() == [4, 4, 9, 60]


@pytest.mark.parametrize(
    ("positions", "seen"),
    [(PLACES[:3], [1, 1, 1]), (PLACES, [3, 0, 0, 0]), (np.full((4, 2), np.nan), [0, 0, 0, 2])],
)
def test_what_is_no_placing_is_refused(positions: np.ndarray, seen: list[int]) -> None:
    with pytest.raises(ProjectError):
        points.place_points(FRAME, pose([2, 2, 2, 2]), positions, seen, SCHEMA)


def test_sides_are_swapped_along_a_track_and_predictions_stay_predictions() -> None:
    items = [(FrameKey(1, n), replace(pose([2, 2, 1, 2]), id=n + 1, keypoints=PLACES + n)) for n in range(3)]
    items[1] = items[1][0], replace(items[1][1], state=State.LABELLED)
    edit = points.swap_sides_along(items, SCHEMA)
    assert edit.text == "Swap left and right in 2 frames"
    assert [frame.frame.index for frame in edit.frames] == [0, 2]
    (after,) = edit.frames[1].after
    assert after.state is State.PREDICTED
    assert not after.by_human.any()
    assert after.keypoints.tolist() == (PLACES[[0, 2, 1, 3]] + 2).tolist()
    assert after.visibility.tolist() == [2, 1, 2, 2]
    every = points.swap_sides_along(items, SCHEMA, [1], only_predicted=False)
    assert len(every.frames) == 3
    assert every.frames[1].after[0].by_human.tolist() == [False, True, True, False]


def test_a_track_of_labels_only_has_nothing_to_swap() -> None:
    labelled = replace(pose([2, 2, 2, 2]), state=State.LABELLED)
    assert not points.swap_sides_along([(FRAME, labelled)], SCHEMA).frames


def test_a_locked_point_keeps_its_partner_where_it_is() -> None:
    items = [(FrameKey(1, n), replace(pose([2, 2, 1, 2]), id=n + 1, keypoints=PLACES + n)) for n in range(2)]
    edit = points.swap_sides_along(items, SCHEMA, locked=[(1, 2)])
    assert [frame.frame.index for frame in edit.frames] == [1]
    both = points.swap_sides_along(items, SCHEMA, [1], locked=[(1, 3)])
    assert [frame.frame.index for frame in both.frames] == [0, 1]
