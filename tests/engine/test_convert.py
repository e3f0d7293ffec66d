"""The command that converts labels: any readable format to any writable one, and what is lost is said before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.convert import convert, main
from engine.errors import Cancelled, LabelError
from engine.formats.registry import formats, read_labels
from engine.utils.command_line import run
from engine.utils.context import Context

FILE = {
    "info": {"year": 2024},
    "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}, {"id": 2, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1], "bbox": [1, 2, 3, 4], "mine": 7},
        {"id": 2, "image_id": 2, "category_id": 1, "keypoints": [5, 6, 2, 0, 0, 0], "track_id": 4, "score": 0.5},
        {"id": 3, "image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 9, 9]},
    ],
    "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}],
}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(FILE))
    return path


def test_coco_to_coco_keeps_everything(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, [str(labels), str(tmp_path / "copy.json")]) == 0
    assert json.loads((tmp_path / "copy.json").read_text()) == FILE
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "COCO keypoints to COCO keypoints" in captured.out


def test_what_the_target_cannot_keep_is_said_before_it_is_written(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "poses.csv"
    assert run(main, [str(labels), str(out), "--to", "csv"]) == 0
    assert "cannot keep crowds and records without keypoints (1)" in capsys.readouterr().err
    poses = [i for i in read_labels(out).instances() if i.is_pose]
    assert [i.keypoints[0].tolist() for i in poses if i.keypoints is not None] == [[1, 2], [5, 6]]


def test_with_strict_nothing_is_written_if_something_would_be_lost(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "poses.csv"
    assert run(main, [str(labels), str(out), "--to", "csv", "--strict"]) == 2
    assert "crowds" in capsys.readouterr().err
    assert not out.exists()


def test_the_loss_is_reported_before_the_writing_begins(labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "poses.csv"
    seen: list[tuple[str, bool]] = []
    convert(labels, out, to_format="csv", on_loss=lambda text: seen.append((text, out.exists())))
    assert seen
    assert not any(exists for _, exists in seen)


def test_a_line_of_json_says_what_was_done(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(labels), str(tmp_path / "copy.json"), "--json", "--progress", "none", "--no-predictions"]
    assert run(main, arguments) == 0
    event = json.loads(capsys.readouterr().out)
    assert (event["from"], event["to"], event["lost"], event["findings"]) == ("coco", "coco", [], [])
    assert [a["id"] for a in json.loads((tmp_path / "copy.json").read_text())["annotations"]] == [1, 3]


def test_every_format_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["--list"]) == 0
    text = capsys.readouterr().out
    assert all(format.name in text and format.title in text for format in formats())
    assert run(main, ["--list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["name"] for entry in listed] == [format.name for format in formats()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labels.json"], "give IN and OUT, or --list"),
        (["missing.json", "out.json"], "does not exist"),
        (["labels.json", "out.unknown"], "with --to"),
        (["labels.json", "out.json", "--from", "nonsense"], "no label format is called 'nonsense'"),
        (["labels.json", "labels.json"], "is one of the inputs"),
        (["labels.json", "out.slp", "--to", "alphapose"], "can be read, but not written"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(
    arguments: list[str],
    message: str,
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert json.loads(labels.read_text()) == FILE


def test_an_existing_file_is_replaced_only_when_asked(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    out.write_text("mine")
    assert run(main, [str(labels), str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(main, [str(labels), str(out), "--overwrite"]) == 0
    assert json.loads(out.read_text()) == FILE


def test_a_cancelled_conversion_writes_nothing(labels: Path, tmp_path: Path) -> None:
    context = Context()
    context.cancel()
    with pytest.raises(Cancelled):
        convert(labels, tmp_path / "out.json", context=context)
    assert not (tmp_path / "out.json").exists()


def test_python_gets_the_loss_and_the_findings(labels: Path, tmp_path: Path) -> None:
    content = {**FILE, "images": [*FILE["images"], {"no": "id"}]}  # type: ignore[misc]
    labels.write_text(json.dumps(content))
    done = convert(labels, tmp_path / "copy.json")
    assert (done.source.name, done.target.name, done.lost) == ("coco", "coco", [])
    assert done.findings == ["Unreadable image, kept aside: it has no id: number 3"]
    with pytest.raises(LabelError, match="nothing was written"):
        convert(labels, tmp_path / "poses.csv", to_format="csv", strict=True)


def test_labels_are_divided_into_splits(tmp_path: Path) -> None:
    count = 10
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 8, "height": 8} for n in range(count + 2)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "keypoints": [n % 8, 1, 2], "bbox": [0, 0, 4, 4]}
            for n in range(count)
        ],
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose"], "skeleton": []}],
    }
    source = tmp_path / "labels.json"
    source.write_text(json.dumps(document))
    options = ["--splits", "80/20", "--labelled-only"]
    assert main([str(source), str(tmp_path / "out.json"), *options]) == 0
    parts = [json.loads((tmp_path / f"out_{split}.json").read_text()) for split in ("train", "val")]
    assert [len(part["images"]) for part in parts] == [8, 2]
    assert sorted(a["id"] for part in parts for a in part["annotations"]) == list(range(count))
    assert main([str(source), str(tmp_path / "yolo"), "--to", "yolo", *options]) == 0
    names = [{path.stem for path in (tmp_path / f"yolo/labels/{split}").iterdir()} for split in ("train", "val")]
    assert [len(part) for part in names] == [8, 2]
    assert names[1] == {image["file_name"].removesuffix(".png") for image in parts[1]["images"]}


@pytest.mark.parametrize("margin", ["abc", "-1", "11", "nan"])
def test_a_margin_that_is_no_share_is_refused(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], margin: str
) -> None:
    assert run(main, [str(labels), str(tmp_path / "out.json"), f"--crop-images={margin}"]) == 2
    assert "no share from 0 to 10" in capsys.readouterr().err
