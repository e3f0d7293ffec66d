"""COCO files: read with nothing lost, odd ones understood, faulty ones told of by file and record."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import CocoError, SchemaError
from engine.formats.coco.dataset import (
    CocoCategory,
    CocoDataset,
    CocoResult,
    make_annotation,
    make_category,
    make_image,
    read_results,
    write_results,
)
from engine.formats.coco.document import read_document
from engine.schema.builtin import find_schema

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}
CATEGORY = {"id": 1, "name": "thing", "keypoints": ["left_a", "right_a"], "skeleton": [[1, 2]]}


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def dataset(tmp_path: Path, *annotations: dict[str, Any], **extra: Any) -> CocoDataset:
    data = {"images": [IMAGE], "annotations": list(annotations), "categories": [CATEGORY], **extra}
    return CocoDataset.read(write(tmp_path / "labels.json", data))


def annotation(**extra: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1], **extra}


@pytest.mark.slow
def test_every_shared_file_comes_back_equal(shared: Path, tmp_path: Path) -> None:
    files = [*shared.glob("data/coco-mini/*.json"), *shared.glob("data/mmpose-samples/*/*.json")]
    assert len(files) >= 10
    for file in files:
        given = json.loads(file.read_bytes())
        out = tmp_path / file.name
        if isinstance(given, list):
            write_results(out, read_results(file))
        else:
            CocoDataset.read(file).write(out)
        assert json.loads(out.read_bytes()) == given, file
        if isinstance(given, dict):
            assert list(json.loads(out.read_bytes())) == list(given), file


def test_numbers_order_and_unknown_keys_survive_to_the_digit(tmp_path: Path) -> None:
    text = (
        '{"z": {"b": 1.10, "a": [1e3]}, "annotations": [{"odd": null, "id": 7, "image_id": 1, "category_id": 1, '
        '"bbox": [1.50, 2, 3.0, 4e0], "keypoints": [1.10, 2, 2, 3, 4, 1]}], "images": '
        '[{"id": 1, "file_name": "ä.jpg"}], '
        '"categories": [{"id": 1, "name": "thing"}], "licenses": null, "info": ""}'
    )
    CocoDataset.read(write(tmp_path / "a.json", text)).write(tmp_path / "b.json")
    again = (tmp_path / "b.json").read_text(encoding="utf-8")
    assert json.loads(again) == json.loads(text)
    assert list(json.loads(again)) == ["z", "annotations", "images", "categories", "licenses", "info"]
    assert "1.10" in again
    assert "4e0" in again


def test_a_patched_annotation_changes_only_what_was_asked(tmp_path: Path) -> None:
    data = dataset(tmp_path, annotation(custom={"x": 1}, bbox=[1, 2, 3, 4], area=5))
    data.annotations[0] = data.annotations[0].patched(bbox=[1.5, 2, 3, 4])
    data.write(tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())["annotations"][0]
    assert written == annotation(custom={"x": 1}, bbox=[1.5, 2, 3, 4], area=5)
    assert list(written) == list(annotation(custom={"x": 1}, bbox=1, area=5))
    assert data.annotations[0].bbox == [1.5, 2, 3, 4]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 2, 2, 3, 4, 1], [1, 2, 2, 3, 4, 1]),
        ([[1, 2, 2], [3, 4, 1]], [1, 2, 2, 3, 4, 1]),
        ([[1, 2], [3, 4]], [1, 2, 2, 3, 4, 2]),
        ([1, 2, 3, 4], [1, 2, 2, 3, 4, 2]),
        ([1, 2, True, 3, 4, False], [1, 2, 1, 3, 4, 0]),
        ([1, 2, 0.5, 3, 4, 1.0], [1, 2, 0.5, 3, 4, 1.0]),
        (["1", "2.5", "2", 3, 4, 1], [1, 2.5, 2, 3, 4, 1]),
        ([None, None, 0, 3, 4, 1], [0, 0, 0, 3, 4, 1]),
        ([1, 2, None, 3, 4, 1], [1, 2, 0, 3, 4, 1]),
        ([], []),
        (None, None),
    ],
)
def test_keypoints_are_understood_however_written(tmp_path: Path, given: Any, expected: Any) -> None:
    data = dataset(tmp_path, annotation(keypoints=given))
    assert data.annotations[0].keypoints == expected
    data.write(tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["annotations"][0]["keypoints"] == given


def test_integers_stay_integers(tmp_path: Path) -> None:
    points = dataset(tmp_path, annotation(keypoints=[1, 2.0, 2, 3, 4.5, 1])).annotations[0].keypoints
    assert points is not None
    assert [type(n) for n in points] == [int, float, int, int, float, int]


@pytest.mark.parametrize(
    ("given", "expected"),
    [([1, 2, 3, 4], [1, 2, 3, 4]), (["1", "2.5", 3, 4], [1, 2.5, 3, 4]), ([], None), (None, None), ([1, 2], None)],
)
def test_boxes_are_understood_however_written(tmp_path: Path, given: Any, expected: Any) -> None:
    assert dataset(tmp_path, annotation(bbox=given)).annotations[0].bbox == expected


def test_nan_infinity_and_byte_order_mark_are_taken(tmp_path: Path) -> None:
    text = json.dumps({"images": [IMAGE], "categories": [CATEGORY], "annotations": []})
    odd = text.replace("[]}", '[{"id": 7, "image_id": 1, "category_id": 1, "keypoints": [NaN, 2, 2, 3, 4, 2], ')
    odd += '"area": Infinity, "bbox": [NaN, 1, 2, 3]}]}'
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + odd.encode())
    data = CocoDataset.read(tmp_path / "a.json")
    assert data.annotations[0].keypoints == [0, 0, 0, 3, 4, 2]
    assert data.annotations[0].bbox is None
    assert data.annotations[0].area is None
    data.write(tmp_path / "b.json")
    written = (tmp_path / "b.json").read_text()
    assert "NaN" in written
    assert "Infinity" in written


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    text = json.dumps({"images": [{**IMAGE, "file_name": "ä.jpg"}]}, ensure_ascii=False)
    (tmp_path / "a.json").write_bytes(text.encode(encoding))
    assert CocoDataset.read(tmp_path / "a.json").images[0].file_name == "ä.jpg"


def test_missing_sections_are_empty_and_stay_missing(tmp_path: Path) -> None:
    CocoDataset.read(write(tmp_path / "a.json", {"images": [IMAGE]})).write(tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == {"images": [IMAGE]}


def test_ids_may_be_text_floats_or_missing(tmp_path: Path) -> None:
    data = CocoDataset.read(
        write(
            tmp_path / "a.json",
            {
                "images": [{"id": "a.jpg"}, {"id": 2.0, "path": "b.jpg", "width": None, "height": "20"}],
                "annotations": [
                    {"image_id": "a.jpg", "keypoints": [1, 2, 2]},
                    {"id": "x", "image_id": 2, "category_id": 1},
                ],
                "categories": [{"id": 1, "name": "thing", "keypoints": ["p"]}],
            },
        )
    )
    assert [(i.id, i.file_name, i.height) for i in data.images] == [("a.jpg", "a.jpg", 0), (2, "b.jpg", 20)]
    assert data.annotations[0].category_id == 1
    assert data.annotations[1].id == "x"


def test_duplicate_ids_survive(tmp_path: Path) -> None:
    data = dataset(tmp_path, annotation(), annotation(score=0.5))
    assert [a.id for a in data.annotations] == [7, 7]
    assert data.annotations[1].score == 0.5


@pytest.mark.parametrize("key", ["track_id", "object_id"])
def test_track_is_found_under_attributes(tmp_path: Path, key: str) -> None:
    assert dataset(tmp_path, annotation(attributes={key: 5, "x": 1})).annotations[0].track_id == 5
    assert dataset(tmp_path, annotation(attributes=[1])).annotations[0].track_id is None


@pytest.mark.parametrize(
    ("skeleton", "expected"),
    [
        ([[1, 2], [2, 3]], [(0, 1), (1, 2)]),
        ([[0, 1], [1, 2]], [(0, 1), (1, 2)]),
        ([[0, 3], [0, 1]], [(0, 1)]),
        ([[1, 2], [2, 9]], [(0, 1), (1, 2)]),  # element ids, as CVAT writes them
        ([[14, 15], [14, 20]], [(0, 1), (0, 2)]),
        ([[14, 16], [16, 14]], [(0, 2), (2, 0)]),
        ([[14, 19]], []),
        ([[1, 2], [1, 9], [2, 8]], [(0, 1)]),
        (["1,2", "2-3"], [(0, 1), (1, 2)]),
        ([["a", "c"]], [(0, 2)]),
        ([[1, 2, 3], None, [1.0, 2.0]], [(0, 1)]),
        (None, []),
        ("1,2", []),
    ],
)
def test_skeleton_base_and_oddities(tmp_path: Path, skeleton: Any, expected: Any) -> None:
    category = {"id": 1, "name": "thing", "keypoints": ["a", "b", "c"], "skeleton": skeleton}
    data = CocoDataset.read(write(tmp_path / "a.json", {"images": [], "categories": [category]}))
    assert data.categories[0].skeleton == expected


def test_skeleton_base_is_told_by_symmetry_where_numbers_do_not(tmp_path: Path) -> None:
    names = ["x", "left_a", "right_a", "left_b", "right_b", "y"]
    from_zero = [[1, 3], [2, 4]]
    from_one = [[2, 4], [3, 5]]
    for skeleton in (from_zero, from_one):
        category = {"id": 1, "name": "thing", "keypoints": names, "skeleton": skeleton}
        data = CocoDataset.read(write(tmp_path / "a.json", {"images": [], "categories": [category]}))
        assert data.categories[0].skeleton == [(1, 3), (2, 4)]


def test_a_category_with_names_twice_still_gives_a_schema() -> None:
    schema = CocoCategory(1, "thing", ["ear", "ear", "", "ear_2"], [(0, 1), (1, 9)]).schema()
    assert len(set(schema.names)) == 4
    assert schema.names[0] == "ear"
    assert len(schema.limbs) == 1
    with pytest.raises(SchemaError):
        CocoCategory(1, "thing").schema()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("{", "cut off"),
        ('{"images": [}', "line 1, column 13"),
        ("[]", "is an empty list"),
        ("3", "a number"),
        ('{"foo": 1}', "no 'images'"),
        ('{"images": {}}', "not a list but an object"),
        ('{"images": [3]}', "image 0"),
        ('{"images": [{"file_name": "a"}]}', "image 0: has no id"),
        ('{"images": [{"id": 4}]}', "image 0 (id 4): has no file_name"),
        ('{"images": [], "annotations": [null]}', "annotation 0: is not an object but null"),
        ('{"images": [], "annotations": [{"id": 441}]}', "annotation 0 (id 441): has no image_id"),
        (
            '{"images": [], "annotations": [{"id": 441, "image_id": 1, "keypoints": ["a", 1, 2]}]}',
            "annotation 0 (id 441): 'keypoints' contains 'a'",
        ),
        (
            '{"images": [], "annotations": [{"id": 441, "image_id": 1, "keypoints": [1, 2, 3, 4, 5]}]}',
            "annotation 0 (id 441): 'keypoints' has 5 numbers",
        ),
    ],
)
def test_faults_name_file_and_record(tmp_path: Path, content: str, words: str) -> None:
    path = write(tmp_path / "labels.json", content)
    with pytest.raises(CocoError) as caught:
        CocoDataset.read(path)
    assert words in str(caught.value)
    assert "labels.json" in str(caught.value)


def test_category_id_may_only_be_missing_where_it_is_clear(tmp_path: Path) -> None:
    data = {
        "images": [IMAGE],
        "annotations": [{"id": 1, "image_id": 1}],
        "categories": [CATEGORY, {**CATEGORY, "id": 2}],
    }
    with pytest.raises(CocoError, match="has no category_id"):
        CocoDataset.read(write(tmp_path / "a.json", data))


def test_missing_file_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(CocoError, match="No such file"):
        CocoDataset.read(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes('{"images": [{"id": 1, "file_name": "ä"}], "x": "ä"}'.encode("latin-1"))
    with pytest.raises(CocoError, match="UTF-8"):
        CocoDataset.read(tmp_path / "latin.json")


def test_writing_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.json", {"images": [IMAGE]})
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CocoError, match="No space left"):
        CocoDataset().write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.json"]


def test_writing_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CocoError, match="cannot be written"):
        CocoDataset().write(tmp_path / "none" / "a.json")


def test_a_data_set_made_here_reads_back(tmp_path: Path) -> None:
    schema = find_schema("coco")
    points = np.column_stack([np.random.default_rng(0).random((17, 2)) * 100, np.full(17, 2)])
    points[3] = 0
    data = CocoDataset(
        [make_image(1, "a.jpg", 640, 480)],
        [make_annotation(1, 1, 1, points, [1, 2, 30, 40], score=0.5, keypoint_scores=np.linspace(0, 1, 17))],
        [make_category(1, schema)],
    )
    data.write(tmp_path / "a.json")
    again = CocoDataset.read(tmp_path / "a.json")
    created = again.annotations[0]
    assert np.array_equal(np.asarray(created.keypoints).reshape(17, 3), points)
    assert (created.num_keypoints, created.area, created.score) == (16, 1200, 0.5)
    assert again.categories[0].skeleton == [tuple(pair) for pair in schema.limb_indices.tolist()]
    assert again.categories[0].schema().names == schema.names
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["images", "annotations", "categories"]


def test_numbers_that_are_not_finite_are_not_made() -> None:
    with pytest.raises(CocoError, match="annotation 3"):
        make_annotation(3, 1, 1, [[np.nan, 0, 2]])
    with pytest.raises(CocoError, match="shape"):
        make_annotation(3, 1, 1, None, [1, 2, 3])


def test_results_are_read_and_made(tmp_path: Path) -> None:
    results = [CocoResult(1, 1, [1, 2, 3, 4], 0.5, [1, 2, 0.9]), CocoResult("b.jpg")]
    write_results(tmp_path / "r.json", results)
    again = read_results(tmp_path / "r.json")
    assert [(r.image_id, r.bbox, r.score, r.keypoints) for r in again] == [
        (1, [1, 2, 3, 4], 0.5, [1, 2, 0.9]),
        ("b.jpg", None, 1.0, None),
    ]
    with pytest.raises(CocoError, match="result 0: has no image_id"):
        read_results(write(tmp_path / "bad.json", [{"score": 1}]))
    with pytest.raises(CocoError, match="not a list"):
        read_results(write(tmp_path / "bad.json", {"images": []}))


def test_a_given_area_of_a_new_annotation_is_kept() -> None:
    assert make_annotation(1, 1, 1, bbox_xywh=[0, 0, 10, 20], area=37.5).area == 37.5
    assert make_annotation(1, 1, 1, bbox_xywh=[0, 0, 10, 20], area=0).area == 0
    assert make_annotation(1, 1, 1, bbox_xywh=[0, 0, 10, 20]).area == 200
    assert b'"area":37.5' in make_annotation(1, 1, 1, bbox_xywh=[0, 0, 10, 20], area=37.5).encoded()


THREE = {"id": 1, "name": "thing", "keypoints": ["a", "b", "c"]}


def lists(tmp_path: Path, *keypoints: list[float]) -> list[Any]:
    rows = [{"id": n, "image_id": 1, "category_id": 1, "keypoints": k} for n, k in enumerate(keypoints)]
    data = CocoDataset.read(write(tmp_path / "a.json", {"images": [IMAGE], "annotations": rows, "categories": [THREE]}))
    return [annotation.keypoints for annotation in data.annotations]


def test_six_numbers_for_three_points_are_pairs_where_all_lists_are(tmp_path: Path) -> None:
    rows = ([10, 20, 30, 40, 50, 60], [11, 21, 31, 41, 0, 0], [])
    assert lists(tmp_path, *rows) == [[10, 20, 2, 30, 40, 2, 50, 60, 2], [11, 21, 2, 31, 41, 2, 0, 0, 0], []]


@pytest.mark.parametrize(
    "others",
    [
        ([11, 21, 2, 31, 41, 2, 0, 0, 0],),  # the category has three numbers a point
        (),  # every third number is a visibility
    ],
)
def test_a_list_cut_short_is_not_read_as_pairs(tmp_path: Path, others: tuple[list[float], ...]) -> None:
    short: list[float] = [10, 20, 2, 30, 40, 2]
    assert lists(tmp_path, short, *others)[0] == short


@pytest.mark.parametrize(("image", "reference"), [("1", 1), (1, "1"), (1, "001"), ("img", "img")])
def test_ids_that_are_text_on_one_side_are_matched(tmp_path: Path, image: Any, reference: Any) -> None:
    file = write(
        tmp_path / "a.json",
        {
            "images": [{**IMAGE, "id": image}],
            "annotations": [annotation(image_id=reference, category_id=reference)],
            "categories": [{**CATEGORY, "id": image}],
        },
    )
    data = CocoDataset.read(file)
    assert (data.annotations[0].image_id, data.annotations[0].category_id) == (image, image)
    data.write(tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(file.read_text())


def test_ids_that_fit_two_records_are_not_matched(tmp_path: Path) -> None:
    images = [{**IMAGE, "id": "1"}, {**IMAGE, "id": "01"}]
    assert dataset(tmp_path, annotation(image_id=1), images=images).annotations[0].image_id == 1


def test_half_a_surrogate_pair_stays_an_escape(tmp_path: Path) -> None:
    text = json.dumps({"images": [{**IMAGE, "note": "\ud83d", "more": "ä\udc00\U0001f600"}]})
    CocoDataset.read(write(tmp_path / "a.json", text)).write(tmp_path / "b.json")
    written = (tmp_path / "b.json").read_bytes().decode("utf-8")
    assert json.loads(written) == json.loads(text)
    assert r"\ud83d" in written
    assert len(read_document(tmp_path / "a.json").problems) == 1
    assert read_document(write(tmp_path / "c.json", {"images": [{**IMAGE, "note": "\\ud83d 😀"}]})).problems == []


@pytest.mark.parametrize(
    "text",
    ['{"images":' + "[" * 100_000, '{"images":' + "[" * 100_000 + "]" * 100_000 + "}", "[" * 100_000,
     '{"images": [], "info": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"],
)  # fmt: skip
def test_deep_nesting_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(CocoError, match=r"too deeply|not valid JSON"):
        CocoDataset.read(write(tmp_path / "a.json", text))


def test_a_deep_record_is_left_out_alone(tmp_path: Path) -> None:
    deep = '{"id": 8, "image_id": 1, "category_id": 1, "x": ' + "[" * 600 + "]" * 600 + "}"
    text = json.dumps({"images": [IMAGE], "annotations": [annotation()], "categories": [CATEGORY]})
    text = text.replace('"annotations": [', '"annotations": [' + deep + ", ")
    assert [a.id for a in CocoDataset.read(write(tmp_path / "a.json", text)).annotations] == [8, 7]


def test_records_that_cannot_be_understood_can_be_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.json",
        {
            "images": [IMAGE, 5, {"id": 2}],
            "annotations": [annotation(), None, {"id": 9}, annotation(id=10, keypoints="x")],
            "categories": [CATEGORY, {"name": "no id"}],
        },
    )
    errors: list[str] = []
    data = CocoDataset.read(file, lambda position, error: errors.append(f"{position} {error}"))
    assert ([i.id for i in data.images], [a.id for a in data.annotations], [c.id for c in data.categories]) == (
        [1], [7], [1],
    )  # fmt: skip
    assert len(errors) == 6
    with pytest.raises(CocoError):
        CocoDataset.read(file)


@pytest.mark.parametrize("value", [1e308, 10**400, -1, 0, 2**63, "1e999", True, None, [], "9" * 5000])
def test_any_number_may_stand_anywhere(tmp_path: Path, value: Any) -> None:
    data = dataset(
        tmp_path,
        annotation(keypoints=[value, 2, 2, 3, 4, 1] if not isinstance(value, list | str) else None, num_keypoints=value,
                   area=value, bbox=[value, 1, 1, 1], score=value, iscrowd=value, keypoint_scores=[value],
                   track_id=value),
        images=[{**IMAGE, "width": value, "height": value}],
    )  # fmt: skip
    assert 0 <= data.images[0].width < 1 << 31
    assert np.isfinite(np.array(data.annotations[0].keypoints or [], np.float64)).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]', "Label Studio"),
        ('[{"image": "a.jpg", "annotation_id": 3, "annotator": 1, "kp": []}]', "Label Studio"),
        ('[{"image": "a.jpg", "joints": [[1, 2]], "center": [1, 2], "scale": 1}]', "MPII"),
        ('[{"filename": "a.jpg", "class": "image", "annotations": []}]', "AlphaTracker"),
        ('[{"image_id": 1, "category_id": 1, "keypoints": [], "score": 1}]', "list of results"),
        ('[{"a": 1}]', "unknown records"),
        ("[1, 2]", "is a list, not a COCO file"),
        ('{"shapes": [], "imagePath": "a.jpg"}', "labelme"),
        ('{"items": [], "categories": {}}', "Datumaro"),
    ],
)
def test_files_of_other_programs_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CocoError, match=words):
        CocoDataset.read(write(tmp_path / "a.json", text))


def test_messages_do_not_quote_the_file_at_length(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    for text in (
        {"images": [], "annotations": [{"id": long, "image_id": 1, "category_id": 1, "keypoints": [long, 1, 2]}]},
        {"images": [{"x": long}]},
        {long: 1},
        [{long: 1}],
    ):
        with pytest.raises(CocoError) as caught:
            CocoDataset.read(write(tmp_path / "a.json", text))
        assert len(str(caught.value)) < 1300


def test_a_number_that_fits_no_float_is_none_in_an_otherwise_ordinary_record(tmp_path: Path) -> None:
    data = dataset(tmp_path, annotation(bbox=[10**400, 1, 1, 1]), annotation(keypoints=[10**400, 2, 2, 3, 4, 1]))
    assert data.annotations[0].bbox is None
    assert data.annotations[1].keypoints == [0, 0, 0, 3, 4, 1]
