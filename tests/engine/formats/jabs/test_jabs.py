"""JABS pose files: versions with one and with several mice, identities, damaged files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, read_labels
from engine.labels import ABSENT, VIDEO, Labels
from engine.labels.reader import LabelReader
from engine.utils.context import Context


def write(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(f"poseest/{name}", data=array)
    return path


def mice(frames: int = 3, slots: int = 2) -> dict[str, Any]:
    """Points whose numbers say where they belong; one mouse in the last frame, its first keypoint not found."""
    points = np.arange(frames * slots * 12 * 2, dtype=np.uint16).reshape(frames, slots, 12, 2)
    confidence = np.full((frames, slots, 12), 0.5, np.float32)
    confidence[-1, 0, 0] = 0
    confidence[-1, 1:] = 0
    counts = np.full(frames, slots, np.uint8)
    counts[-1] = 1
    tracks = np.tile(np.arange(slots, dtype=np.uint32), (frames, 1))
    return {"points": points, "confidence": confidence, "instance_count": counts, "instance_track_id": tracks}


def frame_indices(labels: LabelReader) -> list[int]:
    frames = list(labels.frames())
    return [frames[instance.frame].index for instance in labels.instances()]


def test_several_mice_with_tracks(tmp_path: Path) -> None:
    path = write(tmp_path / "cage_pose_est_v3.h5", **mice())
    assert find_format(path).name == "jabs"
    labels = read_labels(path)
    assert [(media.type, media.path) for media in labels.media] == [(VIDEO, "cage.avi")]
    assert frame_indices(labels) == [0, 0, 1, 1, 2]
    instances = list(labels.instances())
    assert [instance.track for instance in instances] == [0, 1, 0, 1, 0]
    assert all(instance.is_prediction and instance.source == "jabs" for instance in instances)
    second = instances[1]
    assert second.keypoints is not None
    assert second.keypoints[0].tolist() == [25, 24]  # y stands first in the file
    last = instances[-1]
    assert last.visibility is not None
    assert last.visibility[0] == ABSENT
    assert last.scores is not None
    assert last.scores.tolist() == [0.0, *[0.5] * 11]


def test_one_mouse_of_version_2_and_the_video_beside_it(tmp_path: Path) -> None:
    (tmp_path / "cage.mp4").touch()
    data = mice(slots=1)
    path = write(tmp_path / "cage_pose_est_v2.h5", points=data["points"][:, 0], confidence=data["confidence"][:, 0])
    labels = read_labels(path)
    assert labels.media[0].path == "cage.mp4"
    assert frame_indices(labels) == [0, 1, 2]
    assert [instance.track for instance in labels.instances()] == [None, None, None]


def test_identities_are_used_where_they_hold(tmp_path: Path) -> None:
    data = mice()
    data["instance_embed_id"] = np.array([[2, 1], [1, 2], [0, 1]], np.uint32)
    data["id_mask"] = np.array([[False, False], [True, False], [False, False]])
    labels = read_labels(write(tmp_path / "a_pose_est_v4.h5", **data))
    assert [instance.track for instance in labels.instances()] == [0, 1, None, 0, None]


def test_other_data_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a_pose_est_v6.h5", **mice(), seg_data=np.zeros((3, 2)))
    with h5py.File(path, "a") as file:
        file["static_objects/corners"] = np.zeros((4, 2))
    context = Context()
    read_labels(path, context=context)
    sentences = [str(sentence) for sentence in context.findings.sentences()]
    assert any("static_objects" in sentence for sentence in sentences)
    assert any("seg_data" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    "change",
    [
        {"points": np.zeros((3, 2, 11, 2))},
        {"points": np.zeros((3, 2, 12))},
        {"confidence": np.zeros((2, 2, 12))},
        {"confidence": np.array([b"a"])},
    ],
)
def test_arrays_that_do_not_fit_are_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match=r"a_pose_est_v3\.h5"):
        read_labels(write(tmp_path / "a_pose_est_v3.h5", **{**mice(), **change}))


def test_odd_arrays_beside_the_points_are_not_used(tmp_path: Path) -> None:
    data = {**mice(), "instance_count": np.zeros(7, int), "instance_track_id": np.zeros((3, 2))}
    data["confidence"][0, 0] = np.nan
    labels = read_labels(write(tmp_path / "a_pose_est_v3.h5", **data))
    assert frame_indices(labels) == [0, 1, 1, 2]
    assert isinstance(labels, Labels)


def test_values_that_are_not_taken_as_they_are_are_told(tmp_path: Path) -> None:
    data = mice()
    data["points"] = data["points"].astype(float)
    data["points"][0, 0, 0] = np.inf
    data["confidence"][0, 0, 1:3] = 3.5
    data["confidence"][2, 1, 0] = 0.5  # the last frame has one mouse
    data["instance_count"][1] = 9
    context = Context()
    labels = read_labels(write(tmp_path / "a_pose_est_v3.h5", **data), context=context)
    assert frame_indices(labels) == [0, 0, 1, 1, 2]
    first = next(iter(labels.instances()))
    assert first.scores is not None
    assert first.scores.tolist() == [0.0, 1.0, 1.0, *[0.5] * 9]
    text = "\n".join(map(str, context.findings.sentences()))
    remarks = (
        "above 1, taken as 1",
        "not finite, taken as absent",
        "left out: frame 2 mouse 1",
        "more than the 2 mice",
    )
    assert [remark for remark in remarks if remark not in text] == []


def test_boxes_of_version_8(tmp_path: Path) -> None:
    boxes = np.full((3, 2, 2, 2), np.nan)
    boxes[0, 1] = [[10, 20], [30, 50]]
    boxes[1, 0] = 0
    labels = read_labels(write(tmp_path / "a_pose_est_v8.h5", **mice(), bbox=boxes))
    assert [None if i.box is None else i.box.tolist() for i in labels.instances()] == [
        None, [10, 20, 30, 50], None, None, None,
    ]  # fmt: skip


def test_large_files_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "renamed.h5"
    with h5py.File(path, "w") as file:
        file["poseest/seg_data"] = np.zeros(1 << 20)
        for n in range(40):  # the table of names moves behind the data when it grows
            file[f"poseest/another_{n}"] = np.zeros(1)
        for name, array in mice().items():
            file[f"poseest/{name}"] = array
    assert path.read_bytes().find(b"confidence") > 1 << 20
    assert find_format(path).name == "jabs"
    assert frame_indices(read_labels(path)) == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("version", [2, 3, 5])
def test_real_files_have_the_poses_that_their_confidences_say(shared: Path, version: int) -> None:
    path = shared / f"data/formats/jabs/sample_pose_est_v{version}.h5"
    with h5py.File(path) as file:
        confidence = file["poseest/confidence"][()]
    labels = read_labels(path)
    instances = list(labels.instances())
    assert len(instances) == int((confidence.reshape(len(confidence), -1, 12) > 0).any(axis=2).sum())
    seen = sum(int((i.visibility != ABSENT).sum()) for i in instances if i.visibility is not None)
    assert seen == int((confidence > 0).sum())
