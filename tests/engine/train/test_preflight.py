import json
from pathlib import Path

import pytest

from engine.train.config import TrainConfig
from engine.train.preflight import preflight
from tests.engine.train.conftest import write_bars


def test_good_data_is_counted(bars: Path) -> None:
    found = preflight(TrainConfig(train=str(bars)))
    assert found.errors == []
    assert (found.instances, found.val_instances) == (11, 1)
    assert found.labelled == (11, 11, 11, 11)
    assert any("20 or more" in text for text in found.warnings)


def test_missing_images_are_counted_and_the_first_is_named(bars: Path, tmp_path: Path) -> None:
    found = preflight(TrainConfig(train=str(bars), images=str(tmp_path)))
    assert any("images are not there" in text and "001.png" in text and "--images" in text for text in found.errors)


def test_few_images_are_warned_of(tmp_path: Path) -> None:
    found = preflight(TrainConfig(train=str(write_bars(tmp_path, 3))))
    assert found.errors == []
    assert found.val_instances == 0
    assert any("very few" in text for text in found.warnings)
    assert any("Too few images" in text for text in found.warnings)


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
    found = preflight(TrainConfig(**({"train": str(bars)} | changes)))
    assert len(found.errors) == 1
    assert words in found.errors[0]


def test_nothing_labelled_is_an_error(bars: Path) -> None:
    content = json.loads(bars.read_text())
    for record in content["annotations"]:
        record["keypoints"] = [0] * 12
    file = bars.with_name("empty.json")
    file.write_text(json.dumps(content))
    assert "no annotation of bar" in preflight(TrainConfig(train=str(file))).errors[0]


def test_mirrored_copies_are_off_where_no_pairs_are_known(tmp_path: Path) -> None:
    bars = write_bars(tmp_path, 3)
    assert not any("Mirrored copies" in text for text in preflight(TrainConfig(train=str(bars))).warnings)
    content = json.loads(bars.read_text())
    content["categories"][0]["keypoints"] = ["head", "one", "two", "tail"]
    bars.write_text(json.dumps(content))
    (warning,) = [t for t in preflight(TrainConfig(train=str(bars))).warnings if "Mirrored copies" in t]
    assert warning.startswith("Mirrored copies: off, because no left/right pairs are known.")
    forced = TrainConfig(train=str(bars))
    forced.pose.augment.flip = 0.5
    (warning,) = [t for t in preflight(forced).warnings if "Mirrored copies" in t]
    assert "mixed up" in warning
