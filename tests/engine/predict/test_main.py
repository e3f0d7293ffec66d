"""``python -m engine.predict`` as a user calls it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from engine.predict.__main__ import main
from engine.utils.command_line import run

FAST = ("--model", "movenet_lightning", "--device", "cpu", "--progress", "none")
ASTRONAUT_BOX = [10.25, 8.5, 355.0, 503.0]


@pytest.fixture(scope="module")
def photographs(resources_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """astronaut.jpg, and the camera man in a subfolder with a difficult name."""
    folder = tmp_path_factory.mktemp("photographs")
    shutil.copy(resources_dir / "sample/astronaut.jpg", folder)
    (folder / "ü 2").mkdir()
    shutil.copy(resources_dir / "sample/camera.png", folder / "ü 2" / "mann.png")
    return folder


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """A COCO file with ids, orders and keys of its own; the box of the camera man reaches beyond the image."""
    names = ["nose", *(f"point_{i}" for i in range(1, 17))]
    content = {
        "info": {"made by": "hand"},
        "categories": [
            {"id": 7, "name": "dog"},
            {"id": 3, "name": "person", "keypoints": names, "skeleton": [[1, 2]], "note": "kept"},
        ],
        "images": [
            {"id": "x-1", "file_name": "ü 2\\mann.png", "width": 512, "height": 512, "licence": 4},
            {"id": 900, "file_name": "/somewhere/else/astronaut.jpg", "width": 512, "height": 512},
        ],
        "annotations": [
            {"id": 1, "image_id": 900, "category_id": 3, "bbox": ASTRONAUT_BOX, "iscrowd": 0, "keypoints": [0] * 51},
            {"id": 2, "image_id": 900, "category_id": 7, "bbox": [0, 0, 50, 50]},
            {"id": 3, "image_id": 900, "category_id": 3, "bbox": [0, 0, 500, 500], "iscrowd": 1},
            {"id": 4, "image_id": "x-1", "category_id": 3, "bbox": [-20, 60, 350, 600], "iscrowd": 0},
            {"id": 5, "image_id": "x-1", "category_id": 3, "bbox": [10, 10, 0, 0], "iscrowd": 0},
        ],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def predict(*arguments: object) -> int:
    return run(main, [*map(str, arguments), *FAST])


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def check_refused(capsys: pytest.CaptureFixture[str], out: Path, *arguments: object) -> str:
    """Status 2, one line on standard error, nothing written; gives the line."""
    capsys.readouterr()
    before = sorted(out.parent.iterdir()) if out.parent.exists() else []
    assert predict(*arguments, "--out", out) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert (sorted(out.parent.iterdir()) if out.parent.exists() else []) == before
    return captured.err


def test_a_folder_becomes_a_coco_file(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "poses.json"
    assert predict(photographs, "--out", out) == 0
    result = read(out)
    assert [(i["id"], i["file_name"]) for i in result["images"]] == [(1, "astronaut.jpg"), (2, "ü 2/mann.png")]
    assert all((i["width"], i["height"]) == (512, 512) for i in result["images"])
    (category,) = result["categories"]
    assert category["name"] == "person"
    assert category["keypoints"][0] == "nose"
    assert [a["image_id"] for a in result["annotations"]] == [1, 2]
    for annotation in result["annotations"]:
        assert len(annotation["keypoints"]) == 51
        assert set(annotation["keypoints"][2::3]) == {2}
        assert len(annotation["keypoint_scores"]) == 17
        assert 0 < annotation["score"] < 1
        assert len(annotation["bbox"]) == 4
        assert annotation["category_id"] == category["id"]
        assert any(value != round(value) for value in annotation["keypoints"])
    assert [p.name for p in out.parent.iterdir()] == ["poses.json"]


def test_files_and_folders_may_be_mixed_and_count_once(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "poses.json"
    inputs = (photographs / "ü 2", photographs / "astronaut.jpg", photographs / "ü 2" / "mann.png")
    assert predict(*inputs, "--out", out, "--format", "results", "--box-threshold", 0.3) == 0
    match = read(out)
    assert [r["image_id"] for r in match] == [1, 2]
    for result in match:
        assert set(result) == {"image_id", "category_id", "bbox", "keypoints", "score", "box_score"}
        assert all(0 <= s <= 1 for s in result["keypoints"][2::3])
        assert len(set(result["keypoints"][2::3])) > 10  # scores, not visibilities


def test_with_annotations_images_ids_and_names_are_the_files(
    photographs: Path, annotations: Path, tmp_path: Path
) -> None:
    out = tmp_path / "poses.json"
    assert predict(photographs, "--annotations", annotations, "--out", out) == 0
    given, result = read(annotations), read(out)
    assert result["images"] == given["images"]
    assert result["categories"] == given["categories"]
    assert result["info"] == given["info"]
    assert {a["image_id"] for a in result["annotations"]} == {"x-1", 900}
    assert {a["category_id"] for a in result["annotations"]} == {3}


def test_gt_takes_the_boxes_of_the_file(photographs: Path, annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    options = ("--annotations", annotations, "--boxes", "gt", "--format", "results", "--out", out)
    assert predict(photographs, *options) == 0
    result = read(out)
    assert [(r["image_id"], r["bbox"]) for r in result] == [("x-1", [-20, 60, 350, 600]), (900, ASTRONAUT_BOX)]
    assert np.abs(np.array(result[1]["keypoints"][:2]) - [223, 124]).max() < 15


def test_boxes_of_a_results_list_are_used_as_given(photographs: Path, annotations: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    rows = [
        {"image_id": 900, "category_id": 3, "bbox": ASTRONAUT_BOX, "score": 0.5},
        {"image_id": 900, "category_id": 99, "bbox": [-300.5, -200, 1200, 1100], "score": 0.25},
        {"image_id": 900, "category_id": 3, "bbox": ASTRONAUT_BOX, "score": 1.0},
    ]
    boxes.write_text(json.dumps(rows))
    out = tmp_path / "results.json"
    options = ("--annotations", annotations, "--boxes", boxes, "--format", "results", "--out", out)
    assert predict(photographs, *options) == 0
    result = read(out)
    assert [r["bbox"] for r in result] == [row["bbox"] for row in rows]
    assert [r["category_id"] for r in result] == [3, 3, 3]
    assert result[0]["score"] == pytest.approx(result[2]["score"] / 2)
    assert result[0]["keypoints"] == pytest.approx(result[2]["keypoints"], abs=0.01)


def test_without_detector_each_image_is_one_box(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "poses.json"
    assert predict(photographs, "--detector", "none", "--flip-test", "--out", out) == 0
    assert [a["bbox"] for a in read(out)["annotations"]] == [[0, 0, 512, 512]] * 2


def test_overlays_are_the_images_with_poses(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "overlays"
    assert predict(photographs, "--out", tmp_path / "p.json", "--overlay", folder) == 0
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == ["astronaut.jpg", "ü 2/mann.png"]
    drawn = cv2.imdecode(np.fromfile(folder / "ü 2" / "mann.png", np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (512, 512, 3)
    assert (drawn.max(2).astype(int) - drawn.min(2) > 80).sum() > 500  # color on a grey photograph


def test_progress_can_be_read_by_a_program(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(photographs), "--out", str(tmp_path / "p.json"), *FAST[:-1], "json", "--detector", "none"]
    assert run(main, arguments) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["done"] == events[-1]["total"] == 2


def test_a_category_without_the_models_keypoints_is_given_them(photographs: Path, tmp_path: Path) -> None:
    path = tmp_path / "boxes_only.json"
    images = [{"id": 1, "file_name": "astronaut.jpg"}]
    categories = [{"id": 5, "name": "person"}, {"id": 9, "name": "cat"}]
    path.write_text(json.dumps({"images": images, "categories": categories}))
    out = tmp_path / "p.json"
    assert predict(photographs, "--annotations", path, "--out", out) == 0
    result = read(out)
    assert {a["category_id"] for a in result["annotations"]} == {5}
    by_id = {c["id"]: c for c in result["categories"]}
    assert len(by_id[5]["keypoints"]) == 17
    assert by_id[9] == {"id": 9, "name": "cat"}


def test_bad_inputs_are_one_line_that_names_the_file(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "p.json"
    out.parent.mkdir()
    broken, video, text, empty = (tmp_path / name for name in ("broken.jpg", "film.mp4", "notes.txt", "none"))
    broken.write_bytes((photographs / "astronaut.jpg").read_bytes()[:9000])
    video.touch()
    text.touch()
    empty.mkdir()
    for given, why in {
        tmp_path / "missing.jpg": "does not exist",
        broken: "damaged JPEG",
        video: "is empty",
        text: "is neither an image nor a video",
        empty: "contains no images",
    }.items():
        line = check_refused(capsys, out, given)
        assert given.name in line
        assert why in line


def test_every_frame_of_a_video_gets_its_poses_and_tells_which_it_is(photographs: Path, tmp_path: Path) -> None:
    """The astronaut moves by 10 pixels a frame, so that each pose says which frame it was found in."""
    picture = cv2.cvtColor(cv2.imread(str(photographs / "astronaut.jpg")), cv2.COLOR_BGR2RGB)
    path = tmp_path / "film.ü.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 640, 512, "yuv420p"
        for index in range(7):
            ground = np.zeros((512, 640, 3), np.uint8)
            ground[:, 10 * index : 10 * index + 512] = picture
            for packet in stream.encode(av.VideoFrame.from_ndarray(ground, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    out = tmp_path / "p.json"
    still = Path(shutil.copy(photographs / "astronaut.jpg", tmp_path))
    assert predict(path, still, "--out", out) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    frames = [image for image in result["images"] if "video" in image]
    assert [(i["video"], i["frame_index"], i["width"], i["height"]) for i in frames] == [
        ("film.ü.mp4", index, 640, 512) for index in range(7)
    ]
    assert [image["file_name"] for image in frames][1] == "film.ü/film.ü_000001.png"
    assert len({image["id"] for image in result["images"]}) == 8
    assert [image["file_name"] for image in result["images"] if "video" not in image] == ["astronaut.jpg"]
    for index, image in enumerate(frames):
        pose = next(a for a in result["annotations"] if a["image_id"] == image["id"])
        first = next(a for a in result["annotations"] if a["image_id"] == frames[0]["id"])
        assert pose["keypoints"][0] - first["keypoints"][0] == pytest.approx(10 * index, abs=6)


def test_bad_options_are_one_line(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.json"
    for options, why in {
        ("--boxes", "gt"): "--boxes needs --annotations",
        ("--batch", "0"): "--batch",
        ("--box-threshold", "7"): "from 0 to 1",
        ("--weights", str(tmp_path / "w.pth")): "w.pth",
        ("--detector", "nobody"): "nobody",
        ("--annotations", str(tmp_path / "none.json")): "none.json",
        ("--nonsense",): "--nonsense",
        ("--format", "xml"): "--format",
    }.items():
        assert why in check_refused(capsys, out, photographs, *options)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"image_id": 5, "bbox": [0, 0, 9, 9], "score": 1}, "no such image"),
        ({"image_id": 900, "bbox": [0, 0, -9, 9], "score": 1}, "bbox"),
        ({"image_id": 900, "score": 1}, "bbox"),
        ({"image_id": 900, "bbox": [0, 0, 9], "score": 1}, "bbox"),
        ({"image_id": 900, "bbox": [0, 0, 9, 9], "score": float("nan")}, "score"),
        ({"image_id": 900, "bbox": [0, 0, 9, 9], "score": None}, "score"),
        ({"bbox": [0, 0, 9, 9], "score": 1}, "no image_id"),
    ],
)
def test_faulty_boxes_are_skipped_and_named_by_record(
    photographs: Path, annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict, why: str
) -> None:
    boxes = tmp_path / "boxes.json"
    good = {"image_id": 900, "category_id": 3, "bbox": ASTRONAUT_BOX, "score": 1}
    boxes.write_text(json.dumps([row, good]))
    out = tmp_path / "r.json"
    given = ("--annotations", annotations, "--boxes", boxes, "--out", out)
    assert predict(photographs, *given) == 0
    error = capsys.readouterr().err
    assert "boxes.json: result 0" in error
    assert why in error
    result = read(out)
    assert [a["bbox"] for a in result["annotations"]] == [ASTRONAUT_BOX]
    assert why in result["skipped"][0]["reason"]
    assert predict(photographs, *given, "--strict") == 2
    boxes.write_text(json.dumps([row]))
    assert why in check_refused(capsys, out, photographs, *given[:-2])


def test_an_annotated_image_without_file_is_skipped_and_named(
    photographs: Path, annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    assert predict(photographs / "ü 2", "--annotations", annotations, "--out", out) == 0
    error = capsys.readouterr().err
    assert "labels.json: image 900" in error
    assert "astronaut.jpg" in error
    result = read(out)
    assert [image["id"] for image in result["images"]] == ["x-1"]
    assert {a["image_id"] for a in result["annotations"]} == {"x-1"}
    assert result["info"] == {"made by": "hand"}
    assert result["skipped"][0]["where"].endswith("labels.json: image 900")


def test_an_image_is_never_overwritten_by_the_result(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = photographs / "astronaut.jpg"
    before = image.read_bytes()
    assert "give another --out" in check_refused(capsys, image, photographs)
    assert image.read_bytes() == before


def test_the_old_result_stays_when_nothing_can_be_read(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"")
    (folder / "2.jpg").write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "p.json"
    out.write_text("old")
    line = check_refused(capsys, out, folder, "--detector", "none", "--overwrite")
    assert "nothing could be read of 2 inputs" in line
    assert "1.jpg: is empty" in line
    assert out.read_text() == "old"


def test_the_module_runs_as_a_program(photographs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine.predict", str(tmp_path / "missing"), "--out", str(tmp_path / "p.json")]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=240, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'missing'}: does not exist\n"


@pytest.mark.slow
def test_keypoint_ap_on_real_photographs(shared: Path, tmp_path: Path) -> None:
    """A dozen of the 44 images with the fast model; the whole set with the default model is measured by hand."""
    from engine.metrics.oks import keypoint_ap
    from engine.schema.builtin import find_schema

    folder = shared / "data/coco-mini"
    content = read(folder / "person_keypoints.json")
    people = sorted({a["image_id"] for a in content["annotations"] if a["num_keypoints"] > 10})[:12]
    content["images"] = [i for i in content["images"] if i["id"] in people]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in people]
    subset = tmp_path / "subset.json"
    subset.write_text(json.dumps(content))
    out = tmp_path / "r.json"
    assert predict(folder / "images", "--annotations", subset, "--format", "results", "--out", out) == 0
    sigmas = find_schema("coco").sigmas
    stats = keypoint_ap(content["images"], content["annotations"], read(out), sigmas)
    assert stats["AP"] > 0.25


def test_a_flip_test_that_would_do_harm_is_left_out_and_that_is_said(
    photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from engine.models.checkpoint import load_network, save_checkpoint
    from engine.models.mirroring import MIRRORED

    network, info = load_network("movenet_lightning")
    own = tmp_path / "own.safetensors"
    save_checkpoint(own, network.state_dict(), info.replace(provenance={MIRRORED: False}))
    results = []
    for more in ((), ("--flip-test",)):
        out = tmp_path / "p.json"
        given = (photographs, "--out", out, "--model", own, "--detector", "none", "--device", "cpu")
        assert run(main, [*map(str, given), "--progress", "none", *more]) == 0
        results.append(out.read_bytes())
    assert results[0] == results[1]
    assert "--flip-test is left out: it was trained without mirrored images" in caplog.text
