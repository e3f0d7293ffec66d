"""A folder of label files is read as one: a single file, or the splits of a data set; nothing else is put together."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, read_labels, write_labels
from engine.utils.context import Context


def document(images: list[str], names: list[str], *, category: str = "mouse") -> str:
    """A COCO file with a pose an image; the first point of each lies at its position in the list."""
    return json.dumps(
        {
            "images": [{"id": n, "file_name": name} for n, name in enumerate(images)],
            "annotations": [
                {
                    "id": n,
                    "image_id": n,
                    "category_id": 1,
                    "keypoints": [n, 1, 2] * len(names),
                    "bbox": [0, 0, 4, 4],
                    "attributes": {"track_id": 0},
                }
                for n in range(len(images))
            ],
            "categories": [{"id": 1, "name": category, "keypoints": names, "skeleton": []}],
        }
    )


def fill(folder: Path, files: dict[str, str | None]) -> Path:
    """Write files; None stands for an image."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
        else:
            path.write_text(content)
    return folder


def roboflow(folder: Path) -> Path:
    """Both splits have an image of the same name."""
    names = ["nose", "tail"]
    return fill(
        folder,
        {
            "train/_annotations.coco.json": document(["a.png", "b.png"], names),
            "valid/_annotations.coco.json": document(["a.png"], names),
            "train/a.png": None,
            "train/b.png": None,
            "valid/a.png": None,
        },
    )


def test_splits_are_read_as_one_and_equal_names_stay_apart(tmp_path: Path) -> None:
    folder = roboflow(tmp_path / "data")
    assert find_format(folder).name == "folder"
    context = Context()
    with read_labels(folder, context=context) as labels:
        frames = [frame.name for frame in labels.frames()]
        assert frames == ["train/a.png", "train/b.png", "valid/a.png"]
        assert [frames[i.frame] for i in labels.instances()] == frames
        assert [c.name for c in labels.categories] == ["mouse"]
        assert len({i.key for i in labels.instances()}) == 3
        assert len({i.track for i in labels.instances()}) == 2  # a number of one file says nothing of another
        write_labels(labels, tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert len({a["id"] for a in written["annotations"]}) == 3
    assert [i["file_name"] for i in written["images"]] == frames


def test_splits_in_an_archive_are_read_as_one(tmp_path: Path) -> None:
    folder = roboflow(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
    with read_labels(tmp_path / "data.zip") as labels:
        assert [frame.name for frame in labels.frames()] == ["train/a.png", "train/b.png", "valid/a.png"]
        assert labels.num_instances() == 3


def test_images_of_cvats_layout_are_named_from_the_folder(tmp_path: Path) -> None:
    names = ["nose", "tail"]
    fill(
        tmp_path,
        {
            "annotations/person_keypoints_train.json": document(["a.png"], names),
            "annotations/person_keypoints_val.json": document(["a.png", "gone.png"], names, category="rat"),
            "images/train/a.png": None,
            "images/val/a.png": None,
        },
    )
    with read_labels(tmp_path) as labels:
        assert [frame.name for frame in labels.frames()] == [
            "images/train/a.png",
            "images/val/a.png",
            "annotations/gone.png",
        ]
        assert [c.name for c in labels.categories] == ["mouse", "rat"]
        assert [i.category for i in labels.instances()] == [0, 1, 1]


def test_an_image_of_two_splits_is_one_frame(tmp_path: Path) -> None:
    names = ["nose", "tail"]
    files = {f"labels_{split}.json": document(["a.png"], names) for split in ("train", "val")}
    fill(tmp_path, {**files, "a.png": None})
    with read_labels(tmp_path) as labels:
        assert [frame.name for frame in labels.frames()] == ["a.png"]
        assert [i.frame for i in labels.instances()] == [0, 0]


@pytest.mark.parametrize("names", [("labels.json", "labels_old.json"), ("other_val.json", "train.json")])
def test_files_that_are_not_splits_of_one_set_are_not_put_together(tmp_path: Path, names: tuple[str, str]) -> None:
    fill(tmp_path, {name: document(["a.png"], ["nose", "tail"]) for name in names})
    with pytest.raises(LabelError, match=f"name one: {names[0]}, {names[1]}"):
        read_labels(tmp_path)


def test_a_single_file_below_is_read_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, {"annotations/a.json": document(["a.png"], ["nose", "tail"])})
    with read_labels(tmp_path) as labels:
        assert labels.raw_format == "coco"


def test_a_folder_of_images_is_of_no_format(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": None})
    with pytest.raises(LabelError, match="without a known label format"):
        find_format(tmp_path)
