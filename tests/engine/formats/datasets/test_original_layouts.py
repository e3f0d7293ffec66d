"""The layouts in which AI Challenger, DeepFashion and DeepFashion2 themselves are published."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.datasets import open_dataset, sniff
from tests.engine.formats.conftest import triples


def aic_entry(name="abc", **people):
    people = people or {"human1": triples(14, 1)}
    return {
        "url": "http://example.org",
        "image_id": name,
        "human_annotations": {person: [10, 20, 60, 80] for person in people},
        "keypoint_annotations": people,
    }


def test_aic_list(write, picture):
    states = [1, 2, 3] + [1] * 11
    flat = [n for i, v in enumerate(states) for n in (i + 1, i + 2, v)]
    picture("pictures/abc.jpg", 50, 70)
    file = write([aic_entry(human2=flat, human1=triples(14, 1)), aic_entry("gone")])
    data = open_dataset("", file, file.parent / "pictures")
    assert sniff(file) == data.kind == "aic"
    assert [image.file_name for image in data.images] == ["abc.jpg", "gone.jpg"]
    first = data.samples[0]
    assert first.visibility[:4].tolist() == [2, 1, 0, 2]
    assert first.keypoints[2].tolist() == [0, 0]
    assert first.num_keypoints == 13
    assert first.box.tolist() == [10, 20, 49, 69]
    assert first.bbox == (10, 20, 50, 60)
    assert [sample.image for sample in data.samples] == [0, 0, 1]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (aic_entry(human1=triples(13, 1)), "abc, human1: has 39 keypoint numbers, expected 42"),
        (aic_entry(human1=triples(14, 0)), "abc, human1: has visibility 0, which is none of 1, 2, 3"),
        ({"keypoint_annotations": {}}, "entry 1: is no entry of AI Challenger"),
    ],
)
def test_a_faulty_aic_entry_is_named(write, entry, message):
    with pytest.raises(CocoError) as caught:
        open_dataset("aic", write([aic_entry("fine"), entry]))
    assert message in str(caught.value)


def test_a_list_of_aic_is_nothing_else(write):
    with pytest.raises(CocoError, match="is a list of AI Challenger, not coco"):
        open_dataset("coco", write([aic_entry()]))


LANDMARKS = """3
image_name clothes_type variation_type landmark_visibility_1 landmark_location_x_1 landmark_location_y_1
img/1.jpg 1 1 0 10 11 1 20 21 2 000 000 0 40 41 0 50 51 0 60 61
img/2.jpg 2 1 0 10 11 0 20 21 0 30 31 0 40 41
img/3.jpg 1 2 0 12 11 0 20 21 0 30 31 0 40 41 0 50 51 0 60 61
"""
BOXES = """3
image_name x_1 y_1 x_2 y_2
img/1.jpg 001 002 101 152
img/2.jpg 5 6 50 60
img/3.jpg 7 8 70 80
"""
PARTITION = """3
image_name evaluation_status
img/1.jpg train
img/2.jpg train
img/3.jpg test
"""


@pytest.fixture
def fld(tmp_path, picture):
    for name, text in {
        "Anno/list_landmarks.txt": LANDMARKS,
        "Anno/list_bbox.txt": BOXES,
        "Eval/list_eval_partition.txt": PARTITION,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    picture("img/1.jpg", 100, 150)
    return tmp_path


def test_deepfashion_lists(fld):
    data = open_dataset("deepfashion_upper", fld)
    assert [image.path for image in data.images] == [fld / "img/1.jpg", fld / "img/3.jpg"]
    first = data.samples[0]
    assert first.visibility.tolist() == [2, 1, 0, 2, 2, 2]
    assert first.keypoints[1].tolist() == [20, 21]
    assert first.bbox == (1, 2, 100, 150)
    assert first.box.tolist() == [1, 2, 99, 149]
    assert (first.area, first.num_keypoints, first.category) == (15000, 5, "fashion")
    assert len(open_dataset("deepfashion_lower", fld / "Anno" / "list_landmarks.txt")) == 1
    assert len(open_dataset("deepfashion_full", fld)) == 0


def test_one_part_of_the_deepfashion_benchmark(fld):
    test = open_dataset("deepfashion_upper", fld, split="test")
    assert [image.file_name for image in test.images] == ["img/3.jpg"]
    with pytest.raises(CocoError, match="has no part 'validation'; there are test, train"):
        open_dataset("deepfashion_upper", fld, split="validation")


def test_lists_of_several_clothes_need_a_kind(fld):
    with pytest.raises(CocoError, match="say which with --kind deepfashion_lower or deepfashion_upper"):
        sniff(fld)
    upper = [line for line in LANDMARKS.splitlines(keepends=True) if not line.startswith("img/2")]
    (fld / "Anno/list_landmarks.txt").write_text("".join(upper))
    assert sniff(fld) == "deepfashion_upper"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("img/1.jpg 1 1 0 10", "line 3: has 2 landmark numbers, expected 18"),
        ("img/1.jpg 7 1 0 10 11", "line 3: has clothes type 7"),
        ("img/1.jpg 1 1" + " 9 1 1" * 6, "line 3: has visibility 9"),
        ("img/1.jpg", "line 3: is no line of a landmark list"),
    ],
)
def test_a_faulty_line_is_named(fld, line, message):
    (fld / "Anno/list_landmarks.txt").write_text(f"1\nnames\n{line}\n")
    with pytest.raises(CocoError) as caught:
        open_dataset("deepfashion_upper", fld)
    assert message in str(caught.value)


def test_boxes_that_are_missing_are_asked_for(fld):
    (fld / "Anno/list_bbox.txt").unlink()
    with pytest.raises(CocoError, match=r"put list_bbox\.txt beside it"):
        open_dataset("deepfashion_upper", fld)
    with pytest.raises(CocoError, match="is no landmark list"):
        open_dataset("deepfashion_upper", fld / "Eval" / "list_eval_partition.txt")


def item(category, count, **fields):
    return {"category_id": category, "bounding_box": [5, 6, 55, 66], "landmarks": triples(count, 1), **fields}


@pytest.fixture
def garments(tmp_path, picture):
    folder = tmp_path / "validation" / "annos"
    folder.mkdir(parents=True)
    (folder / "000012.json").write_text(
        json.dumps({"source": "shop", "pair_id": 3, "item1": item(5, 15), "item2": item(13, 19)})
    )
    (folder / "000002.json").write_text(json.dumps({"source": "user", "pair_id": 4, "item1": item(1, 25)}))
    picture("validation/image/000012.jpg", 40, 50)
    return folder


def test_deepfashion2_folder(garments):
    data = open_dataset("", garments)
    assert sniff(garments.parent) == data.kind == "deepfashion2"
    assert [image.id for image in data.images] == [2, 12]
    assert data.images[1].path == garments.parent / "image" / "000012.jpg"
    assert [sample.category for sample in data.samples] == ["short_sleeved_shirt", "vest", "sling_dress"]
    vest = data.samples[1]
    assert np.flatnonzero(vest.visibility).tolist() == list(range(128, 143))
    assert vest.box.tolist() == [5, 6, 39, 49]
    assert (vest.area, vest.num_keypoints) == (3000, 15)
    assert len(data.of_categories(["vest"])) == 1


@pytest.mark.parametrize(
    ("garment", "message"),
    [
        (item(14, 15), "000012.json: item1: has category_id 14, expected 1 to 13"),
        (item(5, 14), "item1: has 42 numbers in 'landmarks', expected 45"),
        (item(5, 15, bounding_box=None), "item1: has nothing in 'bounding_box', expected 4"),
        (item(5, 15, landmarks=["x"] * 45), "item1: 'landmarks' holds something that is no number"),
    ],
)
def test_a_faulty_garment_is_named(garments, garment, message):
    (garments / "000012.json").write_text(json.dumps({"item1": garment}))
    with pytest.raises(CocoError) as caught:
        open_dataset("deepfashion2", garments)
    assert message in str(caught.value)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(CocoError, match=r"is a folder without list_landmarks\.txt"):
        sniff(tmp_path)
