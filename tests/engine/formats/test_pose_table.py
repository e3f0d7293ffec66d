"""Tables with a row per pose: written, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats.registry import find_format, read_labels, write_labels
from engine.labels import ABSENT, IMAGES, OCCLUDED, VISIBLE, Category, Frame, Instance, Labels, Media
from engine.schema.schema import schema_from_names
from engine.utils.context import Context


def two_categories() -> Labels:
    mouse = schema_from_names("mouse", ["snout", "tail"], category="mouse")
    cage = schema_from_names("cage", ["corner"], category="cage")
    instances = [
        Instance(
            1,
            0,
            np.array([[1.5, 2.25], [0, 0]]),
            np.array([OCCLUDED, ABSENT], np.uint8),
            scores=np.array([0.75, 0.0]),
            score=0.5,
            box=np.array([1.0, 2, 3, 4]),
            track=7,
            is_prediction=True,
            source="net",
        ),
        Instance(0, 1, np.array([[9.0, 8.0]]), np.array([VISIBLE], np.uint8)),
    ]
    frames = [Frame("=a.png", 0, 0), Frame("b.png", 0, 1)]
    return Labels(frames, instances, [Category("mouse", mouse), Category("cage", cage)], [Media(IMAGES, "shots")])


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    write_labels(two_categories(), path, format="csv")
    assert find_format(path).name == "csv"
    with read_labels(path) as labels:
        assert [(media.type, media.path) for media in labels.media] == [(IMAGES, "shots")]
        assert [(frame.name, frame.index) for frame in labels.frames()] == [("b.png", 1), ("=a.png", 0)]
        names = {c.name: c.schema.names for c in labels.categories if c.schema is not None}
        assert names == {"mouse": ("snout", "tail"), "cage": ("corner",)}
        mouse, corner = labels.instances()
    assert mouse.keypoints is not None
    assert mouse.visibility is not None
    assert mouse.scores is not None
    assert mouse.box is not None
    assert (mouse.keypoints.tolist(), mouse.visibility.tolist()) == ([[1.5, 2.25], [0, 0]], [OCCLUDED, ABSENT])
    assert (mouse.scores.tolist(), mouse.score, mouse.box.tolist()) == ([0.75, 0], 0.5, [1, 2, 3, 4])
    assert (mouse.frame, mouse.track, mouse.is_prediction, mouse.source) == (0, 7, True, "net")
    assert (corner.frame, corner.track, corner.is_prediction, corner.scores, corner.box) == (1, None, False, None, None)


def test_names_that_look_like_formulas_are_guarded(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    write_labels(two_categories(), path, format="csv")
    assert ",'=a.png," in path.read_text()


def test_a_row_that_cannot_be_used_is_reported_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    write_labels(two_categories(), path, format="csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "short,1", lines[1].replace("1.5", "x")]))
    context = Context()
    with read_labels(path, context=context) as labels:
        assert (labels.num_instances(), len(list(labels.instances()))) == (2, 2)
    assert context.findings.sentences() == [
        "Row with fewer cells than the 25 of the header, left out: poses.csv line 4",
        "Row with a cell that is not a number, left out: poses.csv line 5",
    ]


def test_parquet_has_the_same_rows_with_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_labels(two_categories(), tmp_path / "poses.parquet")
    table = parquet.read_table(tmp_path / "poses.parquet")
    assert table.column("snout.x").to_pylist() == [1.5, None]
    assert table.column("track").to_pylist() == [7, None]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("video,frame_index,frame,time,track,category,state,source,score,other\n")
    with pytest.raises(LabelError, match="not a table of poses"):
        read_labels(path)
