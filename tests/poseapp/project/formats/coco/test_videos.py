"""A COCO file whose images are frames of a video opens on the video."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseapp.project import edits
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.formats.label_sizes import LabelSize
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore
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
        for index in (3, 7):
            pose = edits.make_instance(store.new_ids(1)[0], category, POSE * 0.3 + index)
            store.apply(edits.add_instance(keys[index], pose))
        export_coco(store, tmp_path / "labels.json", only_labelled_frames=True)
    (tmp_path / "film.pose").unlink()
    return tmp_path / "labels.json"


def test_labels_come_back_on_their_frames(exported: Path) -> None:
    with open_any(exported) as store:
        (media,) = store.media()
        assert (media.kind, Path(media.path).name) == ("video", "film.mp4")
        assert store.frame_count() == FRAMES
        present = {key.index: pose.keypoints for key, pose in store.all_instances()}
        assert set(present) == {3, 7}
        for index, points in present.items():
            assert np.allclose(points, POSE * 0.3 + index, atol=0.01)
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


def test_labels_in_stored_pixels_are_fitted_to_a_video_with_wide_pixels_and_go_out_as_they_came(tmp_path: Path) -> None:
    make(Clip("film.mp4", "libx264", X264, frames=4, aspect=Fraction(2)), tmp_path)
    image = {"id": 1, "file_name": "film/2.png", "width": 160, "height": 96, "video": "film.mp4", "frame_index": 2}
    label = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "keypoints": [15, 30, 2, 20, 40, 2]}
    category = {"id": 1, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"images": [image], "annotations": [label], "categories": [category]}))
    with ProjectStore.create(tmp_path / "p.pose") as store:
        report = import_coco(store, path, label_size=LabelSize.FIT)
        assert any("not square; they were fitted" in problem for problem in report.problems)
        ((key, pose),) = store.all_instances()
        assert key.index == 2
        assert np.allclose(pose.keypoints, [[30.5, 30], [40.5, 40]])
        assert pose.box is not None
        assert np.allclose(pose.box, [20, 20, 80, 60])
        export_coco(store, tmp_path / "again.json", only_labelled_frames=True)
    again = json.loads((tmp_path / "again.json").read_text())["annotations"][0]
    assert again["keypoints"] == label["keypoints"]
    assert again["bbox"] == label["bbox"]
