"""Lists of MPII annotations as HRNet and MMPose use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import LabelError
from engine.formats.registry import NO, find_format, format_named, read_labels
from engine.labels import ABSENT, VISIBLE
from engine.utils.context import Context


def record(image: str = "a.jpg", **changes: Any) -> dict[str, Any]:
    joints = [[10.0 + n, 20.0 + n] for n in range(16)]
    joints[3] = [-1.0, -1.0]
    base = {"joints_vis": [1] * 15 + [0], "joints": joints, "image": image, "scale": 1.5, "center": [50.0, 60.0]}
    return {**base, **changes}


def write(path: Path, records: Any) -> Path:
    path.write_text(json.dumps(records))
    return path


def test_coordinates_count_from_one_and_absent_joints_are_absent(tmp_path: Path) -> None:
    path = write(tmp_path / "mpii.json", [record(), record("b.jpg"), record()])
    assert find_format(path).name == "mpii"
    with read_labels(path) as labels:
        assert [frame.name for frame in labels.frames()] == ["a.jpg", "b.jpg"]
        (category,) = labels.categories
        assert category.schema is not None
        assert category.schema.name == "mpii"
        instances = list(labels.instances())
    assert [(i.frame, i.key) for i in instances] == [(0, "a.jpg|1"), (1, "b.jpg|1"), (0, "a.jpg|2")]
    first = instances[0]
    assert first.keypoints is not None
    assert first.visibility is not None
    assert first.box is not None
    assert first.keypoints[0].tolist() == [9, 19]
    assert first.visibility.tolist() == [VISIBLE] * 3 + [ABSENT] + [VISIBLE] * 11 + [ABSENT]
    assert first.box.tolist() == [49.5 - 150, 59.5 - 150, 49.5 + 150, 59.5 + 150]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (record(joints=[[1, 2]]), "not 16 pairs"),
        (record(joints="x"), "not 16 pairs"),
        (record(joints_vis=[1]), "not 16 numbers"),
        (record(joints=[[10**400, 1]] * 16), "not 16 pairs"),
        (record(image=7), "without the name of an image"),
        ([], "without the name of an image"),
        ({"image": "t.jpg", "scale": 1, "center": [1, 2]}, "without joints"),
    ],
)
def test_a_record_at_fault_is_reported_and_the_others_are_read(tmp_path: Path, bad: Any, words: str) -> None:
    context = Context()
    with read_labels(write(tmp_path / "mpii.json", [record(), bad, record()]), context=context) as labels:
        assert labels.num_instances() == 2
    (sentence,) = context.findings.sentences()
    assert words in sentence
    assert "record 2" in sentence


@pytest.mark.parametrize("changes", [{"center": None}, {"scale": "1"}, {"scale": 0}, {"center": [-1, -1]}])
def test_without_a_size_there_is_no_box(tmp_path: Path, changes: dict[str, Any]) -> None:
    with read_labels(write(tmp_path / "mpii.json", [record(**changes)])) as labels:
        (instance,) = labels.instances()
    assert instance.box is None


def test_other_json_is_no_mpii(tmp_path: Path) -> None:
    records = [{"image_id": 1, "keypoints": [1, 2, 3], "center": [1, 2], "scale": [1, 1]}]
    path = write(tmp_path / "results.json", records)
    assert format_named("mpii").sniff(path) == NO
    with pytest.raises(LabelError, match="not a list of MPII"):
        read_labels(write(tmp_path / "object.json", {"image": "a.jpg"}), format="mpii")


def test_the_list_of_mmpose(shared: Path) -> None:
    path = shared / "data" / "formats" / "mmpose-mpii" / "test_mpii.json"
    if not path.is_file():
        pytest.skip("the file is not on this machine")
    records = json.loads(path.read_text())
    with read_labels(path) as labels:
        instances = list(labels.instances())
    assert len(instances) == len(records)
    for instance, expected in zip(instances, records, strict=True):
        assert instance.visibility is not None
        assert (instance.visibility > 0).tolist() == [bool(v) for v in expected["joints_vis"]]
