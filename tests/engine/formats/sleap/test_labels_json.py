"""SLEAP's JSON labels: nodes by position and by name, predictions, tracks, images, damaged files."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine.errors import LabelError
from engine.formats import find_format, read_labels
from engine.labels import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE
from engine.labels.reader import LabelReader
from engine.utils.context import Context

EDGE = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [1]}]}
DOCUMENT: dict[str, Any] = {
    "version": "2.0.0",
    "skeletons": [
        {
            "directed": True,
            "graph": {"name": "fly", "num_edges_inserted": 1},
            "links": [{"edge_insert_idx": 0, "key": 0, "source": 1, "target": 0, "type": EDGE}],
            "multigraph": True,
            "nodes": [{"id": 1}, {"id": 0}],
        }
    ],
    "nodes": [{"name": "tail", "weight": 1.0}, {"name": "head", "weight": 1.0}],
    "videos": [
        {"backend": {"filename": "C:\\films\\a.mp4", "grayscale": True}},
        {"backend": {"filenames": ["b/0.png", "b/1.png"], "filename": ""}},
    ],
    "tracks": [[0, "Anna"], {"spawned_on": 3, "name": "Bert"}],
    "labels": [
        {
            "video": 0,
            "frame_idx": 7,
            "_instances": [
                {
                    "skeleton": 0,
                    "track": 1,
                    "_points": {"0": {"x": 1.5, "y": 2, "visible": True}, "1": {"x": 3, "y": 4, "visible": False}},
                },
                {
                    "skeleton": 0,
                    "track": None,
                    "score": 0.5,
                    "_points": {"0": {"x": 5, "y": 6, "score": 0.25}, "1": {"x": float("nan"), "y": 6, "score": 0.75}},
                },
            ],
        },
        {
            "video": "1",
            "frame_idx": 1,
            "instances": [{"skeleton": "0", "points": {"head": {"x": 9, "y": 8}}}],
        },
    ],
    "suggestions": [{"video": "0", "frame_idx": 9}],
}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**copy.deepcopy(DOCUMENT), **changes}))
    return path


def rows(labels: LabelReader) -> list[tuple[object, ...]]:
    frames = list(labels.frames())
    return [
        (
            frames[i.frame].index,
            i.is_prediction,
            None if i.keypoints is None else i.keypoints.tolist(),
            None if i.visibility is None else i.visibility.tolist(),
        )
        for i in labels.instances()
    ]


def test_labels_of_videos_and_images_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.json")
    assert find_format(path).name == "sleap_json"
    labels = read_labels(path)
    assert [(media.type, media.path) for media in labels.media] == [(VIDEO, "C:/films/a.mp4"), (IMAGES, "")]
    assert rows(labels) == [
        (7, False, [[3, 4], [1.5, 2]], [OCCLUDED, VISIBLE]),
        (7, True, [[0, 0], [5, 6]], [ABSENT, VISIBLE]),
        (0, False, [[9, 8], [0, 0]], [VISIBLE, ABSENT]),
    ]
    frames = list(labels.frames())
    assert [(frame.name, frame.index, frame.is_flagged) for frame in frames] == [
        ("", 7, False),
        ("b/1.png", 0, False),
        ("", 9, True),
    ]
    schema = labels.categories[0].schema
    assert schema is not None
    assert (labels.categories[0].name, schema.names, schema.limb_indices.tolist()) == (
        "fly",
        ("head", "tail"),
        [[0, 1]],
    )
    first, second, _ = labels.instances()
    assert first.track is not None
    assert labels.tracks[first.track] == "Bert"
    assert second.score == 0.5
    assert second.scores is not None
    assert second.scores.tolist() == [0.0, 0.25]


PREDICTION: dict[str, Any] = {
    "skeleton": 0,
    "track": None,
    "score": 0.5,
    "_points": {"0": {"x": 5, "y": 6, "score": 0.25}, "1": {"x": float("nan"), "y": 6, "score": 0.75}},
}


def read_frame(path: Path, *instances: dict[str, Any]) -> tuple[LabelReader, list[str]]:
    context = Context()
    labels = read_labels(write(path, labels=[{"video": 0, "frame_idx": 0, "_instances": instances}]), context=context)
    return labels, [str(sentence) for sentence in context.findings.sentences()]


def test_a_prediction_that_a_label_replaced_is_left_out_and_told(tmp_path: Path) -> None:
    label = {"skeleton": 0, "_points": {"0": {"x": 5, "y": 7}}, "from_predicted": PREDICTION}
    other = {**PREDICTION, "score": 0.25}
    labels, sentences = read_frame(tmp_path / "labels.json", label, PREDICTION, other)
    assert [(i.is_prediction, i.score, i.key) for i in labels.instances()] == [
        (False, None, "0|0"),
        (True, 0.25, "0|2"),
    ]
    (sentence,) = sentences
    assert "replaced" in sentence
    assert "instance 1" in sentence


@pytest.mark.parametrize(("written", "score"), [(0.75, 0.75), (1.5, 0.25), (float("nan"), 0.25), (None, 0.25)])
def test_scores_that_are_sums_give_way_to_the_mean_of_the_points(
    tmp_path: Path, written: float | None, score: float
) -> None:
    labels, _ = read_frame(tmp_path / "labels.json", {**PREDICTION, "score": written})
    assert [(i.is_prediction, i.score) for i in labels.instances()] == [(True, score)]


def test_an_instance_with_an_empty_score_is_a_prediction(tmp_path: Path) -> None:
    entry = {"skeleton": 0, "score": float("nan"), "_points": {"0": {"x": 5, "y": 6}}}
    labels, _ = read_frame(tmp_path / "labels.json", entry)
    assert [(i.is_prediction, i.score, i.scores) for i in labels.instances()] == [(True, None, None)]


def test_a_track_that_the_file_lacks_is_told(tmp_path: Path) -> None:
    labels, sentences = read_frame(tmp_path / "labels.json", {**PREDICTION, "track": 2})
    assert [i.track for i in labels.instances()] == [None]
    assert any("Track" in sentence for sentence in sentences)


def test_suggestions_by_video_are_read_and_negative_anchors_told(tmp_path: Path) -> None:
    context = Context()
    path = write(
        tmp_path / "labels.json", labels=[], suggestions={"0": [3, 5]}, negative_anchors={"0": [[3, 1, 2], [4, 1, 2]]}
    )
    labels = read_labels(path, context=context)
    assert [(frame.index, frame.is_flagged) for frame in labels.frames()] == [(3, True), (5, True)]
    (sentence,) = context.findings.sentences()
    assert (sentence.occurrences, "Negative anchors" in str(sentence)) == (2, True)


def test_a_zip_archive_of_them_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "labels.json.zip", "w") as archive:
        archive.write(write(tmp_path / "labels.json"), "labels.json")
    assert read_labels(tmp_path / "labels.json.zip").num_instances() == 3


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ({"video": 5, "frame_idx": 0, "_instances": [{}]}, "Frame of no video"),
        ({"video": 0, "frame_idx": -1, "_instances": [{}]}, "Frame of no video"),
        ({"video": 1, "frame_idx": 2, "_instances": [{}]}, "Frame of no video"),
        ({"video": 0, "frame_idx": 0, "_instances": [{"skeleton": 4, "_points": {"0": {}}}]}, "without a skeleton"),
        ({"video": 0, "frame_idx": 0, "_instances": [{"skeleton": 0, "_points": {"7": {"x": 1, "y": 1}}}]}, "lacks"),
        ({"video": 0, "frame_idx": 0, "_instances": [{"skeleton": 0, "_points": {"0": {"x": "a"}}}]}, "coordinates"),
        ("nothing", "Frame of no video"),
    ],
)
def test_records_that_cannot_be_used_are_told(tmp_path: Path, frame: Any, text: str) -> None:
    context = Context()
    labels = read_labels(write(tmp_path / "labels.json", labels=[frame, DOCUMENT["labels"][1]]), context=context)
    assert labels.num_instances() == 1
    assert any(text in str(sentence) for sentence in context.findings.sentences())


@pytest.mark.parametrize(
    "changes",
    [
        {"skeletons": [{"links": 3}]},
        {"skeletons": 7},
        {"skeletons": [{"nodes": [float("inf")]}]},
        {"labels": 5},
        {"nodes": [], "skeletons": [{}, 2]},
    ],
)
def test_files_that_cannot_be_used_are_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match=r"labels\.json"):
        find_format(write(tmp_path / "labels.json")).read(write(tmp_path / "labels.json", **changes))
