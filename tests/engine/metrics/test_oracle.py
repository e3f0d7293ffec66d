"""Against numbers that MMPose 1.3.2 gave for the same predictions.

Tolerances: AP and AR come out of counting, so equal numbers are wanted up to the rounding of a mean (1e-9); the given
scores were rounded to six digits and computed in float32 (2e-6); distances are float32 (1e-6 relative).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.formats.coco.dataset import CocoDataset
from engine.formats.datasets import read_as_coco
from engine.metrics.coco_metric import CocoMetricOptions, PoseResult, evaluate_coco, select
from engine.metrics.oks_nms import oks_between, oks_nms, soft_oks_nms
from engine.metrics.pck import auc, box_norm, distances, epe, pck
from engine.metrics.wholebody import evaluate_wholebody
from engine.schema.builtin import find_schema

STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
SETS = (
    "default", "nms_none", "score_bbox", "score_keypoint", "score_rle", "soft_oks_nms", "nms_thr_0.5", "kpt_thr_0.6",
    "no_area",
)  # fmt: skip

# Box scores of an image of the whole-body set: five equal ones, and how the reference's machine sorted them.
TIED = np.array([0.7742, 1.0, 0.6103, 0.6964, 1.0, 1.0, 1.0, 1.0, 0.7199])
TIED_ORDER = [7, 1, 6, 5, 4, 0, 8, 3, 2]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "parity" / "metrics"


def load(folder: Path, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / name).read_text())
    return data


def predictions(oracle: dict[str, Any]) -> list[PoseResult]:
    return [
        PoseResult(
            id=row["id"],
            image_id=row["img_id"],
            keypoints=np.column_stack([row["keypoints"], row["keypoint_scores"]]),
            box_score=row["bbox_score"],
            box=np.array(row["bbox_xyxy"]),
            nms_area=float(np.prod(row["bbox_scale"])),
        )
        for row in oracle["predictions"]
    ]


def check_kept(expected: list[list[float]], result: list[PoseResult], options: CocoMetricOptions, schema: str) -> None:
    chosen = select(result, np.array(find_schema(schema).sigmas), options)
    remaining = [(image, score) for image, group in chosen.items() for score in group.scores]
    assert [image for image, _ in remaining] == [image for image, _ in expected]
    assert [score for _, score in remaining] == pytest.approx([score for _, score in expected], abs=2e-6)


@pytest.mark.parametrize("name", SETS)
def test_coco_metric(folder: Path, name: str) -> None:
    oracle = load(folder, "coco_metric.json")
    expected = oracle["expected"][name]
    options = CocoMetricOptions(**expected["args"])
    result = predictions(oracle)
    check_kept(expected["kept"], result, options, "coco")
    figures = evaluate_coco(CocoDataset.read(folder / oracle["ann_file"]), result, find_schema("coco"), options)
    assert list(figures.values()) == pytest.approx(list(expected["result"].values()), abs=1e-9)
    assert tuple(figures) == STATS


@pytest.mark.parametrize("name", SETS)
def test_wholebody_metric(folder: Path, name: str) -> None:
    if name == "score_bbox" and np.argsort(TIED)[::-1].tolist() != TIED_ORDER:
        pytest.skip("this machine's numpy sorts equal scores otherwise than that of the reference, as it may")
    oracle = load(folder, "wholebody_metric.json")
    expected = oracle["expected"][name]
    options = CocoMetricOptions(**expected["args"])
    result = predictions(oracle)
    check_kept(expected["kept"], result, options, "coco_wholebody")
    data = read_as_coco(folder / oracle["ann_file"], kind="coco_wholebody")
    figures = evaluate_wholebody(data, result, find_schema("coco_wholebody"), options)
    for part in expected["per_part"]:
        own = figures[part["iouType"].removeprefix("keypoints_")]
        assert list(own.values()) == pytest.approx(part["stats"], abs=1e-9), part["iouType"]
    assert list(figures["wholebody"].values()) == pytest.approx(list(expected["result"].values()), abs=1e-9)
    assert figures["hand"]["AP"] == pytest.approx((figures["lefthand"]["AP"] + figures["righthand"]["AP"]) / 2)


def test_suppression(folder: Path) -> None:
    oracle = load(folder, "oks_nms.json")
    points = np.array(oracle["keypoints"])[..., :2]
    scores, areas, sigmas = (np.array(oracle[name]) for name in ("score", "area", "sigmas"))
    row = oks_between(points[0], areas[0], points, areas, sigmas)
    assert row == pytest.approx(np.array(oracle["oks_row0"]), rel=1e-5, abs=1e-7)
    for threshold, remaining in oracle["keep"].items():
        assert oks_nms(points, scores, areas, sigmas, float(threshold)).tolist() == remaining
    for threshold, remaining in oracle["soft_keep"].items():
        assert soft_oks_nms(points, scores, areas, sigmas, float(threshold)).tolist() == remaining


@pytest.mark.parametrize("name", ["pck_fld.json", "pck_df2.json"])
def test_distances(folder: Path, name: str) -> None:
    oracle = load(folder, name)
    expected = oracle["expected"]
    visible = np.array(oracle["visible"]) > 0
    result = distances(np.array(oracle["pred"]), np.array(oracle["gt"]))
    norm = box_norm(np.array(oracle["bboxes_xyxy"]))
    for threshold in (0.05, 0.1, 0.2, 0.5):
        assert pck(result, visible, norm, threshold) == pytest.approx(expected[f"PCK@{threshold}"], rel=1e-6)
    assert auc(result, visible) == pytest.approx(expected["AUC(norm=30,n=20)"], rel=1e-6)
    assert auc(result, visible, 10, 7) == pytest.approx(expected["AUC(norm=10,n=7)"], rel=1e-6)
    assert epe(result, visible) == pytest.approx(expected["EPE"], rel=1e-6)
