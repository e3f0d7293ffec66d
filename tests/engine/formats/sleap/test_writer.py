"""SLEAP files that are written hold what SLEAP shows, and are read back as they were."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats import find_format, read_labels, write_labels
from engine.formats.registry import WriteOptions
from engine.formats.sleap.format import SleapFormat
from engine.labels import (
    ABSENT,
    OCCLUDED,
    VIDEO,
    VISIBLE,
    Category,
    Frame,
    Instance,
    LabelReader,
    Labels,
    Media,
)
from engine.schema.schema import schema_from_names
from engine.utils.context import Context

SCHEMA = schema_from_names("mouse", ["nose", "left_ear", "right_ear"], [(0, 1), (0, 2)])
BIRD = schema_from_names("bird", ["beak", "nose"], [(1, 0)])


def pose(frame: int, category: int = 0, **more: object) -> Instance:
    count = (3, 2)[category]
    points = np.arange(2.0 * count).reshape(count, 2) + 10 * frame
    visibility = np.array([VISIBLE, OCCLUDED, ABSENT][:count], np.uint8)
    return Instance(frame, category, points, visibility, **more)  # type: ignore[arg-type]


def labels_of(path: Path) -> Labels:
    """Labels and predictions in a video and in images, with tracks, an empty and a suggested frame."""
    frames = [
        Frame("", 0, 5),
        Frame("", 0, 2, is_negative=True),
        Frame("", 0, 9, is_flagged=True),
        Frame("a/x.png", 1, 0),
        Frame("b/x.png", 1, 1),
    ]
    instances = [
        pose(3),
        pose(0, track=7),
        pose(0, 1),
        pose(4, 1, is_prediction=True, score=0.75, scores=np.array([0.5, 0.25])),
        pose(0, is_prediction=True, track=3),
    ]
    categories = [Category("mouse", SCHEMA), Category("bird", BIRD), Category("box only")]
    media = [Media(VIDEO, "v.mp4", stored_pixels=True), Media()]
    return Labels(frames, instances, categories, media, path=path, tracks={7: "ann"})


def rows_of(labels: LabelReader) -> list[tuple[object, ...]]:
    frames = list(labels.frames())
    rows = []
    for i in labels.instances():
        assert i.keypoints is not None
        assert i.visibility is not None
        frame = frames[i.frame]
        where = frame.name or frame.index
        track = None if i.track is None else labels.tracks[i.track]
        points = [tuple(p) if v else None for p, v in zip(i.keypoints.tolist(), i.visibility.tolist())]
        scores = None if i.scores is None else i.scores.tolist()
        name = labels.categories[i.category].name
        rows.append((str(where), name, i.is_prediction, points, i.visibility.tolist(), track, i.score, scores))
    return sorted(rows, key=str)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    labels = labels_of(tmp_path / "in.json")
    path = tmp_path / "out.slp"
    write_labels(labels, path)
    assert find_format(path).name == "sleap"
    with read_labels(path) as again:
        expected = [
            (*row[:5], "track_3" if row[5] is None and row[0] == "5" and row[2] else row[5], *row[6:])
            for row in rows_of(
                Labels(
                    labels.frames(),
                    labels.instances(),
                    labels.categories,
                    labels.media,
                    tracks={7: "ann", 3: "track_3"},
                )
            )
        ]
        assert rows_of(again) == expected
        frames = {(frame.media, frame.index): frame for frame in again.frames()}
        assert [key for key, frame in frames.items() if frame.is_negative] == [(0, 2)]
        assert [key for key, frame in frames.items() if frame.is_flagged] == [(0, 9)]
        assert again.media[0].path == "v.mp4"
        for category, schema in zip(again.categories, (SCHEMA, BIRD), strict=True):
            assert category.schema is not None
            assert category.schema.names == schema.names
            limbs = [[(limb.start, limb.end) for limb in s.limbs] for s in (category.schema, schema)]
            assert limbs[0] == limbs[1]
            assert category.schema.flip_indices.tolist() == schema.flip_indices.tolist()


def test_the_tables_are_those_of_sleap(tmp_path: Path) -> None:
    path = tmp_path / "out.slp"
    write_labels(labels_of(tmp_path / "in.json"), path)
    with h5py.File(path) as file:
        instances, frames = file["instances"][()], file["frames"][()]
        assert file["metadata"].attrs["format_id"] == 1.2
        assert frames["frame_idx"].tolist() == [5, 2, 9, 0, 1]
        spans = list(zip(frames["instance_id_start"].tolist(), frames["instance_id_end"].tolist()))
        assert spans == [(0, 3), (3, 3), (3, 3), (3, 4), (4, 5)]
        assert instances["instance_type"].tolist() == [0, 0, 1, 0, 1]
        assert instances["point_id_end"].tolist() == [3, 5, 3, 8, 5]
        points = file["points"][()]
        assert points["visible"].tolist() == [True, False, False, True, False, True, False, False]
        assert np.isnan(points["x"]).tolist() == [False, False, True, False, False, False, False, True]
        metadata = json.loads(file["metadata"].attrs["json"])
        assert [node["name"] for node in metadata["nodes"]] == ["nose", "left_ear", "right_ear", "beak"]
        assert [node["id"] for node in metadata["skeletons"][1]["nodes"]] == [3, 0]
        assert [json.loads(line) for line in file["tracks_json"][()]] == [[0, "track_3"], [0, "ann"]]


def test_predictions_are_left_out_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "out.slp"
    SleapFormat().write(labels_of(tmp_path / "in.json"), path, WriteOptions(include_predictions=False))
    with read_labels(path) as labels:
        assert [i.is_prediction for i in labels.instances()] == [False] * 3


def test_what_sleap_does_not_have_is_told(tmp_path: Path) -> None:
    labels = labels_of(tmp_path / "in.json")
    absent = pose(0).replace(visibility=np.zeros(3, np.uint8))
    odd = pose(0).replace(keypoints=np.zeros((2, 2)), visibility=np.full(2, VISIBLE, np.uint8))
    box = Instance(0, 2, box=np.array([1.0, 2, 3, 4]))
    more = Labels(labels.frames(), [pose(0), absent, odd, box], labels.categories, labels.media, path=labels.path)
    context = Context()
    SleapFormat().write(more, tmp_path / "out.slp", None, context)
    assert len(context.findings.sentences()) == 4  # one of the category without keypoints
    with read_labels(tmp_path / "out.slp") as again:
        assert len(list(again.instances())) == 1


def test_labels_without_keypoints_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    labels = Labels([Frame("a.png")], [], [Category("car")], path=tmp_path / "in.json")
    with pytest.raises(LabelError, match="no categories with keypoints"):
        write_labels(labels, tmp_path / "out.slp")
    assert not list(tmp_path.iterdir())


def test_a_skeleton_of_thousands_of_points_fits(tmp_path: Path) -> None:
    schema = schema_from_names("big", [f"p{n}" for n in range(3000)], [(n, n + 1) for n in range(2999)])
    points = np.random.default_rng(0).uniform(0, 99, (3000, 2))
    instance = Instance(0, 0, points, np.full(3000, VISIBLE, np.uint8))
    write_labels(Labels([Frame("a.png")], [instance], [Category("big", schema)], path="x"), tmp_path / "out.slp")
    with read_labels(tmp_path / "out.slp") as labels:
        (again,) = labels.instances()
        np.testing.assert_array_equal(again.keypoints, points)


def test_all_categories_are_written_and_read(tmp_path: Path) -> None:
    labels = Labels(
        [Frame("a.png", 0, 0)],
        [Instance(0, 1, np.ones((1, 2)), np.array([VISIBLE], np.uint8), key="a")],
        [Category(name, schema_from_names(name, ["nose"])) for name in ("cat", "dog")] + [Category("cage")],
    )
    context = Context()
    write_labels(labels, tmp_path / "out.slp", context=context)
    assert any("cage" in str(sentence) for sentence in context.findings.sentences())
    with read_labels(tmp_path / "out.slp") as back:
        assert [category.name for category in back.categories] == ["cat", "dog"]
        assert [instance.category for instance in back.instances()] == [1]


def test_a_score_of_a_prediction_without_scores_of_its_keypoints_is_kept(tmp_path: Path) -> None:
    scores = [0.5, None]
    labels = Labels(
        [Frame("a.png", 0, 0)],
        [Instance(0, 0, np.ones((1, 2)), np.array([VISIBLE], np.uint8), score=s, is_prediction=True) for s in scores],
        [Category("cat", schema_from_names("cat", ["nose"]))],
    )
    write_labels(labels, tmp_path / "out.slp")
    with read_labels(tmp_path / "out.slp") as back:
        assert [instance.score for instance in back.instances()] == scores


def test_a_category_that_is_called_as_sleap_calls_skeletons_keeps_its_name(tmp_path: Path) -> None:
    labels = Labels(
        [Frame("a.png", 0, 0)],
        [Instance(0, 0, np.ones((1, 2)), np.array([VISIBLE], np.uint8))],
        [Category("skeleton", schema_from_names("skeleton", ["nose"]))],
    )
    write_labels(labels, tmp_path / "out.slp")
    with read_labels(tmp_path / "out.slp") as back:
        assert [category.name for category in back.categories] == ["skeleton"]
