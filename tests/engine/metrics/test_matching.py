import numpy as np

from engine.metrics.matching import Pose, box_iou, match_poses

SIGMAS = np.array([0.1, 0.1])


def pose(x: float, *, box_x: float | None = None) -> Pose:
    points = np.array([[x, 10.0], [x + 20, 30.0]])
    left = x - 5 if box_x is None else box_x
    return Pose(points, np.array([True, True]), np.array([left, 0, left + 30, 40.0]), 600.0)


def test_the_nearer_pose_wins_whatever_the_order() -> None:
    truth, result = [pose(0), pose(10)], [pose(11), pose(1)]
    assert match_poses(truth, result, SIGMAS) == [1, 0]


def test_a_prediction_from_the_instances_own_box_is_its_own_even_when_another_lies_nearer() -> None:
    truth = [pose(0), pose(12)]
    results = [pose(12, box_x=truth[0].box[0]), pose(0, box_x=truth[1].box[0])]
    assert match_poses(truth, results, SIGMAS) == [0, 1]


def test_a_far_pose_is_no_match() -> None:
    assert match_poses([pose(0)], [pose(500)], SIGMAS) == [None]


def test_one_prediction_serves_one_instance() -> None:
    assert sorted(match_poses([pose(0), pose(1)], [pose(0)], SIGMAS), key=str) == [0, None]


def test_overlap_of_boxes() -> None:
    assert box_iou(np.array([0, 0, 10, 10.0]), np.array([5, 0, 15, 10.0])) == 50 / 150
    assert box_iou(np.array([0, 0, 10, 10.0]), np.array([10, 0, 15, 10.0])) == 0
