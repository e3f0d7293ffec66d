"""A model against labels in one command."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import CocoError
from engine.evaluate.__main__ import main
from engine.evaluate.model import detected_boxes, labelled_boxes, protocol_of
from engine.formats.coco.dataset import CocoDataset, make_annotation, make_category, make_image
from engine.models.catalog import find_model
from engine.schema.builtin import find_schema
from engine.utils import command_line

PEOPLE = 3


def evaluate(*arguments: object, out: Path) -> dict[str, Any]:
    assert main([*map(str, arguments), "--out", str(out), "--progress", "none"]) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


@pytest.fixture(scope="module")
def few(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels of the first images of a real set that have people."""
    whole = CocoDataset.read(shared / "data/coco-mini/person_keypoints.json")
    posed = {label.image_id for label in whole.annotations if label.num_keypoints}
    whole.images = [image for image in whole.images if image.id in posed][:PEOPLE]
    remaining = {image.id for image in whole.images}
    whole.annotations = [label for label in whole.annotations if label.image_id in remaining]
    file = tmp_path_factory.mktemp("few") / "few.json"
    whole.write(file)
    return file


@pytest.fixture
def images(shared: Path) -> Path:
    return shared / "data/coco-mini/images"


def test_a_model_is_measured_and_its_published_figures_stand_beside(
    few: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate("--model", "movenet_lightning", "--annotations", few, "--images", images, out=tmp_path / "m.json")
    assert report["protocol"] == "coco"
    assert report["images"] == PEOPLE
    assert report["published"]["AP"] == find_model("movenet_lightning").metrics["AP"]
    assert 0.2 < report["measured"]["AP"] <= 1
    printed = capsys.readouterr().out
    assert re.search(r"published +measured +difference", printed)


def test_detections_limit_and_all_metrics(few: Path, images: Path, tmp_path: Path) -> None:
    data = CocoDataset.read(few)
    rows = [
        {"image_id": a.image_id, "category_id": category, "bbox": a.bbox, "score": 0.9}
        for a in data.annotations
        if a.num_keypoints
        for category in (1, 3)  # the cars among the detections are nobody's pose
    ]
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(rows))
    report = evaluate(
        "--model", "movenet_lightning", "--annotations", few, "--images", images, "--boxes", boxes, "--limit", 1,
        "--no-flip-test", "--metrics", "oks,pck,auc,epe", out=tmp_path / "m.json",
    )  # fmt: skip
    first = next(image.id for image in data.images)
    assert report["images"] == 1
    assert report["predictions"] == sum(row["image_id"] == first and row["category_id"] == 1 for row in rows)
    assert any("--limit" in note for note in report["notes"])
    assert {"AP", "PCK@0.2", "AUC", "EPE"} <= set(report["measured"])


def test_one_image_with_its_own_boxes_pairs_by_id(few: Path, images: Path, tmp_path: Path) -> None:
    result = evaluate(
        "--model", "movenet_lightning", "--annotations", few, "--images", images, "--metrics", "pck", "--limit", 2,
        out=tmp_path / "m.json",
    )["measured"]  # fmt: skip
    assert result["missed"] == 0
    assert 0.3 < result["PCK@0.2"] <= 1


def test_written_predictions_evaluated_again_have_the_same_figures(few: Path, images: Path, tmp_path: Path) -> None:
    results = tmp_path / "r.json"
    first = evaluate(
        "--model", "movenet_lightning", "--annotations", few, "--images", images, "--results-out", results,
        "--metrics", "oks,pck", out=tmp_path / "m.json",
    )["measured"]  # fmt: skip
    again = evaluate("--annotations", few, "--results", results, "--metrics", "oks,pck", out=tmp_path / "n.json")
    assert again["AP"] == pytest.approx(first["AP"], abs=1e-12)
    assert again["AR"] == pytest.approx(first["AR"], abs=1e-12)
    rescored = evaluate(
        "--annotations", few, "--results", results, "--metrics", "oks", "--score-mode", "bbox_keypoint",
        out=tmp_path / "o.json",
    )  # fmt: skip
    assert rescored["AP"] == pytest.approx(first["AP"], abs=1e-12)


@pytest.fixture(scope="module")
def garment_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    parity = shared / "parity"
    folder = tmp_path_factory.mktemp("weights")
    listing = json.loads((parity / "resnet50_k8.json").read_text())["keys"]
    sys.path.insert(0, str(parity))
    try:
        from recipe import make_tensor
    finally:
        sys.path.remove(str(parity))
    names = {name for name, *_ in listing}
    state = {name: torch.from_numpy(np.array(make_tensor(name, tuple(shape), names))) for name, shape, *_ in listing}
    torch.save({"meta": {}, "state_dict": state}, folder / "full.pth")
    yield folder / "full.pth"
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_published_row_runs_its_own_protocol(shared: Path, garment_weights: Path, tmp_path: Path) -> None:
    samples = shared / "data/mmpose-samples/fld"
    report = evaluate(
        "--model", "deepfashion_full_res50_256x192", "--weights", garment_weights,
        "--annotations", samples / "test_fld.json", "--images", samples, out=tmp_path / "m.json",
    )  # fmt: skip
    assert report["protocol"] == "pck"
    assert set(report["published"]) == {"PCK@0.2", "AUC", "EPE"}
    assert {"PCK@0.2", "AUC", "EPE"} <= set(report["measured"])
    assert report["predictions"] == 2
    assert report["notes"] == []


def data_set(**change: Any) -> CocoDataset:
    schema = find_schema("coco")
    points = np.column_stack([np.full((17, 2), 50.0), np.full(17, 2)])
    label = make_annotation(7, 1, 1, points, [-10.0, 20.0, 300.0, 50.0]).patched(**change)
    return CocoDataset([make_image(1, "1.jpg", 200, 100)], [label], [make_category(1, schema)])


def test_labelled_boxes_are_cut_to_the_image() -> None:
    (box,) = labelled_boxes(data_set(), 1, 17, "file")[1]
    assert box.xyxy.tolist() == [0, 20, 199, 70]
    assert box.id == 7


@pytest.mark.parametrize(
    "change",
    [
        {"iscrowd": 1},
        {"num_keypoints": 0},
        {"bbox": [250.0, 20.0, 10.0, 10.0]},
        {"bbox": [20.0, 20.0, 0.0, 10.0]},
        {"keypoints": [0.0, -1.0, 2] * 17},
    ],
)
def test_instances_that_upstream_leaves_out_are_left_out(change: dict[str, Any]) -> None:
    with pytest.raises(CocoError, match="no instance"):
        labelled_boxes(data_set(**change), 1, 17, "file")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5], "score": 1}, "no box of category 1"),
        ({"image_id": 2, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 1}, "no such image"),
        ({"image_id": 1, "category_id": 1, "bbox": [1, 1, -5, 5], "score": 1}, "is not x, y, width, height"),
    ],
)
def test_detections_of_something_else_are_told(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps([row]))
    with pytest.raises(CocoError, match=words):
        detected_boxes(file, data_set(), 1)


def test_the_protocol_follows_the_row_or_else_the_points() -> None:
    bare = replace(find_model("movenet_thunder"), protocol="")
    assert protocol_of(bare, find_schema("coco")) == "coco"
    assert protocol_of(bare, find_schema("coco_wholebody")) == "wholebody"
    assert protocol_of(bare, find_schema("deepfashion_full")) == "pck"
    assert protocol_of(replace(bare, protocol="pck"), find_schema("coco")) == "pck"


def test_results_and_model_together_or_neither_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}")
    assert command_line.run(main, ["--annotations", str(file)]) == 2
    assert (
        command_line.run(main, ["--annotations", str(file), "--results", str(file), "--model", "movenet_thunder"]) == 2
    )
    assert capsys.readouterr().err.count("either --results") == 2


def test_labels_of_other_points_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_set()
    data.categories = [make_category(1, find_schema("deepfashion_full"))]
    data.annotations = [data.annotations[0].patched(keypoints=[5.0, 5.0, 2] * 8)]
    file = tmp_path / "labels.json"
    data.write(file)
    status = command_line.run(main, ["--annotations", str(file), "--model", "movenet_lightning", "--progress", "none"])
    assert status == 2
    assert "annotation 7: has 8 keypoints, coco has 17" in capsys.readouterr().err


@pytest.fixture
def own_set(resources_dir: Path, tmp_path: Path) -> Path:
    """Labels of four pictures, of which one is missing and one is cut short."""
    folder = tmp_path / "own"
    folder.mkdir()
    schema = find_schema("coco")
    data = CocoDataset(categories=[make_category(1, schema)])
    position = np.column_stack([np.linspace(100, 300, 17), np.linspace(100, 400, 17), np.full(17, 2)])
    for index in range(1, 5):
        data.images.append(make_image(index, f"{index}.jpg", 512, 512))
        data.annotations.append(make_annotation(index, index, 1, position, [10, 8, 355, 503], area=90000.0))
        if index != 3:
            shutil.copy(resources_dir / "sample/astronaut.jpg", folder / f"{index}.jpg")
    (folder / "4.jpg").write_bytes((folder / "4.jpg").read_bytes()[:9000])
    data.write(folder / "labels.json")
    return folder / "labels.json"


def test_images_that_cannot_be_read_do_not_count_and_are_listed(
    own_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.json"
    given = ("--model", "movenet_lightning", "--annotations", own_set, "--device", "cpu", "--metrics", "oks,pck")
    report = evaluate(*given, out=out)
    assert (report["images"], report["predictions"]) == (2, 2)
    assert report["measured"]["instances"] == 2
    assert report["measured"]["missed"] == 0
    assert "2 of 4 images could not be read; their labels do not count" in report["notes"]
    wheres = [item["where"] for item in report["skipped"]]
    assert wheres == [f"{own_set}: image 3", str(own_set.with_name("4.jpg"))]
    assert "skipped 2 items" in capsys.readouterr().err
    strict = [*map(str, given), "--out", str(out), "--progress", "none", "--strict"]
    assert command_line.run(main, strict) == 2
    assert json.loads(out.read_text())["images"] == 2


def test_nothing_that_can_be_read_is_no_evaluation(
    own_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in own_set.parent.glob("*.jpg"):
        file.write_bytes(b"")
    given = ["--model", "movenet_lightning", "--annotations", str(own_set), "--device", "cpu", "--progress", "none"]
    assert command_line.run(main, given) == 2
    assert "nothing could be read of 4 inputs" in capsys.readouterr().err


def test_boxes_that_are_none_are_listed_beside_the_others(own_set: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    good = {"image_id": 1, "category_id": 1, "bbox": [10, 8, 355, 503], "score": 0.9}
    boxes.write_text(json.dumps([good | {"image_id": 77}, good, good | {"bbox": [1, 2, 0, 4]}, good | {"score": None}]))
    given = ("--model", "movenet_lightning", "--annotations", own_set, "--device", "cpu", "--boxes", boxes)
    report = evaluate(*given, out=tmp_path / "m.json")
    assert report["predictions"] == 1
    assert [item["where"].rpartition("result ")[2] for item in report["skipped"]] == [
        "0 (image 77)", "2 (image 1)", "3 (image 1)"
    ]  # fmt: skip
