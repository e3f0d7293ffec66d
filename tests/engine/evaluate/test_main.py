import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import Cancelled, CocoError
from engine.evaluate.__main__ import main
from engine.evaluate.evaluation import evaluate_model, evaluate_results
from engine.evaluate.model import Conditions
from engine.evaluate.results import AS_GIVEN, evaluate, load
from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.formats.datasets import read_as_coco
from engine.metrics.coco_metric import CocoMetricOptions
from engine.schema.builtin import find_schema
from engine.utils import command_line
from engine.utils.context import Context


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    schema = find_schema("coco")
    rng = np.random.default_rng(0)
    data = CocoDataset(categories=[make_category(1, schema)])
    for index in (1, 2, 3):
        points = np.column_stack([rng.uniform(20, 180, (17, 2)), np.full(17, 2)])
        data.images.append(make_image(index, f"photos/{index}.jpg", 200, 200))
        data.annotations.append(make_annotation(index, index, 1, points, [10, 10, 180, 180]))
    file = tmp_path / "labels.json"
    data.write(file)
    return file


def results_of(labels: Path, shift: float = 0.0, leave_out: int = 0) -> list[dict[str, object]]:
    results = []
    for record in CocoDataset.read(labels).annotations[leave_out:]:
        points = np.array(record.keypoints, float).reshape(-1, 3)
        points[:, 0] += shift
        row = {"image_id": record.image_id, "category_id": 1, "bbox": record.bbox, "score": 0.9}
        results.append(row | {"keypoints": points.ravel().tolist()})
    return results


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_perfect_predictions_have_the_best_figures(labels: Path, tmp_path: Path) -> None:
    result = evaluate(load(labels, write(tmp_path / "r.json", results_of(labels))))
    assert result["AP"] == pytest.approx(1)
    assert result["PCK@0.2"] == 1
    assert result["AUC"] == pytest.approx(0.95)
    assert result["EPE"] == 0
    assert result["per_keypoint"]["nose"] == {"PCK@0.2": 1.0, "EPE": 0.0}


def test_a_shift_shows_in_pixels(labels: Path, tmp_path: Path) -> None:
    result = evaluate(load(labels, write(tmp_path / "r.json", results_of(labels, shift=3.0))))
    assert result["EPE"] == pytest.approx(3, abs=1e-4)
    assert result["median_px"] == pytest.approx(3, abs=1e-4)


def test_a_missed_instance_is_counted_and_wrong(labels: Path, tmp_path: Path) -> None:
    result = evaluate(load(labels, write(tmp_path / "r.json", results_of(labels, leave_out=1))))
    assert result["missed"] == 1
    assert result["PCK@0.2"] == pytest.approx(2 / 3)
    assert result["EPE"] == 0


def test_a_coco_file_of_predictions_with_ids_of_its_own_is_matched_by_names(labels: Path, tmp_path: Path) -> None:
    truth = CocoDataset.read(labels)
    guess = CocoDataset(categories=[make_category(7, find_schema("coco"))])
    for image in truth.images:
        guess.images.append(make_image(100 - int(image.id), Path(image.file_name).name, 200, 200))
    for record in truth.annotations:
        points = np.array(record.keypoints).reshape(-1, 3)
        guess.annotations.append(
            make_annotation(record.id, 100 - int(record.image_id), 7, points, record.bbox, score=0.5)
        )
    file = tmp_path / "predicted.json"
    guess.write(file)
    result = evaluate(load(labels, file))
    assert result["AP"] == pytest.approx(1)
    assert result["EPE"] == 0


def test_the_command_prints_a_table_and_writes_the_figures(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write(tmp_path / "r.json", results_of(labels))
    out = tmp_path / "m.json"
    assert main(["--annotations", str(labels), "--results", str(results), "--metrics", "pck", "--out", str(out)]) == 0
    assert set(json.loads(out.read_text())) == {"PCK@0.2", "instances", "missed", "per_keypoint", "predictions"}
    assert "left_ankle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3], "score": 1}], "3 numbers"),
        ([{"image_id": 99, "category_id": 1, "keypoints": [0.0] * 51, "score": 1}], "none of its images"),
    ],
)
def test_results_of_something_else_are_refused_in_one_line(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, words: str
) -> None:
    results = write(tmp_path / "r.json", content)
    assert command_line.run(main, ["--annotations", str(labels), "--results", str(results)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_an_unknown_metric_is_refused(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(main, ["--annotations", str(labels), "--results", str(labels), "--metrics", "map"]) == 2
    assert "'map'" in capsys.readouterr().err


def test_scores_are_made_again_when_asked_for(labels: Path, tmp_path: Path) -> None:
    rows = results_of(labels)
    for row in rows:
        row["box_score"] = 0.5
    out = tmp_path / "m.json"
    results = write(tmp_path / "r.json", rows)
    common = ["--annotations", str(labels), "--results", str(results), "--metrics", "oks", "--out", str(out)]
    for more in (["--score-mode", "bbox_keypoint"], ["--score-mode", "bbox", "--nms", "none"], ["--nms", "oks_nms"]):
        assert main([*common, *more]) == 0
        assert json.loads(out.read_text())["AP"] == pytest.approx(1)


def test_a_score_that_cannot_be_made_is_told(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write(tmp_path / "r.json", results_of(labels))
    common = ["--annotations", str(labels), "--results", str(results), "--score-mode"]
    assert command_line.run(main, [*common, "bbox"]) == 2
    assert "--score-mode keypoint or given" in capsys.readouterr().err
    assert command_line.run(main, [*common, "keypoint"]) == 0


def test_whole_body_labels_in_their_own_layout_are_measured_by_parts(shared: Path, tmp_path: Path) -> None:
    folder = shared / "parity" / "metrics"
    oracle = json.loads((folder / "wholebody_metric.json").read_text())
    expected = oracle["expected"]["nms_none"]
    scores = dict(zip([row["id"] for row in oracle["predictions"]], expected["kept"], strict=True))
    rows = []
    for row in oracle["predictions"]:
        points = np.column_stack([row["keypoints"], row["keypoint_scores"]]).ravel().tolist()
        rows.append({"image_id": row["img_id"], "score": scores[row["id"]][1], "keypoints": points})
    whole = write(tmp_path / "whole.json", rows)
    cuts = {"keypoints": (0, 17), "foot_kpts": (17, 23), "face_kpts": (23, 91),
            "lefthand_kpts": (91, 112), "righthand_kpts": (112, 133)}  # fmt: skip
    parts = write(
        tmp_path / "parts.json",
        [row | {name: row["keypoints"][3 * a : 3 * b] for name, (a, b) in cuts.items()} for row in rows],
    )
    for file in (whole, parts):
        result = evaluate(load(folder / oracle["ann_file"], file), ["oks"])
        assert result["AP"] == pytest.approx(expected["result"]["AP"], abs=1e-9)
        stats = {part["iouType"]: part["stats"][0] for part in expected["per_part"]}
        assert result["Foot AP"] == pytest.approx(stats["keypoints_foot"], abs=1e-9)
        assert result["Whole AP"] == result["AP"]


def test_pck_is_measured_by_the_part_of_the_box_inside_the_image(labels: Path, tmp_path: Path) -> None:
    data = CocoDataset.read(labels)
    data.annotations = [one.patched(bbox=[-1000.0, 10.0, 1180.0, 20.0]) for one in data.annotations]
    wide = tmp_path / "wide.json"
    data.write(wide)
    result = evaluate(load(wide, write(tmp_path / "r.json", results_of(wide, shift=40.0))), ["pck"])
    assert result["PCK@0.2"] == 0  # 0.2 of 180 pixels, not of 1180


@pytest.mark.parametrize("sample", ["halpe/test_halpe.json", "aic/test_aic.json", "fld/test_fld.json",
                                    "deepfasion2/deepfasion2.json"])  # fmt: skip
def test_labels_of_other_kinds_are_perfect_predictions_of_themselves(shared: Path, tmp_path: Path, sample: str) -> None:
    file = shared / "data/mmpose-samples" / sample
    rows = []
    for record in read_as_coco(file).annotations:
        flat = np.array(record.keypoints, float).reshape(-1, 3)
        if not flat[:, 2].any():
            continue
        flat[:, 2] = 1
        row = {"image_id": record.image_id, "category_id": record.category_id, "bbox": record.bbox, "score": 1.0}
        rows.append(row | {"keypoints": flat.ravel().tolist(), "box_score": 1.0})
    results = write(tmp_path / "r.json", rows)
    for options in (CocoMetricOptions(), AS_GIVEN):
        result = evaluate(load(file, results), options=options)
        assert result["AP"] == pytest.approx(1)
        assert result["PCK@0.2"] == 1


def test_predictions_of_a_file_are_evaluated_from_python(labels: Path, tmp_path: Path) -> None:
    rows = [*results_of(labels), {"image_id": 99, "category_id": 1, "keypoints": [0.0] * 51, "score": 1}]
    result = evaluate_results(labels, write(tmp_path / "r.json", rows))
    assert result.metrics["AP"] == pytest.approx(1)
    assert result.per_keypoint["nose"] == {"PCK@0.2": 1.0, "EPE": 0.0}
    assert [item.reason for item in result.skipped] == ["its image is not in the labels (1 result)"]
    assert evaluate_results(labels, tmp_path / "r.json", metrics=["epe"]).metrics.keys() == {
        "EPE", "median_px", "instances", "missed", "predictions"
    }  # fmt: skip
    with pytest.raises(CocoError, match="no metric 'map'"):
        evaluate_results(labels, tmp_path / "r.json", metrics=["map"])


def test_a_model_is_evaluated_from_python_and_can_be_cancelled(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/coco-mini"
    steps: list[tuple[int, int]] = []
    context = Context(lambda done, total, _: steps.append((done, total)))
    conditions = Conditions(limit=2, flip_test=False, device="cpu")
    annotations, images = folder / "person_keypoints.json", folder / "images"
    result = evaluate_model("movenet_lightning", annotations, images, conditions, context=context)
    assert steps == [(0, 2), (1, 2), (2, 2)]
    assert 0 < result.metrics["AP"] <= 1
    assert result.report["images"] == 2
    assert "only the first 2 images (--limit)" in result.notes
    context.cancel()
    with pytest.raises(Cancelled):
        evaluate_model("movenet_lightning", annotations, images, conditions, context=context)
