"""Tables with a row per pose: written, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import LabelError
from engine.formats.registry import find_format, read_labels, write_labels
from engine.labels import ABSENT, IMAGES, OCCLUDED, VIDEO, VISIBLE, Category, Frame, Instance, Labels, Media
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


def test_videos_and_categories_of_one_name_stay_apart(tmp_path: Path) -> None:
    schemas = [schema_from_names("m", [name], category="m") for name in ("a", "b")]
    pose = np.array([[1.0, 2.0]]), np.array([VISIBLE], np.uint8)
    labels = Labels(
        [Frame("", 0, 3), Frame("", 1, 3)],
        [Instance(0, 0, *pose), Instance(1, 1, *pose)],
        [Category("m", schemas[0]), Category("m", schemas[1])],
        [Media(VIDEO, "day1/clip.mp4"), Media(VIDEO, "day2/clip.mp4")],
    )
    write_labels(labels, tmp_path / "out.csv", format="csv")
    with read_labels(tmp_path / "out.csv") as again:
        assert [(m.type, m.path) for m in again.media] == [(VIDEO, "day1/clip.mp4"), (VIDEO, "day2/clip.mp4")]
        assert [(i.frame, i.category) for i in again.instances()] == [(0, 0), (1, 1)]
        assert [c.schema.names for c in again.categories if c.schema] == [("a",), ("b",)]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_that_a_spreadsheet_saved_with_decimal_commas(tmp_path: Path, delimiter: str) -> None:
    schema = schema_from_names("m", ["a"], category="m")
    instance = Instance(0, 0, np.array([[1.5, 2.25]]), np.array([VISIBLE], np.uint8), score=0.5, is_prediction=True)
    path = tmp_path / "out.csv"
    write_labels(Labels([Frame("a.png")], [instance], [Category("m", schema)]), path, format="csv")
    lines = [line.replace(",", delimiter) for line in path.read_text().splitlines()]
    path.write_bytes(
        b"\xef\xbb\xbf" + "\r\n".join([lines[0], lines[1].replace(".", ",").replace("a,png", "a.png")]).encode()
    )
    assert find_format(path).name == "csv"
    with read_labels(path) as again:
        (read,) = again.instances()
        assert [frame.name for frame in again.frames()] == ["a.png"]
    assert read.keypoints is not None
    assert (read.keypoints.tolist(), read.score) == ([[1.5, 2.25]], 0.5)


@pytest.mark.parametrize(("column", "text"), [(1, "nan"), (1, "-1"), (1, "1e300"), (4, "nan"), (4, "inf"), (4, "x")])
def test_a_frame_or_track_that_is_no_number_is_reported(tmp_path: Path, column: int, text: str) -> None:
    schema = schema_from_names("m", ["a"], category="m")
    instance = Instance(0, 0, np.array([[1.5, 2.25]]), np.array([VISIBLE], np.uint8), track=1)
    path = tmp_path / "out.csv"
    write_labels(Labels([Frame("a.png")], [instance], [Category("m", schema)]), path, format="csv")
    header, row = path.read_text().splitlines()
    cells = row.split(",")
    cells[column] = text
    path.write_text("\n".join([header, row, ",".join(cells)]))
    context = Context()
    with read_labels(path, context=context) as again:
        assert again.num_instances() == 1
    assert "not a number" in str(context.findings.sentences())
