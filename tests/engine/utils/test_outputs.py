"""Outputs of a command never destroy its inputs, nor a file that somebody else has made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoseError
from engine.utils.outputs import check_outputs, file_id, holds_predictions

UNIX = pytest.mark.skipif(os.name == "nt", reason="links and special files of Unix")


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def refused(*arguments: Any, **options: Any) -> str:
    with pytest.raises(PoseError) as caught:
        check_outputs(*arguments, **options)
    return str(caught.value)


@UNIX
def test_an_output_that_is_an_input_is_refused_under_every_name(tmp_path: Path, monkeypatch: Any) -> None:
    labels = write(tmp_path / "labels.json", {})
    (tmp_path / "link.json").symlink_to("labels.json")
    os.link(labels, tmp_path / "hard.json")
    (tmp_path / "folder").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    for name in ("labels.json", "./labels.json", "link.json", "hard.json", "folder/labels.json", str(labels)):
        for first, second in ((name, labels), (labels, name)):
            text = refused({"--out": first}, [("--annotations", second)], overwrite=True)
            assert "is one of the inputs (--annotations" in text
            assert "give another --out" in text
    check_outputs({"--out": "new.json"}, [("--annotations", labels), ("--model", "no_such_file"), ("--boxes", None)])


@UNIX
def test_special_files_and_folders_are_no_outputs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "null", ".", "loop"):
        assert str(tmp_path) in refused({"--out": tmp_path / name}, [])
    assert "/dev/null: is a device" in refused({"--out": "/dev/null"}, [])


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    text = refused({"--out": out, "--results-out": tmp_path / "x" / ".." / "a.json"}, [])
    assert "both --out and --results-out" in text
    check_outputs({"--out": out, "--results-out": None, "--other": ""}, [])


def test_an_existing_file_is_replaced_only_when_it_is_an_own_result_or_asked_for(tmp_path: Path) -> None:
    out = write(tmp_path / "a.json", {})
    assert "--overwrite" in refused({"--out": out}, [], overwrite=False)
    check_outputs({"--out": out}, [], overwrite=True)
    check_outputs({"--out": out}, [], overwrite=False, is_own=lambda path: path == out)
    assert file_id(out) is not None
    assert file_id("a\0b") is None


SCORED = {"id": 1, "score": 0.5, "keypoint_scores": [0.5], "keypoints": [1, 2, 2]}
PLAIN = {"id": 2, "keypoints": [1, 2, 2]}


@pytest.mark.parametrize(
    ("content", "are_predictions"),
    [
        ([], True),
        ([{"image_id": 1, "category_id": 1, "keypoints": [], "score": 0.5}], True),
        ([{"image_id": 1, "category_id": 1, "keypoints": []}], False),
        ({"images": [], "annotations": [SCORED], "categories": []}, True),
        ({"images": [], "annotations": [SCORED, PLAIN], "categories": []}, False),
        ({"images": [], "annotations": [], "categories": []}, True),
        ({"images": [], "annotations": [], "categories": [], "info": {"by": "me"}}, False),
        ({"images": []}, False),
        ("text", False),
    ],
)
def test_predictions_are_told_from_labels(tmp_path: Path, content: Any, are_predictions: bool) -> None:
    assert holds_predictions(write(tmp_path / "a.json", content)) is are_predictions


def test_what_is_no_json_holds_no_predictions(tmp_path: Path) -> None:
    for data in (b"", b"{", b"\xff\xfe", b"[1]"):
        path = tmp_path / "a"
        path.write_bytes(data)
        assert not holds_predictions(path)
    assert not holds_predictions(tmp_path / "none")
