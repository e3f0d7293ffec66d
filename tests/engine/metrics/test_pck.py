import json
from pathlib import Path

import numpy as np
import pytest

from engine.metrics.pck import auc, box_norm, distances, epe, median_distance, pck, pck_per_keypoint


@pytest.mark.parametrize("name", ["fld", "df2"])
def test_published_implementation_gives_the_same_figures(shared: Path, name: str) -> None:
    case = json.loads((shared / "parity" / "metrics" / f"pck_{name}.json").read_text())
    distance = distances(np.array(case["pred"]), np.array(case["gt"]))
    visible = np.array(case["visible"]) > 0
    norm = box_norm(np.array(case["bboxes_xyxy"]))
    expected = case["expected"]
    for threshold in (0.05, 0.1, 0.2, 0.5):
        assert pck(distance, visible, norm, threshold) == pytest.approx(expected[f"PCK@{threshold}"], abs=1e-6)
    assert auc(distance, visible, 30, 20) == pytest.approx(expected["AUC(norm=30,n=20)"], abs=1e-6)
    assert auc(distance, visible, 10, 7) == pytest.approx(expected["AUC(norm=10,n=7)"], abs=1e-6)
    assert epe(distance, visible) == pytest.approx(expected["EPE"], abs=1e-4)


def test_a_point_at_exactly_the_threshold_is_wrong() -> None:
    distance = np.array([[20.0, 19.9]], np.float32)
    visible = np.ones((1, 2), bool)
    assert pck_per_keypoint(distance, visible, np.array([100.0]), 0.2).tolist() == [0.0, 1.0]


def test_hidden_points_and_boxes_without_extent_do_not_count() -> None:
    distance = np.array([[1.0, 99.0], [1.0, 1.0]], np.float32)
    visible = np.array([[True, False], [True, True]])
    result = pck_per_keypoint(distance, visible, np.array([10.0, 0.0]), 0.2)
    assert result[0] == 1.0
    assert np.isnan(result[1])
    assert pck(distance, visible, np.array([10.0, 0.0])) == 1.0


def test_a_missing_prediction_is_wrong_and_leaves_the_mean_distance_alone() -> None:
    predicted = np.array([[[0.0, 0.0], [np.nan, np.nan]]])
    truth = np.array([[[3.0, 4.0], [0.0, 0.0]]])
    distance, visible = distances(predicted, truth), np.ones((1, 2), bool)
    assert distance.tolist() == [[5.0, np.inf]]
    assert pck(distance, visible, np.array([100.0])) == 0.5
    assert epe(distance, visible) == 5.0
    assert median_distance(distance, visible) == 5.0


def test_perfect_predictions_reach_the_largest_auc() -> None:
    assert auc(np.zeros((2, 3), np.float32), np.ones((2, 3), bool)) == pytest.approx(0.95)
