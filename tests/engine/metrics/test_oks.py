import json
from pathlib import Path

import numpy as np
import pytest

from engine.metrics.oks import box_ap, keypoint_ap, oks


def pose(image: int, points: list[list[float]], **more: object) -> dict[str, object]:
    flat = [v for x, y in points for v in (x, y, 2)]
    return {"image_id": image, "category_id": 1, "keypoints": flat, **more}


SIGMAS = [0.05, 0.05, 0.1]
TRUTH = [
    pose(1, [[10, 10], [60, 20], [40, 90]], bbox=[0, 0, 100, 100], area=5300.0),
    pose(2, [[30, 30], [70, 70], [50, 99]], bbox=[20, 20, 80, 80], area=3400.0),
]
IMAGES = [{"id": 1}, {"id": 2}]


def test_own_labels_as_predictions_have_ap_1() -> None:
    found = keypoint_ap(IMAGES, TRUTH, [record | {"score": 0.9} for record in TRUTH], SIGMAS)
    assert found["AP"] == pytest.approx(1)
    assert found["AR"] == pytest.approx(1)
    assert found["APM"] == pytest.approx(1)
    assert found["APL"] == -1


def test_one_of_two_missed_halves_the_recall() -> None:
    found = keypoint_ap(IMAGES, TRUTH, [TRUTH[0] | {"score": 0.9}], SIGMAS)
    assert found["AR"] == pytest.approx(0.5)


def test_no_prediction_at_all_is_zero() -> None:
    assert keypoint_ap(IMAGES, TRUTH, [], SIGMAS)["AP"] == 0


def test_an_annotation_without_area_and_box_is_measured_by_its_points() -> None:
    bare = [{k: v for k, v in record.items() if k not in ("bbox", "area")} for record in TRUTH]
    found = keypoint_ap(IMAGES, bare, [record | {"score": 0.9} for record in bare], SIGMAS)
    assert found["AP"] == pytest.approx(1)


def test_similarity_falls_off_as_the_formula_says() -> None:
    truth = np.zeros((1, 2))
    area, sigma, d = 1000.0, 0.1, 5.0
    found = oks(np.array([[d, 0.0]]), truth, np.array([True]), area, np.array([sigma]))
    assert found == pytest.approx(np.exp(-(d**2) / (2 * area * (2 * sigma) ** 2)))
    assert oks(truth, truth, np.array([False]), area, np.array([sigma])) == 0


def test_boxes_are_measured_too() -> None:
    boxes = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 50, 50]}]
    assert box_ap(IMAGES, boxes, [boxes[0] | {"score": 0.5}])["AP"] == pytest.approx(1)
    moved = {"image_id": 1, "category_id": 3, "bbox": [10, 0, 50, 50], "score": 0.5}  # IoU 2/3
    assert box_ap(IMAGES, boxes, [moved])["AP"] == pytest.approx(0.4)


def test_published_implementation_gives_the_same_figures(shared: Path) -> None:
    folder = shared / "parity" / "metrics"
    case = json.loads((folder / "coco_metric.json").read_text())
    truth = json.loads((folder / case["ann_file"]).read_text())
    results = []
    for record in case["predictions"]:
        scores = np.array(record["keypoint_scores"])
        good = scores[scores > 0.2]
        x1, y1, x2, y2 = record["bbox_xyxy"]
        results.append(
            {
                "image_id": record["img_id"],
                "category_id": 1,
                "keypoints": np.column_stack([record["keypoints"], scores]).ravel(),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": record["bbox_score"] * (good.mean() if len(good) else 0),
            }
        )
    sigmas = json.loads((folder / "oks_nms.json").read_text())["sigmas"]
    found = keypoint_ap(truth["images"], truth["annotations"], results, sigmas)
    expected = case["expected"]["nms_none"]["result"]
    assert list(found.values()) == pytest.approx([expected[name] for name in case["stats_names"]], abs=1e-3)
