"""The store: what goes in comes out, edits are checked, undo takes everything back, totals follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ProjectError
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.model import Category, Change, Edit, FrameCounts, FrameEdit, FrameKey, FrameState, State
from poseapp.project.store import ProjectStore


def test_an_instance_comes_back_as_it_was(store: ProjectStore, frame: FrameKey, make) -> None:
    for given in (make(), make(1, score=0.5), make(2, box=False), replace(make(3), track=4)):
        change = store.apply(edits.add_instance(frame, given))
        assert change == Change(frozenset({frame}), frozenset({given.id}))
        assert store.instance(given.id).same_as(given)
        assert store.frame_of(given.id) == frame
    assert [i.id for i in store.instances(frame)] == [1, 2, 3, 4]


def test_a_reopened_project_is_the_same(store: ProjectStore, frame: FrameKey, category: Category, make) -> None:
    given = make()
    store.apply(edits.add_instance(frame, given))
    store.close()
    with ProjectStore.open(store.path) as again:
        assert again.instances(frame)[0].same_as(given)
        assert again.categories() == [category]
        assert [f.name for f in again.frames()] == ["a.png", "b.png"]
        assert again.undo_text() == "Add pose"
        assert again.undo() is not None
        assert again.instances(frame) == ()
        assert again.redo_text() == "Add pose"
        again.redo()
        assert again.instances(frame)[0].same_as(given)


def test_frames_have_paths_sizes_and_states(store: ProjectStore, frame: FrameKey, tmp_path: Path) -> None:
    assert store.frame_path(frame) == tmp_path / "images" / "a.png"
    store.set_frame_size(FrameKey(1, 1), 30, 20)
    assert (store.frame(FrameKey(1, 1)).width, store.frame(FrameKey(1, 1)).height) == (30, 20)
    store.apply(edits.set_frame_state(frame, FrameState(), reviewed=True, flagged=True))
    assert store.frame(frame).state == FrameState(reviewed=True, flagged=True)
    assert store.summary().reviewed_frames == 1
    store.undo()
    assert store.frame(frame).state == FrameState()
    with pytest.raises(ProjectError, match="no frame 9"):
        store.frame(FrameKey(1, 9))


def test_a_project_can_be_moved_with_its_images(store: ProjectStore, frame: FrameKey, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "moved").mkdir()
    moved = store.path.rename(tmp_path / "moved" / "test.pose")
    with ProjectStore.open(moved) as again:
        assert again.frame_path(frame) == tmp_path / "moved" / "images" / "a.png"
        again.move_media(1, tmp_path / "elsewhere")
        assert again.frame_path(frame) == tmp_path / "elsewhere" / "a.png"


def test_ids_are_never_given_twice(store: ProjectStore, frame: FrameKey, make) -> None:
    given = make()
    store.apply(edits.add_instance(frame, given))
    store.apply(edits.delete_instances(frame, [given]))
    store.close()
    with ProjectStore.open(store.path) as again:
        assert again.new_ids(2) == range(given.id + 1, given.id + 3)
        assert again.new_ids(1)[0] == given.id + 3


def test_an_edit_that_does_not_fit_changes_nothing(store: ProjectStore, frame: FrameKey, make) -> None:
    given = make()
    store.apply(edits.add_instance(frame, given))
    other = replace(given, keypoints=given.keypoints + 1)
    wrong = [
        FrameEdit(frame, (other,), (given,)),
        FrameEdit(frame, (), (given,)),
        FrameEdit(frame, (make(5),), ()),
        FrameEdit(frame, (given,), (replace(given, category=9),)),
        FrameEdit(frame, (given,), (replace(given, visibility=np.full(4, 3, np.uint8)),)),
        FrameEdit(frame, (given,), (replace(given, keypoints=np.full((4, 2), np.nan)),)),
        FrameEdit(frame, (given,), (replace(given, keypoints=np.zeros((3, 2))),)),
        FrameEdit(FrameKey(1, 1), (given,), (given,)),
        FrameEdit(FrameKey(7, 0), (), (make(6),)),
        FrameEdit(frame, (), (make(7),), (FrameState(flagged=True), FrameState())),
    ]
    for part in wrong:
        good = FrameEdit(FrameKey(1, 1), (), (make(8),))
        for frames in ((part,), (good, part)):
            with pytest.raises(ProjectError):
                store.apply(Edit("Wrong", frames))
    with pytest.raises(ProjectError, match="twice"):
        store.apply(Edit("Wrong", (FrameEdit(frame, (given,)), FrameEdit(frame, (given,)))))
    assert [i.id for i in store.instances(frame)] == [given.id]
    assert store.instances(FrameKey(1, 1)) == ()
    assert [s.text for s in store.history()] == ["Add pose"]


def test_an_edit_that_changes_nothing_leaves_no_step(store: ProjectStore, frame: FrameKey, make) -> None:
    given = make()
    store.apply(edits.add_instance(frame, given))
    assert store.apply(Edit("Nothing", (FrameEdit(frame, (given,), (given,)),))) == Change()
    assert store.apply(Edit("Nothing", ())) == Change()
    assert len(store.history()) == 1


def test_counts_and_summary_follow_edits(store: ProjectStore, frame: FrameKey, make) -> None:
    assert store.counts() == {}
    assert store.counts()[frame] == FrameCounts()
    low, high, own = make(1, score=0.25), make(2, score=0.75), make(3)
    store.apply(edits.add_instance(frame, low, high, own))
    assert store.counts()[frame] == FrameCounts(1, 2, 0.25)
    store.apply(edits.accept(frame, [low]))
    assert store.counts()[frame] == FrameCounts(2, 1, 0.75)
    summary = store.summary()
    assert (summary.frames, summary.labelled, summary.predicted, summary.labelled_frames) == (2, 2, 1, 1)
    store.jump_to(0)
    assert store.counts() == {}


def test_a_reader_sees_what_the_writer_does(store: ProjectStore, frame: FrameKey, make) -> None:
    with ProjectStore.open(store.path, read_only=True) as reader:
        assert reader.counts() == {}
        given = make()
        store.apply(edits.add_instance(frame, given))
        assert reader.counts()[frame].labelled == 1
        assert reader.instances(frame)[0].same_as(given)
        store.add_category("person", find_schema("coco"))
        assert [c.name for c in reader.categories()] == ["mouse", "person"]
        with pytest.raises(ProjectError, match="reading only"):
            reader.apply(edits.delete_instances(frame, [given]))
        with pytest.raises(ProjectError, match="reading only"):
            reader.undo()
    assert len(store.instances(frame)) == 1


def test_instances_are_found_by_what_they_are(store: ProjectStore, frame: FrameKey, make) -> None:
    low, high, own = make(1, score=0.25), make(2, score=0.75), make(3)
    other = FrameKey(1, 1)
    store.apply(edits.add_instance(other, low))
    store.apply(edits.add_instance(frame, high, own))
    assert store.find() == [(frame, 2), (frame, 3), (other, 1)]
    assert store.find(state=State.PREDICTED, by_score=True) == [(other, 1), (frame, 2)]
    assert store.find(max_score=0.5) == [(other, 1)]
    assert store.find(max_visible=2) == []
    lowest = float(low.scores[:3].min())
    assert (other, 1) in store.find(max_keypoint_score=lowest)
    assert (other, 1) not in store.find(max_keypoint_score=lowest - 1e-9)
    assert [i.id for _, i in store.all_instances(State.LABELLED)] == [3]


def test_categories_change_but_not_under_their_instances(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make()))
    renamed = schema_from_names("mouse", ["a", "b", "c", "d"])
    assert store.update_category(1, name="rat", schema=renamed).schema.names == ("a", "b", "c", "d")
    assert store.categories()[0].name == "rat"
    with pytest.raises(ProjectError, match="4 points"):
        store.update_category(1, schema=schema_from_names("x", ["a"]))
    with pytest.raises(ProjectError, match="no category 5"):
        store.category(5)


def test_history_can_be_walked_and_is_cut_by_a_new_edit(store: ProjectStore, frame: FrameKey, make) -> None:
    for n in range(5):
        store.apply(edits.add_instance(frame, make(n), text=f"Add {n}"))
    store.jump_to(2)
    assert [(s.text, s.done) for s in store.history()] == [(f"Add {n}", n < 2) for n in range(5)]
    assert (store.undo_text(), store.redo_text()) == ("Add 1", "Add 2")
    assert len(store.instances(frame)) == 2
    store.jump_to(4)
    assert len(store.instances(frame)) == 4
    store.jump_to(1)
    store.apply(edits.add_instance(frame, make(9), text="Other"))
    assert [s.text for s in store.history()] == ["Add 0", "Other"]
    assert store.redo() is None
    assert store.redo_text() is None
    with pytest.raises(ProjectError, match="no step 3"):
        store.jump_to(3)
    store.jump_to(0)
    assert store.undo() is None
    assert store.undo_text() is None


def test_edits_with_one_merge_key_are_one_step(store: ProjectStore, frame: FrameKey, make) -> None:
    given = make()
    store.apply(edits.add_instance(frame, given))
    now = given
    for n in range(4):
        store.apply(edits.move_keypoints(frame, now, {0: (n + 1.0, 2.0)}, merge_key="drag"))
        now = store.instances(frame)[0]
    assert len(store.history()) == 2
    store.undo()
    assert store.instances(frame)[0].same_as(given)
    store.redo()
    assert store.instances(frame)[0].same_as(now)
    # After undo or redo the run is over.
    store.apply(edits.move_keypoints(frame, now, {0: (9.0, 2.0)}, merge_key="drag"))
    assert len(store.history()) == 3


def test_merging_adds_up_whatever_happens_to_an_instance(store: ProjectStore, frame: FrameKey, make) -> None:
    remaining = make()
    store.apply(edits.add_instance(frame, remaining))
    key = "job"
    new = make(1)
    store.apply(replace(edits.add_instance(frame, new), merge_key=key))
    moved = store.apply(edits.move_keypoints(frame, new, {0: (1.0, 1.0)}, merge_key=key))
    assert moved.instances == {new.id}
    store.apply(replace(edits.delete_instances(frame, [store.instance(new.id)]), merge_key=key))
    assert len(store.history()) == 1, "come and gone: nothing is left of the step"
    store.apply(edits.move_box(frame, remaining, None, merge_key=key))
    store.apply(replace(edits.delete_instances(frame, [store.instance(remaining.id)]), merge_key=key))
    assert len(store.history()) == 2
    store.undo()
    assert store.instance(remaining.id).same_as(remaining)
    store.redo()
    assert store.instances(frame) == ()
    store.undo()
    changed = replace(remaining, score=0.5)
    store.apply(replace(edits.delete_instances(frame, [remaining]), merge_key=key))
    store.apply(replace(edits.add_instance(frame, changed), merge_key=key))
    assert store.instance(remaining.id).same_as(changed)
    store.undo()
    assert store.instance(remaining.id).same_as(remaining)


def test_frame_states_merge_too(store: ProjectStore, frame: FrameKey) -> None:
    for flagged in (True, False):
        before = store.frame(frame).state
        store.apply(replace(edits.set_frame_state(frame, before, flagged=flagged), merge_key="x"))
    assert store.history() == []


def test_a_failed_edit_after_many_good_ones_leaves_all_of_them_out(store: ProjectStore, make) -> None:
    keys = store.add_frames(1, [(f"{n}.png", 0, 0) for n in range(1200)])
    good = [FrameEdit(key, (), (make(n),)) for n, key in enumerate(keys)]
    bad = FrameEdit(keys[0], (make(5000),), ())
    with pytest.raises(ProjectError):
        store.apply(Edit("Many", (*good, bad)))
    assert store.summary().labelled == 0
    store.apply(Edit("Many", tuple(good)))
    assert store.summary().labelled == 1200
    change = store.undo()
    assert change is not None
    assert len(change.frames) == 1200
    assert store.counts() == {}
