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
    "changes", [{"skeletons": [{"links": 3}]}, {"skeletons": 7}, {"labels": 5}, {"nodes": [], "skeletons": [{}, 2]}]
)
def test_files_that_cannot_be_used_are_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match=r"labels\.json"):
        find_format(write(tmp_path / "labels.json")).read(write(tmp_path / "labels.json", **changes))
