"""SLEAP files: a real one, and made ones with every trap of the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.errors import PoseError, ProjectError
from poseapp.project.formats.sleap.importer import import_sleap
from poseapp.project.model import FrameKey, State
from poseapp.project.store import ProjectStore
from tests.engine.formats.sleap.slp_files import GUESSED, NODES, SEEN, write_slp

h5py = pytest.importorskip("h5py")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectStore]:
    (tmp_path / "work").mkdir()
    with ProjectStore.create(tmp_path / "work" / "p.pose") as store:
        yield store


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Any]:
    """A SLEAP image sequence, written on another computer."""
    (tmp_path / "shots").mkdir()
    for n in range(3):
        cv2.imwrite(str(tmp_path / "shots" / f"{n}.png"), np.full((20, 30, 3), 40 * n, np.uint8))
    return {
        "backend": {"type": "ImageVideo", "filename": "", "filenames": [f"C:\\old\\shots\\{n}.png" for n in range(3)]}
    }


@pytest.mark.slow
def test_the_dance_video(shared: Path, project: ProjectStore) -> None:
    folder = shared / "data" / "dance-video"
    report = import_sleap(project, folder / "dance.mp4.labels.slp")
    assert (report.images, report.annotations) == (450, 450)
    assert report.problems == ["Predictions that a label replaced are left out: 3 in dance.mp4.labels.slp"]
    (media,) = project.media()
    assert (media.kind, media.path) == ("video", str(folder / "dance.mp4"))
    assert project.frame_count() == 450
    (category,) = project.categories()
    assert (category.name, category.schema.name) == ("person", "coco")
    summary = project.summary()
    assert (summary.labelled, summary.predicted) == (3, 447)
    (first,) = project.instances(FrameKey(media.id, 0))
    assert first.state is State.LABELLED
    left = dict(zip(category.schema.names, first.keypoints.tolist()))
    assert left["nose"] == pytest.approx([193.83285522, 230.05151367])
    assert left["left_shoulder"][0] > left["right_shoulder"][0]  # she faces us
    assert first.visibility.tolist() == [2] * 16 + [1]
    scores = [i.score for _, i in project.all_instances(State.PREDICTED)]
    assert 0 <= min(scores) <= max(scores) <= 1


def test_points_states_and_sources(project: ProjectStore, tmp_path: Path, pictures: dict[str, Any]) -> None:
    file = tmp_path / "a.slp"
    frames = [(0, 2, [(1, 0, -1, 0.7, GUESSED), (0, 1, -1, np.nan, SEEN)])]
    write_slp(file, frames, [pictures], ["mouse", "Track_1"], name="lab mouse")
    report = import_sleap(project, file)
    assert report.problems == ["Tracks are numbered: mouse is 1"]
    (category,) = project.categories()
    assert (category.name, category.schema.names) == ("lab mouse", NODES)
    assert category.schema.limb_indices.tolist() == [[0, 1], [0, 2]]
    assert category.schema.flip_indices.tolist() == [0, 2, 1]
    assert [frame.name for frame in project.frames()] == ["0.png", "1.png", "2.png"]
    guessed, seen = project.instances(FrameKey(1, 2))
    assert seen.keypoints.tolist() == [[10, 20], [30, 40], [0, 0]]
    assert seen.visibility.tolist() == [2, 1, 0]
    assert seen.by_human.tolist() == [True, True, False]
    assert (seen.state, seen.source, seen.track, seen.scores) == (State.LABELLED, "human", 2, None)
    assert (guessed.state, guessed.track, guessed.score) == (State.PREDICTED, 1, pytest.approx(0.7))
    assert guessed.scores is not None
    assert guessed.scores.tolist() == [0.9, 0.5, 0]
    assert not guessed.by_human.any()


def test_old_files_count_from_the_corner_of_the_pixel(
    project: ProjectStore, tmp_path: Path, pictures: dict[str, Any]
) -> None:
    for index, (version, expected) in enumerate(((1.0, [9.5, 19.5]), (1.1, [10, 20]))):
        write_slp(tmp_path / "a.slp", [(0, index, [(0, -1, -1, 0, SEEN)])], [pictures], format_id=version)
        import_sleap(project, tmp_path / "a.slp")
        (pose,) = project.instances(FrameKey(1, index))
        assert pose.keypoints[0].tolist() == expected
    assert [c.name for c in project.categories()] == ["animal"]


def test_a_prediction_that_was_corrected_is_left_out(
    project: ProjectStore, tmp_path: Path, pictures: dict[str, Any]
) -> None:
    empty = [(np.nan, np.nan, True)] * 3
    frames = [
        (0, 0, [(1, -1, -1, 9.7, GUESSED), (0, -1, 0, 0, SEEN), (1, -1, -1, 9.7, GUESSED), (0, -1, -1, 0, empty)])
    ]
    write_slp(tmp_path / "a.slp", frames, [pictures])
    report = import_sleap(project, tmp_path / "a.slp")
    assert [i.state for i in project.instances(FrameKey(1, 0))] == [State.LABELLED, State.PREDICTED]
    assert project.instances(FrameKey(1, 0))[1].score == pytest.approx(0.7)  # mean of the points, for 9.7 is a sum
    assert report.annotations == 2


def test_pictures_inside_the_file_are_written_beside_the_project(project: ProjectStore, tmp_path: Path) -> None:
    file = tmp_path / "b.pkg.slp"
    video = {"backend": {"type": "HDF5Video", "filename": ".", "dataset": "video7/video"}}
    write_slp(file, [(7, 31, [(0, -1, -1, 0, SEEN)]), (7, 99, [(0, -1, -1, 0, SEEN)])], [video])
    encoded = np.frombuffer(cv2.imencode(".png", np.full((8, 12, 3), 99, np.uint8))[1].tobytes(), np.int8)
    with h5py.File(file, "a") as opened:
        stored = opened.create_dataset("video7/video", (1,), h5py.vlen_dtype(np.int8))
        stored[0] = encoded
        stored.attrs["format"] = "png"
        opened["video7/frame_numbers"] = np.array([31])
    report = import_sleap(project, file)
    (frame,) = project.frames()
    assert (frame.name, frame.width, frame.height) == ("000031.png", 12, 8)
    assert project.frame_path(frame.key).is_file()
    assert len(project.instances(frame.key)) == 1
    assert report.problems == ["Frame not found, its labels are left out: b.pkg.slp: frame 99 of video 7"]


def test_videos_that_are_gone_are_told_of(project: ProjectStore, tmp_path: Path) -> None:
    video = {"backend": {"filename": "/elsewhere/gone.mp4"}}
    write_slp(tmp_path / "a.slp", [(0, 0, [(0, -1, -1, 0, SEEN)])], [video])
    report = import_sleap(project, tmp_path / "a.slp")
    assert report.annotations == 0
    assert report.problems[0] == "Video not found, its labels are left out: /elsewhere/gone.mp4"


@pytest.mark.parametrize(
    "damage", ["not hdf5", "no metadata", "cut off", "bad json", "no skeleton", "link", "external"]
)
def test_damaged_and_hostile_files_are_refused_and_leave_nothing(
    project: ProjectStore, tmp_path: Path, pictures: dict[str, Any], damage: str
) -> None:
    file = tmp_path / "a.slp"
    write_slp(file, [(0, 0, [(0, -1, -1, 0, SEEN)]), (0, 1, [(0, -1, -1, 0, SEEN)])], [pictures])
    if damage == "not hdf5":
        file.write_bytes(b"hello")
    else:
        with h5py.File(file, "a") as opened:
            if damage == "no metadata":
                del opened["metadata"]
            elif damage == "cut off":
                points = opened["points"][:4]
                del opened["points"]
                opened["points"] = points
            elif damage == "bad json":
                opened["metadata"].attrs["json"] = b"{"
            elif damage == "no skeleton":
                opened["metadata"].attrs["json"] = b'{"nodes": [], "skeletons": []}'
            elif damage == "link":
                del opened["points"]
                opened["points"] = h5py.ExternalLink("/etc/other.h5", "points")
            else:
                del opened["videos_json"]
                opened.create_dataset("videos_json", (4,), "S9", external=[("/etc/passwd", 0, 36)])
    with pytest.raises(ProjectError, match=r"a\.slp"):
        import_sleap(project, file)
    assert project.summary().labelled == 0
    assert project.media() == []


def test_stopping_leaves_nothing(project: ProjectStore, tmp_path: Path, pictures: dict[str, Any]) -> None:
    write_slp(tmp_path / "a.slp", [(0, 0, [(0, -1, -1, 0, SEEN)])], [pictures])

    def stop(done: int, total: int) -> None:
        raise PoseError("stop")

    with pytest.raises(PoseError, match="stop"):
        import_sleap(project, tmp_path / "a.slp", progress=stop)
    assert project.media() == []
    assert project.categories() == []
