"""Which predictions of labelled objects are left out, and which stay to be reviewed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.pose import Prediction
from engine.schema.schema import schema_from_dict
from poseapp.project import edits
from poseapp.project.model import ABSENT, OCCLUDED, Category, FrameKey, FrameState, Instance

SCHEMA = schema_from_dict(
    {"name": "tee", "category": "tee", "keypoints": [{"name": n} for n in ("head", "left", "right", "foot")]}
)
CATEGORY = Category(1, "tee", SCHEMA)
POINTS = np.array([[100.0, 20], [60, 80], [140, 80], [100, 200]])
BOX = np.array([50.0, 10, 150, 210])
KEY = FrameKey(1, 0)


def label(visibility: list[int] | None = None, **changes: object) -> Instance:
    return replace(edits.make_instance(1, CATEGORY, POINTS, visibility, box=BOX), **changes)  # type: ignore[arg-type]


def prediction(points: np.ndarray, scores: float | list[float] = 0.9, box: np.ndarray = BOX) -> Prediction:
    keypoints = np.column_stack([points, np.broadcast_to(scores, 4)]).astype(np.float32)
    return Prediction(keypoints, box.astype(np.float32), 0.9, 0.9)


def stays(existing: Instance, result: Prediction) -> bool:
    edit = edits.add_predictions(KEY, [existing], [result], CATEGORY, [7], "net", min_keypoint_score=0.15)
    return bool(edit.frames[0].after)


def test_a_prediction_that_agrees_with_a_label_is_done() -> None:
    assert not stays(label(), prediction(POINTS))
    assert not stays(label(), prediction(POINTS + 8.0))
    assert not stays(label([2, 1, 2, 2]), prediction(POINTS))


def test_a_prediction_in_the_box_of_a_label_with_other_points_stays() -> None:
    exchanged = POINTS[[0, 2, 1, 3]]
    assert stays(label(), prediction(exchanged))


@pytest.mark.parametrize("point", range(4))
def test_one_point_elsewhere_is_enough(point: int) -> None:
    moved = POINTS.copy()
    moved[point] += (0, 40) if point < 3 else (0, -40)
    assert stays(label(), prediction(moved))


def test_a_point_that_the_model_is_not_sure_of_contradicts_nothing() -> None:
    moved = POINTS.copy()
    moved[1] += 60
    assert not stays(label(), prediction(moved, [0.9, 0.2, 0.9, 0.9]))
    assert stays(label(), prediction(moved, [0.9, 0.4, 0.9, 0.9]))


def test_a_point_that_the_label_has_not_but_the_model_sees_stays() -> None:
    without = label([2, ABSENT, 2, 2])
    assert stays(without, prediction(POINTS))
    assert not stays(without, prediction(POINTS, [0.9, 0.1, 0.9, 0.9]))


def test_a_point_that_only_the_label_has_contradicts_nothing() -> None:
    assert not stays(label([2, OCCLUDED, 2, 2]), prediction(POINTS, [0.9, 0.05, 0.9, 0.9]))


def test_a_box_without_points_is_not_done_by_its_box() -> None:
    bare = edits.make_instance(1, CATEGORY, box=BOX)
    assert stays(bare, prediction(POINTS))


def test_small_objects_allow_for_the_hand() -> None:
    small = label(keypoints=POINTS / 20, box=BOX / 20)
    assert not stays(small, prediction(POINTS / 20 + 1.5, box=BOX / 20))
    assert stays(small, prediction(POINTS / 20 + [[0, 0], [6.0, 0], [0, 0], [0, 0]], box=BOX / 20))


def test_a_run_records_that_it_found_nothing_and_takes_it_back() -> None:
    edit = edits.add_predictions(KEY, [], [], CATEGORY, [], "net", state=FrameState(flagged=True))
    assert edit.frames[0].state == (FrameState(flagged=True), FrameState(flagged=True, nothing_found=True))
    again = edits.add_predictions(
        KEY, [], [prediction(POINTS)], CATEGORY, [7], "net", state=FrameState(nothing_found=True)
    )
    assert again.frames[0].state == (FrameState(nothing_found=True), FrameState())
    assert edits.add_predictions(KEY, [], [], CATEGORY, [], "net").frames[0].state is None
