"""SLEAP's analysis arrays: both orders of axes, labels and predictions, damaged files, and round trips."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels
from engine.labels import ABSENT, OCCLUDED, VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.schema.schema import schema_from_names
from engine.utils.context import Context


def arrays(frames: int = 4, tracks: int = 2, nodes: int = 3) -> dict[str, np.ndarray]:
    """Points whose numbers say where they belong; the second track is missing in frame 1."""
    points = np.arange(frames * tracks * nodes * 2, dtype=float).reshape(frames, tracks, nodes, 2)
    points[1, 1] = np.nan
    points[2, 0, 1] = np.nan
    scores = np.full((frames, tracks), np.nan)
    scores[:, 1] = 0.5
    return {
        "tracks": points.transpose(1, 3, 2, 0),
        "node_names": np.array([f"n{n}".encode() for n in range(nodes)]),
        "track_names": np.array([f"t{n}".encode() for n in range(tracks)]),
        "track_occupancy": np.ones((frames, tracks), np.uint8),
        "edge_inds": np.array([[0, 1], [1, 2]], np.int32),
        "instance_scores": scores.T,
        "point_scores": np.full((tracks, nodes, frames), np.nan),
    }


def write(path: Path, data: dict[str, np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in data.items():
            file.create_dataset(name, data=array)
        file.create_dataset("video_path", data="C:\\films\\v.mp4")
    return path


@pytest.mark.parametrize("is_matlab", [True, False])
def test_both_orders_of_axes_are_read(tmp_path: Path, is_matlab: bool) -> None:
    data = arrays()
    if not is_matlab:
        data["tracks"] = data["tracks"].transpose(3, 0, 2, 1)
        data["instance_scores"] = data["instance_scores"].T
        data["point_scores"] = data["point_scores"].transpose(2, 0, 1)
    path = write(tmp_path / "a.h5", data)
    assert find_format(path).name == "sleap_analysis"
    labels = read_labels(path)
    frames = list(labels.frames())
    assert labels.media[0].path == "C:/films/v.mp4"
    rows = [(frames[i.frame].index, labels.tracks[i.track or 0], i.is_prediction, i.score) for i in labels.instances()]
    assert rows == [
        (0, "t0", False, None),
        (0, "t1", True, 0.5),
        (1, "t0", False, None),
        (2, "t0", False, None),
        (2, "t1", True, 0.5),
        (3, "t0", False, None),
        (3, "t1", True, 0.5),
    ]
    third = list(labels.instances())[3]
    assert third.visibility is not None
    assert third.keypoints is not None
    assert third.visibility.tolist() == [VISIBLE, ABSENT, VISIBLE]
    assert third.keypoints[2].tolist() == [28, 29]
    schema = labels.categories[0].schema
    assert schema is not None
    assert [(limb.start, limb.end) for limb in schema.limbs] == [("n0", "n1"), ("n1", "n2")]


@pytest.mark.parametrize("tracks", [np.zeros((2, 3)), np.zeros((2, 5, 3, 4)), np.array([b"x"]), np.zeros((0, 0, 0, 0))])
def test_tracks_of_another_shape_are_an_error(tmp_path: Path, tracks: np.ndarray) -> None:
    path = write(tmp_path / "a.h5", {**arrays(), "tracks": tracks})
    with pytest.raises(LabelError, match=r"a\.h5"):
        read_labels(path)


def test_odd_arrays_beside_the_tracks_are_not_used(tmp_path: Path) -> None:
    odd = {"track_names": np.array([b"one"]), "edge_inds": np.array([[0, 99]]), "instance_scores": np.zeros(7)}
    context = Context()
    labels = read_labels(write(tmp_path / "a.h5", {**arrays(), **odd}), context=context)
    assert labels.tracks == {}
    assert not any(i.is_prediction for i in labels.instances())
    assert len(context.findings.sentences()) == 1


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    schema = schema_from_names("mouse", ["nose", "tail"], [(0, 1)])
    frames = [Frame("", 0, 7), Frame("", 0, 2), Frame("x.png", 1, 0)]
    visibility = np.array([VISIBLE, ABSENT], np.uint8)
    instances = [
        Instance(0, 0, np.array([[1.5, 2], [0, 0]]), visibility, track=4),
        Instance(
            1, 0, np.array([[3, 4], [0, 0]]), visibility, np.array([0.25, 0]), score=0.5, is_prediction=True, track=1
        ),
        Instance(1, 0, np.array([[5, 6], [0, 0]]), np.array([OCCLUDED, ABSENT], np.uint8)),
        Instance(2, 0, np.array([[9, 9], [0, 0]]), np.zeros(2, np.uint8)),
    ]
    media = [Media(VIDEO, "v.mp4", stored_pixels=True), Media()]
    labels = Labels(frames, instances, [Category("mouse", schema)], media, path=tmp_path / "in.json", tracks={4: "ann"})
    context = Context()
    format_named("sleap_analysis").write(labels, tmp_path / "out.h5", None, context)
    assert len(context.findings.sentences()) == 2  # the pose without a keypoint, and the one without a track
    again = read_labels(tmp_path / "out.h5")
    indices = [frame.index for frame in again.frames()]
    rows = [
        (indices[i.frame], again.tracks[i.track or 0], i.keypoints[0].tolist(), i.is_prediction, i.score)
        for i in again.instances()
        if i.keypoints is not None
    ]
    assert rows == [
        (2, "track_1", [3, 4], True, 0.5),
        (2, "untracked_1", [5, 6], False, None),
        (7, "ann", [1.5, 2], False, None),
    ]
