"""An edit of a skeleton is a step of the history: undone and redone in order with edits of poses."""

from __future__ import annotations

import json
from dataclasses import replace as replace_edit
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from engine.errors import ProjectError
from engine.schema.schema import Limb, Schema, schema_from_names
from poseapp.project import edits
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.model import Category, Instance
from poseapp.project.opening import open_any
from poseapp.project.storage.snapshots import restore_snapshot, take_snapshot
from poseapp.project.store import ProjectStore

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
    "categories": [{"id": 5, "name": "mouse", "keypoints": ["nose", "paw", "tail"], "skeleton": [[1, 2], [2, 3]]}],
    "annotations": [
        {"id": 9, "image_id": 1, "category_id": 5, "keypoints": [1, 2, 2, 3, 4, 1, 5, 6, 2], "num_keypoints": 3,
         "bbox": [1, 2, 4, 4], "area": 16, "iscrowd": 0}
    ],
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ProjectStore:
    (tmp_path / "labels.json").write_text(json.dumps(COCO))
    return open_any(tmp_path / "labels.json")


def renamed(schema: Schema) -> Schema:
    first, *rest = schema.keypoints
    return replace(schema, keypoints=(replace(first, name="snout"), *rest), limbs=(Limb("snout", "paw"),))


def only(store: ProjectStore) -> Category:
    (category,) = store.categories()
    return category


def exported(store: ProjectStore) -> object:
    path = store.path.with_name("out.json")
    export_coco(store, path)
    return json.loads(path.read_text())


def test_undo_and_redo_of_a_skeleton_reach_the_export(store: ProjectStore) -> None:
    with store:
        before = only(store)
        change = store.edit_category(before.id, name="rat", schema=renamed(before.schema))
        assert change.structure
        assert store.undo_text() == "Edit skeleton rat"
        (category,) = exported(store)["categories"]  # type: ignore[index]
        assert (category["name"], category["keypoints"], category["skeleton"]) == (
            "rat", ["snout", "paw", "tail"], [[1, 2]],
        )  # fmt: skip
        assert store.undo() is not None
        assert only(store) == before
        assert exported(store) == COCO
        assert store.redo() is not None
        assert (only(store).name, only(store).schema.names) == ("rat", ("snout", "paw", "tail"))


def test_steps_of_skeletons_and_poses_are_undone_in_order_after_a_restart(store: ProjectStore) -> None:
    with store:
        before = only(store)
        (key,) = store.frame_keys()
        store.edit_category(before.id, schema=renamed(before.schema))
        (pose,) = store.instances(key)
        store.apply(edits.move_keypoints(key, pose, {0: (9.0, 9.0)}))
        store.edit_category(before.id, name="rat")
        path = store.path
    with ProjectStore.open(path) as again:
        assert len(again.history()) == 3
        again.undo()
        assert only(again).name == "mouse"
        assert only(again).schema.names[0] == "snout"
        again.undo()
        np.testing.assert_array_equal(again.instances(key)[0].keypoints[0], [1, 2])
        again.jump_to(0)
        assert only(again) == before
        again.jump_to(3)
        assert (only(again).name, only(again).schema.names[0]) == ("rat", "snout")


def test_an_edit_that_changes_nothing_leaves_no_step(store: ProjectStore) -> None:
    with store:
        category = only(store)
        assert not store.edit_category(category.id, name=category.name, schema=category.schema).structure
        assert store.history() == []


def test_a_new_edit_forgets_skeletons_that_could_be_redone(store: ProjectStore) -> None:
    with store:
        category = only(store)
        store.edit_category(category.id, name="rat")
        store.undo()
        store.edit_category(category.id, name="vole")
        assert [step.text for step in store.history()] == ["Edit skeleton vole"]
        store.undo()
        assert only(store).name == "mouse"
        assert store.redo() is not None
        assert only(store).name == "vole"


def test_a_refused_edit_changes_nothing(store: ProjectStore) -> None:
    with store:
        category = only(store)
        fewer = replace(category.schema, keypoints=category.schema.keypoints[:2], limbs=())
        with pytest.raises(ProjectError, match="3 points"):
            store.edit_category(category.id, name="rat", schema=fewer)
        assert only(store) == category
        assert store.history() == []


@pytest.mark.parametrize(
    "columns", [{"id": 7}, {"name": b"x"}, {"schema": b"{}"}, {"name = 'x' --": "y"}, ["name"], {"schema": b'{"name":'}]
)
def test_a_damaged_step_is_refused_and_changes_nothing(store: ProjectStore, columns: object) -> None:
    with store:
        category = only(store)
        store.edit_category(category.id, name="rat")
        with store.database.write():
            store.database.run("UPDATE step_category SET before = ?", (msgspec.msgpack.encode(columns),))
        with pytest.raises(ProjectError):
            store.undo()
        assert only(store).name == "rat"


def pose(store: ProjectStore, category: Category, x: float = 1.0) -> Instance:
    points = np.full((category.schema.num_keypoints, 2), x)
    return edits.make_instance(store.new_ids(1)[0], category, points)


CAT = Category(-1, "cat", schema_from_names("cat", ["ear", "tail"], category="cat"))


def test_a_category_comes_and_goes_with_the_edit_that_first_uses_it(store: ProjectStore) -> None:
    with store:
        (frame,) = store.frame_keys()
        category, change = store.apply_with_category(CAT, edits.add_instance(frame, pose(store, CAT)))
        assert change.structure
        assert [c.name for c in store.categories()] == ["mouse", "cat"]
        assert [i.category for i in store.instances(frame)][-1] == category.id
        assert store.history_length() == (1, 1)
        store.undo()
        assert [c.name for c in store.categories()] == ["mouse"]
        assert len(store.instances(frame)) == 1
    with ProjectStore.open(store.path) as again:
        again.redo()
        assert again.category(category.id) == category
        assert [i.category for i in again.instances(frame)][-1] == category.id


def test_a_refused_edit_leaves_no_category(store: ProjectStore) -> None:
    with store:
        (frame,) = store.frame_keys()
        one = pose(store, CAT)
        twice = edits.combined("Twice", [edits.add_instance(frame, one), edits.add_instance(frame, one)])
        with pytest.raises(ProjectError):
            store.apply_with_category(CAT, twice)
        assert [c.name for c in store.categories()] == ["mouse"]
        assert store.history() == []


def test_the_poses_of_a_run_that_is_merged_into_one_step_go_with_their_category(store: ProjectStore) -> None:
    with store:
        (frame,) = store.frame_keys()
        state = store.frame(frame).state
        looked = edits.set_frame_state(frame, state, reviewed=True)
        store.apply(replace_edit(looked, merge_key="run"))
        first = replace_edit(edits.add_instance(frame, pose(store, CAT)), merge_key="run")
        category, _ = store.apply_with_category(CAT, first)
        second = replace_edit(edits.add_instance(frame, pose(store, category, 2.0)), merge_key="run")
        store.apply(second)
        assert store.history_length() == (1, 1)
        store.undo()
        assert [c.name for c in store.categories()] == ["mouse"]
        assert len(store.instances(frame)) == 1
        store.redo()
        assert len(store.instances(frame)) == 3


def test_a_step_that_only_adds_a_category_stays_when_its_poses_go(store: ProjectStore) -> None:
    with store:
        (frame,) = store.frame_keys()
        first = replace_edit(edits.add_instance(frame, pose(store, CAT)), merge_key="run")
        category, _ = store.apply_with_category(CAT, first)
        (created,) = [i for i in store.instances(frame) if i.category == category.id]
        store.apply(replace_edit(edits.delete_instances(frame, [created]), merge_key="run"))
        assert store.history_length() == (1, 1)
        store.undo()
        assert [c.name for c in store.categories()] == ["mouse"]


def test_an_id_is_never_given_to_another_category(store: ProjectStore) -> None:
    with store:
        first, _ = store.add_category_step("cat", CAT.schema)
        store.undo()
        second, _ = store.add_category_step("dog", CAT.schema)
        assert second.id != first.id


def test_undo_keeps_a_category_that_an_imported_file_refers_to(store: ProjectStore) -> None:
    """The records of the file, which an export writes again, are outside the history."""
    more = store.path.parent / "more.json"
    cat = {"id": 3, "name": "cat", "keypoints": ["ear", "tail"], "skeleton": []}
    annotation = {**COCO["annotations"][0], "category_id": 3, "keypoints": [1, 2, 2, 5, 6, 2], "num_keypoints": 2}  # type: ignore[dict-item]
    more.write_text(json.dumps({**COCO, "categories": [cat], "annotations": [annotation]}))
    with store:
        category, _ = store.add_category_step("cat", CAT.schema)
    with open_any([store.path, more]) as again:
        assert again.history_length() == (2, 2)
        again.undo()
        again.undo()
        assert [c.name for c in again.categories()] == ["mouse", "cat"]
        again.redo()
        again.redo()
        assert again.category(category.id) == category
        assert len(list(again.all_instances())) == 2


def test_a_snapshot_brings_back_the_category_that_undo_has_removed(store: ProjectStore) -> None:
    with store:
        (frame,) = store.frame_keys()
        category, _ = store.apply_with_category(CAT, edits.add_instance(frame, pose(store, CAT)))
        snapshot = take_snapshot(store.path, "with a cat")
        store.undo()
        assert [c.name for c in store.categories()] == ["mouse"]
        change = restore_snapshot(store, snapshot)
        assert change.structure
        assert store.category(category.id) == category
        assert [i.category for i in store.instances(frame)][-1] == category.id
        store.undo()
        assert [c.name for c in store.categories()] == ["mouse"]


def test_a_long_redo_shows_no_pose_before_its_category(store: ProjectStore) -> None:
    with store:
        (frame,) = store.frame_keys()
        many = [edits.add_instance(frame, pose(store, CAT, float(n))) for n in range(1500)]
        store.apply_with_category(CAT, edits.combined("Many", many))
        store.undo()
        redo = store.jump_in_chunks(1)
        while not redo.advance(0.0):
            assert all(store.category(i.category) for i in store.instances(frame))
        assert len(store.instances(frame)) == 1501
