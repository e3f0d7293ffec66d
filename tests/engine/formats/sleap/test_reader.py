"""SLEAP files through the registry of label formats, without a project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError, PoseError
from engine.formats.registry import find_format, read_labels
from engine.labels import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE
from engine.utils.context import Context
from tests.engine.formats.sleap.slp_files import GUESSED, SEEN, h5py, write_slp

SEQUENCE = {"backend": {"filename": "", "filenames": ["C:\\old\\0.png", "C:\\old\\1.png"]}}
PERSON = (0, 0, -1, 0.0, SEEN)
GUESS = (1, -1, -1, 0.7, GUESSED)


def test_a_real_file_of_a_video(shared: Path) -> None:
    path = shared / "data" / "dance-video" / "dance.mp4.labels.slp"
    assert find_format(path).name == "sleap"
    context = Context()
    with read_labels(path, context=context) as labels:
        (media,) = labels.media
        assert (media.type, Path(media.path).name, media.stored_pixels) == (VIDEO, "dance.mp4", True)
        assert [(c.name, c.schema.name if c.schema else "") for c in labels.categories] == [("person", "coco")]
        assert [frame.index for frame in labels.frames()] == list(range(450))
        instances = list(labels.instances())
        assert len(instances) == 450
        assert sum(not i.is_prediction for i in instances) == 3
        assert len({i.key for i in instances}) == 450
        assert len(list(labels.instances())) == 450
    assert context.findings.sentences() == ["Predictions that a label replaced are left out: 3 in dance.mp4.labels.slp"]


def test_points_scores_and_tracks(tmp_path: Path) -> None:
    path = tmp_path / "labels.slp"
    write_slp(path, [(0, 0, [PERSON]), (0, 1, [GUESS])], [SEQUENCE], ["left one"])
    with read_labels(path) as labels:
        assert [media.type for media in labels.media] == [IMAGES]
        assert [frame.name for frame in labels.frames()] == ["C:/old/0.png", "C:/old/1.png"]
        assert labels.tracks == {0: "left one"}
        person, guess = labels.instances()
    assert person.keypoints is not None
    assert person.visibility is not None
    assert person.keypoints[:2].tolist() == [[10, 20], [30, 40]]
    assert person.visibility.tolist() == [VISIBLE, OCCLUDED, ABSENT]
    assert (person.track, person.is_prediction, person.scores, person.frame) == (0, False, None, 0)
    assert guess.scores is not None
    assert guess.scores[:2].tolist() == [0.9, 0.5]
    assert (guess.score, guess.is_prediction, guess.track, guess.frame) == (pytest.approx(0.7), True, None, 1)


def test_pictures_in_the_file_are_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "package.slp"
    write_slp(path, [(0, 4, [PERSON])], [{"backend": {"filename": ".", "dataset": "video0/video"}}])
    with h5py.File(path, "a") as file:
        group = file.create_group("video0")
        group["video"] = np.array([np.frombuffer(b"\x89PNG one", np.int8)])
        group["video"].attrs["format"] = "png"
        group["frame_numbers"] = np.array([4])
    with read_labels(path) as labels:
        (frame,) = labels.frames()
        assert (labels.media[0].type, frame.name) == (IMAGES, "package.pictures/video0/000004.png")
        assert labels.embedded_image(0) == b"\x89PNG one"


def test_a_frame_of_an_unknown_video_is_reported_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "labels.slp"
    write_slp(path, [(0, 0, [PERSON])], [{"backend": {"filename": "gone.mp4"}}])
    with h5py.File(path, "a") as file:
        file["frames"]["video"] = 7
    context = Context()
    with read_labels(path, context=context) as labels:
        assert list(labels.instances()) == []
    assert "Frame not found" in context.findings.sentences()[0]


def test_a_damaged_file_is_refused_and_a_file_of_another_kind_not_recognized(tmp_path: Path) -> None:
    path = tmp_path / "labels.slp"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(PoseError, match="SLEAP"):
        read_labels(path)
    path.write_text("hello")
    with pytest.raises(LabelError, match="no known label format"):
        read_labels(path)
