"""Converting a data set goes on past what cannot be read, and lists it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.__main__ import main
from engine.formats.coco.dataset import CocoDataset
from engine.utils.command_line import run
from tests.engine.formats.conftest import COCO_NAMES, coco_document, person, triples

Write = Callable[..., Path]
Picture = Callable[[str, int, int], Path]


def convert(source: Path, out: Path, *options: str, status: int = 0) -> CocoDataset:
    assert run(main, ["convert", str(source), "--out", str(out), "--overwrite", *options]) == status
    return CocoDataset.read(out)


def entry(name: str, values: list[float] | None = None) -> dict[str, Any]:
    points = triples(14, v=1) if values is None else values
    return {
        "image_id": name,
        "keypoint_annotations": {"human1": points},
        "human_annotations": {"human1": [1, 2, 30, 40]},
    }


def item(category: int, count: int) -> dict[str, Any]:
    return {"category_id": category, "landmarks": triples(count), "bounding_box": [1, 2, 30, 40]}


def check(source: Path, out: Path, capsys: pytest.CaptureFixture[str], remaining: int, *words: str) -> None:
    """So many annotations are left, the words are in the list, and --strict fails after writing the same."""
    capsys.readouterr()
    result = convert(source, out)
    assert len(result.annotations) == remaining
    error = capsys.readouterr().err
    assert f"skipped {len(words)} record" in error
    assert all(word in error for word in words)
    first = out.read_bytes()
    convert(source, out, "--strict", status=2)
    assert out.read_bytes() == first
    capsys.readouterr()
    convert(source, out, "--json")
    event = json.loads(capsys.readouterr().out)
    assert len(event["skipped"]) == len(words)


def test_coco_records(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [
        person(8, keypoints=triples(16)),
        person(9, category_id=3),
        {"id": 10, "category_id": 1, "keypoints": triples(17)},
    ]
    source = write(coco_document([bad[0], person(), bad[1], bad[2], person(11)], COCO_NAMES))
    check(source, tmp_path / "o.json", capsys, 2, "annotation 8: has 16 keypoints", "annotation 9: is of category 3",
          "no image_id")  # fmt: skip


def test_entries_of_ai_challenger(
    write: Write, picture: Picture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "b.jpg", "d.jpg"):
        picture(name, 100, 80)
    source = write([entry("a"), {"image_id": 5}, entry("b"), entry("d", triples(13))])
    check(source, tmp_path / "o.json", capsys, 2, "entry 1: is no entry", "d, human1: has 39 keypoint numbers")


def test_a_picture_that_cannot_tell_its_size(
    write: Write, picture: Picture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.jpg", 100, 80)
    (tmp_path / "b.jpg").write_bytes(b"")
    source = write([entry("a"), entry("b"), entry("c")])
    check(source, tmp_path / "o.json", capsys, 3, "b.jpg: is empty", "c.jpg: does not exist")


def test_files_and_items_of_deepfashion2(picture: Picture, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "annos"
    folder.mkdir()
    for index in range(1, 5):
        picture(f"image/00000{index}.jpg", 100, 80)
        (folder / f"00000{index}.json").write_text(json.dumps({"item1": item(7, 10), "item2": item(7, 10)}))
    (folder / "000002.json").write_text("{")
    (folder / "000003.json").write_text(json.dumps({"item1": item(99, 10), "item2": item(7, 10)}))
    out = tmp_path / "o.json"
    check(folder, out, capsys, 5, "000002.json: is not valid JSON", "000003.json: item1: has category_id 99")
    assert [image.file_name for image in CocoDataset.read(out).images] == ["000001.jpg", "000003.jpg", "000004.jpg"]


def test_a_data_set_of_which_nothing_can_be_read_is_refused(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.json"
    source = write(coco_document([person(8, category_id=3), person(9, category_id=3)], COCO_NAMES))
    assert run(main, ["convert", str(source), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "annotation 8: is of category 3, which the file does not list (2 records)" in error
    assert error.count("\n") == 1
    assert not out.exists()
