"""An edit of a skeleton is a step of the history: undone and redone in order with edits of poses."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from engine.errors import ProjectError
from engine.schema.schema import Limb, Schema
from poseapp.project import edits
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.model import Category
from poseapp.project.opening import open_any
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
