"""What programs write into COCO files, as labels: CVAT, COCO Annotator, X-AnyLabeling, and oddities of all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.errors import CocoError
from engine.formats.frame_images import FrameImages
from engine.formats.registry import format_named, read_labels, write_labels
from engine.labels import ABSENT, OCCLUDED, UNKNOWN, VISIBLE, Instance, LabelReader, Labels
from engine.utils.context import Context

NAMES = ["nose", "left_ear", "tail"]
CATEGORY = {"id": 1, "name": "mouse", "keypoints": NAMES, "skeleton": [[1, 2]]}
IMAGE = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
KEYPOINTS = [10, 20, 2, 30, 40, 1, 0, 0, 0]


def write(path: Path, annotations: list[dict[str, Any]], **sections: Any) -> Path:
    records = [{"id": n, "image_id": 1, "category_id": 1, **record} for n, record in enumerate(annotations, 1)]
    content = {"images": [IMAGE], "categories": [CATEGORY], "annotations": records, **sections}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")
    return path


def only(labels: LabelReader) -> Instance:
    (instance,) = labels.instances()
    return instance


def limbs(labels: LabelReader, category: int = 0) -> list[tuple[int, int]]:
    schema = labels.categories[category].schema
    assert schema is not None
    return [(int(a), int(b)) for a, b in schema.limb_indices]


CVAT_ANNOTATION = {
    "segmentation": [],
    "area": 400.0,
    "bbox": [10.0, 20.0, 20.0, 20.0],
    "iscrowd": 0,
    "attributes": {"occluded": False, "track_id": 4, "keyframe": True},
    "keypoints": [10.5, 20.5, 2, 30.5, 40.5, 1, 7.25, 8.5, 0],
    "num_keypoints": 2,
}


def cvat(folder: Path) -> Path:
    """An archive of CVAT, unpacked: images in a folder a subset, every label a category, joints by element ids."""
    categories = [
        {"id": 1, "name": "mouse", "supercategory": "", "keypoints": NAMES, "skeleton": [[14, 15], [15, 20]]},
        {"id": 2, "name": "cage", "supercategory": "", "keypoints": [], "skeleton": []},
        {"id": 3, "name": "paw", "supercategory": "", "keypoints": ["a", "b"], "skeleton": [[21, 22]]},
    ]
    empty = {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""}
    for subset in ("train", "val"):
        (folder / "images" / subset).mkdir(parents=True)
        cv2.imwrite(str(folder / "images" / subset / "a.png"), np.zeros((48, 64, 3), np.uint8))
        path = folder / "annotations" / f"person_keypoints_{subset}.json"
        write(path, [CVAT_ANNOTATION], categories=categories, info=empty, licenses=[{"name": "", "id": 0, "url": ""}])
    return folder


def test_joints_of_cvat_are_numbers_of_elements_which_stand_for_the_points_in_order(tmp_path: Path) -> None:
    context = Context()
    labels = read_labels(cvat(tmp_path) / "annotations/person_keypoints_val.json", context=context)
    assert limbs(labels) == [(0, 1), (1, 2)]
    assert limbs(labels, 2) == [(0, 1)]
    assert all("numbers above that of points" in sentence for sentence in context.findings.sentences())
    assert len(context.findings.sentences()) > 0


def test_every_label_of_cvat_is_a_category_and_those_without_a_skeleton_have_no_keypoints(tmp_path: Path) -> None:
    labels = read_labels(cvat(tmp_path) / "annotations/person_keypoints_val.json")
    assert [category.name for category in labels.categories] == ["mouse", "cage", "paw"]
    assert labels.categories[1].schema is None


@pytest.mark.parametrize("subset", ["train", "val"])
def test_images_of_a_subset_of_cvat_are_found_in_its_folder(tmp_path: Path, subset: str) -> None:
    labels = read_labels(cvat(tmp_path) / f"annotations/person_keypoints_{subset}.json")
    assert FrameImages(labels).path(0) == tmp_path / "images" / subset / "a.png"


def test_tracks_of_cvat_are_under_the_attributes(tmp_path: Path) -> None:
    assert only(read_labels(cvat(tmp_path) / "annotations/person_keypoints_val.json")).track == 4


def test_absent_points_of_cvat_keep_their_coordinates(tmp_path: Path) -> None:
    path = cvat(tmp_path) / "annotations/person_keypoints_val.json"
    labels = read_labels(path)
    instance = only(labels)
    assert instance.visibility is not None
    assert instance.visibility.tolist() == [VISIBLE, OCCLUDED, ABSENT]
    write_labels(labels, tmp_path / "copy.json", format="coco")
    assert json.loads((tmp_path / "copy.json").read_text()) == json.loads(path.read_text())

    class Edited(Labels):
        raw_format = "coco"

    assert instance.keypoints is not None
    moved = instance.keypoints.copy()
    moved[0] = 1, 2
    edited = Edited(labels.frames(), [instance.replace(keypoints=moved)], labels.categories, labels.media)
    write_labels(edited, tmp_path / "edited.json", format="coco")
    record = json.loads((tmp_path / "edited.json").read_text())["annotations"][0]
    assert record["keypoints"] == [1, 2, 2, 30.5, 40.5, 1, 7.25, 8.5, 0]
    assert record["attributes"] == CVAT_ANNOTATION["attributes"]


@pytest.mark.parametrize("name", ["datumaro-cvat", "datumaro-oep"])
@pytest.mark.parametrize("subset", ["train", "val"])
def test_real_files_come_back_equal(shared: Path, tmp_path: Path, name: str, subset: str) -> None:
    path = shared / "data/formats" / name / f"annotations/person_keypoints_{subset}.json"
    with read_labels(path) as labels:
        assert FrameImages(labels).path(0) is not None
        write_labels(labels, tmp_path / "copy.json", format="coco")
        count = len(json.loads(path.read_text())["annotations"])
        assert sum(1 for _ in labels.instances()) == count
    assert json.loads((tmp_path / "copy.json").read_text()) == json.loads(path.read_text())


def test_extra_keys_of_coco_annotator_survive_and_new_points_are_absent(tmp_path: Path) -> None:
    extra = {"metadata": {}, "color": "#b1b21e", "creator": "me", "isbbox": False, "keypoints": [1, 2, 0] * 3}
    image = {**IMAGE, "path": "/datasets/x/a.png", "dataset_id": 3, "deleted": False}
    category = {**CATEGORY, "id": 57, "color": "#a83", "metadata": {}, "keypoint_colors": ["#f00"] * 3}
    annotation = {"id": 912, "category_id": 57, "bbox": [0, 0, 0, 0], "area": 0, **extra}
    path = write(tmp_path / "a.json", [annotation], images=[image], categories=[category])
    labels = read_labels(path)
    instance = only(labels)
    assert instance.is_pose
    assert instance.visibility is not None
    assert not instance.visibility.any()
    write_labels(labels, tmp_path / "b.json", format="coco")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("keypoints", "visibility"),
    [
        ([10, 20, 2, 30, 40, 1, 0, 0, 0], [2, 1, 0]),
        ([[10, 20, 2], [30, 40, 1], [0, 0, 0]], [2, 1, 0]),
        ([10, 20, 30, 40, 0, 0], [2, 2, 0]),
        ([10, 20, 3, 30, 40, 1, 0, 0, 0], [2, 1, 0]),
        ([10, 20, True, 30, 40, True, 0, 0, False], [1, 1, 0]),
        ([10, 20, 0, 30, 40, 0, 5, 5, 0], [0, 0, 0]),
        ([0, 0, 2, 30, 40, 2, 5, 5, 2], [2, 2, 2]),
        ([-10, 20, 2, 3000, 40, 1, 5, 5, 2], [2, 1, 2]),
        ([], [0, 0, 0]),
    ],
)
def test_keypoints_however_written(tmp_path: Path, keypoints: list[Any], visibility: list[int]) -> None:
    instance = only(read_labels(write(tmp_path / "a.json", [{"keypoints": keypoints}])))
    assert instance.is_pose
    assert instance.visibility is not None
    assert instance.visibility.tolist() == visibility


@pytest.mark.parametrize("keypoints", [None, [1, 2, 2], [1, 2, 2, 3]])
def test_records_without_usable_points_are_kept_aside(tmp_path: Path, keypoints: Any) -> None:
    path = write(tmp_path / "a.json", [{"keypoints": KEYPOINTS}, {"keypoints": keypoints, "bbox": [1, 2, 3, 4]}])
    labels = read_labels(path)
    first, second = labels.instances()
    assert first.is_pose
    assert second.keypoints is None or second.frame == UNKNOWN or not second.visibility.any()  # type: ignore[union-attr]
    write_labels(labels, tmp_path / "b.json", format="coco")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(path.read_text())


def test_scores_for_visibilities_are_scores(tmp_path: Path) -> None:
    keypoints = [10, 20, 0.9, 30, 40, 0.25, 0, 0, 0.0]
    instance = only(read_labels(write(tmp_path / "a.json", [{"keypoints": keypoints}])))
    assert instance.is_prediction
    assert instance.scores is not None
    assert instance.scores.tolist() == [0.9, 0.25, 0]


@pytest.mark.parametrize(
    "record",
    [
        {"num_keypoints": 17},
        {"area": 0},
        {"area": None},
        {"bbox": None},
        {"bbox": [0, 0, 0, 0]},
        {"bbox": [1.5, 2.5, 3.5, 4.5]},
        {"bbox": ["1", "2", "3", "4"]},
        {"segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"segmentation": {"counts": [1, 2], "size": [48, 64]}, "iscrowd": 1},
        {"segmentation": {"counts": "ab", "size": [48, 64]}, "iscrowd": 1},
        {"id": "x-1"},
        {"mine": {"deep": [1, {"er": None}]}},
    ],
)
def test_an_odd_record_survives_a_copy(tmp_path: Path, record: dict[str, Any]) -> None:
    path = write(tmp_path / "a.json", [{"keypoints": KEYPOINTS, **record}])
    labels = read_labels(path)
    assert only(labels).is_pose != ("iscrowd" in record)
    write_labels(labels, tmp_path / "b.json", format="coco")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(path.read_text())


@pytest.mark.parametrize("missing", ["info", "licenses", "categories"])
def test_sections_may_be_missing(tmp_path: Path, missing: str) -> None:
    sections: dict[str, Any] = {"info": {}, "licenses": []}
    path = write(tmp_path / "a.json", [{"keypoints": KEYPOINTS}], **{**sections, missing: None})
    labels = read_labels(path)
    assert only(labels).is_pose
    assert len(labels.categories) == 1


def test_categories_of_different_numbers_of_points(tmp_path: Path) -> None:
    categories = [CATEGORY, {"id": 2, "name": "paw", "keypoints": ["a"]}, {"id": 3, "name": "cage"}]
    records = [
        {"keypoints": KEYPOINTS},
        {"category_id": 2, "keypoints": [1, 2, 2]},
        {"category_id": 3, "bbox": [1, 2, 3, 4]},
        {"category_id": 2, "keypoints": KEYPOINTS},
    ]
    labels = read_labels(write(tmp_path / "a.json", records, categories=categories))
    assert [len(i.keypoints) if i.keypoints is not None else 0 for i in labels.instances()] == [3, 1, 0, 0]
    assert [None if c.schema is None else c.schema.num_keypoints for c in labels.categories] == [3, 1, None]


def test_categories_of_one_name_stay_two(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.json",
        [{"keypoints": KEYPOINTS}, {"keypoints": KEYPOINTS, "category_id": 2}],
        categories=[CATEGORY, {**CATEGORY, "id": 2}],
    )
    assert [i.category for i in read_labels(path).instances()] == [0, 1]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sub\\a.png", "sub/a.png"),
        ("/home/other/data/sub/a.png", "sub/a.png"),
        ("https://example.org/sub/a.png?x=1", "sub/a.png"),
        ("A.PNG", "a.png"),
        ("a.jpg", "a.png"),
        ("a", "a.png"),
        ("my%20a.png", "my a.png"),
    ],
)
def test_images_are_found_however_their_names_are_written(tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / file), np.zeros((48, 64, 3), np.uint8))
    labels = read_labels(write(tmp_path / "a.json", [], images=[{**IMAGE, "file_name": name}]))
    assert FrameImages(labels).path(0) == tmp_path / file


def test_images_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    names = ["one/a.png", "two/a.png"]
    for name in names:
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
    images = [{**IMAGE, "id": n, "file_name": name} for n, name in enumerate(names, 1)]
    labels = read_labels(write(tmp_path / "a.json", [], images=images))
    assert [FrameImages(labels).path(n) for n in range(2)] == [tmp_path / name for name in names]


@pytest.mark.parametrize("size", [{}, {"width": 0, "height": 0}, {"width": None, "height": None}])
def test_sizes_may_be_missing_and_are_those_of_the_image(tmp_path: Path, size: dict[str, Any]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    labels = read_labels(write(tmp_path / "a.json", [], images=[{"id": 1, "file_name": "a.png", **size}]))
    assert (next(labels.frames()).width, FrameImages(labels).size(0)) == (0, (64, 48))


def test_datumaro_s_own_file_is_named(shared: Path) -> None:
    path = shared / "data/formats/datumaro-skeleton/annotations/default.json"
    with pytest.raises(CocoError, match="Datumaro"):
        format_named("coco").read(path)
