import numpy as np
import pytest

from engine.pose import Detections
from engine.train.tasks.detector import best_threshold, true_positives


def test_an_object_is_claimed_by_its_best_detection_only() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    result = Detections(boxes, np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 0, 1]))
    truth = np.array([[0, 0, 10, 10]], np.float32)
    assert [hit for _, hit in true_positives(result, truth, np.array([0]))] == [True, False, False, False]


def test_no_object_no_claim() -> None:
    result = Detections(np.array([[0, 0, 10, 10]], np.float32), np.array([0.9]), np.array([0]))
    assert true_positives(result, np.zeros((0, 4)), np.zeros(0, int)) == [(0.9, False)]


@pytest.mark.parametrize(
    ("hits", "objects", "expected"),
    [
        ([(0.9, True), (0.6, True), (0.2, False)], 2, 0.4),  # the middle of the gap
        ([(0.9, True), (0.8, True)], 2, 0.425),
        ([(0.3, False), (0.2, False)], 2, 0.1),
        ([], 3, 0.1),
        ([(0.99, True), (0.95, False)], 1, 0.5),  # never stricter than this
    ],
)
def test_the_threshold_parts_objects_from_the_rest(
    hits: list[tuple[float, bool]], objects: int, expected: float
) -> None:
    assert best_threshold(hits, objects) == pytest.approx(expected)
