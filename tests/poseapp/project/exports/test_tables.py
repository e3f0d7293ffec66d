"""Tracks as tables, read back by other readers than our own."""

from __future__ import annotations

import csv
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ProjectError
from engine.media.video.writer import write_mp4
from engine.schema.schema import schema_from_names
from poseapp.project.edits.basic import add_instance, make_instance, set_visibility
from poseapp.project.exports.tables import TableOptions, export_csv, export_dlc, export_parquet
from poseapp.project.formats.videos import import_video
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore
from tests.poseapp.project.track_project import add_video, put


@pytest.fixture
def media(store: ProjectStore, tmp_path: Path) -> int:
    """A real video of 5 frames at odd times: track 1 in all of them, 2 in two, one pose without a track."""
    times = [Fraction(n, 10) for n in (0, 1, 3, 4, 8)]
    list(write_mp4(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 5, times, (64, 48)))
    index = import_video(store, tmp_path / "clip.mp4").id
    for n in range(5):
        put(store, FrameKey(index, n), 10.25 + n, 1, labelled=n == 2)
    for n in (1, 3):
        put(store, FrameKey(index, n), 40, 2, box=False)
    pose = put(store, FrameKey(index, 4), 50, labelled=True)
    for point, value in ((1, 1), (2, 0)):
        key = FrameKey(index, 4)
        store.apply(set_visibility(key, store.instance(pose.id), [point], value))
    return index


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_a_pose_with_times_of_the_file(store: ProjectStore, media: int, tmp_path: Path) -> None:
    report = export_csv(store, tmp_path / "out" / "tracks.csv")
    rows = read(report.path)
    assert report.count == len(rows) == 8
    assert report.problems == []
    first = rows[0]
    assert (first["video"], first["frame_index"], first["frame"], first["track"]) == ("clip.mp4", "0", "000000", "1")
    assert [float(r["time"]) for r in rows if r["track"] == "1"] == [0, 0.1, 0.3, 0.4, 0.8]
    assert (float(first["nose.x"]), float(first["nose.y"])) == (10.25, 20)
    assert [float(first[f"box.{side}"]) for side in ("x1", "y1", "x2", "y2")] == [8.25, 18, 20.25, 30]
    assert (first["state"], first["source"], first["score"], first["nose.score"]) == (
        "predicted",
        "model",
        "0.9",
        "0.9",
    )
    lonely = rows[-1]
    assert (lonely["track"], lonely["state"], lonely["score"]) == ("", "labelled", "")
    assert (lonely["right_ear.x"], lonely["right_ear.visibility"], lonely["left_ear.visibility"]) == ("", "0", "1")
    assert rows[2]["box.x1"] == ""


def test_rows_can_be_left_out(store: ProjectStore, media: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert export_csv(store, path, TableOptions(include_predicted=False)).count == 2
    assert export_csv(store, path, TableOptions(only_tracked=True)).count == 7
    assert export_csv(store, path, TableOptions(media=[media + 1])).count == 0
    assert len(read(path)) == 0


def test_categories_share_the_table(store: ProjectStore, media: int, tmp_path: Path) -> None:
    other = store.add_category("pen", schema_from_names("pen", ["tip", "nose"]))
    pose = make_instance(store.new_ids(1)[0], other, [(1, 2), (3, 4)])
    store.apply(add_instance(FrameKey(media, 0), pose))
    export_csv(store, tmp_path / "t.csv")
    last = read(tmp_path / "t.csv")[1]
    assert (last["category"], last["tip.x"], last["nose.x"], last["tail.x"]) == ("pen", "1.0", "3.0", "")


def test_parquet_holds_the_same_with_types(store: ProjectStore, media: int, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export_parquet(store, tmp_path / "t.parquet").count == 8
    export_csv(store, tmp_path / "t.csv")
    table = parquet.read_table(tmp_path / "t.parquet")
    expected = read(tmp_path / "t.csv")
    assert table.column_names == list(expected[0])
    assert str(table.schema.field("track").type) == "int64"
    assert str(table.schema.field("nose.x").type) == "double"
    for row, text in zip(table.to_pylist(), expected, strict=True):
        assert {k: "" if v is None else str(v) for k, v in row.items()} == text


def test_an_empty_project_gives_a_table_with_a_head_only(store: ProjectStore, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert export_csv(store, tmp_path / "t.csv").count == 0
    assert (tmp_path / "t.csv").read_text().startswith("video,frame_index,frame,time,track,")
    assert export_parquet(store, tmp_path / "t.parquet").count == 0


def test_dlc_table_of_several(store: ProjectStore, media: int, tmp_path: Path) -> None:
    report = export_dlc(store, tmp_path / "d.csv", media)
    assert report.problems == ["Poses left out, no track: 1"]
    with report.path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[:4]] == ["scorer", "individuals", "bodyparts", "coords"]
    assert rows[1][1:] == ["track_1"] * 12 + ["track_2"] * 12
    assert rows[2][1:5] == ["nose", "nose", "nose", "left_ear"]
    assert rows[3][1:4] == ["x", "y", "likelihood"]
    assert [row[0] for row in rows[4:]] == ["0", "1", "2", "3", "4"]
    assert rows[4][1:4] == ["10.25", "20.0", "0.9"]
    assert rows[6][1:4] == ["12.25", "20.0", "1.0"]  # labelled
    assert rows[4][13:16] == ["", "", ""]
    assert rows[5][13:16] == ["40.0", "20.0", "0.9"]


def test_dlc_table_of_one_has_no_individuals(store: ProjectStore, tmp_path: Path) -> None:
    index = add_video(store, 3, "one.mp4")
    put(store, FrameKey(index, 1), 5)
    export_dlc(store, tmp_path / "d.csv", index)
    with (tmp_path / "d.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["scorer", "bodyparts", "coords", "0", "1", "2"]
    assert math.isclose(float(rows[4][1]), 5)
    empty = add_video(store, 3, "none.mp4")
    with pytest.raises(ProjectError, match="no poses"):
        export_dlc(store, tmp_path / "e.csv", empty)
    with pytest.raises(ProjectError, match="no media"):
        export_dlc(store, tmp_path / "e.csv", 99)


def dlc_rows(path: Path) -> list[list[str]]:
    """Rows of a table as pandas reads it: a row without values below the header is no row."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    head = next(n for n, row in enumerate(rows) if row[0] == "coords") + 1
    assert any(rows[head][1:]), "pandas takes this row for names of the index"
    assert len({len(row) for row in rows}) == 1
    return rows


def test_a_first_frame_without_a_pose_stays_a_row_of_the_dlc_table(store: ProjectStore, tmp_path: Path) -> None:
    index = add_video(store, 3, "one.mp4")
    put(store, FrameKey(index, 1), 5)
    export_dlc(store, tmp_path / "d.csv", index)
    rows = dlc_rows(tmp_path / "d.csv")
    assert [row[0] for row in rows[3:]] == ["0", "1", "2"]
    assert set(rows[3][1:]) == {"NaN"}
    assert set(rows[5][1:]) == {""}


def test_two_animals_without_tracks_are_two_individuals_of_the_dlc_table(store: ProjectStore, tmp_path: Path) -> None:
    index = add_video(store, 2, "one.mp4")
    put(store, FrameKey(index, 0), 5)
    put(store, FrameKey(index, 0), 7)
    put(store, FrameKey(index, 1), 9)
    report = export_dlc(store, tmp_path / "d.csv", index)
    assert not any("left out" in text for text in report.problems)
    rows = dlc_rows(tmp_path / "d.csv")
    assert rows[1] == ["individuals"] + ["individual_1"] * 12 + ["individual_2"] * 12
    assert [float(rows[4][n]) for n in (1, 13)] == [5, 7]
    assert (float(rows[5][1]), rows[5][13]) == (9, "")


def test_categories_with_other_points_have_dlc_tables_of_their_own(store: ProjectStore, tmp_path: Path) -> None:
    index = add_video(store, 2, "one.mp4")
    put(store, FrameKey(index, 0), 5)
    put(store, FrameKey(index, 1), 6)
    other = store.add_category("a pen", schema_from_names("pen", ["tip", "nose"]))
    pose = make_instance(store.new_ids(1)[0], other, [(1, 2), (3, 4)])
    store.apply(add_instance(FrameKey(index, 1), pose))
    (tmp_path / "d_a_pen.csv").write_text("mine")
    report = export_dlc(store, tmp_path / "d.csv", index)
    assert report.problems[-1] == "'a pen' has other points and is in a table of its own: d_a_pen_2.csv"
    assert (tmp_path / "d_a_pen.csv").read_text() == "mine"
    animals, pens = dlc_rows(tmp_path / "d.csv"), dlc_rows(tmp_path / "d_a_pen_2.csv")
    assert set(animals[1][1:]) == {"nose", "left_ear", "right_ear", "tail"}
    assert pens[1][1:] == ["tip"] * 3 + ["nose"] * 3
    assert [row[0] for row in pens[3:]] == ["0", "1"]
    assert pens[4][1:] == ["1.0", "2.0", "1.0", "3.0", "4.0", "1.0"]


def test_a_video_that_is_gone_costs_the_times_only(store: ProjectStore, media: int, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").unlink()
    report = export_csv(store, tmp_path / "t.csv")
    assert report.count == 8
    assert len(report.problems) == 1
    assert "clip.mp4" in report.problems[0]


def test_what_is_stopped_or_fails_leaves_the_old_file(store: ProjectStore, media: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")

    def stop(done: int, total: int) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        export_csv(store, path, progress=stop)
    assert path.read_text() == "old"
    assert list(tmp_path.glob(".t.*")) == []
    with pytest.raises(ProjectError, match="cannot be written"):
        export_csv(store, path / "below" / "t.csv")


def test_no_cell_of_a_table_is_a_formula(store: ProjectStore, media: int, tmp_path: Path) -> None:
    category = store.categories()[0]
    store.update_category(category.id, name="=cmd|' /C calc'!A0")
    report = export_csv(store, tmp_path / "tracks.csv")
    rows = read(report.path)
    assert {row["category"] for row in rows} == {"'=cmd|' /C calc'!A0"}
    assert any("apostrophe" in problem for problem in report.problems)
    assert all(float(row["time"]) >= 0 for row in rows)
