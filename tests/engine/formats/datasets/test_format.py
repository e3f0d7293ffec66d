"""Published data sets as label formats: found by content, read like any other labels, converted to COCO."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.datasets.__main__ import main as datasets_main
from engine.errors import LabelError
from engine.formats.datasets import KINDS
from engine.formats.registry import ReadOptions, find_format, format_named, read_labels, write_labels
from engine.schema.builtin import find_schema
from engine.utils.command_line import run
from engine.utils.context import Context
from tests.engine.formats.conftest import triples
from tests.engine.formats.datasets.test_original_layouts import BOXES, LANDMARKS, PARTITION, aic_entry

Write = Callable[..., Path]


def test_a_list_of_ai_challenger_is_found_and_read(write: Write) -> None:
    file = write([aic_entry(human2=triples(14, 2), human1=triples(14, 1)), aic_entry("gone")])
    assert find_format(file).name == "aic"
    labels = read_labels(file)
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == find_schema("aic").names
    assert [frame.name for frame in labels.frames()] == ["abc.jpg", "gone.jpg"]
    poses = list(labels.instances())
    assert [pose.frame for pose in poses] == [0, 0, 1]
    assert [set(pose.visibility.tolist()) for pose in poses if pose.visibility is not None] == [{1}, {2}, {2}]


def test_both_commands_convert_to_the_same_file(write: Write, tmp_path: Path) -> None:
    file = write([aic_entry(human2=triples(14, 2)), aic_entry("gone")])
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    assert run(datasets_main, ["convert", str(file), "--out", str(one)]) == 0
    write_labels(read_labels(file), other)
    assert one.read_bytes() == other.read_bytes()


def test_an_entry_that_cannot_be_understood_is_left_out_and_reported(write: Write) -> None:
    file, context = write([aic_entry("fine"), {"keypoint_annotations": {}}]), Context()
    labels = read_labels(file, context=context)
    assert len(list(labels.instances())) == 1
    assert "left out" in context.findings.sentences()[0]


def test_of_several_types_of_clothes_a_person_must_say_one(tmp_path: Path) -> None:
    for name, text in (("landmarks", LANDMARKS), ("bbox", BOXES), ("eval_partition", PARTITION)):
        (tmp_path / f"list_{name}.txt").write_text(text)
    with pytest.raises(LabelError, match="with --from: deepfashion_full or deepfashion_lower or deepfashion_upper"):
        find_format(tmp_path)
    labels = format_named("deepfashion-upper").read(tmp_path)
    assert [frame.name for frame in labels.frames()] == ["img/1.jpg", "img/3.jpg"]
    options = ReadOptions(split="train")
    train = format_named("deepfashion_upper").read(tmp_path, None, options)
    assert [frame.name for frame in train.frames()] == ["img/1.jpg"]


def test_a_coco_style_file_is_coco_unless_the_data_set_is_named(tmp_path: Path) -> None:
    record = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2] * 136}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [record],
        "categories": [{"id": 1, "name": "p"}],
    }
    path = tmp_path / "halpe.json"
    path.write_text(json.dumps(content))
    assert find_format(path).name == "coco"
    schema = read_labels(path, format="halpe").categories[0].schema
    assert schema is not None
    assert schema.names == find_schema("halpe").names


def test_every_data_set_is_a_format(write: Write) -> None:
    assert {format_named(name).name for name in KINDS} == set(KINDS)
    with pytest.raises(LabelError, match="can be read, but not written"):
        format_named("aic").write(read_labels(write([aic_entry()])), Path("out.json"))
