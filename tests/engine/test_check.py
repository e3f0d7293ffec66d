"""``python -m engine.check``: what it prints, its exit status, and a check that was defined in one place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.check import main
from engine.labels.checks import Check, CheckedFrame, Finding, checks, register_check, unregister_check
from engine.utils.command_line import run
from tests.engine.api.conftest import SAMPLE, coco_labels


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    shutil.copy(SAMPLE / "grace_hopper.jpg", tmp_path / "photo.jpg")
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(coco_labels()))
    return path


def check(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    status = run(main, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_findings_are_listed_by_check(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = check(capsys, labels)
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "Missing image (error, missing_image): 1",
        "  portrait.jpg: the image file was not found",
        "Keypoint outside the image (warning, outside_image): 1",
        "  photo.jpg, annotation 1: right_ankle lies outside the image (512 x 600 pixels)",
        "  --fix OUT: Mark as absent (1)",
        "Wrong number of keypoints (warning, num_keypoints): 1",
        "  photo.jpg, annotation 1: num_keypoints is 9, and 10 are labelled",
        "  --fix OUT: Count them again (1)",
    ]


def test_findings_as_json(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = check(capsys, labels, "--json", "--only", "outside-image")
    assert status == 1
    (finding,) = json.loads(out)
    assert finding["message"].startswith("right_ankle lies outside")
    assert finding | {"message": ""} == {
        "check": "outside_image", "severity": "warning", "message": "", "where": "photo.jpg, annotation 1", "frame": 0,
        "instance": 0, "keypoints": [16], "fix": "Mark as absent",
    }  # fmt: skip
    assert check(capsys, labels, "--json", "--only", "empty_box") == (0, "[]\n", "")


def test_one_check_and_another_folder_of_images(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(capsys, labels, "--only", "empty_box") == (0, "nothing found\n", "")
    (tmp_path / "elsewhere").mkdir()
    status, out, _ = check(capsys, labels, "--only", "missing_image", "--images", tmp_path / "elsewhere")
    assert status == 1
    assert out.splitlines()[0] == "Missing image (error, missing_image): 2"


def test_without_any_image_their_absence_is_no_finding(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (labels.parent / "photo.jpg").unlink()
    assert check(capsys, labels, "--only", "missing_image")[0] == 0


def test_long_lists_are_cut_unless_all_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = coco_labels()
    data["annotations"] = [data["annotations"][1] | {"id": n, "bbox": [n, 5, 0, 9]} for n in range(30)]
    (tmp_path / "labels.json").write_text(json.dumps(data))
    _, out, _ = check(capsys, tmp_path / "labels.json", "--only", "empty_box")
    assert out.splitlines()[0] == "Box without an area (warning, empty_box): 30"
    assert out.splitlines()[-2:] == [
        "  and 10 more (--all lists them)",
        "  --fix OUT: Take the box of the keypoints (30)",
    ]
    _, out, _ = check(capsys, tmp_path / "labels.json", "--only", "empty_box", "--all")
    assert len(out.splitlines()) == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.json",), "nothing.json: does not exist"),
        (("labels.json", "--only", "swaped_sides"), "did you mean 'swapped_sides'"),
        (("labels.json", "--images", "nowhere"), "nowhere: does not exist"),
        (("labels.json", "--from", "cocoo"), "no label format is called 'cocoo'"),
        ((), "name the labels to check"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], message: str, labels: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(labels.parent)
    status, out, err = check(capsys, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_list_tells_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = check(capsys, "--list")
    assert status == 0
    assert [line.split(" ")[0] for line in out.splitlines()] == [each.id for each in checks()]


@pytest.fixture
def toy_check() -> Iterator[None]:
    @register_check
    class Portrait(Check):
        id = "portrait"
        title = "Portrait"
        help = "Portraits need a consent form."
        severity = "info"

        def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
            if frame.frame.name.startswith("portrait"):
                yield self.finding(frame, f"is a portrait with {len(frame.instances)} instance")

    yield
    unregister_check("portrait")


def test_a_check_defined_in_one_place_runs_in_the_command(
    toy_check: None, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = check(capsys, labels, "--only", "portrait")
    assert out.splitlines() == ["Portrait (info, portrait): 1", "  portrait.jpg: is a portrait with 1 instance"]
    assert status == 0  # nothing but hints
    assert "portrait (info): Portrait. Portraits need a consent form." in check(capsys, "--list")[1]


def test_the_list_as_json_holds_what_the_reader_met_too(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = coco_labels()
    data["annotations"].append({"id": 99})
    labels.write_text(json.dumps(data))
    status, out, err = check(capsys, labels, "--format", "json")
    assert (status, err) == (1, "")
    findings = {finding["id"]: finding for finding in json.loads(out)["findings"]}
    assert findings["unreadable_annotation"]["action"].startswith("kept aside")
    assert not findings["unreadable_annotation"]["is_check"]
    outside = findings["outside_image"]
    assert (outside["count"], outside["fix"], outside["fixable"]) == (1, "Mark as absent", 1)
    assert outside["records"] == ["photo.jpg, annotation 1: right_ankle lies outside the image (512 x 600 pixels)"]


def test_fixed_labels_are_written_to_another_file(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = labels.read_bytes()
    status, out, _ = check(capsys, labels, "--fix", tmp_path / "fixed.json")
    assert status == 1
    assert out.splitlines()[-1] == f"2 fixed: {tmp_path / 'fixed.json'}"
    assert labels.read_bytes() == before
    status, out, _ = check(capsys, tmp_path / "fixed.json")
    assert out.splitlines() == [
        "Missing image (error, missing_image): 1",
        "  portrait.jpg: the image file was not found",
    ]


def test_only_the_named_fixes_are_made(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(capsys, labels, "--fix", tmp_path / "fixed.json", "--only", "num_keypoints")
    first = json.loads((tmp_path / "fixed.json").read_text())["annotations"][0]
    original = json.loads(labels.read_text())["annotations"][0]
    assert first == original | {"num_keypoints": 10}


def test_fixed_labels_can_be_of_another_format(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = check(capsys, labels, "--fix", tmp_path / "fixed.csv", "--to", "csv")
    assert (tmp_path / "fixed.csv").is_file()
    assert f"fixed: {tmp_path / 'fixed.csv'}" in out


def test_labels_are_never_fixed_in_place(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = labels.read_bytes()
    status, _, err = check(capsys, labels, "--fix", labels, "--overwrite")
    assert status == 2
    assert err.count("\n") == 1
    assert labels.read_bytes() == before


def test_images_that_were_found_by_another_name_are_told(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (labels.parent / "photo.jpg").rename(labels.parent / "0123abcd-photo.jpg")
    _, out, _ = check(capsys, labels)
    assert "Image found by the name that it had before it was uploaded (info, " in out
    assert f"photo.jpg is {labels.parent / '0123abcd-photo.jpg'}" in out
