"""DeepLabCut's tables through the registry of label formats: read, written, and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError, PoseError
from engine.formats.registry import find_format, read_labels, write_labels
from engine.labels import ABSENT, IMAGES, VIDEO, VISIBLE, Category, Frame, Instance, LabelReader, Labels, Media
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

ONE_ANIMAL = """scorer,me,me,me,me
bodyparts,snout,snout,tail,tail
coords,x,y,x,y
labeled-data/v/img1.png,1.5,2.5,,
labeled-data/v/img2.png,,,,
"""
TWO_ANIMALS = """scorer,net,net,net,net,net,net
individuals,anna,anna,anna,bert,bert,bert
bodyparts,snout,snout,snout,snout,snout,snout
coords,x,y,likelihood,x,y,likelihood
0,1,2,0.9,,,
1,3,4,0.05,5,6,0.5
"""


def poses(labels: LabelReader) -> list[tuple[int, list[list[float]], list[int]]]:
    listed = []
    for i in labels.instances():
        assert i.keypoints is not None
        assert i.visibility is not None
        listed.append((i.frame, i.keypoints.tolist(), i.visibility.tolist()))
    return listed


def test_labels_of_images(tmp_path: Path) -> None:
    path = tmp_path / "labeled-data" / "v" / "CollectedData_me.csv"
    path.parent.mkdir(parents=True)
    path.write_text(ONE_ANIMAL)
    (tmp_path / "config.yaml").write_text("scorer: me\nskeleton:\n- [snout, tail]\n")
    for opened in (path, tmp_path):
        assert find_format(opened).name == "deeplabcut"
        with read_labels(opened) as labels:
            assert [(media.type, media.path) for media in labels.media] == [(IMAGES, str(tmp_path))]
            assert [frame.name for frame in labels.frames()] == ["labeled-data/v/img1.png", "labeled-data/v/img2.png"]
            (category,) = labels.categories
            assert category.schema is not None
            assert (category.name, category.schema.names) == ("animal", ("snout", "tail"))
            assert [(limb.start, limb.end) for limb in category.schema.limbs] == [("snout", "tail")]
            assert poses(labels) == [(0, [[1.5, 2.5], [0, 0]], [VISIBLE, ABSENT])]


def test_an_analysed_video_holds_predictions_of_tracks(tmp_path: Path) -> None:
    path = tmp_path / "clipDLC_resnet50.csv"
    path.write_text(TWO_ANIMALS)
    with read_labels(path) as labels:
        assert [(media.type, media.path) for media in labels.media] == [(VIDEO, "clip.mp4")]
        assert labels.tracks == {0: "anna", 1: "bert"}
        anna, bert = labels.instances()
    assert (anna.frame, anna.track, anna.is_prediction, anna.score, anna.source) == (0, 0, True, 0.9, "net")
    assert (bert.frame, bert.track, bert.score) == (1, 1, 0.5)


def _labels(media: Media, frames: int, instances: list[Instance], tracks: dict[int, str] | None = None) -> Labels:
    schema = schema_from_names("mouse", ["snout", "tail"], category="mouse")
    listed = [Frame("" if media.type == VIDEO else f"{n}.png", 0, n) for n in range(frames)]
    return Labels(listed, instances, [Category("mouse", schema)], [media], tracks=tracks)


def _pose(frame: int, x: float, track: int | None = None, scores: list[float] | None = None) -> Instance:
    return Instance(
        frame,
        0,
        np.array([[x, 1.25], [0, 0]]),
        np.array([VISIBLE, ABSENT], np.uint8),
        scores=None if scores is None else np.array(scores),
        track=track,
        is_prediction=scores is not None,
    )


def test_images_are_written_as_a_label_table(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_labels(_labels(Media(IMAGES), 2, [_pose(1, 7.5)]), path, format="deeplabcut")
    assert path.read_text().splitlines() == [
        "scorer,poseapp,poseapp,poseapp,poseapp",
        "bodyparts,snout,snout,tail,tail",
        "coords,x,y,x,y",
        "0.png,NaN,NaN,NaN,NaN",
        "1.png,7.5,1.25,,",
    ]
    with read_labels(path) as labels:
        assert poses(labels) == [(1, [[7.5, 1.25], [0, 0]], [VISIBLE, ABSENT])]


def test_a_video_is_written_as_the_table_of_an_analysed_one(tmp_path: Path) -> None:
    path = tmp_path / "clip_tracks.csv"
    instances = [_pose(0, 1, 0, [0.9, 0.0]), _pose(2, 3, 0), _pose(2, 5, 4, [0.5, 0.0]), _pose(2, 9, 4, [0.4, 0.0])]
    video = Media(VIDEO, "clip.mp4", stored_pixels=True)
    context = Context()
    write_labels(_labels(video, 3, instances, {0: "anna"}), path, format="deeplabcut", context=context)
    assert context.findings.sentences() == [
        "Second pose of an individual in a frame, left out: track_4, frame 2",
        "Labels in a table of a video, which programs read as results of a model: clip.mp4",
    ]
    with read_labels(path) as labels:
        assert list(labels.tracks.values()) == ["anna", "track_4"]
        assert [(i.frame, i.track, i.score) for i in labels.instances()] == [(0, 0, 0.9), (2, 0, 1.0), (2, 1, 0.5)]


def test_another_category_gets_a_table_beside_it(tmp_path: Path) -> None:
    labels = _labels(Media(IMAGES), 1, [_pose(0, 1), _pose(0, 2)])
    cage = schema_from_names("cage", ["corner"], category="cage")
    labels.categories = [*labels.categories, Category("cage", cage)]
    corner = Instance(0, 1, np.array([[4.0, 4.0]]), np.array([VISIBLE], np.uint8))
    both = Labels(labels.frames(), [*labels.instances(), corner], labels.categories)
    write_labels(both, tmp_path / "out.csv", format="deeplabcut")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out_cage.csv"]
    with read_labels(tmp_path / "out_cage.csv") as again:
        assert poses(again) == [(0, [[4, 4]], [VISIBLE])]


def test_nothing_to_write_and_no_table_are_errors(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no poses"):
        write_labels(_labels(Media(IMAGES), 1, []), tmp_path / "out.csv", format="deeplabcut")
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "data.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(LabelError, match="no known label format"):
        read_labels(other)
    with pytest.raises(PoseError, match="does not start with scorer"):
        read_labels(other, format="deeplabcut")


def test_scores_of_labels_and_poses_without_a_keypoint_are_told(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose"])
    point, scores = np.ones((1, 2)), np.array([0.5])
    labels = Labels(
        [Frame("a.png", 0, 0)],
        [
            Instance(0, 0, point, np.array([VISIBLE], np.uint8), scores, key="scored"),
            Instance(0, 0, point, np.array([ABSENT], np.uint8), key="empty"),
        ],
        [Category("mouse", schema)],
    )
    context = Context()
    write_labels(labels, tmp_path / "out.csv", format="deeplabcut", context=context)
    text = " ".join(map(str, context.findings.sentences()))
    assert "scored" in text
    assert "empty" in text
