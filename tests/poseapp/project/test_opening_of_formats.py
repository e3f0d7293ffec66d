"""Folders and archives with labels of any format open with them, and what changed in them is noticed."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseapp.project.opening import open_any, open_with_report

CVAT = (
    "<annotations><version>1.1</version><meta/>"
    '<image id="0" name="a.png" width="8" height="8"><points label="eye" points="2.0,3.0"/></image></annotations>'
)
YAML = "train: images/train\nkpt_shape: [2, 3]\nnames: [mouse]\n"
ROW = "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.5 0.25 1\n"
ALPHAPOSE = [{"image_id": "a.png", "category_id": 1, "keypoints": [1.0, 2.0, 0.9] * 17, "score": 2.5}]

SHAPES = [{"label": "nose", "points": [[2, 3]], "shape_type": "point", "group_id": 1}]
LABELME = {"version": "5", "flags": {}, "shapes": SHAPES, "imagePath": "a.png", "imageHeight": 8, "imageWidth": 8}
POINT = {"x": 25, "y": 25, "keypointlabels": ["nose"]}
REGION = {"id": "r", "type": "keypointlabels", "value": POINT, "original_width": 8, "original_height": 8}
TASK = {"id": 1, "data": {"image": "/data/upload/1/1a2b3c4d-a.png"}, "annotations": [{"result": [REGION]}]}
SLOT = {"slot_name": "0", "type": "image", "width": 8, "height": 8}
NODES = {"nodes": [{"name": "nose", "x": 1, "y": 2}]}
DARWIN = {
    "version": "2.0",
    "item": {"name": "a.png", "path": "/", "slots": [SLOT]},
    "annotations": [{"id": "1", "name": "mouse", "skeleton": NODES}],
}
META = {"classes": [{"title": "mouse", "shape": "graph", "geometry_config": {"nodes": {"n": {"label": "nose"}}}}]}
GRAPH = {"classTitle": "mouse", "geometryType": "graph", "nodes": {"n": {"loc": [1, 2]}}}


def fill(folder: Path, files: dict[str, str | None]) -> Path:
    """Write files; None stands for an image."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
        else:
            path.write_text(content)
    return folder


def packed(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


YOLO: dict[str, str | None] = {"data.yaml": YAML, "images/train/a.png": None, "labels/train/a.txt": ROW}


@pytest.mark.parametrize(
    ("files", "states"),
    [
        (YOLO, (1, 0)),
        ({"job.xml": CVAT, "a.png": None}, (1, 0)),
        ({"annotations/job.xml": CVAT, "images/a.png": None}, (1, 0)),
        ({"alphapose-results.json": json.dumps(ALPHAPOSE), "a.png": None}, (0, 1)),
        ({"a.json": json.dumps(LABELME), "a.png": None}, (1, 0)),
        ({"train/a.json": json.dumps(LABELME), "train/a.png": None}, (1, 0)),
        ({"tasks.json": json.dumps([TASK]), "a.png": None}, (1, 0)),
        ({"annotations/a.json": json.dumps(DARWIN), "images/a.png": None}, (1, 0)),
        (
            {
                "meta.json": json.dumps(META),
                "ds/ann/a.png.json": json.dumps({"size": {"width": 8, "height": 8}, "objects": [GRAPH]}),
                "ds/img/a.png": None,
            },
            (1, 0),
        ),
    ],
)
def test_a_folder_opens_with_its_labels(tmp_path: Path, files: dict[str, str | None], states: tuple[int, int]) -> None:
    with open_any(fill(tmp_path / "set", files)) as store:
        summary = store.summary()
        assert (summary.labelled, summary.predicted) == states
        assert store.frame_count() == 1
        assert all(store.frame_path(frame.key).is_file() for frame in store.frames())


def test_images_inside_label_files_are_taken_where_there_are_no_others(tmp_path: Path) -> None:
    encoded = base64.b64encode(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()).decode()
    inside = {**LABELME, "imagePath": "inside.png", "imageData": encoded}
    beside = {**LABELME, "imagePath": "beside.png", "imageData": None}
    files = {"inside.json": json.dumps(inside), "beside.json": json.dumps(beside), "beside.png": None}
    with open_any(fill(tmp_path / "set", files)) as store:
        assert store.summary().labelled == store.frame_count() == 2
        assert sorted(store.frame_path(frame.key).name for frame in store.frames()) == ["beside.png", "inside.png"]


def test_several_label_files_are_offered_and_none_is_taken(tmp_path: Path) -> None:
    files = {"job.xml": CVAT, "job 2.xml": CVAT, "results.json": json.dumps(ALPHAPOSE), "a.png": None}
    store, report = open_with_report(fill(tmp_path / "set", files))
    with store:
        assert store.summary().labelled == store.summary().predicted == 0
        assert sorted(path.name for offer in report.offers for path in offer.paths) == [
            "job 2.xml",
            "job.xml",
            "results.json",
        ]


@pytest.mark.parametrize("name", ["data.yaml", ""])
def test_a_text_file_of_a_data_set_that_changes_is_noticed(tmp_path: Path, name: str) -> None:
    path = fill(tmp_path / "set", YOLO) / name
    with open_any(path) as store:
        home = store.path
        assert store.summary().labelled == 1
    (tmp_path / "set/labels/train/a.txt").write_text(ROW + ROW.replace("0.25", "0.125"))
    store, report = open_with_report(home)
    with store:
        assert len(report.offers) == 1
    store, _ = open_with_report([home, *report.offers[0].paths])
    with store:
        assert store.summary().labelled == 2
        assert store.undo_text() is not None


def test_an_archive_is_unpacked_beside_it_and_only_once(tmp_path: Path) -> None:
    archive = packed(tmp_path / "mice.zip", fill(tmp_path / "source" / "set", YOLO))
    with open_any(archive) as store:
        assert store.path == tmp_path / "mice.pose"
        assert store.summary().labelled == 1
        (frame,) = store.frames()
        assert store.frame_path(frame.key) == tmp_path / "mice/set/images/train/a.png"
    store, report = open_with_report(archive)
    with store:
        assert store.summary().labelled == 1
        assert any("unchanged" in note for note in report.notes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mice", "mice.pose", "mice.zip", "source"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    archive = packed(tmp_path / "mice.zip", fill(tmp_path / "source" / "set", YOLO))
    fill(tmp_path / "mice", {"mine.txt": "mine"})
    with open_any(archive) as store:
        assert store.summary().labelled == 1
    assert [path.name for path in (tmp_path / "mice").iterdir()] == ["mine.txt"]
    assert (tmp_path / "mice 2" / "set" / "data.yaml").exists()
