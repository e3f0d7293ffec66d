"""A pose estimated again around corrected points: what a person set stays, the rest follows."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.inference.pose_estimator import PoseEstimator
from engine.inference.refinement import _expected, candidates, crop_box, refine_pose
from engine.media.images import read_image
from engine.models.metadata import CheckpointInfo
from engine.networks.movenet import MoveNetHeatmap
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names

BOX = [20, 0, 480, 500]


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator.load("movenet_lightning", "cpu")


@pytest.fixture(scope="module")
def astronaut(resources_dir: Path) -> np.ndarray:
    return read_image(resources_dir / "sample" / "astronaut.jpg")


def test_the_first_candidate_is_the_prediction_and_the_others_lie_elsewhere(
    estimator: PoseEstimator, astronaut: np.ndarray
) -> None:
    positions, scores = candidates(estimator, astronaut, BOX)
    ((pose,),) = estimator.predict([astronaut], [[BOX]])
    assert np.allclose(positions[0], pose.keypoints[:, :2], atol=1e-3)
    assert np.allclose(scores[0], pose.keypoints[:, 2], atol=1e-5)
    assert positions.shape == (5, 17, 2)
    assert (np.linalg.norm(positions[1] - positions[0], axis=1) > 5).mean() > 0.5


def test_points_that_are_set_stay_and_a_pose_led_astray_comes_back(
    estimator: PoseEstimator, astronaut: np.ndarray
) -> None:
    ((pose,),) = estimator.predict([astronaut], [[BOX]])
    right = pose.keypoints[:, :2].astype(np.float64)
    sure = pose.keypoints[:, 2] > 0.5
    wrong = right + 120.0  # everything a hand's breadth off, as from another person's box
    fixed = np.zeros(17, np.bool_)
    corrected = wrong.copy()
    for name in ("nose", "left_shoulder", "right_shoulder"):
        index = estimator.schema.index[name]
        corrected[index], fixed[index] = right[index], True
    result, scores, _ = refine_pose(
        estimator, astronaut, corrected, fixed, np.ones(17, np.bool_), before=wrong, box=BOX
    )
    assert np.array_equal(result[fixed], right[fixed])
    assert (scores[fixed] == 1).all()
    error = np.linalg.norm(result - right, axis=1)[sure & ~fixed]
    assert np.median(error) < 20


def test_a_point_the_network_does_not_see_moves_with_its_neighbours(
    estimator: PoseEstimator, astronaut: np.ndarray
) -> None:
    dark = np.zeros_like(astronaut)
    points = np.column_stack([np.linspace(100, 400, 17), np.linspace(50, 450, 17)])
    corrected, fixed = points.copy(), np.zeros(17, np.bool_)
    elbow, wrist = estimator.schema.index["left_elbow"], estimator.schema.index["left_wrist"]
    corrected[elbow] += (30, -10)
    fixed[elbow] = True
    result, scores, _ = refine_pose(estimator, dark, corrected, fixed, np.ones(17, np.bool_), before=points)
    assert np.array_equal(result[elbow], corrected[elbow])
    if scores[wrist] < 0.1:
        assert np.allclose(result[wrist], points[wrist] + (30, -10))


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


def test_without_points_and_box_there_is_nothing_to_estimate(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    nothing = np.zeros(17, np.bool_)
    with pytest.raises(ValueError, match="without keypoints"):
        refine_pose(estimator, astronaut, np.zeros((17, 2)), nothing, nothing)


def test_a_network_that_tells_what_is_visible_is_passed_on(
    estimator: PoseEstimator, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = torch.linspace(0, 1, 17)[None]
    forward = estimator._forward
    monkeypatch.setattr(estimator, "_forward", lambda pixels: (forward(pixels)[0], messages))
    points = np.column_stack([np.linspace(100, 400, 17), np.linspace(50, 450, 17)])
    result = refine_pose(estimator, astronaut, points, np.zeros(17, np.bool_), np.ones(17, np.bool_), box=BOX)
    assert result.visible is not None
    assert np.allclose(result.visible, messages[0])


@pytest.fixture(scope="module")
def animal() -> PoseEstimator:
    """A network of heatmaps alone, of four points that are no person's, as it is before it has learnt."""
    torch.manual_seed(3)
    schema = schema_from_names("animal", ["snout", "left_ear", "right_ear", "tail"])
    info = CheckpointInfo(
        task="pose",
        architecture="movenet_heatmap",
        arguments={"width": "lightning", "num_keypoints": 4},
        schema=schema.to_dict(),
        codec={"name": "gaussian", "stride": 4},
        input_size=(64, 64),
    )
    return PoseEstimator(MoveNetHeatmap("lightning", 4), info)


def some_pose(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points in and around the photograph, which of them are set, which are there, and scores."""
    return rng.uniform(-60, 570, (count, 2)), rng.random(count) < 0.3, rng.random(count) < 0.7, rng.random(count)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_pose_set_points_stay_and_what_is_seen_is_in_the_picture(
    animal: PoseEstimator, estimator: PoseEstimator, astronaut: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    for model in (animal, estimator):
        count = model.schema.num_keypoints
        points, fixed, present, scores = some_pose(rng, count)
        present[0] = True
        options = {"before": points + rng.normal(0, 20, points.shape), "box": BOX if seed % 2 else None}
        result = refine_pose(model, astronaut, points, fixed, present, scores=scores, **options)
        held = fixed & present
        assert np.array_equal(result.keypoints[held], points[held])
        assert (result.scores[held] == 1).all()
        assert np.isfinite(result.keypoints).all()
        assert ((result.scores >= 0) & (result.scores <= 1)).all()
        seen = result.scores[~held] >= 0.1
        positions = result.keypoints[~held][seen]
        assert ((positions >= -0.5) & (positions <= np.array(astronaut.shape[1::-1]) - 0.5)).all()
        again = refine_pose(model, astronaut, points, fixed, present, scores=scores, **options)
        assert np.array_equal(again.keypoints, result.keypoints)
        # One more is set: it and those that were set before are where they were put.
        more = held.copy()
        more[int(np.flatnonzero(present)[0])] = True
        further = refine_pose(model, astronaut, result.keypoints, more, present, scores=result.scores, **options)
        assert np.array_equal(further.keypoints[more], result.keypoints[more])


@pytest.mark.parametrize(
    "points",
    [
        np.full((4, 2), 100.0),
        np.full((4, 2), 1e5),
        np.full((4, 2), np.nan),
        np.array([[5.0, 5], [5, 5], [9, 5], [np.inf, 0]]),
    ],
)
@pytest.mark.parametrize("box", [[10, 10, 10, 10], BOX, [np.nan] * 4])
def test_poses_without_extent_or_numbers_are_no_reason_to_fail(
    animal: PoseEstimator, astronaut: np.ndarray, points: np.ndarray, box: list[float]
) -> None:
    fixed, scores = np.array([True, False, False, False]), np.full(4, np.nan)
    nowhere = not np.isfinite(points).all(1).any() and box != BOX
    with pytest.raises(ValueError, match="without keypoints") if nowhere else nullcontext():
        result = refine_pose(animal, astronaut, points, fixed, np.ones(4, np.bool_), box=box, scores=scores)
        assert np.isfinite(result.keypoints).all()
        if np.isfinite(points[0]).all():
            assert np.array_equal(result.keypoints[0], points[0])


def test_a_likely_point_stays_and_an_unlikely_one_goes(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    ((pose,),) = estimator.predict([astronaut], [[BOX]])
    points = pose.keypoints[:, :2].astype(np.float64)
    nose, elbow = estimator.schema.index["nose"], estimator.schema.index["left_elbow"]
    points[elbow] += (0, -12)
    fixed = np.arange(17) == nose
    present = np.ones(17, np.bool_)
    for score, stays in ((1.0, True), (0.01, False)):
        scores = np.full(17, score)
        result = refine_pose(estimator, astronaut, points, fixed, present, box=BOX, scores=scores)
        assert np.array_equal(result.keypoints[elbow], points[elbow]) is stays


def test_the_region_is_the_objects_box_and_holds_what_is_set() -> None:
    points = np.array([[50.0, 60.0], [300.0, 20.0], [120.0, 90.0]])
    present, fixed = np.ones(3, np.bool_), np.array([False, True, False])
    # A box around a single point is 2 wide and high.
    assert np.array_equal(crop_box(points, present, fixed, [40, 30, 200, 220]), [40, 19, 301, 220])
    around = crop_box(points, present, fixed, None)
    assert around is not None
    assert (around[:2] < points.min(0)).all()
    assert (around[2:] > points.max(0)).all()
