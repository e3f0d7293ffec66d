from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoDataset
from engine.schema.builtin import find_schema
from poseapp.project.formats.datasets import import_dataset, is_dataset
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore


@pytest.fixture
def empty(tmp_path: Path):
    with ProjectStore.create(tmp_path / "new.pose") as store:
        yield store


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((50, 40, 3), np.uint8))


def instances_of(store: ProjectStore):
    return [instance for key in store.frame_keys() for instance in store.instances(key)]


def test_a_list_of_aic_becomes_people(empty, tmp_path):
    points = [n for i in range(14) for n in (i, i + 1, 1 if i else 3)]
    entry = {
        "image_id": "abc",
        "human_annotations": {"human1": [1, 2, 30, 40]},
        "keypoint_annotations": {"human1": points},
    }
    file = tmp_path / "data" / "keypoint_train.json"
    write_image(tmp_path / "data" / "images" / "abc.jpg")
    file.write_text(json.dumps([entry]))
    assert is_dataset(file)
    report = import_dataset(empty, file, tmp_path / "data" / "images")
    assert (report.images, report.annotations, report.problems) == (1, 1, [])
    (instance,) = instances_of(empty)
    assert instance.visibility.tolist() == [0] + [2] * 13
    assert instance.box.tolist() == [1, 2, 30, 40]
    assert empty.categories()[0].schema.names == find_schema("aic").names


def test_garments_get_the_points_of_their_category(empty, tmp_path):
    folder = tmp_path / "data"
    write_image(folder / "image" / "000001.jpg")
    (folder / "annos").mkdir()
    landmarks = [n for i in range(15) for n in (i + 1, i + 2, 2)]
    item = {"category_id": 5, "bounding_box": [1, 2, 30, 40], "landmarks": landmarks}
    (folder / "annos" / "000001.json").write_text(json.dumps({"source": "shop", "item1": item}))
    assert is_dataset(folder)
    assert not is_dataset(folder / "image")
    report = import_dataset(empty, folder)
    assert (report.images, report.annotations) == (1, 1)
    (instance,) = instances_of(empty)
    assert instance.keypoints.shape == (15, 2)
    vest = next(category for category in empty.categories() if category.name == "vest")
    assert (instance.category, vest.schema.num_keypoints) == (vest.id, 15)


def test_a_data_set_is_opened_like_anything_else(tmp_path):
    folder = tmp_path / "data"
    write_image(folder / "image" / "000001.jpg")
    (folder / "annos").mkdir()
    item = {"category_id": 9, "bounding_box": [1, 2, 30, 40], "landmarks": [3, 4, 2] * 8}
    (folder / "annos" / "000001.json").write_text(json.dumps({"item1": item}))
    with open_any(folder) as store:
        (instance,) = instances_of(store)
        skirt = next(category for category in store.categories() if category.id == instance.category)
        assert skirt.name == "skirt"
        assert skirt.schema.flip_indices.tolist() == [2, 1, 0, 7, 6, 5, 4, 3]


def test_a_faulty_data_set_leaves_the_project_as_it_was(empty, tmp_path):
    file = tmp_path / "list.json"
    file.write_text('[{"image_id": "a", "keypoint_annotations": {"h": [1]}, "human_annotations": {}}]')
    with pytest.raises(CocoError, match="has 1 keypoint numbers"):
        import_dataset(empty, file)
    assert not empty.media()
    assert not empty.categories()


def test_coco_files_are_none_of_these(tmp_path):
    file = tmp_path / "coco.json"
    CocoDataset().write(file)
    assert not is_dataset(file)
    assert not is_dataset(tmp_path)
    assert not is_dataset(tmp_path / "gone.json")


@pytest.mark.parametrize("name", ["aic/test_aic.json", "deepfasion2/deepfasion2.json", "coco/test_coco_wholebody.json"])
def test_published_samples_can_be_imported(shared, empty, name):
    file = shared / "data" / "mmpose-samples" / name
    report = import_dataset(empty, file)
    assert report.problems == []
    assert report.annotations == len(json.loads(file.read_text())["annotations"])
