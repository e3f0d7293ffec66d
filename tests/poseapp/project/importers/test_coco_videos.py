"""A COCO file whose images are frames of a video opens on the video."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseapp.project import edits
from poseapp.project.exporters.coco import export_coco
from poseapp.project.open import open_any
from tests.engine.media.video_clips import X264, Clip, make
from tests.poseapp.conftest import POSE, SCHEMA

FRAMES = 12


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Labels on frames 3 and 7 of a film of 12, as a COCO file beside the film."""
    video = make(Clip("film.mp4", "libx264", X264, frames=FRAMES), tmp_path)
    with open_any(video) as store:
        category = store.add_category("figure", SCHEMA)
        keys = list(store.frame_keys())
        for number in (3, 7):
            pose = edits.make_instance(store.new_ids(1)[0], category, POSE * 0.3 + number)
            store.apply(edits.add_instance(keys[number], pose))
        export_coco(store, tmp_path / "labels.json", only_labelled_frames=True)
    (tmp_path / "film.pose").unlink()
    return tmp_path / "labels.json"


def test_labels_come_back_on_their_frames(exported: Path) -> None:
    with open_any(exported) as store:
        (media,) = store.media()
        assert (media.kind, Path(media.path).name) == ("video", "film.mp4")
        assert store.frame_count() == FRAMES
        there = {key.index: pose.keypoints for key, pose in store.all_instances()}
        assert set(there) == {3, 7}
        for number, points in there.items():
            assert np.allclose(points, POSE * 0.3 + number, atol=0.01)
        again = exported.with_name("again.json")
        export_coco(store, again, only_labelled_frames=True)
    before, after = (json.loads(path.read_bytes()) for path in (exported, again))
    assert after["images"] == before["images"]
    assert after["annotations"] == before["annotations"]


def test_a_missing_video_is_told_and_its_frames_are_images_that_are_missing(exported: Path) -> None:
    exported.with_name("film.mp4").rename(exported.with_name("elsewhere.bin"))
    with open_any(exported) as store:
        assert [media.kind for media in store.media()] == ["images"]
        assert store.summary().labelled == 2


def test_a_frame_that_the_video_has_not_stays_an_image(exported: Path) -> None:
    data = json.loads(exported.read_bytes())
    data["images"][1]["frame_index"] = FRAMES
    data["images"][0] |= {"frame_index": 1}
    exported.write_text(json.dumps(data), encoding="utf-8")
    with open_any(exported) as store:
        assert sorted(media.kind for media in store.media()) == ["images", "video"]
        assert sorted(key.index for key, _ in store.all_instances()) == [0, 1]


def test_pictures_that_were_cut_out_of_a_video_stay_pictures(exported: Path) -> None:
    data = json.loads(exported.read_bytes())
    for image in data["images"]:
        target = exported.parent / image["file_name"]
        target.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(target), np.zeros((96, 160, 3), np.uint8))
    with open_any(exported) as store:
        assert [media.kind for media in store.media()] == ["images"]
        assert store.frame_count() == 2


@pytest.mark.parametrize(
    "odd", [{"video": 5}, {"frame_index": -1}, {"frame_index": "3"}, {"video": ""}, {"video": "a\0b"}]
)
def test_odd_words_are_no_video(exported: Path, odd: dict[str, object]) -> None:
    data = json.loads(exported.read_bytes())
    for image in data["images"]:
        image |= odd
    exported.write_text(json.dumps(data), encoding="utf-8")
    with open_any(exported) as store:
        assert [media.kind for media in store.media()] == ["images"]
