"""Labels in NWB files: sparse frames, several media, names that objects of HDF5 cannot have, what pynwb makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import engine.formats.nwb.samples as samples_module
from engine.errors import Cancelled
from engine.formats import read_labels, write_labels
from engine.formats.registry import WriteOptions
from engine.labels import IMAGES, OCCLUDED, VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.labels.reader import LabelReader
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

MOUSE = schema_from_names("mouse", ["nose", "tail"], [(0, 1)])


def pose(frame: int, x: float, **attributes: Any) -> Instance:
    attributes.setdefault("key", f"{frame}|{x}")
    points, visibility = np.array([[x, 1.0], [x, 2.0]]), np.array([VISIBLE, VISIBLE], np.uint8)
    if attributes.get("is_prediction"):
        attributes.setdefault("scores", np.array([0.25, 0.5]))
    return Instance(frame, attributes.pop("category", 0), points, visibility, **attributes)


def rows(labels: LabelReader) -> list[tuple[str, str, int, str, float]]:
    """Video, image, index in a video, track, first x of each pose."""
    frames = list(labels.frames())
    result = []
    for instance in labels.instances():
        frame = frames[instance.frame]
        media = labels.media[frame.media]
        index = frame.index if media.type == VIDEO else -1
        assert instance.keypoints is not None
        track = "" if instance.track is None else labels.tracks[instance.track]
        name = frame.name if media.type == IMAGES else ""
        result.append((media.path, name, index, track, float(instance.keypoints[0, 0])))
    return sorted(result)


def round_trip(tmp_path: Path, labels: LabelReader, context: Context | None = None) -> LabelReader:
    write_labels(labels, tmp_path / "out.nwb", context=context)
    return read_labels(tmp_path / "out.nwb")


def of(frames: list[Frame], instances: list[Instance], *media: Media, **options: Any) -> Labels:
    categories = options.pop("categories", [Category("mouse", MOUSE)])
    return Labels(frames, instances, categories, media, **options)


def test_frames_far_apart_take_no_room(tmp_path: Path) -> None:
    indices = [0, 1, 500_000_000, 2_000_000_000]
    frames = [Frame("", 0, index) for index in indices]
    instances = [pose(n, n, is_prediction=True, track=0) for n in range(4)]
    labels = round_trip(tmp_path, of(frames, instances, Media(VIDEO, "a.mp4"), tracks={0: "anna"}))
    assert rows(labels) == [("a.mp4", "", index, "anna", float(n)) for n, index in enumerate(indices)]
    assert (tmp_path / "out.nwb").stat().st_size < 1 << 20


def test_two_predictions_of_a_track_in_one_frame_are_both_written(tmp_path: Path) -> None:
    instances = [pose(0, n, is_prediction=True, track=0) for n in range(2)]
    context = Context()
    labels = round_trip(tmp_path, of([Frame("", 0, 3)], instances, Media(VIDEO, "a.mp4"), tracks={0: "anna"}), context)
    assert rows(labels) == [("a.mp4", "", 3, "", 1.0), ("a.mp4", "", 3, "anna", 0.0)]
    assert "Second prediction of a track" in " ".join(map(str, context.findings.sentences()))


@pytest.mark.parametrize("is_absolute", [False, True])
def test_paths_are_relative_to_the_file_or_absolute(tmp_path: Path, is_absolute: bool) -> None:
    for name in ("clips/a.mp4", "images/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    frames = [Frame("", 0, 0), Frame("b.png", 1, 0)]
    media = [Media(VIDEO, "clips/a.mp4"), Media(IMAGES, "images")]
    labels = of(frames, [pose(0, 1), pose(1, 2)], *media, path=tmp_path / "a.json")
    write_labels(labels, tmp_path / "out.nwb", options=WriteOptions(absolute_paths=is_absolute))
    folder = f"{tmp_path.as_posix()}/" if is_absolute else ""
    assert [row[:2] for row in rows(read_labels(tmp_path / "out.nwb"))] == [
        ("", f"{folder}images/b.png"), (f"{folder}clips/a.mp4", ""),
    ]  # fmt: skip


def test_tracks_of_several_videos_keep_their_names(tmp_path: Path) -> None:
    frames = [Frame("", 0, 3), Frame("", 1, 4)]
    instances = [pose(n, n, is_prediction=True, track=0) for n in range(2)]
    labels = round_trip(
        tmp_path, of(frames, instances, Media(VIDEO, "a.mp4"), Media(VIDEO, "b.mp4"), tracks={0: "anna"})
    )
    assert rows(labels) == [("a.mp4", "", 3, "anna", 0.0), ("b.mp4", "", 4, "anna", 1.0)]


@pytest.mark.parametrize("is_prediction", [False, True])
def test_images_of_several_folders_in_several_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_prediction: bool
) -> None:
    monkeypatch.setattr(samples_module, "_IMAGES_IN_SERIES", 2)
    frames = [Frame(f"{n}.png", n % 2, n // 2) for n in range(8)]
    instances = [pose(n, n, is_prediction=is_prediction, track=0) for n in range(8)]
    media = [Media(IMAGES, "one"), Media(IMAGES, "two")]
    labels = round_trip(tmp_path, of(frames, instances, *media, tracks={0: "anna"}))
    assert [row[1] for row in rows(labels)] == sorted(f"{('one', 'two')[n % 2]}/{n}.png" for n in range(8))
    assert all(name == f"{('one', 'two')[int(x) % 2]}/{int(x)}.png" for _, name, _, _, x in rows(labels))
    assert {row[3] for row in rows(labels)} == {"anna"}
    assert len(labels.tracks) == 1


def test_thousands_of_images_are_written(tmp_path: Path) -> None:
    frames = [Frame(f"{n}.png", 0, n) for n in range(9000)]
    labels = round_trip(tmp_path, of(frames, [pose(8999, 7), pose(1, 3)], Media(IMAGES)))
    assert rows(labels) == [("", "1.png", -1, "", 3.0), ("", "8999.png", -1, "", 7.0)]


def test_names_that_nwb_cannot_have(tmp_path: Path) -> None:
    names = ["nodes", "device", "a/b", "mouse", "c:d", "ü\ud800"]
    schema = schema_from_names("mouse", names)
    points = np.arange(12, dtype=float).reshape(6, 2)
    visible = np.full(6, VISIBLE, np.uint8)
    instances = [Instance(0, 0, points, visible, track=n, is_prediction=bool(n), key=str(n)) for n in range(2)]
    options = {"categories": [Category("mouse", schema)], "tracks": {0: "PoseTraining", 1: ".."}}
    labels = round_trip(tmp_path, of([Frame("", 0, 0)], instances, Media(VIDEO, "a.mp4"), **options))
    category = labels.categories[0].schema
    assert category is not None
    assert category.names == (*names[:5], "ü?")
    for instance in labels.instances():
        assert instance.keypoints is not None
        assert instance.keypoints.tolist() == points.tolist()


def test_categories_of_one_name_stay_apart(tmp_path: Path) -> None:
    wheel = schema_from_names("mouse", ["left", "right"])
    categories = [Category("mouse", MOUSE, 1), Category("mouse", wheel, 2)]
    instances = [pose(0, 0, is_prediction=True, track=0), pose(0, 1, category=1, is_prediction=True, track=0)]
    labels = round_trip(tmp_path, of([Frame("", 0, 0)], instances, Media(VIDEO, "a.mp4"), categories=categories))
    names = [labels.categories[i.category].schema for i in labels.instances()]
    assert sorted(schema.names for schema in names if schema is not None) == [("left", "right"), ("nose", "tail")]


def test_categories_without_poses_are_kept(tmp_path: Path) -> None:
    categories = [Category("mouse", MOUSE), Category("bird", schema_from_names("bird", ["beak", "tail"], [(0, 1)]))]
    labels = round_trip(tmp_path, of([Frame("", 0, 0)], [pose(0, 0)], Media(VIDEO, "a.mp4"), categories=categories))
    names = {
        c.name: (c.schema.names, c.schema.limb_indices.tolist()) for c in labels.categories if c.schema is not None
    }
    assert names == {"mouse": (("nose", "tail"), [[0, 1]]), "bird": (("beak", "tail"), [[0, 1]])}


def test_labels_are_in_training_frames_that_the_extension_reads(tmp_path: Path) -> None:
    import ndx_pose  # noqa: F401
    import pynwb

    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    label = Instance(0, 0, points, np.array([VISIBLE, OCCLUDED], np.uint8), key="a")
    labels = of([Frame("", 0, 70_000)], [label, pose(0, 9, is_prediction=True)], Media(VIDEO, "a.mp4"))
    write_labels(labels, tmp_path / "out.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "out.nwb"), "r") as io:
        behavior = io.read().processing["behavior"]
        (frame,) = behavior["PoseTraining"].training_frames.training_frames.values()
        assert frame.source_video_frame_index == 70_000
        assert list(frame.source_video.external_file) == ["a.mp4"]
        (instance,) = frame.skeleton_instances.skeleton_instances.values()
        assert instance.node_locations[:].tolist() == points.tolist()
        assert instance.node_visibility[:].tolist() == [True, False]
        assert list(instance.skeleton.nodes) == ["nose", "tail"]
    assert pynwb.validate(path=str(tmp_path / "out.nwb")) in ([], ([], 0))


def test_frames_that_the_video_does_not_have_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.media.source.frame_times", lambda _: np.arange(10) / 25)
    frames, instances = [Frame("", 0, 3), Frame("", 0, 12)], [pose(n, n, is_prediction=True) for n in range(2)]
    context = Context()
    labels = round_trip(tmp_path, of(frames, instances, Media(VIDEO, "a.mp4")), context)
    assert [row[2] for row in rows(labels)] == [3, 12]
    assert "frames that the video does not have" in " ".join(map(str, context.findings.sentences()))


@pytest.mark.parametrize("step", [0.04, 0.0])
def test_times_are_those_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    times = 5.0 + (np.arange(100) * step if step else np.cumsum(np.arange(1, 101) / 100))
    monkeypatch.setattr("engine.media.source.frame_times", lambda _: times)
    frames = [Frame("", 0, index) for index in (3, 4, 90)]
    instances = [pose(n, n, is_prediction=True, track=0) for n in range(3)]
    labels = round_trip(tmp_path, of(frames, instances, Media(VIDEO, "a.mp4"), tracks={0: "anna"}))
    assert [row[2] for row in rows(labels)] == [3, 4, 90]
    with h5py.File(tmp_path / "out.nwb") as file:
        series = file["processing/behavior/anna/nose"]
        written = series["timestamps"][()]
        assert written[[0, 1, -1]] == pytest.approx(times[[3, 4, 90]])


def test_nothing_is_left_behind_when_cancelled(tmp_path: Path) -> None:
    class Stop(Context):
        def progress(self, done: int, total: int = 0, text: str = "") -> None:
            if text == "Writing":
                raise Cancelled("stop")

    with pytest.raises(Cancelled):
        write_labels(of([Frame("", 0, 0)], [pose(0, 0)], Media(VIDEO, "a.mp4")), tmp_path / "out.nwb", context=Stop())
    assert not list(tmp_path.iterdir())
