"""An edit does nothing to what is locked, and all else of it is done."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.edits.locks import keep_locked_points, locked_flags, without_locked
from poseapp.project.model import Category, Edit, FrameEdit, FrameKey, Instance

KEY = FrameKey(1, 0)
KIND = Category(1, "thing", schema_from_names("thing", ["a", "b", "c"], [(0, 1)], category="thing"))
POINTS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
locks = st.frozensets(st.tuples(st.integers(1, 3), st.integers(0, 3)))


def pose(index: int) -> Instance:
    return edits.make_instance(index, KIND, POINTS)


def moved(index: int, by: float) -> Edit:
    return edits.transform_pose(KEY, pose(index), [[1, 0, by], [0, 1, 0]])


def test_without_locks_the_edit_is_the_same_one() -> None:
    edit = moved(1, 3)
    assert without_locked(edit, (), ()) is edit


@given(points=locks, poses=st.frozensets(st.integers(1, 3)), by=st.floats(-50, 50))
def test_locked_points_stay_and_the_others_move(
    points: frozenset[tuple[int, int]], poses: frozenset[int], by: float
) -> None:
    edit = edits.combined("Move", [moved(1, by), moved(2, by)])
    held = without_locked(edit, poses, points)
    frames = () if held is None else held.frames
    done = {i.id: i for f in frames for i in f.after}
    for index in (1, 2):
        after = done.get(index, pose(index))
        locked = locked_flags(pose(index), points) | (index in poses)
        assert np.array_equal(after.keypoints[locked], POINTS[locked])
        assert np.array_equal(after.keypoints[~locked], POINTS[~locked] + (by, 0))


@given(points=locks, poses=st.frozensets(st.integers(1, 3)))
def test_what_is_locked_is_not_deleted(points: frozenset[tuple[int, int]], poses: frozenset[int]) -> None:
    held = without_locked(edits.delete_instances(KEY, [pose(1), pose(2)]), poses, points)
    gone = set() if held is None else {i.id for f in held.frames for i in f.before}
    assert gone == {1, 2} - poses - {index for index, _ in points}


def test_a_new_pose_and_a_frame_state_are_no_matter_of_locks() -> None:
    edit = edits.add_instance(KEY, pose(1))
    held = without_locked(edit, {1}, {(1, 0)})
    assert held is not None
    assert [i.id for i in held.frames[0].after] == [1]


def test_confirming_a_locked_pose_is_done() -> None:
    edit = edits.set_track(KEY, [pose(1)], 4)
    held = without_locked(edit, {1}, {(1, 0)})
    assert held is not None
    assert held.frames[0].after[0].track == 4


def test_a_pose_of_another_kind_keeps_its_kind_while_a_point_is_locked() -> None:
    other = Category(2, "other", schema_from_names("other", ["a"], (), category="other"))
    edit = edits.set_category(KEY, [pose(1)], other, {1: KIND, 2: other})
    assert without_locked(edit, (), {(1, 0)}) is None
    before = pose(1)
    assert keep_locked_points(before, edit.frames[0].after[0], {(1, 0)}) is before


def test_what_is_held_back_as_a_whole_is_told_and_not_a_step() -> None:
    assert without_locked(edits.move_box(KEY, pose(1), (0, 0, 5, 5)), {1}, ()) is None
    same = Category(2, "other", KIND.schema)
    assert without_locked(edits.set_category(KEY, [pose(1)], same, {1: KIND, 2: same}), (), {(1, 0)}) is None


def test_an_empty_edit_stays_one() -> None:
    assert without_locked(Edit("Nothing", ()), {1}, ()) is not None
    assert without_locked(Edit("Nothing", (FrameEdit(KEY),)), {1}, ()) is None
