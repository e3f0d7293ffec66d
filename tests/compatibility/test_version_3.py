"""A project written by version 0.1.0 (project version 3) opens with everything that it held."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.model import State
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore

FOLDER = Path(__file__).with_name("version_3")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "old")
    return tmp_path / "old"


def test_labels_predictions_and_categories_are_the_same(old: Path) -> None:
    with ProjectStore.open(old / "labels.pose") as store:
        frames = store.frames()
        assert [frame.name for frame in frames] == ["a.png", "b.png", "c.png"]
        (category,) = store.categories()
        assert (category.name, category.schema.names) == ("mouse", ("nose", "left_paw", "right_paw", "tail"))
        (first,), (second,), (prediction,) = (store.instances(frame.key) for frame in frames)
        np.testing.assert_array_equal(first.keypoints, [[10, 10], [20, 12], [0, 0], [30.5, 40.25]])
        np.testing.assert_array_equal(first.visibility, [2, 1, 0, 2])
        np.testing.assert_array_equal(first.box, [5, 6, 35, 41])
        assert (second.state, prediction.state) == (State.LABELLED, State.PREDICTED)
        np.testing.assert_array_equal(prediction.scores, [0.9, 0.8, 0.4, 0.7])


def test_steps_can_be_redone_and_undone(old: Path) -> None:
    with ProjectStore.open(old / "labels.pose") as store:
        key = store.frames()[2].key
        store.redo()
        added = store.instances(key)[1]
        np.testing.assert_array_equal(added.keypoints, [[11, 12], [13, 14], [15, 16], [17, 18]])
        np.testing.assert_array_equal(added.visibility, [2, 1, 2, 0])
        store.undo()
        store.undo()
        assert len(store.instances(key)) == 0


def test_an_untouched_coco_file_is_exported_as_it_was(old: Path, tmp_path: Path) -> None:
    with ProjectStore.open(old / "labels.pose") as store:
        store.undo()  # the prediction
        export_coco(store, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads((old / "labels.json").read_text())


def test_its_label_file_opens_the_project_without_reading_the_labels_again(old: Path) -> None:
    with open_any(old / "labels.json") as store:
        assert [len(store.instances(frame.key)) for frame in store.frames()] == [1, 1, 1]
