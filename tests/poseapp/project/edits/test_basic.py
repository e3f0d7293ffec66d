"""The verbs: what they change, what they leave, what they call themselves. Each is taken back and done again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ProjectError
from engine.pose import Prediction
from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.model import Category, Edit, FrameKey, FrameState, Instance, State
from poseapp.project.store import ProjectStore


def result(edit: Edit) -> Instance:
    (part,) = edit.frames
    (after,) = part.after
    return after


def predict(points: np.ndarray, box: tuple[float, ...], score: float = 0.5, box_score: float = 0.9) -> Prediction:
    keypoints = np.column_stack([points, np.linspace(0.1, 0.9, len(points))]).astype(np.float32)
    return Prediction(keypoints, np.asarray(box, np.float32), score, box_score, "mouse")


def test_moving_a_point_makes_it_human_and_the_instance_labelled(frame, category, make) -> None:
    given = make(score=0.5)
    edit = edits.move_keypoints(frame, given, {1: (3.5, 4.5)}, category.schema)
    after = result(edit)
    assert edit.text == "Move left_ear"
    assert after.keypoints[1].tolist() == [3.5, 4.5]
    assert after.by_human.tolist() == [False, True, False, False]
    assert after.visibility.tolist() == given.visibility.tolist()
    assert (after.state, after.source, after.score) == (State.LABELLED, "model", 0.5)
    assert np.array_equal(np.delete(after.keypoints, 1, 0), np.delete(given.keypoints, 1, 0))


def test_moving_an_absent_point_places_it(frame, category, make) -> None:
    edit = edits.move_keypoints(frame, make(), {3: (1, 2)}, category.schema)
    assert edit.text == "Place tail"
    assert result(edit).visibility[3] == 2
    assert result(edits.move_keypoints(frame, make(), {3: (1, 2)}, visibility=1)).visibility[3] == 1
    assert edits.move_keypoints(frame, make(), {0: (1, 2), 1: (1, 2)}).text == "Move 2 points"


def test_arrays_given_are_neither_kept_nor_changed(category, make) -> None:
    points, seen, box = np.zeros((4, 2)), np.ones(4, np.uint8), np.array([5.0, 6.0, 1.0, 2.0])
    created = edits.make_instance(1, category, points, seen, box=box)
    points[0], seen[0], box[0] = 9, 0, 9
    assert created.keypoints[0].tolist() == [0, 0]
    assert created.visibility[0] == 1
    assert created.box.tolist() == [1, 2, 5, 6]
    with pytest.raises(ValueError, match="read-only"):
        created.keypoints[0] = 1
    assert edits.make_instance(1, category, box=box).visibility.sum() == 0


def test_visibility_is_set_and_cycled(frame, category, make) -> None:
    given = make()
    edit = edits.set_visibility(frame, given, [0, 2], 1)
    assert edit.text == "Mark 2 points occluded"
    assert result(edit).visibility.tolist() == [1, 2, 1, 0]
    assert edits.set_visibility(frame, given, [0], 0, category.schema).text == "Delete nose"
    assert result(edits.set_visibility(frame, given, [0], 0)).keypoints[0].tolist() == given.keypoints[0].tolist()
    values = []
    now = given
    for _ in range(3):
        now = result(edits.cycle_visibility(frame, now, [0]))
        values.append(int(now.visibility[0]))
    assert values == [1, 0, 2]
    with pytest.raises(ProjectError, match="not 3"):
        edits.set_visibility(frame, given, [0], 3)
    with pytest.raises(ProjectError, match="no keypoint"):
        edits.cycle_visibility(frame, given, [])


def test_accept_confirms_every_point_that_is_there(frame, make) -> None:
    one, own = make(score=0.5), make(1)
    edit = edits.accept(frame, [one, own])
    assert edit.text == "Accept prediction"
    assert edit.frames[0].before == (one,)
    after = result(edit)
    assert after.state is State.LABELLED
    assert after.by_human.tolist() == [True, True, True, False]
    many = edits.accept_frames([(frame, [make(n, score=0.5) for n in range(12)]), (FrameKey(1, 1), [own])])
    assert many.text == "Accept 12 predictions"
    assert len(many.frames) == 1


def test_accept_can_leave_out_points_that_score_low(frame, make) -> None:
    given = replace(make(score=0.5), scores=np.array([0.9, 0.1, 0.1, 0.9]), by_human=np.array([0, 0, 1, 0], bool))
    assert result(edits.accept(frame, [given], min_keypoint_score=0.3)).visibility.tolist() == [2, 0, 1, 0]


def test_reject_and_delete_below_score_spare_what_is_labelled(frame, make) -> None:
    low, high, own = make(score=0.2), make(1, score=0.8), make(2)
    edit = edits.reject(frame, [low, high, own])
    assert edit.text == "Reject 2 predictions"
    assert edit.frames[0].before == (low, high)
    edit = edits.delete_below_score(frame, [low, high, own], 0.5)
    assert edit.frames[0].before == (low,)
    assert edit.text == "Delete 1 predictions below 0.5"


def test_a_box_is_put_in_order(frame, make) -> None:
    after = result(edits.move_box(frame, make(), (9, 8, 3, 2)))
    assert after.box.tolist() == [3, 2, 9, 8]
    assert edits.move_box(frame, make(), None).text == "Delete box"
    assert edits.move_box(frame, make(box=False), (0, 0, 1, 1)).text == "Add box"
    with pytest.raises(ProjectError, match="4 numbers"):
        edits.move_box(frame, make(), (1, 2, 3))
    with pytest.raises(ProjectError, match="finite"):
        edits.move_box(frame, make(), (1, 2, 3, np.inf))


def test_a_pose_is_turned_with_its_box(frame, make) -> None:
    given = make()
    after = result(edits.transform_pose(frame, given, [[0, -1, 100], [1, 0, 5]]))
    assert np.allclose(after.keypoints, np.column_stack([100 - given.keypoints[:, 1], given.keypoints[:, 0] + 5]))
    assert after.box.tolist() == [30, 6, 98, 65]
    with pytest.raises(ProjectError, match=r"\(2, 3\)"):
        edits.transform_pose(frame, given, np.eye(3))


def test_sides_are_swapped_whole_or_in_part(frame, category, make) -> None:
    given = make()
    after = result(edits.swap_sides(frame, given, category.schema))
    assert np.array_equal(after.keypoints, given.keypoints[[0, 2, 1, 3]])
    assert after.visibility.tolist() == [2, 1, 2, 0]
    part = result(edits.swap_sides(frame, given, category.schema, [1]))
    assert np.array_equal(part.keypoints, after.keypoints)
    assert np.array_equal(result(edits.swap_sides(frame, given, category.schema, [0])).keypoints, given.keypoints)
    twice = result(edits.swap_sides(frame, after, category.schema))
    assert np.array_equal(twice.keypoints, given.keypoints)


def test_mirroring_twice_gives_the_pose_back(frame, category, make) -> None:
    given = make()
    once = result(edits.mirror(frame, given, category.schema))
    assert once.keypoints[0].tolist() == [61 - given.keypoints[0, 0], given.keypoints[0, 1]]
    assert np.allclose(once.keypoints[1], [61 - given.keypoints[2, 0], given.keypoints[2, 1]])
    assert once.box.tolist() == given.box.tolist()
    assert np.allclose(result(edits.mirror(frame, once, category.schema)).keypoints, given.keypoints)
    with pytest.raises(ProjectError, match="2 points"):
        edits.mirror(frame, given, schema_from_names("x", ["a", "b"]))


def test_pasted_poses_are_new_and_human(frame, make) -> None:
    given = replace(make(score=0.5), track=3)
    edit = edits.paste(frame, [given], [77], offset=(10, -5))
    after = result(edit)
    assert edit.text == "Paste pose"
    assert (after.id, after.state, after.source, after.score, after.track) == (77, State.LABELLED, "human", None, None)
    assert np.allclose(after.keypoints, given.keypoints + np.array([10, -5]))
    assert after.box.tolist() == [11, -3, 70, 65]
    assert result(edits.paste(frame, [given], [77], keep_track=True)).track == 3
    with pytest.raises(ProjectError, match="ids"):
        edits.paste(frame, [given], [])


def test_predictions_take_the_place_of_earlier_ones(frame, category, make) -> None:
    points = np.arange(8.0).reshape(4, 2)
    old, seen = make(score=0.2), np.array([2, 2, 1, 2], np.uint8)
    own = replace(make(1), keypoints=points + 200, visibility=seen, box=np.array([200.0, 200, 260, 260]))
    results = [predict(points, (0, 0, 20, 20)), predict(points + 200, (201, 200, 260, 260))]
    edit = edits.add_predictions(frame, [old, own], results, category, [50, 51], "net", min_keypoint_score=0.3)
    (part,) = edit.frames
    assert part.before == (old,)
    (new,) = part.after
    assert edit.text == "Predict pose"
    assert (new.id, new.source, new.state, new.score) == (50, "net", State.PREDICTED, 0.5)
    assert new.visibility.tolist() == [0, 2, 2, 2]
    assert not new.by_human.any()
    assert np.allclose(new.scores, np.linspace(0.1, 0.9, 4))
    remaining = edits.add_predictions(frame, [old, own], results, category, [50, 51], "net", replace_predicted=False)
    assert remaining.frames[0].before == ()
    assert [i.id for i in remaining.frames[0].after] == [50]


def test_what_is_labelled_without_a_box_is_not_predicted_again(frame, category, make) -> None:
    own = replace(make(1), box=None, visibility=np.full(4, 2, np.uint8))
    near, far = own.keypoints + 1.0, own.keypoints + 200
    wide = (-30.0, -30.0, 110.0, 120.0)  # a detector's box is wider than the points
    edit = edits.add_predictions(frame, [own], [predict(near, wide), predict(far, wide)], category, [5, 6], "net")
    assert [i.id for i in edit.frames[0].after] == [6]
    drawn = predict(near, wide, box_score=1.0)
    assert len(edits.add_predictions(frame, [own], [drawn], category, [5], "net").frames[0].after) == 1
    empty = replace(own, visibility=np.zeros(4, np.uint8))
    assert len(edits.add_predictions(frame, [empty], [predict(near, wide)], category, [5], "net").frames[0].after) == 1


def test_a_box_that_a_person_drew_is_predicted_whatever_is_there(frame, category, make) -> None:
    drawn = predict(np.zeros((4, 2)), (1, 2, 60, 70), box_score=1.0)
    assert len(edits.add_predictions(frame, [make()], [drawn], category, [5], "net").frames[0].after) == 1


def test_predictions_that_do_not_fit_are_refused_or_made_safe(frame, category) -> None:
    with pytest.raises(ProjectError, match="3 points"):
        edits.add_predictions(frame, [], [predict(np.zeros((3, 2)), (0, 0, 1, 1))], category, [5], "net")
    broken = predict(np.array([[np.nan, 1], [1, 1], [2, 2], [3, 3]]), (0, 0, np.nan, 1))
    after = result(edits.add_predictions(frame, [], [broken], category, [5], "net"))
    assert after.visibility.tolist() == [0, 2, 2, 2]
    assert np.isfinite(after.keypoints).all()
    assert after.box is None


def test_another_category_takes_along_what_has_the_same_name(frame, category, make) -> None:
    other = Category(9, "rat", schema_from_names("rat", ["tail", "nose", "paw"]))
    given = make(score=0.5)
    after = result(edits.set_category(frame, [given], other, {category.id: category}))
    assert after.category == 9
    assert after.visibility.tolist() == [0, 2, 0]
    assert after.keypoints[1].tolist() == given.keypoints[0].tolist()
    assert after.scores[1] == given.scores[0]
    same = Category(9, "rat", category.schema)
    assert np.array_equal(
        result(edits.set_category(frame, [given], same, {category.id: category})).keypoints, given.keypoints
    )


def test_frame_states_and_tracks(frame, make) -> None:
    edit = edits.set_frame_state(frame, FrameState(flagged=True), flagged=False, reviewed=True)
    assert edit.text == "Mark frame reviewed, not flagged"
    assert edit.frames[0].state == (FrameState(flagged=True), FrameState(reviewed=True))
    assert result(edits.set_track(frame, [make()], 4)).track == 4
    assert edits.set_track(frame, [make()], None).text == "Clear track"


def test_points_that_do_not_exist_are_refused(frame, category, make) -> None:
    for index in (-1, 4):
        with pytest.raises(ProjectError, match="no point"):
            edits.move_keypoints(frame, make(), {index: (0, 0)})
        with pytest.raises(ProjectError, match="no point"):
            edits.set_visibility(frame, make(), [index], 1)
        with pytest.raises(ProjectError, match="no point"):
            edits.swap_sides(frame, make(), category.schema, [index])
    with pytest.raises(ProjectError, match="finite"):
        edits.move_keypoints(frame, make(), {0: (np.nan, 0)})


def test_every_verb_is_taken_back_and_done_again(store: ProjectStore, frame, category, make) -> None:
    schema = category.schema
    first, second = make(), make(1, score=0.5)
    store.apply(edits.add_instance(frame, first, second))
    other = store.add_category("rat", schema_from_names("rat", ["tail", "nose"]))
    categories = {c.id: c for c in store.categories()}
    verbs = [
        edits.move_keypoints(frame, first, {0: (1, 2), 3: (3, 4)}, schema),
        edits.set_visibility(frame, first, [0, 1], 0),
        edits.cycle_visibility(frame, second, [2]),
        edits.accept(frame, [first, second]),
        edits.reject(frame, [first, second]),
        edits.delete_below_score(frame, [first, second], 0.9),
        edits.delete_instances(frame, [first, second]),
        edits.move_box(frame, first, None),
        edits.transform_pose(frame, second, [[2, 0, 1], [0, 2, 1]]),
        edits.swap_sides(frame, first, schema),
        edits.mirror(frame, first, schema),
        edits.paste(frame, [first, second], store.new_ids(2)),
        edits.add_predictions(
            frame, [first, second], [predict(np.ones((4, 2)), (80, 80, 99, 99))], category, store.new_ids(1), "net"
        ),
        edits.set_category(frame, [first, second], other, categories),
        edits.set_track(frame, [first], 3),
        edits.set_frame_state(frame, FrameState(), negative=True),
        edits.combined("Two", [edits.move_box(frame, first, None), edits.move_box(frame, second, None)]),
    ]
    for edit in verbs:
        before = store.database.rows("SELECT * FROM instance ORDER BY id"), store.frames()
        change = store.apply(edit)
        after = store.database.rows("SELECT * FROM instance ORDER BY id"), store.frames()
        assert after != before, edit.text
        assert change.frames == {frame}
        store.undo()
        assert (store.database.rows("SELECT * FROM instance ORDER BY id"), store.frames()) == before, edit.text
        store.redo()
        assert (store.database.rows("SELECT * FROM instance ORDER BY id"), store.frames()) == after, edit.text
        store.undo()
        # The swap of before and after is an edit as good as any.
        store.apply(edit)
        store.apply(edit.inverted())
        assert (store.database.rows("SELECT * FROM instance ORDER BY id"), store.frames()) == before, edit.text
