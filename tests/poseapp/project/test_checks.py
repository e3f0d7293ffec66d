"""A project is checked, and the fixes of checks are edits of it: one step that undo takes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.checks import check_project, fix_project, import_checks, report_on_project
from poseapp.project.model import FrameKey, State
from poseapp.project.store import ProjectStore
from tests.poseapp.conftest import POSE


def add(store: ProjectStore, frame: int, points: np.ndarray, visibility: list[int] | None = None) -> int:
    instance = edits.make_instance(store.new_ids(1)[0], store.categories()[0], points, visibility)
    store.apply(edits.add_instance(store.frame_keys()[frame], instance))
    return instance.id


def test_a_fix_is_one_step_and_undo_takes_it_back(project: Path) -> None:
    with ProjectStore.open(project) as store:
        pose = add(store, 1, POSE + np.array([200, 0]))
        again = add(store, 1, POSE + np.array([200, 0]))
        steps = len(store.history())
        outside, copies = fix_project(store, "outside_image"), fix_project(store, "duplicate_instances")
        assert (outside.count, copies.count) == (2, 1)
        assert copies.edit.text == "Remove the copies"
        store.apply(outside.edit)
        np.testing.assert_array_equal(store.instance(pose).visibility, [2, 0, 2, 2])
        np.testing.assert_array_equal(store.instance(pose).keypoints, POSE + np.array([200, 0]))
        store.apply(fix_project(store, "duplicate_instances").edit)
        assert [i.id for i in store.instances(store.frame_keys()[1]) if i.state is State.LABELLED] == [pose]
        assert len(store.history()) == steps + 2
        store.undo()
        store.undo()
        assert (store.instance(again).visibility == 2).all()
        assert fix_project(store, "outside_image").count == 2


def test_predictions_are_neither_checked_nor_changed(project: Path) -> None:
    with ProjectStore.open(project) as store:
        (prediction,) = (i for _, i in store.all_instances(State.PREDICTED))
        assert fix_project(store, "outside_image").count == 0
        assert all(finding.instance != prediction.id for finding in check_project(store))


def test_keypoints_that_are_marked_as_visible_are_a_persons(project: Path) -> None:
    with ProjectStore.open(project) as store:
        for frame in store.frame_keys():
            for pose in store.instances(frame):
                if pose.state is State.LABELLED:
                    store.apply(edits.delete_instances(frame, [pose]))
        ids = [add(store, 0, POSE + n, [0, 0, 0, 0]) for n in (0, 30, 60)]
        fix = fix_project(store, "all_absent")
        store.apply(fix.edit)
        assert all(store.instance(pose).by_human.all() for pose in ids)
        assert all((store.instance(pose).visibility == 2).all() for pose in ids)
        assert fix_project(store, "all_absent").count == 0


def test_numbered_keypoints_get_names_in_one_step(tmp_path: Path) -> None:
    mpii = find_schema("mpii")
    limbs = [(int(a), int(b)) for a, b in mpii.limb_indices]
    with ProjectStore.create(tmp_path / "numbered.pose") as store:
        names = [f"point_{n}" for n in range(1, 17)]
        for name in ("person", "human"):
            store.add_category(name, schema_from_names(name, names, limbs, category=name))
        report = report_on_project(store, import_checks())
        assert [(p.id, p.count, p.fixable) for p in report.problems] == [("names_by_position", 2, 2)]
        assert [finding.frame for finding in report.findings["names_by_position"]] == [None, None]
        fix = fix_project(store, "names_by_position")
        assert fix.count == 2
        store.edit_categories(
            {category_id: (None, schema) for category_id, schema in fix.schemas.items()}, fix.edit.text
        )
        assert [category.schema.names for category in store.categories()] == [mpii.names] * 2
        assert [category.name for category in store.categories()] == ["person", "human"]
        assert store.undo_text() == "Take the names of the known skeleton"
        store.undo()
        assert [category.schema.names for category in store.categories()] == [tuple(names)] * 2


def test_a_report_names_the_records_and_where_they_are(project: Path) -> None:
    with ProjectStore.open(project) as store:
        pose = add(store, 1, POSE + np.array([200, 0]))
        report = report_on_project(store)
        (problem,) = (p for p in report.problems if p.id == "outside_image")
        (finding,) = report.findings["outside_image"]
    assert (problem.count, problem.fixable, problem.fix) == (1, 1, "Mark as absent")
    assert (finding.frame, finding.instance, finding.keypoints) == (FrameKey(1, 1), pose, (1,))
    assert problem.records[0].startswith("b.png, instance ")


def test_an_unknown_check_cannot_be_fixed(project: Path) -> None:
    with ProjectStore.open(project) as store, pytest.raises(LabelError, match="there is no check"):
        fix_project(store, "nothing")
