"""A pose estimated again around corrected points: what a person set stays, the rest follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.assist import _expected, candidates, reestimate
from engine.contract.schemas import find_schema
from engine.media.images import read_image
from engine.predictor import Predictor

BOX = [20, 0, 480, 500]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("movenet_lightning", "cpu")


@pytest.fixture(scope="module")
def astronaut(resources_dir: Path) -> np.ndarray:
    return read_image(resources_dir / "sample" / "astronaut.jpg")


def test_the_first_candidate_is_the_prediction_and_the_others_lie_elsewhere(
    predictor: Predictor, astronaut: np.ndarray
) -> None:
    places, scores = candidates(predictor, astronaut, BOX)
    ((pose,),) = predictor.predict([astronaut], [[BOX]])
    assert np.allclose(places[0], pose.keypoints[:, :2], atol=1e-3)
    assert np.allclose(scores[0], pose.keypoints[:, 2], atol=1e-5)
    assert places.shape == (5, 17, 2)
    assert (np.linalg.norm(places[1] - places[0], axis=1) > 5).mean() > 0.5


def test_points_that_are_set_stay_and_a_pose_led_astray_comes_back(predictor: Predictor, astronaut: np.ndarray) -> None:
    ((pose,),) = predictor.predict([astronaut], [[BOX]])
    right = pose.keypoints[:, :2].astype(np.float64)
    sure = pose.keypoints[:, 2] > 0.5
    wrong = right + 120.0  # everything a hand's breadth off, as from another person's box
    fixed = np.zeros(17, np.bool_)
    corrected = wrong.copy()
    for name in ("nose", "left_shoulder", "right_shoulder"):
        index = predictor.schema.index[name]
        corrected[index], fixed[index] = right[index], True
    found, scores, _ = reestimate(predictor, astronaut, corrected, fixed, np.ones(17, np.bool_), before=wrong, box=BOX)
    assert np.array_equal(found[fixed], right[fixed])
    assert (scores[fixed] == 1).all()
    error = np.linalg.norm(found - right, axis=1)[sure & ~fixed]
    assert np.median(error) < 20


def test_a_point_the_network_does_not_see_moves_with_its_neighbours(
    predictor: Predictor, astronaut: np.ndarray
) -> None:
    dark = np.zeros_like(astronaut)
    points = np.column_stack([np.linspace(100, 400, 17), np.linspace(50, 450, 17)])
    corrected, fixed = points.copy(), np.zeros(17, np.bool_)
    elbow, wrist = predictor.schema.index["left_elbow"], predictor.schema.index["left_wrist"]
    corrected[elbow] += (30, -10)
    fixed[elbow] = True
    found, scores, _ = reestimate(predictor, dark, corrected, fixed, np.ones(17, np.bool_), before=points)
    assert np.array_equal(found[elbow], corrected[elbow])
    if scores[wrist] < 0.1:
        assert np.allclose(found[wrist], points[wrist] + (30, -10))


def test_expectation_moves_near_points_with_the_correction() -> None:
    schema = find_schema("coco")
    points = np.zeros((17, 2))
    moved, fixed = points.copy(), np.zeros(17, np.bool_)
    nose = schema.index["nose"]
    moved[nose], fixed[nose] = (10, 0), True
    expected = _expected(schema, moved, fixed, np.ones(17, np.bool_), points)
    assert np.allclose(expected, (10, 0))
    ankle = schema.index["left_ankle"]
    fixed[ankle] = True  # set, and not moved: it holds what is near it
    expected = _expected(schema, moved, fixed, np.ones(17, np.bool_), points)
    assert expected[schema.index["left_knee"], 0] < expected[schema.index["left_eye"], 0]


def test_without_points_and_box_there_is_nothing_to_estimate(predictor: Predictor, astronaut: np.ndarray) -> None:
    nothing = np.zeros(17, np.bool_)
    with pytest.raises(ValueError, match="without points"):
        reestimate(predictor, astronaut, np.zeros((17, 2)), nothing, nothing)


def test_a_network_that_tells_what_is_visible_is_passed_on(
    predictor: Predictor, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = torch.linspace(0, 1, 17)[None]
    forward = predictor._forward
    monkeypatch.setattr(predictor, "_forward", lambda pixels: (forward(pixels)[0], told))
    points = np.column_stack([np.linspace(100, 400, 17), np.linspace(50, 450, 17)])
    found = reestimate(predictor, astronaut, points, np.zeros(17, np.bool_), np.ones(17, np.bool_), box=BOX)
    assert found.visible is not None
    assert np.allclose(found.visible, told[0])
