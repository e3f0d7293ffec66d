from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.metrics.coco_metric import (
    Accumulator,
    CocoMetricOptions,
    PoseResult,
    evaluate_coco,
    score_of,
    select,
)
from engine.metrics.oks_nms import oks_nms, soft_oks_nms
from engine.metrics.wholebody import PARTS, evaluate_wholebody
from engine.schema.builtin import find_schema

SCHEMA = find_schema("coco")
SIGMAS = np.array(SCHEMA.sigmas)


def points(seed: int = 0, k: int = 17, low: float = 20, high: float = 180) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (k, 2))


def labels(schema_name: str = "coco", people: int = 3) -> CocoDataset:
    schema = find_schema(schema_name)
    data = CocoDataset(categories=[make_category(1, schema)])
    for index in range(1, people + 1):
        data.images.append(make_image(index, f"{index}.jpg", 200, 200))
        marked = np.column_stack([points(index, schema.num_keypoints), np.full(schema.num_keypoints, 2)])
        data.annotations.append(make_annotation(index, index, 1, marked, [10, 10, 180, 180], area=20000.0))
    return data


def result(image: int, id: int = 1, shift: float = 0.0, score: float = 0.8, k: int = 17, **more: object) -> PoseResult:
    match = np.column_stack([points(image, k) + shift, np.full(k, score)])
    box = np.array([10.0, 10, 190, 190])
    return PoseResult(id, image, match, box=box, nms_area=40000.0, **more)  # type: ignore[arg-type]


def test_perfect_predictions_have_ap_1_whatever_the_score() -> None:
    for mode in ("bbox_keypoint", "bbox", "keypoint", "bbox_rle", "given"):
        match = evaluate_coco(labels(), [result(i) for i in (1, 2, 3)], SCHEMA, CocoMetricOptions(score_mode=mode))
        assert match["AP"] == pytest.approx(1), mode


def test_the_score_modes() -> None:
    keypoints = np.array([[0, 0, 0.9], [1, 1, 0.1], [2, 2, 0.5]])
    one = PoseResult(1, 1, keypoints, box_score=0.5, score=0.123)

    def score(mode: str, threshold: float = 0.2) -> float:
        return score_of(one, CocoMetricOptions(score_mode=mode, keypoint_score_thr=threshold))

    assert score("bbox_keypoint") == pytest.approx(0.5 * 0.7)
    assert score("bbox_keypoint", threshold=0.5) == pytest.approx(0.5 * 0.9)  # only above counts
    assert score("bbox_keypoint", threshold=0.95) == 0
    assert score("bbox") == 0.5
    assert score("keypoint") == pytest.approx(0.5)
    assert score("bbox_rle") == pytest.approx(0.5 + 0.5 + 0.9)
    assert score("given") == 0.123


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="score_mode must be one of bbox_keypoint"):
        CocoMetricOptions(score_mode="box")
    with pytest.raises(ValueError, match="nms_mode"):
        CocoMetricOptions(nms_mode="hard")


def test_of_predictions_with_one_id_the_first_stays_and_others_are_sorted_by_id() -> None:
    chosen = select([result(1, 5, 50), result(1, 5, 0), result(1, 2, 90)], SIGMAS, CocoMetricOptions(nms_mode="none"))
    assert [match.id for match in chosen[1].results] == [2, 5]
    assert chosen[1].points[1, 0, 0] == pytest.approx(points(1)[0, 0] + 50)


def test_poses_that_say_the_same_are_one_by_suppression() -> None:
    alike = [result(1, 1, 0.0, score=0.7), result(1, 2, 0.5, score=0.8), result(1, 3, 80.0, score=0.5)]
    assert [match.id for match in select(alike, SIGMAS)[1].results] == [2, 3]
    soft = select(alike, SIGMAS, CocoMetricOptions(nms_mode="soft_oks_nms"))[1]
    assert [match.id for match in soft.results] == [2, 3, 1]
    assert soft.scores.tolist() == pytest.approx([0.8, 0.5, 0.7])


def test_suppression_of_nothing_and_of_one() -> None:
    none = np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0), SIGMAS
    one = np.zeros((1, 17, 2)), np.zeros(1), np.zeros(1), SIGMAS
    for nms in (oks_nms, soft_oks_nms):
        assert nms(*none).tolist() == []
        assert nms(*one).tolist() == [0]


def test_a_prediction_without_any_keypoint_score_is_left_out() -> None:
    silent = [result(i, score=0.0) for i in (1, 2, 3)]
    assert evaluate_coco(labels(), silent, SCHEMA)["AR"] == 0


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(CocoError, match="4 keypoints"):
        evaluate_coco(labels(), [result(1, k=4)], SCHEMA)
    with pytest.raises(CocoError, match="image 9"):
        evaluate_coco(labels(), [result(9)], SCHEMA)
    with pytest.raises(CocoError, match="not finite"):
        evaluate_coco(labels(), [result(1, shift=float("nan"))], SCHEMA)
    with pytest.raises(CocoError, match="no annotation"):
        evaluate_coco(CocoDataset(), [], SCHEMA)


def test_wholebody_parts_are_measured_each_by_itself() -> None:
    results = [result(i, k=133) for i in (1, 2, 3)]
    for one in results:
        one.keypoints[PARTS["lefthand"], :2] += 60
    figures = evaluate_wholebody(labels("coco_wholebody"), results, find_schema("coco_wholebody"))
    assert figures["body"]["AP"] == figures["face"]["AP"] == figures["righthand"]["AP"] == pytest.approx(1)
    assert figures["lefthand"]["AP"] == 0
    assert figures["hand"]["AP"] == pytest.approx(0.5)
    assert 0 < figures["wholebody"]["AP"] < 1
    with pytest.raises(CocoError, match="133"):
        evaluate_wholebody(labels(), [], SCHEMA)


def test_a_person_without_labels_in_a_part_is_ignored_for_it() -> None:
    data = labels("coco_wholebody", people=2)
    flat = list(data.annotations[0].keypoints or [])
    flat[3 * 91 : 3 * 112] = [0] * 63
    data.annotations[0] = data.annotations[0].patched(keypoints=flat)
    figures = evaluate_wholebody(data, [result(2, k=133)], find_schema("coco_wholebody"))
    assert figures["lefthand"]["AR"] == pytest.approx(1)
    assert figures["righthand"]["AR"] == pytest.approx(0.5)


@given(st.permutations(range(12)), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_accumulated_parts_give_the_same_list_in_any_order(order: list[int], shards: int) -> None:
    results = [result(i % 3 + 1, id=i % 2, shift=float(i)) for i in range(12)]  # each id has two, with other points
    assert len({(one.image_id, one.id) for one in results}) == 6
    parts = [Accumulator() for _ in range(shards)]
    for position, location in enumerate(order):
        parts[position % shards].add([results[location]])
    whole, alone = Accumulator(), Accumulator()
    alone.add(results)
    for part in parts:
        whole.add(part.results())
    assert len(whole) == len(alone)
    assert [vars(one) for one in whole.results()] == [vars(one) for one in alone.results()]
    keys = [(one.image_id, one.id) for one in whole.results()]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    "change",
    [
        {"score": 0.3}, {"score": float("nan")}, {"box_score": 0.3}, {"category_id": 2}, {"category_id": "x"},
        {"nms_area": 7.0}, {"nms_area": None}, {"box": np.array([0.0, 0, 9, 9])}, {"box": None},
        {"keypoints": np.zeros((17, 3))},
    ],
)  # fmt: skip
def test_of_two_predictions_with_one_id_the_same_stays_in_any_order(change: dict[str, Any]) -> None:
    one = result(1)
    other = replace(one, **change)
    stayed = []
    for order in ([one, other], [other, one]):
        match = Accumulator()
        match.add(order)
        stayed.append(match.results()[0])
        apart = Accumulator()
        for each in order:
            part = Accumulator()
            part.add([each])
            apart.add(part.results())
        stayed.append(apart.results()[0])
    assert all(each is stayed[0] for each in stayed)


def test_poses_exactly_as_alike_as_the_threshold_stay() -> None:
    """Equal poses have a similarity of 1, which no rounding changes."""
    poses = np.stack([points(1), points(1), points(1) + 60])
    scores, areas = np.array([0.5, 0.9, 0.7]), np.full(3, 400.0)
    assert oks_nms(poses, scores, areas, SIGMAS, threshold=1.0).tolist() == [1, 2, 0]
    assert oks_nms(poses, scores, areas, SIGMAS, threshold=0.999).tolist() == [1, 2]


def test_soft_suppression_keeps_twenty() -> None:
    many = np.stack([points(seed) for seed in range(30)])
    remaining = soft_oks_nms(many, np.linspace(1, 0.1, 30), np.full(30, 400.0), SIGMAS)
    assert remaining.tolist() == list(range(20))


def test_ids_may_be_texts_and_numbers() -> None:
    match = Accumulator()
    match.add([result(2), PoseResult("a", "x", result(1).keypoints), result(1)])
    assert [one.image_id for one in match.results()] == [1, 2, "x"]
