"""A model that is called: with every kind of image, with boxes, with a video; and what it returns."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from engine.errors import MediaError, ModelError, PoseError
from engine.inference.pose_model import Item, PoseModel
from engine.media.images import read_image

BOX = [8, 27, 512, 598]


def test_every_kind_of_image_gives_the_same_poses(lightning: engine.Model, folder: Path) -> None:
    pixels = read_image("photo.jpg")
    stream = PoseModel.load("movenet_lightning", device="cpu").stream([Item(0, lambda: pixels)])
    ((_, _, expected),) = stream
    for image in ("photo.jpg", Path("photo.jpg"), pixels, pixels / 255.0, Image.fromarray(pixels)):
        poses = lightning(image)
        assert isinstance(poses, engine.Poses)
        assert len(poses) == len(expected) == 1
        np.testing.assert_array_equal(poses[0].keypoints, expected[0].keypoints[:, :2])
        np.testing.assert_array_equal(poses[0].scores, expected[0].keypoints[:, 2])
        np.testing.assert_array_equal(poses[0].box, expected[0].box)
        assert poses[0].score == expected[0].score
    for several in (["photo.jpg", pixels], iter(["photo.jpg", pixels]), ("photo.jpg", pixels)):
        results = lightning(several)
        assert [type(poses) for poses in results] == [engine.Poses, engine.Poses]
        assert [poses.file_name for poses in results] == ["photo.jpg", ""]
        for poses in results:
            np.testing.assert_array_equal(poses.keypoints[0], expected[0].keypoints[:, :2])


def test_poses_are_arrays_and_names(lightning: engine.Model, folder: Path) -> None:
    poses = lightning("photo.jpg", boxes=[BOX, [0, 0, 300, 300]])
    assert len(poses) == 2
    assert (poses.keypoints.shape, poses.scores.shape, poses.boxes.shape) == ((2, 17, 2), (2, 17), (2, 4))
    assert poses.size == (512, 600)
    assert poses.names == poses[0].names == lightning.names
    pose = poses[0]
    assert (pose.category, pose.box_score, pose.track, pose.visibility) == ("person", 1.0, None, None)
    np.testing.assert_array_equal(pose["nose"], [*pose.keypoints[0], pose.scores[0]])
    with pytest.raises(PoseError, match="no keypoint 'left_nee'; did you mean 'left_knee'"):
        pose["left_nee"]
    assert repr(poses) == "<Poses: 2 poses in photo.jpg, 512 x 600 pixels>"
    assert repr(pose).startswith("<Pose: person, 17 keypoints, score 0.")
    assert [len(part) for part in (poses[:1], poses[5:])] == [1, 0]
    nobody = lightning(np.zeros((40, 50, 3), np.uint8), boxes=[])
    assert (len(nobody), nobody.keypoints.shape, nobody.boxes.shape) == (0, (0, 17, 2), (0, 4))


def test_poses_are_drawn(lightning: engine.Model, folder: Path) -> None:
    poses = lightning("photo.jpg", boxes=BOX)
    drawn = poses.plot("drawn/poses.png")
    np.testing.assert_array_equal(read_image("drawn/poses.png"), drawn)
    original = read_image("photo.jpg")
    assert drawn.shape == original.shape
    assert 0.001 < (drawn != original).any(axis=2).mean() < 0.3
    with pytest.raises(MediaError, match=r"must end in \.jpg, \.jpeg, \.png"):
        poses.plot("poses.gif")
    Path("photo.jpg").unlink()
    with pytest.raises(MediaError, match="does not exist"):
        poses.plot()


def test_poses_as_coco(lightning: engine.Model, folder: Path) -> None:
    poses = lightning("photo.jpg", boxes=BOX)
    coco = json.loads(json.dumps(poses.to_coco("images/photo.jpg")))
    assert coco["images"] == [{"id": 1, "file_name": "images/photo.jpg", "width": 512, "height": 600}]
    (category,) = coco["categories"]
    assert (category["name"], category["keypoints"][0]) == ("person", "nose")
    (annotation,) = coco["annotations"]
    assert annotation["bbox"] == [8, 27, 504, 571]
    assert annotation["keypoints"][:3] == pytest.approx([*poses[0].keypoints[0], 2])
    assert annotation["keypoint_scores"] == pytest.approx(poses[0].scores.tolist())
    assert annotation["score"] == pytest.approx(poses[0].score)
    assert lightning(np.zeros((40, 50), np.uint8), boxes=[]).to_coco()["annotations"] == []


def test_a_video_gives_the_poses_of_every_frame(lightning: engine.Model, short_film: Path) -> None:
    results = lightning(short_film)
    assert [poses.frame_index for poses in results] == [0, 1, 2, 3]
    assert {poses.video for poses in results} == {short_film.as_posix()}
    assert all(len(poses) == 1 for poses in results)
    gc.collect()
    assert results[2].image.shape == (360, 640, 3)  # decoded again
    image = results[2].to_coco()["images"][0]
    assert (image["video"], image["frame_index"]) == (short_film.as_posix(), 2)
    boxes = [poses.boxes for poses in results]
    again = engine.load_model("movenet_lightning", device="cpu", detector=None)(short_film, boxes=boxes)
    np.testing.assert_allclose(again[3].keypoints, results[3].keypoints, atol=1e-3)
    with pytest.raises(MediaError, match="for more images"):
        lightning(short_film, boxes=boxes[:2])


def test_a_video_is_tracked(lightning: engine.Model, short_film: Path) -> None:
    frames = list(lightning.track(short_film, detect_every=2))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.time for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])
    assert [[pose.track for pose in frame.poses] for frame in frames] == [[1]] * 4
    gc.collect()
    assert frames[1].poses.plot().shape == (360, 640, 3)
    assert frames[1].poses.to_coco()["annotations"][0]["track_id"] == 1
    running = lightning.track(short_film)
    assert next(running).index == 0
    running.close()


def test_a_stream_is_lazy_and_closes_early(lightning: engine.Model, folder: Path) -> None:
    taken, image = 0, np.zeros((1024, 1024, 3), np.uint8)

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield image

    stream = lightning.stream(endless(), boxes=[[[0, 0, 64, 64]]] * 5000)
    assert len(next(stream)) == 1
    stream.close()
    assert taken < 5000
    with pytest.raises(MediaError, match="is one image; call"):
        lightning.stream("photo.jpg")


def test_boxes_must_fit_the_images(lightning: engine.Model, folder: Path) -> None:
    with pytest.raises(MediaError, match=r"boxes\[1\]: \[900, 0, 950, 80\] lies outside the image, .* 512 x 600"):
        lightning("photo.jpg", boxes=[BOX, [900, 0, 950, 80]])
    with pytest.raises(MediaError, match=r"boxes\[1\]\[0\]: \[900, 0, 950, 80\] lies outside"):
        lightning(["photo.jpg", "portrait.jpg"], boxes=[[BOX], [[900, 0, 950, 80]]])
    with pytest.raises(MediaError, match="has 1 entries for 2 images"):
        lightning(["photo.jpg", "portrait.jpg"], boxes=[[BOX]])
    with pytest.raises(MediaError, match="has 2 entries for 1 images"):
        lightning(iter(["photo.jpg"]), boxes=[[BOX], [BOX]])
    assert len(lightning("photo.jpg", boxes=[-50, -50, 700, 700])) == 1  # boxes may reach beyond the image


def test_a_bad_image_among_others_is_named(lightning: engine.Model, folder: Path) -> None:
    with pytest.raises(MediaError, match=r"images\[1\]: nothing.jpg: does not exist"):
        lightning(["photo.jpg", "nothing.jpg"])
    with pytest.raises(MediaError, match=r"images\[1\]: must be a path"):
        lightning(["photo.jpg", None])  # type: ignore[list-item]
    with pytest.raises(MediaError, match=r"images\[0\]: film.mp4: is a video among images"):
        lightning(["film.mp4"])
    with pytest.raises(MediaError, match=r"labels\.json: is not an image"):
        lightning("labels.json")


def test_without_a_detector_boxes_are_needed(folder: Path) -> None:
    model = engine.load_model("movenet_lightning", device="cpu", detector=None)
    assert repr(model) == "<Model movenet_lightning: 17 keypoints, detector none, give boxes, on cpu>"
    for call in (lambda: model("photo.jpg"), lambda: model(["photo.jpg"]), lambda: model.track("film.mp4")):
        with pytest.raises(ModelError, match="was loaded without a detector: pass boxes="):
            call()
    assert len(model("photo.jpg", BOX)) == 1


def test_the_whole_image_can_be_the_box(folder: Path) -> None:
    model = engine.load_model("movenet_lightning", device="cpu", detector="whole_image")
    assert model("portrait.jpg")[0].box.tolist() == [0, 0, 512, 512]


def test_models_that_cannot_be_loaded_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"did you mean 'movenet_thunder'\?"):
        engine.load_model("movenet_tunder")
    with pytest.raises(ModelError, match="load a pose model with detector='efficientdet_lite0'"):
        engine.load_model("efficientdet_lite0")
    with pytest.raises(ModelError, match="detector"):
        engine.load_model("movenet_lightning", detector="movenet_thunder")
    with pytest.raises(ModelError, match=r"is a folder without best\.safetensors"):
        engine.load_model(folder)
    with pytest.raises(ModelError, match=r"engine\.zoo download coco_res50_256x192"):
        engine.load_model("coco_res50_256x192")
    with pytest.raises(ModelError, match="there is no device 'gpu'"):
        engine.load_model("movenet_lightning", device="gpu")


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("photo.jpg", "is not a video"),
        (".", "is a folder, not a video"),
        ("nothing.mp4", "does not exist"),
        (np.zeros((5, 5)), "must be the path of a file"),
    ],
)
def test_only_a_video_can_be_tracked(video: Any, message: str, lightning: engine.Model, folder: Path) -> None:
    with pytest.raises(MediaError, match=message):
        lightning.track(video)
    with pytest.raises(ModelError, match="detect_every must be at least 1"):
        lightning.track("film.mp4", detect_every=0)
