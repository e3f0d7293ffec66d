"""Names of images and videos that no file system takes do not end the reading of a label file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.check import find_problems
from engine.errors import LabelError
from engine.formats.registry import WriteOptions, find_format, write_labels
from engine.utils.context import Context

LONG = "x" * 5000
POINTS = '<points label="eye" points="1,2" occluded="0"/>'


def cvat_images(name: str) -> str:
    return f'<annotations><version>1.1</version><meta/><image id="0" name="{name}">{POINTS}</image></annotations>'


def cvat_video(name: str) -> str:
    shape = '<points frame="3" points="1,2" outside="0" occluded="0" keyframe="1"/>'
    size = "<original_size><width>9</width><height>9</height></original_size>"
    meta = f"<meta><task><id>1</id>{size}<source>{name}</source></task></meta>"
    return f'<annotations><version>1.1</version>{meta}<track id="0" label="eye">{shape}</track></annotations>'


def coco(name: str) -> str:
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": name}, {"id": 2, "file_name": "a", "video": name, "frame_index": 0}],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1, "keypoints": [1, 2, 2], "bbox": [0, 0, 3, 3]} for n in (1, 2)
            ],
            "categories": [{"id": 1, "name": "eye", "keypoints": ["eye"]}],
        }
    )


def yolo(name: str) -> str:
    return f"train: {name}\nval: {name}\npath: {name}\nkpt_shape: [1, 3]\nnames: [eye]\n"


@pytest.mark.parametrize("name", [LONG, f"{LONG}/a.png", f"/{LONG}", f"{LONG}.mp4", "a/" * 2000, "C:\\" + LONG])
@pytest.mark.parametrize(
    ("file", "content"),
    [("a.xml", cvat_images), ("b.xml", cvat_video), ("a.json", coco)],
)
def test_a_name_that_is_too_long(tmp_path: Path, file: str, content: object, name: str) -> None:
    path = tmp_path / file
    assert callable(content)
    path.write_text(content(name))
    with find_format(path).read(path, Context()) as labels:
        assert sum(1 for _ in labels.instances()) >= 1
        list(find_problems(labels))
        write_labels(labels, tmp_path / "out.json")
        write_labels(labels, tmp_path / "yolo", format="yolo", options=WriteOptions(images="copy"))
        write_labels(labels, tmp_path / "out.slp")


@pytest.mark.parametrize("name", [LONG, f"{LONG}/a", f"/{LONG}", "a/" * 2000])
def test_a_yolo_data_set_in_a_folder_whose_name_is_too_long(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(yolo(name))
    with pytest.raises(LabelError, match="no images and labels"):
        find_format(path).read(path, Context())
