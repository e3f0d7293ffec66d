"""NWB with ndx-pose: estimations are predictions, training frames are labels; round trips and odd files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels, write_labels
from engine.formats.nwb.file import Estimation, Series, Skeleton, Video
from engine.formats.nwb.samples import constant_rate
from engine.formats.nwb.timing import frames_of
from engine.labels import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

MOUSE = schema_from_names("mouse", ["nose", "tail"], [(0, 1)])


def typed(group: Any, name: str, type_name: str) -> Any:
    child = group.create_group(name)
    child.attrs["neurodata_type"] = type_name
    child.attrs["namespace"] = "ndx-pose"
    return child


def write(path: Path, videos: tuple[str, ...] = ("a.mp4",), suffix: str = "") -> Path:
    """An estimation of three samples as version 0.1 writes it; the tail is missing in the second."""
    with h5py.File(path, "w") as file:
        estimation = typed(file.create_group("processing/behavior"), "PoseEstimation", "PoseEstimation")
        estimation["nodes"] = np.array([b"nose", b"tail"])
        estimation["edges"] = np.array([[0, 1]], np.uint8)
        if videos:
            estimation["original_videos"] = np.array([video.encode() for video in videos])
        for n, node in enumerate(("nose", "tail")):
            series = typed(estimation, node + suffix, "PoseEstimationSeries")
            points = np.arange(6, dtype=float).reshape(3, 2) + 10 * n
            points[1] = np.nan if n else points[1]
            series["data"] = points
            series["data"].attrs["unit"] = "pixels"
            series["confidence"] = np.full(3, 0.5)
            series["timestamps"] = np.arange(3) / 30
    return path


def test_an_estimation_is_predictions_of_a_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb")
    assert find_format(path).name == "nwb"
    labels = read_labels(path)
    assert [(media.type, media.path) for media in labels.media] == [(VIDEO, "a.mp4")]
    assert [frame.index for frame in labels.frames()] == [0, 1, 2]
    first, second, _ = labels.instances()
    assert first.is_prediction
    assert first.keypoints is not None
    assert first.keypoints.tolist() == [[0, 1], [10, 11]]
    assert first.scores is not None
    assert first.scores.tolist() == [0.5, 0.5]
    assert second.visibility is not None
    assert second.visibility.tolist() == [VISIBLE, ABSENT]
    schema = labels.categories[0].schema
    assert schema is not None
    assert (schema.names, schema.limb_indices.tolist()) == (("nose", "tail"), [[0, 1]])


def test_what_is_not_taken_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", ("a.mp4", "b.mp4"))
    with h5py.File(path, "a") as file:
        file["processing/behavior/PoseEstimation/nose/data"].attrs["unit"] = "meters"
        typed(file["processing/behavior"], "empty", "PoseEstimation")
    context = Context()
    read_labels(path, context=context)
    text = " ".join(map(str, context.findings.sentences()))
    assert "Names of further videos than a.mp4" in text
    assert "in meters" in text
    assert "Pose estimation without keypoints, not taken over: /processing/behavior/empty" in text


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb")
    write(tmp_path / "b.nwb")
    with h5py.File(path, "a") as file:
        file["processing/behavior/more"] = h5py.ExternalLink("b.nwb", "/processing/behavior/PoseEstimation")
    assert read_labels(path).num_instances() == 3


def test_a_file_without_poses_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    with h5py.File(path, "w") as file:
        file.create_group("processing")
    with pytest.raises(LabelError, match="no poses"):
        read_labels(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(LabelError, match=r"a\.nwb"):
        read_labels(path)


def made_labels() -> Labels:
    points = np.array([[1.5, 2.25], [30.0, 40.0]])
    visibility = np.array([VISIBLE, OCCLUDED], np.uint8)
    half = np.array([VISIBLE, ABSENT], np.uint8)
    scores = np.array([0.25, 0.75])
    instances = [
        Instance(0, 0, points, visibility, track=0, key="a"),
        Instance(0, 0, points + 1, half, key="b"),
        Instance(1, 0, points, half, scores=scores, track=0, is_prediction=True, key="c"),
        Instance(2, 0, points + 3, np.array([2, 2], np.uint8), scores=scores, track=0, is_prediction=True, key="d"),
        Instance(2, 0, points + 9, np.array([2, 2], np.uint8), is_prediction=True, key="e"),
    ]
    frames = [Frame("", 0, 3), Frame("", 0, 700), Frame("", 0, 705)]
    category = Category("mouse", MOUSE)
    return Labels(frames, instances, [category], [Media(VIDEO, "gone.mp4")], tracks={0: "Anna / 1"})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out.nwb"
    context = Context()
    write_labels(made_labels(), path, context=context)
    assert any("gone.mp4" in str(sentence) for sentence in context.findings.sentences())
    labels = read_labels(path)
    frames = list(labels.frames())
    rows = sorted(
        (
            frames[i.frame].index,
            i.is_prediction,
            "" if i.track is None else labels.tracks[i.track],
            None if i.keypoints is None else i.keypoints[0].tolist(),
            None if i.visibility is None else i.visibility.tolist(),
            None if i.scores is None else i.scores.tolist(),
        )
        for i in labels.instances()
    )
    assert rows == [
        (3, False, "", [2.5, 3.25], [VISIBLE, ABSENT], None),
        (3, False, "Anna _ 1", [1.5, 2.25], [VISIBLE, OCCLUDED], None),
        (700, True, "Anna _ 1", [1.5, 2.25], [VISIBLE, ABSENT], [0.25, 0.75]),
        (705, True, "", [10.5, 11.25], [VISIBLE, VISIBLE], None),
        (705, True, "Anna _ 1", [4.5, 5.25], [VISIBLE, VISIBLE], [0.25, 0.75]),
    ]  # fmt: skip
    assert labels.categories[0].name == "mouse"


def test_images_keep_their_names(tmp_path: Path) -> None:
    labels = Labels(
        [Frame("one/a.png", 0, 0), Frame("b.png", 0, 1)],
        [Instance(1, 0, np.ones((2, 2)), np.full(2, VISIBLE, np.uint8), key="a")],
        [Category("mouse", MOUSE)],
        [Media(IMAGES)],
    )
    write_labels(labels, tmp_path / "out.nwb")
    back = read_labels(tmp_path / "out.nwb")
    assert [frame.name for frame in back.frames()] == ["b.png"]


def test_the_extension_reads_what_is_written(tmp_path: Path) -> None:
    import ndx_pose  # noqa: F401
    import pynwb

    path = tmp_path / "out.nwb"
    write_labels(made_labels(), path)
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        behavior = io.read().processing["behavior"]
        assert len(behavior["PoseTraining"].training_frames.training_frames) == 1
        series = behavior["Anna _ 1"]["nose"]
        assert np.isfinite(series.data[:]).all(axis=1).nonzero()[0].tolist() == [0, 5]
        assert series.starting_time == 700
    assert pynwb.validate(path=str(path)) in ([], ([], 0))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ndx_pose", None)
    with pytest.raises(LabelError, match=r"poseapp\[nwb\]"):
        format_named("nwb").write(made_labels(), tmp_path / "out.nwb")
    assert not list(tmp_path.iterdir())


def series_at(times: Any, start: float | None = None, rate: float = 0.0) -> Series:
    return Series("a", np.zeros((3, 2)), None, None if times is None else np.array(times), start, rate, "pixels")


@pytest.mark.parametrize(
    ("series", "rate", "expected"),
    [
        (series_at([0.1, 0.2, 0.5]), 10.0, [1, 2, 5]),
        (series_at([0.1, 0.2, 0.5]), 0.0, [0, 1, 2]),
        (series_at(None, 2.0, 10.0), 10.0, [20, 21, 22]),
        (series_at([0.14, 0.2, 0.5]), 10.0, [0, 1, 2]),
        (series_at([0.1, np.nan, 0.5]), 10.0, [0, 1, 2]),
        (series_at([-0.1, 0.2, 0.5]), 10.0, [0, 1, 2]),
    ],
)
def test_frames_are_found_by_time_where_the_rate_of_the_video_is_known(
    series: Series, rate: float, expected: list[int]
) -> None:
    estimation = Estimation("/a", "a", Skeleton(), Video(("a.mp4",), rate), series=[series])
    assert frames_of(estimation).frames[0].tolist() == expected


def test_a_rate_is_constant_only_if_all_frames_are_where_it_puts_them() -> None:
    assert constant_rate(np.arange(100) / 25) == pytest.approx(25)
    assert constant_rate(np.round(np.arange(100) / 30, 3)) == pytest.approx(30, abs=0.1)
    assert constant_rate(np.array([0, 0.04, 0.12, 0.16])) is None
    assert constant_rate(np.array([0.0])) is None


@pytest.mark.parametrize("name", ["0.1.1_poseestimation_nodes_edges", "0.3.0_poseestimation_one_camera"])
def test_real_files_have_the_poses_of_their_samples(shared: Path, name: str) -> None:
    path = shared / f"data/formats/ndx-pose/{name}.nwb"
    with h5py.File(path) as file:
        data = [file[f"processing/behavior/PoseEstimation/front_{side}_paw/data"][()] for side in ("left", "right")]
    labels = read_labels(path)
    assert labels.num_instances() == len(data[0])
    for n, instance in enumerate(labels.instances()):
        assert instance.keypoints is not None
        assert instance.keypoints.tolist() == [data[0][n, :2].tolist(), data[1][n, :2].tolist()]
