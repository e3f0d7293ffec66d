import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.train.config import TrainConfig, with_settings
from engine.train.preflight import preflight
from tests.engine.train.conftest import write_bars


def test_good_data_is_counted(bars: Path) -> None:
    result = preflight(TrainConfig(train=str(bars)))
    assert result.errors == []
    assert (result.instances, result.val_instances) == (11, 1)
    assert result.labelled == (11, 11, 11, 11)
    assert any("20 or more" in text for text in result.warnings)


def test_missing_images_are_counted_and_the_first_is_named(bars: Path, tmp_path: Path) -> None:
    result = preflight(TrainConfig(train=str(bars), images=str(tmp_path)))
    assert any("images are not there" in text and "001.png" in text and "--images" in text for text in result.errors)


def test_few_images_are_warned_of(tmp_path: Path) -> None:
    result = preflight(TrainConfig(train=str(write_bars(tmp_path, 3))))
    assert result.errors == []
    assert result.val_instances == 0
    assert any("very few" in text for text in result.warnings)
    assert any("Too few images" in text for text in result.warnings)


def test_a_point_that_is_never_labelled_is_named(bars: Path) -> None:
    content = json.loads(bars.read_text())
    for record in content["annotations"]:
        record["keypoints"][9:12] = [0, 0, 0]
    file = bars.with_name("tailless.json")
    file.write_text(json.dumps(content))
    assert any("tail" in text for text in preflight(TrainConfig(train=str(file))).warnings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": "none.json"}, "none.json"),
        ({"train": ""}, "--train"),
        ({"model": "resnext"}, "resnext"),
        ({"model": "efficientdet_lite0"}, "finds boxes"),
        ({"detector": "movenet_thunder"}, "pose model"),
        ({"schema": "coco"}, "no category has"),
        ({"schema": "cocoa"}, "cocoa"),
        ({"val": "other.json"}, "other.json"),
    ],
)
def test_what_cannot_be_trained_is_said_in_words(bars: Path, changes: dict[str, str], words: str) -> None:
    result = preflight(TrainConfig(**({"train": str(bars)} | changes)))
    assert len(result.errors) == 1
    assert words in result.errors[0]


def test_nothing_labelled_is_an_error(bars: Path) -> None:
    content = json.loads(bars.read_text())
    for record in content["annotations"]:
        record["keypoints"] = [0] * 12
    file = bars.with_name("empty.json")
    file.write_text(json.dumps(content))
    assert "no annotation of bar" in preflight(TrainConfig(train=str(file))).errors[0]


def test_mirrored_copies_are_off_where_no_pairs_are_known(tmp_path: Path) -> None:
    bars = write_bars(tmp_path, 3)
    assert not any("Mirroring" in text for text in preflight(TrainConfig(train=str(bars))).warnings)
    content = json.loads(bars.read_text())
    content["categories"][0]["keypoints"] = ["head", "one", "two", "tail"]
    bars.write_text(json.dumps(content))
    (warning,) = [t for t in preflight(TrainConfig(train=str(bars))).warnings if "Mirroring" in t]
    assert warning.startswith("Mirroring is off: no left/right pairs are known.")
    forced = with_settings(TrainConfig(train=str(bars)), ["pose.augment.flip=0.5"])
    (warning,) = [t for t in preflight(forced).warnings if "Mirroring" in t]
    assert "mixed up" in warning


def changed(bars: Path, change: Callable[[dict[str, Any]], object], name: str = "changed.json") -> Path:
    content = json.loads(bars.read_text())
    change(content)
    file = bars.with_name(name)
    file.write_text(json.dumps(content))
    return file


def box(record: dict[str, Any], *values: float) -> None:
    record["bbox"] = list(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda c: [a.update(image_id=99) for a in c["annotations"][:2]],
            "belong to no image of the file, not trained on: 2",
        ),
        (
            lambda c: c["annotations"].append({**c["annotations"][0], "id": 7}),
            "repeat the pose of another in the same image: 1",
        ),
        (lambda c: [i.update(width=120, height=90) for i in c["images"]], "another size than the file says"),
        (
            lambda c: [i.update(width=60, height=60) for i in c["images"]],
            "images that were resized after they were labelled",
        ),
        (
            lambda c: c["annotations"][3]["keypoints"].__setitem__(0, 1e30),
            "points far outside their picture; these points are left out: 1",
        ),
        (
            lambda c: box(c["annotations"][2], 500, 400, 60, 50),
            "boxes outside their picture; the box of the points is used: 1",
        ),
        (
            lambda c: [
                box(a, a["bbox"][0], a["bbox"][1], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3])
                for a in c["annotations"]
            ],
            "x1, y1, x2, y2",
        ),
        (lambda c: c["images"].append({**c["images"][0], "id": 50}), "images that are listed more than once: 1"),
    ],
)
def test_faults_of_labels_are_counted_with_the_first(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    result = preflight(TrainConfig(train=str(changed(write_bars(tmp_path, 9), change)), val_fraction=0))
    assert result.errors == []
    (text,) = [text for text in result.findings if words in text]
    assert "the first is" in text
    assert text in result.warnings


def test_good_labels_have_no_findings(bars: Path) -> None:
    assert preflight(TrainConfig(train=str(bars))).findings == []


def test_points_that_no_picture_can_hold_are_not_learned(tmp_path: Path) -> None:
    file = changed(write_bars(tmp_path, 2), lambda c: c["annotations"][0]["keypoints"].__setitem__(0, 1e30))
    train = preflight(TrainConfig(train=str(file))).train
    assert train is not None
    assert train.instances[0].labelled.tolist() == [False, True, True, True]
    assert abs(train.instances[0].keypoints).max() < 200


def test_labels_of_a_turned_photo_are_moved_onto_it(tmp_path: Path) -> None:
    bars = write_bars(tmp_path, 1)
    stored = np.zeros((80, 120, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    Image.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif)

    def turn(content: dict[str, Any]) -> None:
        content["images"][0].update(file_name="turned.jpg", width=120, height=80)
        content["annotations"][0]["keypoints"] = [10, 20, 2, 30, 20, 2, 30, 40, 2, 50, 60, 2]
        content["annotations"][0]["bbox"] = [5, 15, 50, 50]

    result = preflight(TrainConfig(train=str(changed(bars, turn))))
    assert any("images that were turned after they were labelled" in text for text in result.findings)
    assert result.train is not None
    item = result.train.instances[0]
    assert item.keypoints[0].tolist() == [80 - 1 - 20, 10]
    assert item.box.tolist() == [80 - 65, 5, 80 - 15, 55]
    assert result.train.images[0].boxes.tolist() == [item.box.tolist()]


def test_images_that_cannot_be_read_are_left_out_and_listed(tmp_path: Path) -> None:
    bars = write_bars(tmp_path, 10)
    (tmp_path / "001.png").write_bytes(b"")
    (tmp_path / "002.png").unlink()
    result = preflight(TrainConfig(train=str(bars), val_fraction=0))
    assert result.errors == []
    assert [Path(item.where).name for item in result.skipped] == ["001.png", "002.png"]
    assert result.instances == 8
    assert any("2 images are missing or cannot be read" in text for text in result.warnings)
    whole = preflight(TrainConfig(train=str(write_bars(tmp_path, 10)), val_fraction=0))
    assert result.train is not None
    assert whole.train is not None
    assert result.train.fingerprint == whole.train.fingerprint  # so that the run can be resumed


@pytest.mark.parametrize("how", ["same file", "copy"])
def test_validation_on_training_images_is_warned_of(how: str, tmp_path: Path) -> None:
    bars = write_bars(tmp_path / "a", 3)
    val = bars
    if how == "copy":
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        (tmp_path / "b" / "001.png").rename(tmp_path / "b" / "other.png")
        val = changed(
            tmp_path / "b" / "labels.json", lambda c: c["images"][0].update(file_name="other.png"), "labels.json"
        )
    result = preflight(TrainConfig(train=str(bars), val=str(val)))
    assert any("3 of 3 validation images are training images too" in text for text in result.warnings)


def test_a_project_is_told_from_a_label_file(tmp_path: Path) -> None:
    project = tmp_path / "mice.pose"
    project.write_bytes(b"SQLite format 3\0" + bytes(100))
    (error,) = preflight(TrainConfig(train=str(project))).errors
    assert "is a poseapp project" in error
    assert "Export COCO" in error


@pytest.mark.parametrize("has_turned_picture", [True, False])
def test_labels_of_an_upside_down_photo_are_moved_as_the_others_show(tmp_path: Path, has_turned_picture: bool) -> None:
    bars = write_bars(tmp_path, 2)
    for name, orientation in (("flipped.jpg", 3), ("turned.jpg", 6)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.zeros((80, 120, 3), np.uint8)).save(tmp_path / name, exif=exif)

    def turn(content: dict[str, Any]) -> None:
        content["images"][0].update(file_name="flipped.jpg", width=120, height=80)
        content["annotations"][0]["keypoints"] = [10, 20, 2, 30, 20, 2, 30, 40, 2, 50, 60, 2]
        if has_turned_picture:
            content["images"][1].update(file_name="turned.jpg", width=120, height=80)
            content["annotations"][1]["keypoints"] = [10, 20, 2, 30, 20, 2, 30, 40, 2, 50, 60, 2]

    result = preflight(TrainConfig(train=str(changed(bars, turn))))
    assert result.train is not None
    expected = [120 - 1 - 10, 80 - 1 - 20] if has_turned_picture else [10, 20]
    assert result.train.instances[0].keypoints[0].tolist() == expected
    assert any("EXIF orientation and keep their size" in text for text in result.findings) is not has_turned_picture
