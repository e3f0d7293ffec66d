"""DeepLabCut's HDF5 tables and project folders as they are written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from engine.errors import LabelError
from engine.formats.registry import WriteOptions, find_format, format_named, read_labels, write_labels
from engine.labels import IMAGES, VIDEO, VISIBLE, Category, Frame, Instance, LabelReader, Labels, Media
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

MOUSE = Category("mouse", schema_from_names("mouse", ["snout", "tail"], [(0, 1)], category="mouse"))
SINGLE = Category("single", schema_from_names("single", ["corner"], category="single"))


def pose(frame: int, x: float, track: int | None = None, *, category: int = 0, predicted: bool = False) -> Instance:
    count = 1 if category else 2
    points = np.array([[x, 1.0 + n] for n in range(count)])
    scores = np.full(count, 0.5) if predicted else None
    return Instance(frame, category, points, np.full(count, VISIBLE, np.uint8), scores=scores, track=track,
                    is_prediction=predicted)  # fmt: skip


def labels_of(
    instances: list[Instance], names: tuple[str, ...] = ("a/1.png", "a/2.png", "b/1.png"), tracks: dict | None = None
) -> Labels:
    frames = [Frame(name, 0, index, 64, 48) for index, name in enumerate(names)]
    return Labels(frames, instances, [MOUSE, SINGLE], [Media(IMAGES)], tracks=tracks)


def values(labels: LabelReader) -> list[tuple[int, str, list[list[float]]]]:
    read = []
    for i in labels.instances():
        assert i.keypoints is not None
        read.append((i.frame, "" if i.track is None else labels.tracks[i.track], i.keypoints.tolist()))
    return read


def test_a_table_in_hdf5_has_the_layout_of_pandas_and_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "CollectedData_poseapp.h5"
    write_labels(labels_of([pose(0, 5), pose(2, 7)]), path)
    with h5py.File(path) as file:
        group = file["df_with_missing"]
        assert group.attrs["pandas_type"] == b"frame"
        assert [group[f"axis1_level{n}"][()].tolist() for n in range(2)] == [[b"a", b"b"], [b"1.png", b"2.png"]]
        assert [group[f"axis0_level{n}"].attrs["name"] for n in range(3)] == [b"scorer", b"bodyparts", b"coords"]
        assert group["block0_values"][0].tolist() == [5, 1, 5, 2]
        assert np.isnan(group["block0_values"][1]).all()
        for _, entry in group.items():
            assert all(not bytes(v).endswith(b".") for v in entry.attrs.values() if isinstance(v, bytes))
    with read_labels(path) as again:
        assert values(again) == [(0, "", [[5, 1], [5, 2]]), (2, "", [[7, 1], [7, 2]])]


def test_a_video_in_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "clip_tracks.h5"
    frames = [Frame("", 0, 1), Frame("", 0, 3)]
    video = Media(VIDEO, "clip.mp4", stored_pixels=True)
    labels = Labels(frames, [pose(0, 5, 0), pose(0, 6, 1), pose(1, 7, 1)], [MOUSE], [video], tracks={0: "anna"})
    write_labels(labels, path)
    with read_labels(path) as again:
        assert [frame.index for frame in again.frames()] == [0, 1, 2, 3]
        assert [(frame, name) for frame, name, _ in values(again)] == [(1, "anna"), (1, "track_1"), (3, "track_1")]


def test_predictions_on_images_are_a_table_with_likelihood(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    context = Context()
    write_labels(
        labels_of([pose(0, 5), pose(1, 6), pose(1, 7, predicted=True)]), path, format="deeplabcut", context=context
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out_predictions.csv"]
    with read_labels(path) as human, read_labels(tmp_path / "out_predictions.csv") as predicted:
        assert [i.is_prediction for i in human.instances()] == [False, False]
        (prediction,) = predicted.instances()
    assert (prediction.frame, prediction.is_prediction, prediction.score) == (1, True, 0.5)


def test_a_project_of_one_animal(tmp_path: Path) -> None:
    target = tmp_path / "project"
    write_labels(labels_of([pose(0, 5), pose(2, 7)]), target, format="deeplabcut")
    config = yaml.safe_load((target / "config.yaml").read_text())
    assert config["bodyparts"] == ["snout", "tail"]
    assert config["skeleton"] == [["snout", "tail"]]
    assert config["multianimalproject"] is False
    assert {Path(video).stem: entry["crop"] for video, entry in config["video_sets"].items()} == {
        "a": "0, 64, 0, 48", "b": "0, 64, 0, 48",
    }  # fmt: skip
    lines = (target / "labeled-data" / "a" / "CollectedData_poseapp.csv").read_text().splitlines()
    assert lines[0] == "scorer,,,poseapp,poseapp,poseapp,poseapp"
    assert lines[3:] == ["labeled-data,a,1.png,5.0,1.0,5.0,2.0", "labeled-data,a,2.png,,,,"]
    assert find_format(target).name == "deeplabcut"
    with read_labels(target) as again:
        assert values(again) == [(0, "", [[5, 1], [5, 2]]), (2, "", [[7, 1], [7, 2]])]
        (category,) = again.categories
        assert category.schema is not None
        assert [(limb.start, limb.end) for limb in category.schema.limbs] == [("snout", "tail")]


def test_a_first_image_without_a_pose_is_a_row_that_pandas_keeps(tmp_path: Path) -> None:
    write_labels(labels_of([pose(1, 5)]), tmp_path / "project", format="deeplabcut")
    lines = (tmp_path / "project" / "labeled-data" / "a" / "CollectedData_poseapp.csv").read_text().splitlines()
    assert lines[3] == "labeled-data,a,1.png,NaN,NaN,NaN,NaN"


def test_a_project_of_several_animals_and_unique_points(tmp_path: Path) -> None:
    instances = [pose(0, 5, 3), pose(0, 6), pose(1, 7, 3), pose(1, 9, category=1)]
    write_labels(labels_of(instances, tracks={3: "anna"}), tmp_path / "project", format="deeplabcut")
    config = yaml.safe_load((tmp_path / "project" / "config.yaml").read_text())
    assert config["individuals"] == ["anna", "individual_1"]
    assert config["multianimalbodyparts"] == ["snout", "tail"]
    assert config["uniquebodyparts"] == ["corner"]
    assert config["bodyparts"] == "MULTI!"
    with read_labels(tmp_path / "project") as again:
        assert [c.name for c in again.categories] == ["animal", "single"]
        read = values(again)
    assert [(frame, name) for frame, name, _ in read] == [
        (0, "anna"), (0, "individual_1"), (1, "anna"), (1, ""),
    ]  # fmt: skip


def test_two_tracks_of_one_name_and_a_number_that_is_a_name_stay_apart(tmp_path: Path) -> None:
    tracks = {0: "m", 1: "m", 2: "individual_1"}
    instances = [pose(0, 1, 0), pose(0, 2, 1), pose(0, 3, 2), pose(0, 4)]
    write_labels(labels_of(instances, tracks=tracks), tmp_path / "out.csv", format="deeplabcut")
    with read_labels(tmp_path / "out.csv") as again:
        assert [(name, points[0][0]) for _, name, points in values(again)] == [
            ("m", 1), ("m_2", 2), ("individual_1", 3), ("individual_1_", 4),
        ]  # fmt: skip


def test_very_many_short_tracks_become_numbered_individuals(tmp_path: Path) -> None:
    count = 400
    labels = labels_of([pose(n, n, n) for n in range(count)], tuple(f"{n}.png" for n in range(count)))
    context = Context()
    write_labels(labels, tmp_path / "out.csv", format="deeplabcut", context=context)
    assert any("More tracks than a table has room for" in text for text in context.findings.sentences())
    with read_labels(tmp_path / "out.csv") as again:
        assert [points[0][0] for _, _, points in values(again)] == list(range(count))


def test_another_category_is_a_project_of_its_own(tmp_path: Path) -> None:
    cage = Category("cage", schema_from_names("cage", ["door"], category="cage"))
    labels = Labels([Frame("1.png")], [pose(0, 1), pose(0, 2), pose(0, 3, category=1)], [MOUSE, cage])
    context = Context()
    write_labels(labels, tmp_path / "project", format="deeplabcut", context=context)
    assert "cage" in str(context.findings.sentences())
    with read_labels(tmp_path / "project" / "cage") as again:
        assert values(again) == [(0, "", [[3, 1]])]


def test_images_are_copied_and_names_stay_different(tmp_path: Path) -> None:
    import cv2

    names = ("left/a.b/1.png", "left_a_b/1.png")
    for index, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 50 * (index + 1), np.uint8))
    labels = Labels([Frame(n, 0, i) for i, n in enumerate(names)], [pose(0, 1), pose(1, 2)], [MOUSE],
                    [Media(IMAGES, str(tmp_path))])  # fmt: skip
    format_named("deeplabcut").write(labels, tmp_path / "project", WriteOptions(images="copy"), Context())
    pictures = sorted((tmp_path / "project" / "labeled-data").rglob("*.png"))
    assert len(pictures) == 2
    assert {int(cv2.imread(str(picture))[0, 0, 0]) for picture in pictures} == {50, 100}


def test_a_project_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "project"
    with pytest.raises(LabelError, match="no labelled poses"):
        write_labels(labels_of([pose(0, 1, predicted=True)]), target, format="deeplabcut")
    assert list(tmp_path.iterdir()) == []
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(LabelError, match="not an empty folder"):
        write_labels(labels_of([pose(0, 1)]), target, format="deeplabcut")
    assert [p.name for p in target.iterdir()] == ["notes.txt"]


def test_crowds_and_poses_of_another_length_are_reported(tmp_path: Path) -> None:
    wrong = Instance(0, 0, np.zeros((3, 2)), np.full(3, VISIBLE, np.uint8), key="wrong")
    crowd = Instance(0, 0, None, None, is_crowd=True, key="crowd")
    context = Context()
    write_labels(labels_of([pose(0, 1), wrong, crowd]), tmp_path / "out.csv", format="deeplabcut", context=context)
    text = " ".join(context.findings.sentences())
    assert "wrong" in text
    assert "crowd" in text
