"""Poses in boxes: right places, any batch, any image, the same with and without company."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelError
from engine.inference.pose_estimator import PoseEstimator
from engine.media.images import read_image
from engine.pose import Prediction

# x, y of nose, left shoulder, right shoulder in the sample photograph of the astronaut, by eye.
LANDMARKS = {"nose": (223, 124), "left_shoulder": (326, 268), "right_shoulder": (95, 258)}
BOX = np.array([[10, 8, 365, 511]], np.float32)


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator.load("movenet_lightning", "cpu")


@pytest.fixture(scope="module")
def astronaut(resources_dir: Path) -> np.ndarray:
    return read_image(resources_dir / "sample/astronaut.jpg")


def check_landmarks(estimator: PoseEstimator, result: Prediction, tolerance: float = 25) -> None:
    for name, position in LANDMARKS.items():
        point = result.keypoints[estimator.schema.index[name]]
        assert np.abs(point[:2] - position).max() < tolerance, name
        assert point[2] > 0.3


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("model", ["movenet_lightning", "movenet_thunder"])
def test_embedded_models_find_the_landmarks(astronaut: np.ndarray, model: str, flip_test: bool) -> None:
    estimator = PoseEstimator.load(model, "cpu")
    ((result,),) = estimator.predict([astronaut], [BOX], flip_test=flip_test)
    check_landmarks(estimator, result)
    assert result.keypoints.shape == (17, 3)
    assert result.keypoints.dtype == np.float32
    assert np.array_equal(result.box, BOX[0])
    assert result.category == "person"
    assert result.score == pytest.approx(result.keypoints[:, 2].mean(), abs=1e-5)


def test_a_mirrored_photograph_gives_the_mirrored_pose(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    width = astronaut.shape[1]
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    # The box's center goes to pixel 96 of 192, whose mirror image is 95: one crop pixel more makes the crops mirrored.
    pixel = 1.25 * (BOX[0, 3] - BOX[0, 1]) / 192
    left, right = width - 1 - BOX[0, [2, 0]] + pixel
    other = np.array([[left, BOX[0, 1], right, BOX[0, 3]]])
    ((direct,), (flipped,)) = estimator.predict([astronaut, mirrored], [BOX, other], flip_test=True)
    back = flipped.keypoints[estimator.schema.flip_indices].astype(float)
    back[:, 0] = width - 1 - back[:, 0]
    sure = direct.keypoints[:, 2] > 0.3
    assert sure.sum() >= 6
    differences = np.abs(back - direct.keypoints)[sure, :2]
    assert np.median(differences) < 0.5
    assert differences.max() < 8  # of two nearly equal cells the mirrored photograph may choose the other one


def test_batching_does_not_change_results(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    small = np.ascontiguousarray(astronaut[:300, :280])
    boxes = [np.concatenate([BOX, BOX + 20, BOX - 15]), np.zeros((0, 4)), BOX[:, :] * 0.5]
    images = [astronaut, astronaut, small]
    one = estimator.predict(images, boxes, batch=1)
    many = estimator.predict(images, boxes, batch=3)
    assert [len(group) for group in one] == [len(group) for group in many] == [3, 0, 1]
    for a, b in zip(chain(*one), chain(*many), strict=True):
        # Another batch size rounds otherwise; where two cells are equally good that may choose the other one.
        assert np.median(np.abs(a.keypoints - b.keypoints)) < 0.01
        assert np.array_equal(a.box, b.box)


def test_scores_multiply_the_scores_of_the_boxes(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    (plain,) = estimator.predict([astronaut], [BOX])
    (weighted,) = estimator.predict([astronaut], [BOX], [[0.5]])
    assert weighted[0].score == pytest.approx(plain[0].score / 2)
    assert weighted[0].box_score == 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "box", [[-300, -200, 900, 800], [600, 600, 700, 700], [100, 100, 100, 100], [0, 0, 511, 2], [-1e5, 0, 1e5, 10]]
)
def test_boxes_are_used_as_given_wherever_they_lie(
    estimator: PoseEstimator, astronaut: np.ndarray, box: list[float]
) -> None:
    ((result,),) = estimator.predict([astronaut], [[box]], flip_test=True)
    assert np.isfinite(result.keypoints).all()
    assert np.array_equal(result.box, np.array(box, np.float32))


def test_a_large_box_finds_the_same_person(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    ((result,),) = estimator.predict([astronaut], [[[-60, -60, 450, 560]]])
    check_landmarks(estimator, result, tolerance=40)


def test_images_and_boxes_must_be_as_many(estimator: PoseEstimator, astronaut: np.ndarray) -> None:
    with pytest.raises(ValueError, match="1 images, but boxes for 0"):
        estimator.predict([astronaut], [])


def test_detectors_are_refused_as_pose_models() -> None:
    with pytest.raises(ModelError, match="is a detector; --model wants a pose model"):
        PoseEstimator.load("efficientdet_lite0", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["movenet_lightning"])
@pytest.mark.parametrize("flip_test", [False, True])
def test_cutting_on_the_device_gives_the_same_poses(model: str, flip_test: bool, resources_dir: Path) -> None:
    images = [read_image(resources_dir / "sample" / name) for name in ("astronaut.jpg", "grace_hopper.jpg")]
    boxes = [[[20, 0, 480, 500], [100.5, 30.25, 400, 505]], [[50, 20, 450, 590]]]
    estimator = PoseEstimator.load(model, "cpu")
    expected = estimator.predict(images, boxes, [[0.5, 1.0], [0.25]], flip_test=flip_test)
    estimator._cuts_on_device = True
    result = estimator.predict(images, boxes, [[0.5, 1.0], [0.25]], flip_test=flip_test, batch=2)
    assert [len(group) for group in result] == [2, 1]
    for one, other in zip(chain(*expected), chain(*result), strict=True):
        # Pixels differ by a few grey values where the processor cuts more exactly: a fraction of a pixel.
        assert np.median(np.abs(one.keypoints[:, :2] - other.keypoints[:, :2])) < 0.5
        assert np.abs(one.keypoints[:, 2] - other.keypoints[:, 2]).max() < 0.1
        assert np.array_equal(one.box, other.box)
        assert one.box_score == other.box_score
    assert estimator.predict(images, [[], []]) == [[], []]
