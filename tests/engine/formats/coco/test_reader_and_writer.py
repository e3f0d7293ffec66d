"""COCO as a label format: everything survives, whatever the file holds, small or streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import Cancelled, CocoError
from engine.formats.coco import stream
from engine.formats.coco.document import Document
from engine.formats.coco.stream import StreamedDocument, open_document
from engine.formats.registry import WriteOptions, find_format, read_labels, write_labels
from engine.labels import OCCLUDED, UNKNOWN, VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

FILE = """{"info":{"year": 2024},"licenses":[{"id":1}],
"images":[{"id":7,"file_name":"a.png","width":64,"height":48,"license":1}, {"id":"x","file_name":"b.png"},
  {"no":"id"}, {"id":9,"file_name":"film/film_000003.png","video":"film.mp4","frame_index":3}],
"annotations":[
  {"id":1,"image_id":7,"category_id":3,"keypoints":[1,2,2, 3,4,1],"bbox":[1,2,3.50,4],"mine":[{"a":1},{"b":"},{"}]},
  {"id":2,"image_id":"7","category_id":3,"keypoints":[0,0,0,5,6,2],"track_id":"Anna","score":0.25},
  {"id":3,"image_id":7,"category_id":3,"iscrowd":1,"segmentation":{"counts":"abc","size":[48,64]},"bbox":[0,0,9,9]},
  {"id":4,"image_id":404,"category_id":3,"keypoints":[1,1,2,1,1,2]},
  {"id":5,"image_id":9,"category_id":99},
  "no record",
  {"id":6,"image_id":9,"category_id":3,"keypoints":[1,2,2]}
],
"categories":[{"id":3,"name":"mouse","keypoints":["nose","tail"],"skeleton":[[1,2]],"color":"red"}],
"end":null}"""


@pytest.fixture(params=["whole", "streamed"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Writes a file that is read whole, or streamed in windows of 300 bytes."""
    if request.param == "streamed":
        monkeypatch.setattr(stream, "STREAMED_FROM", 0)
        monkeypatch.setattr(stream, "_WINDOW", 300)

    def write(text: str) -> Path:
        path = tmp_path / "labels.json"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_every_record_is_an_instance_and_says_whether_it_is_a_pose(make: Callable[[str], Path]) -> None:
    context = Context()
    labels = read_labels(make(FILE.replace('  "no record",\n', '  {"no":"record"},\n')), context=context)
    instances = list(labels.instances())
    assert [i.is_pose for i in instances] == [True, True, False, False, False, False, False]
    assert [i.frame for i in instances] == [0, 0, 0, UNKNOWN, 3, UNKNOWN, 3]
    first, second, crowd = instances[:3]
    assert first.keypoints is not None
    assert first.keypoints.tolist() == [[1, 2], [3, 4]]
    assert first.visibility is not None
    assert first.visibility.tolist() == [VISIBLE, OCCLUDED]
    assert first.box is not None
    assert first.box.tolist() == [1, 2, 4.5, 6]
    assert second.is_prediction
    assert second.score == 0.25
    assert second.track is not None
    assert labels.tracks[second.track] == "Anna"
    assert crowd.is_crowd
    assert [str(remark) for remark in context.findings.sentences()] == [
        "Unreadable image, kept aside: it has no id: number 3",
        "Unreadable annotation, kept aside: it has no image_id: number 6",
        "Annotation of a category that the file does not list, kept aside: id 5",
    ]


def test_poses_of_a_category_that_the_file_does_not_list_are_read(make: Callable[[str], Path], tmp_path: Path) -> None:
    path = make(FILE.replace('"image_id":7,"category_id":3,"keypoints":[1,2,2, 3,4,1]',
                             '"image_id":7,"category_id":8,"keypoints":[1,2,2, 3,4,1]'))  # fmt: skip
    context = Context()
    with read_labels(path, context=context) as labels:
        assert [category.name for category in labels.categories] == ["mouse", "category 8"]
        schema = labels.categories[1].schema
        assert schema is not None
        assert schema.names == ("nose", "tail")  # as of all categories that the file lists
        assert next(iter(labels.instances())).is_pose
        write_labels(labels, tmp_path / "copy.json")
    assert json.loads((tmp_path / "copy.json").read_text()) == json.loads(path.read_text())
    assert "Category that the file does not list, called 'category 8': 8" in map(str, context.findings.sentences())


def test_frames_of_a_video_are_told_from_images(make: Callable[[str], Path]) -> None:
    labels = read_labels(make(FILE))
    assert labels.media == [Media(), Media(VIDEO, "film.mp4")]
    frames = list(labels.frames())
    assert [(f.name, f.media, f.index) for f in frames] == [
        ("a.png", 0, 0),
        ("b.png", 0, 1),
        ("", UNKNOWN, 0),
        ("film/film_000003.png", 1, 3),
    ]
    assert (frames[0].width, frames[0].height) == (64, 48)


def test_a_copy_has_the_same_records_byte_for_byte(make: Callable[[str], Path], tmp_path: Path) -> None:
    path, copy = make(FILE), tmp_path / "copy.json"
    with read_labels(path) as labels:
        write_labels(labels, copy)
    assert json.loads(copy.read_text()) == json.loads(FILE)
    assert list(json.loads(copy.read_text())) == list(json.loads(FILE))
    assert '"bbox":[1,2,3.50,4],"mine":[{"a":1},{"b":"},{"}]}' in copy.read_text()


@pytest.mark.parametrize(
    "text",
    [
        '{"images":[]}',
        '{"images":[],"annotations":null,"categories":[]}',
        '{"images":[{"id":1,"file_name":"a.png"}],"annotations":[]}',
        '{"images":[{"id":1,"file_name":"a"}],"annotations":[{"id":1,"image_id":1,"category_id":5,"keypoints":[1,2,2]}]}',
        '{"categories":[{"name":"no id"},{"id":1,"name":"dog","keypoints":["a"]}],"images":[{"id":1,"file_name":"ä"}]}',
        ' { "images" : [ { "id" : 1 , "file_name" : "a" } , { "id" : 2 , "file_name" : "b" } ] , "x" : "]},{" } ',
    ],
)
def test_odd_but_valid_files_survive_a_copy(text: str, make: Callable[[str], Path], tmp_path: Path) -> None:
    path, copy = make(text), tmp_path / "copy.json"
    write_labels(read_labels(path), copy)
    assert json.loads(copy.read_text(encoding="utf-8")) == json.loads(text)
    assert list(json.loads(copy.read_text(encoding="utf-8"))) == list(json.loads(text))


def test_a_large_file_stays_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.json"
    images = [{"id": n, "file_name": f"{n}.png", "note": "}],{[" * (n % 3)} for n in range(500)]
    path.write_text(json.dumps({"images": images, "annotations": [], "info": {"a": [1]}}))
    monkeypatch.setattr(stream, "_WINDOW", 1000)
    document = open_document(path, streamed_from=0)
    assert isinstance(document, StreamedDocument)
    blocks = list(document.blocks("images"))
    assert len(blocks) > 10
    assert [json.loads(bytes(record)) for block in blocks for record in block] == images
    assert (document.count("images"), document.count("annotations"), document.count("categories")) == (500, 0, 0)
    assert list(document.header) == ["info"]


@pytest.mark.parametrize(
    "text",
    ['{"images":[{"id":NaN}]}', '{"images":[],"x":"\\ud800"}', '{"images":[],"images":[]}'],
)
def test_unusual_files_are_read_whole(text: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    assert isinstance(open_document(path, streamed_from=0), Document)


@pytest.mark.parametrize("cut", [1, 40, 90, 300, 500, 900])
def test_a_file_that_is_cut_off_is_refused(cut: int, make: Callable[[str], Path]) -> None:
    with pytest.raises(CocoError):
        read_labels(make(FILE[:-cut]))


def test_a_streamed_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(FILE)
    document = open_document(path, streamed_from=0)
    path.write_text(FILE.replace("a.png", "longer.png"))
    with pytest.raises(CocoError, match="was changed while it was read"):
        list(document.blocks("images"))


def test_labels_from_elsewhere_become_plain_coco(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail"], category="mouse")
    instances = [
        Instance(0, 0, np.array([[1.0, 2.5], [7.0, 8.0]]), np.array([VISIBLE, 0], np.uint8), track=5),
        Instance(1, 0, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 2], np.uint8), np.array([0.5, 0.75]),
                 box=np.array([0.0, 0.0, 4.0, 5.0]), score=0.6, is_prediction=True),
        Instance(UNKNOWN, 0),
    ]  # fmt: skip
    labels = Labels(
        [Frame("a.png", width=10, height=20), Frame("", 1, 12)],
        instances,
        [Category("mouse", schema), Category("car")],
        [Media(), Media(VIDEO, "films/film.mp4")],
        tracks={5: "Anna"},
    )
    path, context = tmp_path / "out.json", Context()
    write_labels(labels, path, context=context)
    content = json.loads(path.read_text())
    assert content["images"] == [
        {"id": 1, "file_name": "a.png", "width": 10, "height": 20},
        {"id": 2, "file_name": "film/film_000012.png", "video": "film.mp4", "frame_index": 12},
    ]
    first, second = content["annotations"]
    assert first["keypoints"] == [1.0, 2.5, 2, 0.0, 0.0, 0]
    assert (first["image_id"], first["category_id"], first["num_keypoints"], first["track_id"]) == (1, 1, 1, "Anna")
    assert second["bbox"] == [0.0, 0.0, 4.0, 5.0]
    assert (second["score"], second["keypoint_scores"]) == (0.6, [0.5, 0.75])
    assert [c["name"] for c in content["categories"]] == ["mouse", "car"]
    assert context.findings.sentences() == ["Record of an unknown frame or category, left out"]


def test_predictions_can_be_left_out(tmp_path: Path, make: Callable[[str], Path]) -> None:
    path, copy = make(FILE), tmp_path / "copy.json"
    find_format(path).write(read_labels(path), copy, WriteOptions(include_predictions=False))
    assert [a["id"] for a in json.loads(copy.read_text())["annotations"] if "id" in a] == [1, 3, 4, 5, 6]


def test_an_edited_instance_changes_only_what_was_edited(tmp_path: Path, make: Callable[[str], Path]) -> None:
    labels = read_labels(make(FILE))
    first = next(labels.instances())
    assert first.keypoints is not None
    moved = first.replace(keypoints=first.keypoints + 1, track=4, box=None)

    class Edited(Labels):
        raw_format = "coco"

    copy = tmp_path / "copy.json"
    write_labels(Edited(labels.frames(), [moved], labels.categories, labels.media), copy)
    record = json.loads(copy.read_text())["annotations"][0]
    assert record == {
        "id": 1,
        "image_id": 7,
        "category_id": 3,
        "keypoints": [2.0, 3.0, 2, 4.0, 5.0, 1],
        "num_keypoints": 2,
        "mine": [{"a": 1}, {"b": "},{"}],
        "track_id": 4,
    }


def test_whole_body_parts_are_one_pose(make: Callable[[str], Path]) -> None:
    record: dict[str, Any] = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2] * 17}
    record |= {"face_kpts": [3, 4, 1] * 68, "foot_kpts": [0, 0, 0] * 6}
    record |= {"lefthand_kpts": [5, 6, 2] * 21, "righthand_kpts": [7, 8, 2] * 21}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [record],
        "categories": [{"id": 1, "name": "person"}],
    }
    labels = read_labels(make(json.dumps(content)))
    schema = labels.categories[0].schema
    assert schema is not None
    assert schema.names == find_schema("coco_wholebody").names
    pose = next(labels.instances())
    assert pose.visibility is not None
    assert pose.visibility.tolist() == [2] * 17 + [0] * 6 + [1] * 68 + [2] * 42


def test_reading_and_writing_can_be_cancelled(make: Callable[[str], Path], tmp_path: Path) -> None:
    path, context = make(FILE), Context()
    labels = read_labels(path, context=context)
    context.cancel()
    with pytest.raises(Cancelled):
        next(labels.instances())
    with pytest.raises(Cancelled):
        write_labels(read_labels(path), tmp_path / "copy.json", context=context)
    assert not (tmp_path / "copy.json").exists()


def test_json_that_is_no_coco_file_says_what_it_is(make: Callable[[str], Path]) -> None:
    with pytest.raises(CocoError, match="labelme"):
        read_labels(make('{"shapes":[],"imagePath":"a.png"}'), format="coco")


def test_a_prediction_with_scores_of_its_keypoints_only_stays_a_prediction(tmp_path: Path) -> None:
    """COCO tells predictions by their score: the mean of the keypoints that are there is written."""
    category = Category("mouse", schema_from_names("mouse", ["nose", "tail"]))
    points, visibility = np.ones((2, 2)), np.array([VISIBLE, 0], np.uint8)
    pose = Instance(0, 0, points, visibility, np.array([0.75, 0.25]), is_prediction=True, key="a")
    write_labels(Labels([Frame("a.png", 0, 0)], [pose], [category]), tmp_path / "out.json")
    (back,) = read_labels(tmp_path / "out.json").instances()
    assert (back.is_prediction, back.score) == (True, 0.75)
    assert back.scores is not None
    assert back.scores.tolist() == [0.75, 0.25]
    assert [record["id"] for record in json.loads((tmp_path / "out.json").read_text())["annotations"]] == [1]
