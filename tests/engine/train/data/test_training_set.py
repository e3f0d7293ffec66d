import json
from pathlib import Path

import pytest

from engine.errors import TrainingError
from engine.schema.builtin import find_schema
from engine.train.data.training_set import read_training_set, split
from tests.engine.train.conftest import write_bars


def changed(file: Path, **changes: object) -> Path:
    content = json.loads(file.read_text())
    content.update(changes)
    other = file.with_name("changed.json")
    other.write_text(json.dumps(content))
    return other


def test_points_boxes_and_names_are_read(bars: Path) -> None:
    data = read_training_set(bars)
    assert data.schema.names == ("head", "left_side", "right_side", "tail")
    assert data.schema.flip_indices.tolist() == [0, 2, 1, 3]
    assert data.categories == ("bar",)
    assert len(data.instances) == len(data.images) == 12
    first = data.instances[0]
    assert first.id == 101
    assert (first.box[:2] <= first.keypoints.min(0)).all()
    assert (first.box[2:] >= first.keypoints.max(0)).all()


def test_a_missing_box_is_made_from_the_points(tmp_path: Path) -> None:
    data = read_training_set(write_bars(tmp_path, 2, boxes=False), margin=10)
    for item in data.instances:
        assert item.box == pytest.approx([*(item.keypoints.min(0) - 10), *(item.keypoints.max(0) + 10)])
    assert len(data.images[0].boxes) == 1


def test_images_without_annotations_are_left_out_for_they_may_be_unlabelled(bars: Path) -> None:
    content = json.loads(bars.read_text())
    content["images"].append({"id": 999, "file_name": "none.png"})
    data = read_training_set(changed(bars, images=content["images"]))
    assert len(data.images) == 12
    assert data.unlabelled == 1


def test_poses_without_points_and_crowds_are_not_trained_but_their_boxes_count(bars: Path) -> None:
    content = json.loads(bars.read_text())["annotations"]
    content[0]["keypoints"] = [0] * 12
    content[1]["iscrowd"] = 1
    data = read_training_set(changed(bars, annotations=content))
    assert len(data.instances) == 10
    assert data.skipped == 2
    assert len(data.images[0].boxes) == 1
    assert len(data.images[1].boxes) == 0
    assert len(data.images[1].crowds) == 1


def test_a_built_in_schema_is_taken_when_the_names_are_its_own(bars: Path) -> None:
    coco = find_schema("coco")
    content = json.loads(bars.read_text())
    content["categories"][0] |= {"name": "dancer", "keypoints": list(coco.names), "skeleton": []}
    for record in content["annotations"]:
        record["keypoints"] = [5, 5, 2] * 17
    data = read_training_set(changed(bars, **content))
    assert data.schema.sigmas.tolist() == coco.sigmas.tolist()
    assert data.schema.category == "dancer"


def test_another_schema_is_refused_with_both_names(bars: Path) -> None:
    with pytest.raises(TrainingError, match=r"'coco'.*'bar' has head"):
        read_training_set(bars, schema="coco")


def test_the_wrong_number_of_points_is_refused_with_the_annotation(bars: Path) -> None:
    content = json.loads(bars.read_text())["annotations"]
    content[3]["keypoints"] = [1, 1, 2]
    with pytest.raises(TrainingError, match=r"annotation 104.*3 numbers"):
        read_training_set(changed(bars, annotations=content))


def test_a_split_shares_no_image_and_loses_none(bars: Path) -> None:
    data = read_training_set(bars)
    train, val = split(data, 0.25, seed=1)
    assert val is not None
    assert len(train.instances) == 9
    assert len(val.instances) == 3
    assert not {i.id for i in train.images} & {i.id for i in val.images}
    assert all(train.images[i.image].id == i.id - 100 for i in train.instances)
    assert [i.id for i in split(data, 0.25, seed=1)[1].instances] == [i.id for i in val.instances]


def test_too_few_images_are_not_split(tmp_path: Path) -> None:
    data = read_training_set(write_bars(tmp_path, 5))
    assert split(data, 0.1, seed=0) == (data, None)


def test_images_are_found_directly_in_the_folder_when_the_file_names_another(bars: Path) -> None:
    images = json.loads(bars.read_text())["images"]
    for record in images:
        record["file_name"] = f"train\\of\\{record['file_name']}"
    data = read_training_set(changed(bars, images=images))
    assert all(image.path.is_file() for image in data.images)


def test_the_fingerprint_follows_the_labels(bars: Path) -> None:
    content = json.loads(bars.read_text())["annotations"]
    before = read_training_set(bars).fingerprint
    assert before == read_training_set(bars).fingerprint
    content[0]["keypoints"][0] += 1
    assert before != read_training_set(changed(bars, annotations=content)).fingerprint
