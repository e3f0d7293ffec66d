"""How far copies are turned follows from how the labelled poses are turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.schema.schema import Schema, schema_from_names
from engine.train.data.rotation import rotation_for, rotation_from, turns_of
from engine.train.data.training_set import Instance, TrainingSet

DOG = schema_from_names("dog", ["nose", "tail", "left_paw", "right_paw", "left_hip", "right_hip"])
SHAPE = np.array([[-30, -8], [30, -12], [-18, 20], [-12, 20], [18, 19], [24, 20]], float)


def turned(degrees: float, shape: np.ndarray = SHAPE) -> np.ndarray:
    a = np.radians(degrees)
    return shape @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def data(poses: list[np.ndarray], category: str = "dog", schema: Schema = DOG) -> TrainingSet:
    labelled = np.ones(schema.num_keypoints, bool)
    box = np.array([0, 0, 100, 100], np.float32)
    items = tuple(
        Instance(i, 0, (pose + 50).astype(np.float32), labelled, box, 1e4, category) for i, pose in enumerate(poses)
    )
    return TrainingSet(Path("labels.json"), schema, (category,), (), items)


@pytest.mark.parametrize(
    ("category", "degrees"),
    [("person", 40), ("Person", 40), ("long_sleeved_dress", 40), ("mouse", 180), ("dog", 180), ("hand", 180)],
)
def test_without_labels_people_and_clothes_turn_little_and_all_else_freely(category: str, degrees: float) -> None:
    assert rotation_for(category) == degrees


def test_the_turn_of_each_pose_is_measured_against_the_mean() -> None:
    angles = [-20.0, -10, 0, 10, 20]
    np.testing.assert_allclose(turns_of(data([turned(a) for a in angles]), mirrored=False), angles, atol=1e-6)


def test_upright_poses_are_turned_a_little() -> None:
    poses = [turned(a) for a in np.linspace(-8, 8, 12)]
    assert rotation_from(data(poses), mirrored=True) == 20


def test_poses_in_a_wider_range_are_turned_further() -> None:
    poses = [turned(a) for a in np.linspace(-45, 45, 31)]
    assert 50 <= rotation_from(data(poses), mirrored=False) <= 60


def test_poses_in_all_directions_are_turned_freely() -> None:
    poses = [turned(a) for a in np.linspace(-180, 165, 24)]
    assert rotation_from(data(poses), mirrored=True) == 180
    assert rotation_from(data(poses), mirrored=False) == 180


def test_animals_seen_from_both_sides_stand_upright() -> None:
    other = (SHAPE * (-1, 1))[:, :][DOG.flip_indices]
    poses = [turned(a, shape) for a in np.linspace(-8, 8, 12) for shape in (SHAPE, other)]
    assert rotation_from(data(poses), mirrored=True) == 20


def test_few_poses_show_nothing() -> None:
    assert rotation_from(data([SHAPE] * 4), mirrored=True) == 180
    assert rotation_from(data([SHAPE] * 4, "person"), mirrored=True) == 40


def test_people_are_turned_at_least_as_in_published_models() -> None:
    assert rotation_from(data([turned(a) for a in np.linspace(-3, 3, 12)], "person"), mirrored=True) == 40
    assert rotation_from(data([turned(a) for a in np.linspace(-180, 165, 24)], "person"), mirrored=True) == 180


def test_poses_with_one_labelled_point_are_left_out() -> None:
    few = data([turned(a) for a in (0, 5)])
    one = few.instances[0]
    alone = Instance(9, 0, one.keypoints, np.arange(6) == 0, one.box, 1.0, "dog")
    mixed = TrainingSet(few.file, few.schema, few.categories, (), (*few.instances, alone))
    assert len(turns_of(mixed, mirrored=False)) == 2
