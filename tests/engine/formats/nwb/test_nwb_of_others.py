"""NWB files as other programs write them: times of their own for each keypoint, several files of a video, odd links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import read_labels
from engine.formats.nwb.file import Estimation, Series, Skeleton, Video
from engine.formats.nwb.reader import columns_of, track_name
from engine.formats.nwb.timing import frames_of
from engine.labels import ABSENT, OCCLUDED, VIDEO, VISIBLE
from engine.labels.reader import LabelReader
from engine.utils.context import Context


def typed(group: Any, name: str, type_name: str) -> Any:
    child = group.create_group(name)
    child.attrs["neurodata_type"] = type_name
    return child


def add_series(estimation: Any, name: str, frames: list[int], rate: float = 0.0, **attributes: Any) -> Any:
    """Points (frame, 1), as times frames / 30 or as a start and a rate."""
    series = typed(estimation, name, "PoseEstimationSeries")
    series["data"] = np.array([[frame, 1.0] for frame in frames])
    series["data"].attrs.update({"unit": "pixels", **attributes})
    series["confidence"] = np.full(len(frames), 0.5)
    if rate:
        series["starting_time"] = frames[0] / 30
        series["starting_time"].attrs["rate"] = rate
    else:
        series["timestamps"] = np.array(frames) / 30
    return series


def add_estimation(file: Any, path: str, software: str = "", **series: list[int]) -> Any:
    parent, _, name = path.rpartition("/")
    estimation = typed(file.require_group(parent), name, "PoseEstimation")
    estimation["original_videos"] = [b"a.mp4"]
    if software:
        estimation["source_software"] = software
    for node, frames in series.items():
        add_series(estimation, node, frames)
    return estimation


def read(path: Path) -> tuple[LabelReader, str]:
    context = Context()
    labels = read_labels(path, context=context)
    return labels, "\n".join(map(str, context.findings.sentences()))


def points_by_frame(labels: LabelReader) -> dict[int, list[float | None]]:
    """The x of the keypoints that are present; it is the number of the frame."""
    frames = list(labels.frames())
    result: dict[int, list[float | None]] = {}
    for instance in labels.instances():
        assert instance.keypoints is not None
        assert instance.visibility is not None
        xs = [x if v else None for x, v in zip(instance.keypoints[:, 0], instance.visibility, strict=True)]
        result[frames[instance.frame].index] = xs
    return result


def test_keypoints_of_sleap_are_joined_by_their_times(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        estimation = add_estimation(file, "processing/v/track=anna", "SLEAP", ear=[0, 1, 3, 9])
        add_series(estimation, "nose", [1, 2, 3], rate=29)  # sleap-io writes whole numbers as rates
    labels, text = read(tmp_path / "a.nwb")
    assert points_by_frame(labels) == {0: [0, None], 1: [1, 1], 2: [None, 2], 3: [3, 3], 9: [9, None]}
    assert labels.tracks == {0: "anna"}
    assert not text


def test_keypoints_with_times_of_their_own_are_in_order_and_this_is_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        add_estimation(file, "processing/v/anna", "another", ear=[0, 1, 9], nose=[1, 9])
    labels, text = read(tmp_path / "a.nwb")
    assert points_by_frame(labels) == {0: [0, None], 1: [1, 1], 2: [9, 9]}
    assert "times of their own" in text


@pytest.mark.parametrize(("frames", "remark"), [([0, 1, 2, 9, 10], "gaps"), ([0, 2, 1], "do not rise")])
def test_odd_times_are_told(tmp_path: Path, frames: list[int], remark: str) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        add_estimation(file, "processing/v/anna", ear=frames)
    labels, text = read(tmp_path / "a.nwb")
    assert sorted(points_by_frame(labels)) == list(range(len(frames)))
    assert remark in text


def test_times_of_the_video_give_the_frames() -> None:
    times = np.array([0.0, 0.1, 0.15, 0.4])
    series = [Series("a", np.zeros((2, 2)), None, np.array([0.1, 0.4]), None, 0.0, "")]
    estimation = Estimation("/a", "a", Skeleton(), Video(("a.mp4",), times=times), series=series)
    assert [frames.tolist() for frames in frames_of(estimation).frames] == [[1, 3]]
    series[0].times = np.array([0.12, 0.4])
    sample_frames = frames_of(estimation)
    assert sample_frames.frames[0].tolist() == [0, 1]
    assert not sample_frames.is_certain


def test_animals_of_other_keypoints_are_other_categories(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        add_estimation(file, "processing/v/anna", ear=[0, 1])
        add_estimation(file, "processing/v/wheel", left=[0, 1], right=[0, 1])
    labels, _ = read(tmp_path / "a.nwb")
    names = {c.name: c.schema.names for c in labels.categories if c.schema is not None}
    assert names == {"animal": ("ear",), "animal_2": ("left", "right")}
    lengths = [0 if i.keypoints is None else len(i.keypoints) for i in labels.instances()]
    assert lengths == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("nodes", "series", "expected"),
    [
        (("b", "a"), ("a", "b"), (("b", "a"), [1, 0])),
        (("snout", "left ear"), ("PoseEstimationSeriesLeftEar", "PoseEstimationSeriesSnout"),
         (("snout", "left ear"), [1, 0])),
        (("paw", "left_paw"), ("Series_left_paw", "Series_paw"), (("paw", "left_paw"), [1, 0])),
        (("a", "b", "c"), ("c",), (("a", "b", "c"), [2])),
        (("a", "b"), ("x", "b"), (("x", "b"), [0, 1])),
        (("a",), ("x_a", "y_a"), (("x_a", "y_a"), [0, 1])),
        ((), ("x",), (("x",), [0])),
    ],
)  # fmt: skip
def test_series_are_matched_with_the_nodes(nodes: Any, series: Any, expected: Any) -> None:
    made = [Series(name, np.zeros((1, 2)), None, None, None, 0.0, "") for name in series]
    assert columns_of(Estimation("/a", "a", Skeleton("s", nodes), Video(), series=made)) == expected


def test_limbs_are_not_taken_from_a_skeleton_of_other_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        estimation = add_estimation(file, "processing/v/anna", x=[0], y=[0])
        estimation["nodes"], estimation["edges"] = [b"a", b"b"], np.array([[0, 1]], np.uint8)
    labels, _ = read(tmp_path / "a.nwb")
    schema = labels.categories[0].schema
    assert schema is not None
    assert (schema.names, len(schema.limb_indices)) == (("x", "y"), 0)


@pytest.mark.parametrize(
    ("name", "track"),
    [("track=anna", "anna"), ("track=untracked", ""), ("PoseEstimation", ""), ("instance_3", ""), ("anna", "anna")],
)
def test_names_of_animals(name: str, track: str) -> None:
    assert track_name(name) == track


def test_data_in_other_files_are_not_read_and_this_is_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        add_estimation(file, "processing/v/bob", ear=[5])
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        estimation = add_estimation(file, "processing/v/anna", ear=[0, 1])
        file["processing/v/bob"] = h5py.ExternalLink("other.nwb", "/processing/v/bob")
        series = typed(estimation, "nose", "PoseEstimationSeries")
        series["data"] = h5py.ExternalLink("other.nwb", "/processing/v/bob/ear/data")
        typed(estimation, "tail", "PoseEstimationSeries")["data"] = h5py.SoftLink("/processing/v/anna/nose/data")
    labels, text = read(tmp_path / "a.nwb")
    assert points_by_frame(labels) == {0: [0], 1: [1]}
    assert (
        "Link to another file, which is not followed, not taken over: /processing/v/anna/nose/data and 1 more" in text
    )
    assert "no table of coordinates, not taken over: /processing/v/anna/nose" in text


def test_links_in_a_circle_are_an_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        estimation = add_estimation(file, "processing/v/anna", ear=[0])
        estimation["source_video"] = h5py.SoftLink("/processing/v/anna/source_video")
        estimation["loop"] = h5py.SoftLink("/processing/v/anna")
        file["processing/v/again"] = file["processing"]
    labels, _ = read(tmp_path / "a.nwb")
    assert labels.num_instances() >= 1


def test_scores_above_1_and_scaled_points(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        estimation = add_estimation(file, "processing/v/anna")
        series = add_series(estimation, "ear", [2, 3], conversion=2.0, offset=1.0)
        series["confidence"][...] = [0.5, 7.0]
    labels, text = read(tmp_path / "a.nwb")
    assert points_by_frame(labels) == {0: [5], 1: [7]}
    assert [i.scores.tolist() for i in labels.instances() if i.scores is not None] == [[0.5], [1.0]]
    assert "Confidences outside 0 to 1" in text


def add_frame(file: Any, name: str, index: int | None, video: Any = None, **arrays: Any) -> Any:
    frame = typed(file.require_group("processing/b/PoseTraining/training_frames"), name, "TrainingFrame")
    if index is not None:
        frame.attrs["source_video_frame_index"] = index
    if video is not None:
        frame["source_video"] = h5py.SoftLink(video)
    instance = typed(typed(frame, "skeleton_instances", "SkeletonInstances"), "instance_0", "SkeletonInstance")
    for key, array in arrays.items():
        instance[key] = array
    return frame


def add_video(file: Any, name: str, files: list[bytes], starts: list[int] | None = None) -> str:
    series = typed(file.require_group("acquisition"), name, "ImageSeries")
    series["external_file"] = files
    if starts is not None:
        series["external_file"].attrs["starting_frame"] = starts
    return f"/acquisition/{name}"


def test_frames_of_a_video_in_several_files(tmp_path: Path) -> None:
    points = np.array([[1.0, 2.0], [np.nan, np.nan], [5.0, 6.0]])
    arrays = {"node_locations": points, "node_visibility": np.array([True, True, False])}
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        parts = add_video(file, "parts", [b"a.mp4", b"b.mp4"], [0, 100])
        unknown = add_video(file, "unknown", [b"c.mp4", b"d.mp4"])
        add_frame(file, "f0", 99, parts, **arrays)
        add_frame(file, "f1", 100, parts, **arrays)
        add_frame(file, "f2", 100, unknown, **arrays)
        add_frame(file, "f3", None, **arrays)
    labels, text = read(tmp_path / "a.nwb")
    frames = [(labels.media[f.media].path, f.index) for f in labels.frames() if labels.media[f.media].type == VIDEO]
    assert frames == [("a.mp4", 99), ("b.mp4", 0), ("c.mp4", 100)]
    assert "Several files of a video" in text
    assert "no video is named" in text
    first = next(iter(labels.instances()))
    assert first.visibility is not None
    assert first.visibility.tolist() == [VISIBLE, ABSENT, OCCLUDED]


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        video = add_video(file, "v", [b"a.mp4"])
        add_frame(file, "good", 0, video, node_locations=np.zeros((2, 2)))
        add_frame(file, "odd", 1, video, node_locations=np.zeros((2, 5)))
        add_frame(file, "flags", 2, video, node_locations=np.zeros((2, 2)), node_visibility=np.array([True]))
    labels, text = read(tmp_path / "a.nwb")
    assert labels.num_instances() == 2
    assert "odd/skeleton_instances/instance_0" in text
    assert "flags/skeleton_instances/instance_0/node_visibility" in text


def test_a_size_that_cannot_be_real_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        estimation = add_estimation(file, "processing/v/anna", ear=[0])
        series = typed(estimation, "nose", "PoseEstimationSeries")
        series.create_dataset("data", (1 << 40, 2), "f8", chunks=(1024, 2))
    with pytest.raises(LabelError, match="cannot be real"):
        read_labels(tmp_path / "a.nwb")
