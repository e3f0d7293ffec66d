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
    result = keypoint_ap(IMAGES, TRUTH, [record | {"score": 0.9} for record in TRUTH], SIGMAS)
    assert result["AP"] == pytest.approx(1)
    assert result["AR"] == pytest.approx(1)
    assert result["APM"] == pytest.approx(1)
    assert result["APL"] == -1


def test_one_of_two_missed_halves_the_recall() -> None:
    result = keypoint_ap(IMAGES, TRUTH, [TRUTH[0] | {"score": 0.9}], SIGMAS)
    assert result["AR"] == pytest.approx(0.5)


def test_no_prediction_at_all_is_zero() -> None:
    assert keypoint_ap(IMAGES, TRUTH, [], SIGMAS)["AP"] == 0


def test_an_annotation_without_area_and_box_is_measured_by_its_points() -> None:
    bare = [{k: v for k, v in record.items() if k not in ("bbox", "area")} for record in TRUTH]
    result = keypoint_ap(IMAGES, bare, [record | {"score": 0.9} for record in bare], SIGMAS)
    assert result["AP"] == pytest.approx(1)


def test_similarity_falls_off_as_the_formula_says() -> None:
    truth = np.zeros((1, 2))
    area, sigma, d = 1000.0, 0.1, 5.0
    result = oks(np.array([[d, 0.0]]), truth, np.array([True]), area, np.array([sigma]))
    assert result == pytest.approx(np.exp(-(d**2) / (2 * area * (2 * sigma) ** 2)))
    assert oks(truth, truth, np.array([False]), area, np.array([sigma])) == 0


def test_a_crowd_is_neither_missed_nor_is_what_lies_in_it_wrong() -> None:
    crowd = TRUTH[1] | {"iscrowd": 1}
    own = TRUTH[0] | {"score": 0.5}
    inside = TRUTH[1] | {"score": 0.9}
    for result in ([own], [own, inside], [own, inside, inside]):
        figures = keypoint_ap(IMAGES, [TRUTH[0], crowd], result, SIGMAS)
        assert figures["AP"] == pytest.approx(1)
        assert figures["AR"] == pytest.approx(1)
    beside = pose(2, [[500, 500], [600, 600], [700, 500]], score=0.9)
    assert keypoint_ap(IMAGES, [TRUTH[0], crowd], [own, beside], SIGMAS)["AP"] == pytest.approx(0.5)


def test_an_instance_without_labelled_points_is_neither_missed_nor_wrong() -> None:
    bare = TRUTH[1] | {"keypoints": [0] * 9}
    own, inside = TRUTH[0] | {"score": 0.5}, TRUTH[1] | {"score": 0.9}
    for result in ([own], [own, inside]):
        figures = keypoint_ap(IMAGES, [TRUTH[0], bare], result, SIGMAS)
        assert figures["AP"] == pytest.approx(1)
        assert figures["AR"] == pytest.approx(1)


def test_a_crowd_of_boxes_is_neither_missed_nor_is_what_lies_in_it_wrong() -> None:
    single = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 50, 50]}
    crowd = {"image_id": 1, "category_id": 3, "bbox": [100, 100, 300, 300], "iscrowd": 1}
    inside = [{"image_id": 1, "category_id": 3, "bbox": [x, 150, 40, 40], "score": 0.9} for x in (120, 200, 300)]
    for result in ([], inside[:1], inside):
        figures = box_ap(IMAGES, [single, crowd], [single | {"score": 0.5}, *result])
        assert figures["AP"] == pytest.approx(1)
        assert figures["AR100"] == pytest.approx(1)
    beside = {"image_id": 1, "category_id": 3, "bbox": [500, 500, 40, 40], "score": 0.9}
    assert box_ap(IMAGES, [single, crowd], [single | {"score": 0.5}, beside])["AP"] == pytest.approx(0.5)


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
    result = keypoint_ap(truth["images"], truth["annotations"], results, sigmas)
    expected = case["expected"]["nms_none"]["result"]
    assert list(result.values()) == pytest.approx([expected[name] for name in case["stats_names"]], abs=1e-3)
