"""Whatever stands in a file, reading it works or ends in one line for the user."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import CocoError
from engine.formats.datasets import is_coco_style, open_dataset, sniff, write_as_coco
from tests.engine.formats.conftest import COCO_NAMES, coco_document, person, triples

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.sampled_from([10**400, -(10**30), 1e308, float("nan"), float("inf")])
    | st.floats()
    | st.text(max_size=3)
)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner))
FIELDS = st.sampled_from(
    [
        *("id", "image_id", "category_id", "keypoints", "num_keypoints", "bbox", "area", "iscrowd", "not_covered"),
        *("foot_kpts", "face_kpts", "lefthand_kpts"),
    ]
)
SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def attempt(file, kind, out):
    is_coco_style(file)
    for call in (lambda: sniff(file), lambda: write_as_coco(open_dataset(kind, file), out)):
        with contextlib.suppress(CocoError):
            call()
    if out.exists():
        open_dataset(kind, out)
        out.unlink()


@SETTINGS
@given(kind=st.sampled_from(["coco", "coco_wholebody"]), changes=st.dictionaries(FIELDS, VALUE, max_size=3))
def test_any_value_in_an_annotation(tmp_path, kind, changes):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(coco_document([person(), person(8) | changes], COCO_NAMES)))
    attempt(file, kind, tmp_path / "out.json")


@SETTINGS
@given(numbers=st.lists(SCALAR, min_size=3, max_size=51), places=st.lists(st.integers(0, 50), max_size=4), box=VALUE)
def test_any_number_among_the_keypoints(tmp_path, numbers, places, box):
    flat = triples(17)
    for position, index in zip(places, numbers):
        flat[position] = index
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(coco_document([person(keypoints=flat, bbox=box)], COCO_NAMES)))
    attempt(file, "coco", tmp_path / "out.json")


@SETTINGS
@given(section=st.sampled_from(["images", "annotations", "categories", "info"]), value=VALUE)
def test_any_value_for_a_section(tmp_path, section, value):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(coco_document([person()], COCO_NAMES) | {section: value}))
    attempt(file, "coco", tmp_path / "out.json")


@SETTINGS
@given(value=VALUE, key=st.sampled_from(["image_id", "human_annotations", "keypoint_annotations"]))
def test_any_value_in_an_entry_of_aic(tmp_path, value, key):
    entry = {
        "image_id": "a",
        "human_annotations": {"human1": [1, 2, 3, 4]},
        "keypoint_annotations": {"human1": triples(14, 1)},
    }
    file = tmp_path / "list.json"
    file.write_text(json.dumps([entry, entry | {key: value}]))
    attempt(file, "aic", tmp_path / "out.json")


@SETTINGS
@given(
    numbers=st.lists(SCALAR, min_size=1, max_size=30),
    key=st.sampled_from(["human_annotations", "keypoint_annotations"]),
)
def test_any_numbers_of_a_person_of_aic(tmp_path, numbers, key):
    person_of = {"human_annotations": [1, 2, 3, 4], "keypoint_annotations": triples(14, 1)}
    person_of[key][: len(numbers)] = numbers[: len(person_of[key])]
    file = tmp_path / "list.json"
    file.write_text(json.dumps([{"image_id": "a"} | {name: {"human1": result} for name, result in person_of.items()}]))
    attempt(file, "aic", tmp_path / "out.json")


@SETTINGS
@given(
    value=VALUE, key=st.sampled_from(["category_id", "bounding_box", "landmarks"]), numbers=st.lists(SCALAR, max_size=4)
)
def test_any_value_in_a_garment(tmp_path, value, key, numbers):
    folder = tmp_path / "annos"
    folder.mkdir(exist_ok=True)
    item = {"category_id": 9, "bounding_box": [1, 2, 3, 4], "landmarks": triples(8, 1)}
    item["landmarks"][: len(numbers)] = numbers
    (folder / "1.json").write_text(json.dumps({"item1": item}))
    attempt(folder, "deepfashion2", tmp_path / "out.json")
    (folder / "1.json").write_text(json.dumps({"item1": item | {key: value}}))
    attempt(folder, "deepfashion2", tmp_path / "out.json")


@SETTINGS
@given(text=st.text(alphabet="img/1.jpg 0123-e.\nnaif", max_size=120))
def test_any_text_as_a_landmark_list(tmp_path, text):
    (tmp_path / "list_landmarks.txt").write_text("2\nnames\nimg/1.jpg 2 1 0 1 1 0 1 1 0 1 1 0 1 1\n" + text)
    (tmp_path / "list_bbox.txt").write_text("1\nnames\nimg/1.jpg 1 2 3 4\n" + text)
    attempt(tmp_path, "deepfashion_lower", tmp_path / "out.json")


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"{" * 5000, b'{"images": [{"id": 1}], "annotations": 3}', b"\x00" * 40]
)
def test_bytes_that_are_no_json(tmp_path, data):
    file = tmp_path / "labels.json"
    file.write_bytes(data)
    with pytest.raises(CocoError):
        open_dataset("coco", file)
