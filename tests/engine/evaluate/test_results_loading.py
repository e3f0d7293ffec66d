"""Nothing is left out of a comparison silently, and all figures are of the same records."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import CocoError
from engine.evaluate.__main__ import main
from engine.evaluate.results import evaluate, load
from engine.schema.builtin import find_schema
from engine.utils import command_line
from tests.engine.schema.test_matching import AP10K, CROWDPOSE

NAMES = ["nose", "left_eye", "right_eye"]
POINTS = [100, 100, 2, 150, 120, 2, 120, 180, 2]


def labels_of(category: int | str = 1, names: list[str] | None = None, count: int = 3, **more: Any) -> dict[str, Any]:
    points = NAMES if names is None else names
    return {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "width": 400, "height": 400} | more for n in range(1, count + 1)
        ],
        "categories": [{"id": category, "name": "mouse"} | ({"keypoints": points} if points else {})],
        "annotations": [
            {"id": n, "image_id": n, "category_id": category, "keypoints": POINTS, "bbox": [90, 90, 80, 100],
             "area": 8000, "iscrowd": 0, "num_keypoints": 3}
            for n in range(1, count + 1)
        ],
    }  # fmt: skip


def results_of(category: int | str = 1, count: int = 3) -> list[dict[str, Any]]:
    return [
        {"image_id": n, "category_id": category, "keypoints": [*map(float, POINTS)], "score": 0.9 - n / 100,
         "bbox": [90, 90, 80, 100]}
        for n in range(1, count + 1)
    ]  # fmt: skip


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


class Files:
    """Writes both files and compares them, by the command and in memory."""

    def __init__(self, folder: Path) -> None:
        self.labels, self.results, self.out = folder / "l.json", folder / "r.json", folder / "m.json"

    def compare(self, labels: Any, results: Any, *options: str, status: int = 0) -> dict[str, Any]:
        write(self.labels, labels)
        write(self.results, results)
        given = ["--annotations", str(self.labels), "--results", str(self.results), "--out", str(self.out), *options]
        assert command_line.run(main, given) == status
        result: dict[str, Any] = json.loads(self.out.read_text())
        strict = 2 if result.get("skipped") or any("guessed" not in note for note in result.get("notes", [])) else 0
        assert command_line.run(main, [*given, "--strict"]) == strict
        return result


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def perfect(result: dict[str, Any], missed: int = 0) -> None:
    assert result["missed"] == missed
    assert result["EPE"] == pytest.approx(0)
    if not missed:
        assert result["AP"] == pytest.approx(1)
        assert result["AR"] == pytest.approx(1)
        assert result["PCK@0.2"] == 1


def test_one_category_on_each_side_is_the_same_and_that_is_said(files: Files) -> None:
    result = files.compare(labels_of(7), results_of(1))
    perfect(result)
    (note,) = [note for note in result["notes"] if "guessed" not in note]
    assert "r.json: result 0: category 1 is taken as category 7 (mouse)" in note
    assert "(3 results)" in note


def test_categories_are_compared_by_their_ids_alone_when_asked_for(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files.labels, labels_of(7))
    write(files.results, results_of(1))
    given = ["--annotations", str(files.labels), "--results", str(files.results)]
    assert command_line.run(main, [*given, "--category-by", "id"]) == 2
    assert "r.json: result 0: category 1 is not in the labels (3 results)" in capsys.readouterr().err
    assert command_line.run(main, [*given, "--category-by", "name"]) == 2
    assert "no names of categories" in capsys.readouterr().err


def test_one_foreign_category_among_others_is_left_out_and_listed(files: Files) -> None:
    rows = results_of()
    rows[1]["category_id"] = 5
    result = files.compare(labels_of(), rows)
    perfect(result, missed=1)
    assert result["predictions"] == 2
    assert result["skipped"] == [
        {"where": f"{files.results}: result 1", "reason": "category 5 is not in the labels (1 result)"}
    ]


def test_results_without_category_are_taken_for_the_only_one(files: Files) -> None:
    rows = results_of()
    for row in rows:
        del row["category_id"]
    result = files.compare(labels_of(7), rows)
    perfect(result)
    assert "has no category_id; 7 (mouse) is assumed (3 results)" in result["notes"][0]
    two = labels_of(7)
    two["categories"].append({"id": 8, "name": "rat", "keypoints": NAMES})
    with pytest.raises(CocoError, match=r"has no category_id, and the labels have several categories \(3 results\)"):
        load(write(files.labels, two), files.results)


def test_a_result_of_an_unlisted_image_is_left_out_and_listed(files: Files) -> None:
    rows = results_of()
    rows[0]["image_id"] = 99
    result = files.compare(labels_of(), rows)
    perfect(result, missed=1)
    assert result["skipped"][0]["reason"] == "its image is not in the labels (1 result)"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), None, "much", [1]])
def test_a_score_that_is_no_number_is_never_the_best_one(files: Files, score: Any) -> None:
    wrong = results_of()[0] | {"keypoints": [300.0] * 9, "score": score}
    result = files.compare(labels_of(), [*results_of(), wrong])
    perfect(result)
    assert result["predictions"] == 3
    (item,) = result["skipped"]
    assert item == {"where": f"{files.results}: result 3", "reason": "its score is not a finite number (1 result)"}


def test_a_result_without_score_counts_and_that_is_said(files: Files) -> None:
    rows = results_of()
    del rows[2]["score"]
    result = files.compare(labels_of(), rows)
    perfect(result)
    assert "result 2: has no score; 1 is assumed (1 result)" in result["notes"][0]


def test_a_label_of_an_unlisted_image_counts_nowhere(files: Files) -> None:
    labels = labels_of()
    labels["annotations"].append(labels["annotations"][0] | {"id": 50, "image_id": 77})
    result = files.compare(labels, results_of())
    perfect(result)
    assert result["instances"] == 3
    assert result["skipped"] == [
        {"where": f"{files.labels}: annotation 50", "reason": "its image is not in the file (1 label)"}
    ]


def test_ids_that_are_text_on_one_side_are_matched(files: Files) -> None:
    rows = results_of()
    for row in rows:
        row["image_id"] = str(row["image_id"])
        row["category_id"] = str(row["category_id"])
    result = files.compare(labels_of(), rows)
    perfect(result)
    assert any("by its text" in note for note in result["notes"])
    labels = labels_of("1")
    for record in (*labels["images"], *labels["annotations"]):
        record["id"] = str(record["id"])
    for label in labels["annotations"]:
        label["image_id"] = str(label["image_id"])
    perfect(files.compare(labels, results_of()))


def test_a_result_with_another_number_of_points_is_left_out_and_listed(files: Files) -> None:
    rows = results_of()
    rows[0]["keypoints"] = [1.0] * 12
    rows[1]["keypoints"] = []
    result = files.compare(labels_of(), rows)
    perfect(result, missed=2)
    assert [item["reason"] for item in result["skipped"]] == [
        "has 12 numbers in 'keypoints' instead of 9 for 'mouse' (1 result)",
        "has no keypoints (1 result)",
    ]


def test_a_whole_body_with_a_part_of_another_length_is_left_out_and_listed(tmp_path: Path) -> None:
    schema = find_schema("coco_wholebody")
    rng = np.random.default_rng(1)
    labels = labels_of(names=list(schema.names), count=2)
    rows = []
    for label in labels["annotations"]:
        label["keypoints"] = np.column_stack([rng.uniform(90, 180, (133, 2)), np.full(133, 2)]).ravel().tolist()
        row = {"image_id": label["image_id"], "category_id": 1, "score": 1.0}
        cuts = {"keypoints": (0, 17), "foot_kpts": (17, 23), "face_kpts": (23, 91),
                "lefthand_kpts": (91, 112), "righthand_kpts": (112, 133)}  # fmt: skip
        rows.append(row | {name: label["keypoints"][3 * a : 3 * b] for name, (a, b) in cuts.items()})
    rows[1]["face_kpts"] = rows[1]["face_kpts"][:-3]
    data = load(write(tmp_path / "l.json", labels), write(tmp_path / "r.json", rows))
    assert [row["image_id"] for row in data.results] == [1]
    (item,) = data.skipped
    assert item.where.endswith("result 1")
    assert "instead of 399" in item.reason


def test_a_line_that_is_no_result_is_left_out_and_listed_by_its_position(files: Files) -> None:
    rows = [{"category_id": 1, "keypoints": [*map(float, POINTS)], "score": 1}, *results_of()]
    rows[2]["image_id"] = 99
    result = files.compare(labels_of(), rows)
    perfect(result, missed=1)
    assert [item["where"] for item in result["skipped"]] == [f"{files.results}: result {n}" for n in (0, 2)]


def test_an_equal_result_counts_as_in_coco_and_that_is_said(files: Files) -> None:
    rows = results_of()
    result = files.compare(labels_of(), [*rows, rows[0]])
    assert result["predictions"] == 4
    assert result["AP"] < 1
    assert any("result 3: is equal to one before it" in note for note in result["notes"])


def test_coordinates_that_are_no_numbers_are_said(files: Files) -> None:
    rows = results_of()
    rows[0]["keypoints"][0] = float("nan")
    result = files.compare(labels_of(), rows)
    assert result["EPE"] > 0
    assert any("result 0: has coordinates that are not finite" in note for note in result["notes"])


def test_labels_of_other_points_are_listed(files: Files) -> None:
    labels = labels_of()
    labels["categories"].append({"id": 2, "name": "rat", "keypoints": [*NAMES, "tail"]})
    extra = {"image_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 0}
    labels["annotations"] += [
        extra | {"id": 60, "category_id": 2, "keypoints": [1, 1, 2] * 4},
        extra | {"id": 61, "category_id": 9, "keypoints": POINTS},
        extra | {"id": 62, "category_id": 1, "keypoints": [1, 1, 2] * 5},
    ]
    result = files.compare(labels, results_of())
    perfect(result)
    assert [(item["where"].rpartition(" ")[2], item["reason"]) for item in result["skipped"]] == [
        ("60", "category 'rat' has other keypoints than 'mouse' (1 label)"),
        ("61", "its category is not in the file (1 label)"),
        ("62", "has 15 numbers in 'keypoints' instead of 9 (1 label)"),
    ]


def test_the_report_of_good_files_says_nothing(files: Files) -> None:
    coco = list(find_schema("coco").names)
    labels, rows = labels_of(names=coco), results_of()
    for record in (*labels["annotations"], *rows):
        record["keypoints"] = [*record["keypoints"], *[0] * 42]
    result = files.compare(labels, rows)
    assert not {"notes", "skipped", "sigmas"} & result.keys()


def test_an_image_that_the_labels_lack_is_not_taken_for_another_of_its_id(files: Files) -> None:
    """The ids of both files begin at 1, and the predictions have one image more in front."""
    guess = labels_of(count=4)
    for image, name in zip(guess["images"], ("0.jpg", "1.jpg", "2.jpg", "3.jpg"), strict=True):
        image["file_name"] = name
    for annotation in guess["annotations"]:
        annotation["score"] = 0.5
    result = files.compare(labels_of(), guess)
    perfect(result)
    assert result["predictions"] == 3
    assert result["skipped"][0] == {
        "where": f"{files.results}: result 0", "reason": "its image is not in the labels (1 result)"
    }  # fmt: skip


def test_two_images_of_one_base_name_are_not_mixed_up(files: Files) -> None:
    labels, guess = labels_of(count=2), labels_of(count=2)
    for content, names in ((labels, ("a/1.jpg", "b/1.jpg")), (guess, ("b/1.jpg", "c/1.jpg"))):
        for image, name in zip(content["images"], names, strict=True):
            image["file_name"] = name
    for annotation in guess["annotations"]:
        annotation["score"] = 0.5
    result = files.compare(labels, guess)
    assert (result["predictions"], result["missed"]) == (1, 1)


def reference(labels: Any, rows: Any, sigmas: Any) -> list[float]:
    """COCOeval of pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = labels
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


@pytest.mark.parametrize(("names", "schema"), [(AP10K, "ap10k"), (CROWDPOSE, "crowdpose")])
@pytest.mark.parametrize("given", [True, False])
def test_ap_of_the_official_files_is_that_of_pycocotools_with_the_published_sigmas(
    files: Files, names: list[str], schema: str, given: bool
) -> None:
    rng = np.random.default_rng(len(names))
    labels, rows = labels_of(names=names, count=12), results_of(count=12)
    for label, row in zip(labels["annotations"], rows, strict=True):
        points = rng.uniform(100, 160, (len(names), 2))
        label["keypoints"] = np.column_stack([points, np.full(len(names), 2)]).ravel().tolist()
        label["num_keypoints"] = len(names)
        moved = points + rng.normal(0, 6, points.shape)
        row["keypoints"] = np.column_stack([moved, np.ones(len(names))]).ravel().tolist()
        del row["bbox"]
    result = files.compare(labels, rows, *(("--schema", schema) if given else ()))
    expected = reference(labels, rows, find_schema(schema).sigmas)
    ours = [result[name] for name in ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")]
    assert ours == pytest.approx(expected, abs=1e-9)
    assert 0 < result["AP"] < 1
    assert abs(expected[0] - reference(labels, rows, [0.05] * len(names))[0]) > 0.05
    assert "notes" not in result


def test_guessed_sigmas_are_said(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    result = files.compare(labels_of(), results_of())
    assert result["sigmas"] == "guessed"
    assert "are guessed (0.05 for every keypoint)" in result["notes"][0]
    assert "note: the OKS sigmas of 'mouse' are guessed" in capsys.readouterr().out
    assert "sigmas" not in files.compare(labels_of(), results_of(), "--metrics", "pck")


def test_faces_without_names_are_read_by_number_and_measured_by_nme(files: Files) -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(100, 300, (98, 2))
    points[60], points[72] = (100, 200), (200, 200)
    labels, rows = labels_of(names=[], count=1), results_of(count=1)
    labels["annotations"][0]["keypoints"] = np.column_stack([points, np.full(98, 2)]).ravel().tolist()
    rows[0]["keypoints"] = np.column_stack([points + np.array([3, 4]), np.ones(98)]).ravel().tolist()
    for options in ((), ("--schema", "wflw"), ("--metrics", "nme")):
        result = files.compare(labels, rows, *options)
        assert result["NME"] == pytest.approx(0.05, abs=1e-6)


def test_nme_of_something_else_than_a_face_is_refused(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    write(files.labels, labels_of())
    write(files.results, results_of())
    given = ["--annotations", str(files.labels), "--results", str(files.results)]
    assert command_line.run(main, [*given, "--metrics", "nme"]) == 2
    assert "not known what NME is normalized by for schema 'mouse'" in capsys.readouterr().err
    assert command_line.run(main, given) == 0
    assert "NME" not in capsys.readouterr().out


def test_points_that_several_schemas_may_be_are_asked_for(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    labels, rows = labels_of(names=[]), results_of()
    for record in (*labels["annotations"], *rows):
        record["keypoints"] = [1.0, 2.0, 2] * 14
    write(files.labels, labels)
    write(files.results, rows)
    given = ["--annotations", str(files.labels), "--results", str(files.results)]
    assert command_line.run(main, given) == 2
    error = capsys.readouterr().err
    assert "--schema (aic, crowdpose)" in error
    assert command_line.run(main, [*given, "--schema", "crowdpose"]) == 0


def test_a_project_is_no_label_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "mice.pose"
    project.write_bytes(b"SQLite format 3\0")
    assert command_line.run(main, ["--annotations", str(project), "--results", str(project)]) == 2
    assert "is a project; export it as COCO" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sample", "schema"),
    [
        ("mmpose-ap10k/test_ap10k.json", "ap10k"),
        ("mmpose-crowdpose/test_crowdpose.json", "crowdpose"),
        ("mmpose-humanart/test_humanart.json", "humanart"),
        ("mmpose-wflw/test_wflw.json", "wflw"),
        ("mmpose-f300w/test_300w.json", "300w"),
        ("mmpose-jhmdb/test_jhmdb_sub1.json", "jhmdb"),
        ("mmpose-onehand10k/test_onehand10k.json", "onehand10k"),
        ("mmpose-freihand/test_freihand.json", "freihand2d"),
        ("mmpose-posetrack18/annotations/test_posetrack18_val.json", "posetrack18"),
    ],
)
def test_a_schema_accepts_the_files_of_its_own_data_set(shared: Path, tmp_path: Path, sample: str, schema: str) -> None:
    file = shared / "data/formats" / sample
    content = json.loads(file.read_text())
    rows = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "score": 1.0, "keypoints": a["keypoints"]}
        for a in content["annotations"]
        if any(a["keypoints"][2::3]) and not a.get("iscrowd")
    ]
    results = write(tmp_path / "r.json", rows)
    for given in (schema, ""):
        data = load(file, results, given)
        assert data.schema.sigmas.tolist() == find_schema(schema).sigmas.tolist()
        result = evaluate(data)
        assert not data.skipped
        assert result["AP"] == pytest.approx(1)
        assert result["missed"] == 0


@pytest.mark.parametrize("value", ["1e999", "-1E999", "null", "Infinity"])
def test_every_spelling_of_a_coordinate_that_is_not_finite_is_said(files: Files, value: str) -> None:
    rows = results_of()
    rows[0]["keypoints"][0] = 123456
    write(files.labels, labels_of())
    write(files.results, rows)
    files.results.write_text(files.results.read_text().replace("123456", value))
    evaluation = load(files.labels, files.results)
    assert any("not finite" in item.reason for item in evaluation.assumed)
