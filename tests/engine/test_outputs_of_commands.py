"""No command replaces what it reads, nor a file that it has not written, unless asked to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine import export
from engine.datasets import __main__ as datasets
from engine.evaluate import __main__ as evaluate
from engine.predict import __main__ as predict
from engine.train import __main__ as train
from engine.train.run_folder import LOG_FILE, STOP_FILE
from engine.train.tasks import detector as detector_phase
from engine.train.tasks import pose as pose_phase
from engine.utils.atomic_write import OUT_FILES
from engine.utils.command_line import run

Main = Callable[[Sequence[str]], int]
NAMES = [f"p{n}" for n in range(17)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture with one labelled pose, as COCO; the same as results."""
    (tmp_path / "images").mkdir()
    picture = np.full((64, 64, 3), 128, np.uint8)
    (tmp_path / "images" / "a.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    points = [v for n in range(17) for v in (10 + n, 20 + n, 2)]
    pose = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points, "bbox": [5, 5, 50, 50], "area": 2500,
            "iscrowd": 0, "num_keypoints": 17}  # fmt: skip
    labels = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [pose],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    result = {"image_id": 1, "category_id": 1, "keypoints": points, "score": 0.9, "bbox": pose["bbox"]}
    (tmp_path / "results.json").write_text(json.dumps([result]), encoding="utf-8")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check_refused(capsys: Any, folder: Path, main: Main, *arguments: object) -> str:
    """Status 2, one line, every file as before; gives the line."""
    before = contents(folder)
    assert run(main, [str(argument) for argument in arguments]) == 2
    error = str(capsys.readouterr().err)
    assert error.count("\n") == 1
    assert contents(folder) == before
    return error


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_labels_are_never_replaced_by_predictions_or_figures(folder: Path, capsys: Any) -> None:
    labels, results, images = folder / "labels.json", folder / "results.json", folder / "images"
    link = folder / "link.json"
    link.symlink_to("labels.json")
    os.link(labels, folder / "hard.json")
    for out in (labels, link, folder / "hard.json", images / ".." / "labels.json"):
        for more in ([], ["--overwrite"]):
            error = check_refused(
                capsys, folder, predict.main, images, "--annotations", labels, "--out", out, "--boxes", "gt", *more
            )
            assert "--annotations" in error
            error = check_refused(
                capsys, folder, evaluate.main, "--annotations", labels, "--results", results, "--out", out, *more
            )
            assert "--annotations" in error
    arguments = (images, "--annotations", labels, "--boxes", results, "--out", results, "--overwrite")
    assert "--boxes" in check_refused(capsys, folder, predict.main, *arguments)
    part = folder / "poses.json.part"
    shutil.copy(labels, part)
    arguments = (images, "--annotations", part, "--out", folder / "poses.json")
    assert "--annotations" in check_refused(capsys, folder, predict.main, *arguments)
    picture = images / "a.png"
    for more in ((), ("--overwrite",)):
        assert "INPUT" in check_refused(capsys, folder, predict.main, images, "--out", picture, *more)
    arguments = ("--annotations", labels, "--results", results)
    for out in (results, labels):
        assert "inputs" in check_refused(capsys, folder, evaluate.main, *arguments, "--out", out, "--overwrite")
    for option in ("--out", "--results-out"):
        model = ("--annotations", labels, "--images", images, "--model", "movenet_lightning")
        assert "--annotations" in check_refused(capsys, folder, evaluate.main, *model, option, link, "--overwrite")


def test_overlays_never_replace_the_images(folder: Path, capsys: Any) -> None:
    images = folder / "images"
    for overlay in (images, images / ".." / "images"):
        arguments = (images, "--out", folder / "p.json", "--overlay", overlay)
        assert "--overlay" in check_refused(capsys, folder, predict.main, *arguments)
    arguments = (images / "a.png", "--out", folder / "p.json", "--overlay", images)
    assert "--overlay" in check_refused(capsys, folder, predict.main, *arguments)


def test_a_file_of_somebody_else_is_replaced_only_when_asked_for(folder: Path, capsys: Any) -> None:
    labels, other, images = folder / "labels.json", folder / "other.json", folder / "images"
    shutil.copy(labels, other)
    common = (images, "--annotations", labels, "--boxes", "gt", "--model", "movenet_lightning", "--progress", "none")
    assert "--overwrite" in check_refused(capsys, folder, predict.main, *common, "--out", other)
    assert run(predict.main, [*map(str, common), "--out", str(other), "--overwrite"]) == 0
    assert run(predict.main, [*map(str, common), "--out", str(other)]) == 0  # its own result
    assert json.loads(other.read_bytes())["annotations"][0]["score"] >= 0
    figures = ("--annotations", labels, "--results", other)
    assert "--overwrite" in check_refused(capsys, folder, evaluate.main, *figures, "--out", folder / "results.json")
    out = folder / "figures.json"
    for _ in range(2):
        assert run(evaluate.main, [*map(str, figures), "--out", str(out)]) == 0
    shutil.copy(labels, out)
    convert = ("convert", labels, "--out", out)
    assert "--overwrite" in check_refused(capsys, folder, datasets.main, *convert)
    assert "ANNOTATIONS" in check_refused(capsys, folder, datasets.main, "convert", labels, "--out", labels)
    folder_of_labels = ("convert", folder, "--out", labels, "--overwrite")
    assert "inputs" in check_refused(capsys, folder, datasets.main, *folder_of_labels)
    assert run(datasets.main, [*map(str, convert), "--kind", "coco", "--overwrite"]) == 0


def test_a_foreign_onnx_file_and_the_model_itself_are_not_replaced(folder: Path, capsys: Any) -> None:
    onnx = folder / "m.onnx"
    onnx.write_bytes(b"\x08\x07somebody else's network")
    assert "--overwrite" in check_refused(capsys, folder, export.main, "movenet_lightning", "--out", onnx)
    arguments = ("movenet_lightning", "--weights", onnx, "--out", onnx, "--overwrite")
    assert "--weights" in check_refused(capsys, folder, export.main, *arguments)


def test_training_never_removes_what_it_starts_from(folder: Path, capsys: Any) -> None:
    labels, out = folder / "labels.json", folder / "run"
    out.mkdir()
    common = ("--train", labels, "--images", folder / "images", "--out", out)
    for option, name in (
        ("--model", "best.safetensors"),
        ("--weights", "last.safetensors"),
        ("--detector", "detector.safetensors"),
        ("--val", "log.jsonl"),
    ):
        shutil.copy(labels, out / name)
        more = () if option == "--model" else ("--model", "movenet_lightning")
        assert option in check_refused(capsys, folder, train.main, *common, *more, option, out / name)
    file = ("--train", labels, "--images", folder / "images", "--out", labels)
    assert "is not a folder" in check_refused(capsys, folder, train.main, *file)


def test_the_names_of_a_run_are_all_known() -> None:
    names = [getattr(phase, name) for phase in (pose_phase, detector_phase) for name in ("BEST", "LAST", "STATE")]
    assert set(OUT_FILES) == {*names, LOG_FILE, STOP_FILE, "config.toml"}


@pytest.mark.skipif(os.name == "nt", reason="special files of Unix")
def test_devices_and_pipes_are_no_outputs(folder: Path, capsys: Any) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "null.json").symlink_to("/dev/null")
    labels, results = folder / "labels.json", folder / "results.json"
    for out in (folder / "pipe", folder / "null.json", Path("/dev/null")):
        for main, arguments in (
            (predict.main, (folder / "images", "--out", out)),
            (evaluate.main, ("--annotations", labels, "--results", results, "--out", out)),
            (datasets.main, ("convert", labels, "--out", out)),
        ):
            error = check_refused(capsys, folder, main, *arguments, "--overwrite")
            assert "is a device" in error or "is a named pipe" in error


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (evaluate.main, ("--annotations", "labels.json", "--model", ""), "--model is empty"),
        (evaluate.main, ("--annotations", "", "--results", "results.json"), "--annotations is empty"),
        (train.main, ("--train", "labels.json", "--out", "r", "--seed", "1e20"), "--seed"),
        (train.main, ("--train", "labels.json", "--out", "r", "--seed", "9" * 20), "seed"),
        (train.main, ("--train", "labels.json", "--out", "r", "--seed", "9" * 5000), "seed"),
        (train.main, ("--train", "labels.json", "--out", "r", "--set", "threads=-1"), "threads"),
        (train.main, ("--train", "labels.json", "--out", "r", "--set", "threads=100000"), "threads"),
        (train.main, ("--train", "labels.json", "--out", "r", "--set", "pose.batch=1" + "0" * 30), "batch"),
        (train.main, ("--train", "labels.json", "--out", "r", "--set", "a." * 5000 + "b=1"), "--set"),
        (train.main, ("--train", "labels.json", "--out", "r", "--workers", "99999999"), "workers"),
        (train.main, ("--train", "labels.json", "--out", "r", "--epochs", "9" * 30), "epochs"),
    ],
)
def test_absurd_options_are_one_line(
    folder: Path, capsys: Any, monkeypatch: Any, main: Main, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(folder)
    error = check_refused(capsys, folder, main, *arguments)
    assert message in error
    assert len(error) < 2100
