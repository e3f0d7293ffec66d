"""Datumaro's JSON: skeletons, points, boxes of groups, videos, records that cannot be used."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import LabelError
from engine.formats import find_format, format_named, read_labels
from engine.labels import ABSENT, OCCLUDED, VIDEO, VISIBLE
from engine.utils.context import Context

LABELS = [
    {"name": "mouse", "parent": "", "attributes": []},
    {"name": "nose", "parent": "mouse"},
    {"name": "tail", "parent": "mouse"},
    {"name": "cage", "parent": ""},
]
DOCUMENT: dict[str, Any] = {
    "info": {},
    "categories": {
        "label": {"labels": LABELS},
        "points": {"items": [{"label_id": 0, "labels": ["nose", "tail"], "joints": [[1, 2], [0, 9]]}]},
    },
    "items": [
        {
            "id": "a",
            "image": {"path": "a.png", "size": [30, 40]},
            "annotations": [
                {"type": "bbox", "label_id": 0, "group": 3, "bbox": [1, 2, 10, 20]},
                {"type": "skeleton", "label_id": 0, "group": 3, "points": [1, 2, 2, 3, 4, 1],
                 "attributes": {"track_id": 5}},
                {"type": "skeleton", "label_id": 0, "group": 0, "points": [5, 6, 2, 0, 0, 0]},
                {"type": "points", "label_id": 0, "group": 0, "points": [7, 8, 9, 10]},
                {"type": "bbox", "label_id": 3, "group": 0, "bbox": [0, 0, 5, 5]},
            ],
        },
        {"id": "empty", "media": {"path": "b.png"}, "annotations": []},
        {"id": "v", "video_frame": {"video_path": "c.mp4", "frame_index": 7}, "annotations": [
            {"type": "skeleton", "label_id": 0, "points": [1, 1, 2, 2, 2, 2]}]},
    ],
}  # fmt: skip


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_skeletons_points_and_boxes_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "default.json", DOCUMENT)
    assert find_format(path).name == "datumaro"
    context = Context()
    labels = read_labels(path, context=context)
    assert context.findings.sentences() == []
    assert [(c.name, None if c.schema is None else c.schema.names) for c in labels.categories] == [
        ("mouse", ("nose", "tail")),
        ("cage", None),
    ]
    frames = list(labels.frames())
    assert [(f.name, f.width, f.height, f.index) for f in frames] == [
        ("a.png", 40, 30, 0),
        ("b.png", 0, 0, 1),
        ("", 0, 0, 7),
    ]
    assert labels.media[1].type == VIDEO
    rows = [
        (
            i.frame,
            i.category,
            None if i.visibility is None else i.visibility.tolist(),
            None if i.box is None else i.box.tolist(),
            i.track,
        )
        for i in labels.instances()
    ]
    assert rows == [
        (0, 1, None, [0, 0, 5, 5], None),
        (0, 0, [VISIBLE, OCCLUDED], [1, 2, 11, 22], 0),
        (0, 0, [VISIBLE, ABSENT], None, None),
        (0, 0, [VISIBLE, VISIBLE], None, None),
        (2, 0, [VISIBLE, VISIBLE], None, None),
    ]


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ({"type": "skeleton", "label_id": 0, "points": [1, 2, 2]}, "not the keypoints"),
        ({"type": "skeleton", "label_id": 3, "points": [1, 2, 2]}, "not the keypoints"),
        ({"type": "skeleton", "label_id": 0, "points": [1, 2, 2, "x", 4, 2]}, "not the keypoints"),
        ({"type": "bbox", "label_id": 0, "bbox": [1, 2, 3]}, "corners are not numbers"),
        ({"type": "bbox", "label_id": 9, "bbox": [1, 2, 3, 4]}, "without a label"),
        ({"type": "polygon", "label_id": 0, "points": [1, 2]}, "type polygon"),
        (None, "type None"),
    ],
)
def test_annotations_that_cannot_be_used_are_told(tmp_path: Path, annotation: Any, text: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["items"] = [{"id": "a", "annotations": [annotation]}]
    context = Context()
    labels = read_labels(write(tmp_path / "a.json", document), context=context)
    assert labels.num_instances() == 0
    (sentence,) = context.findings.sentences()
    assert text in str(sentence)


@pytest.mark.parametrize("document", [{**DOCUMENT, "items": 3}, {"categories": {}}, []])
def test_other_files_are_an_error(tmp_path: Path, document: Any) -> None:
    with pytest.raises(LabelError, match=r"a\.json"):
        format_named("datumaro").read(write(tmp_path / "a.json", document))


def test_the_real_file_has_its_skeleton(shared: Path) -> None:
    labels = read_labels(shared / "data/formats/datumaro-skeleton")
    (instance,) = labels.instances()
    assert instance.keypoints is not None
    assert instance.keypoints.tolist() == [[0.9, 3.53], [2.45, 7.6], [5.2, 2.5]]
