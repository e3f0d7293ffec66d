"""Tracks through the real window: tracking, mending, filling, carrying on, choosing frames, exporting."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.media.source import open_media
from engine.utils.context import Context
from poseapp.commands.track import _apply_tracked
from poseapp.dialogs.prompt import AskDialog
from poseapp.jobs.tracking import TrackJob
from poseapp.project import edits
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import X264, Clip, make
from tests.poseapp.conftest import POSE, SCHEMA

FRAMES = 24


@pytest.fixture
def film(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """A window on a video in which two poses walk past each other, as a model has found them."""
    with open_any(make(Clip("film.mp4", "libx264", X264, frames=FRAMES), tmp_path)) as store:
        category = store.add_category("figure", SCHEMA)
        media = store.media()[0].id
        for index in range(FRAMES):
            poses = []
            for position, id in zip((index * 3.0, 110 - index * 3.0), store.new_ids(2), strict=True):
                points = POSE / 4 + np.array([position, 5.0 if position < 55 else 0.0])
                pose = edits.make_instance(id, category, points, box=[*(points.min(0) - 2), *(points.max(0) + 2)])
                poses.append(_predicted(pose))
            store.apply(edits.add_instance(FrameKey(media, index), *poses))
        path = store.path
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    return window


def _predicted(pose: Instance) -> Instance:
    from dataclasses import replace

    return replace(pose, state=State.PREDICTED, source="model", score=0.9, scores=np.full(4, 0.9))


def done(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=15000)


def answer(window: MainWindow, qtbot: QtBot, value: object = None) -> None:
    qtbot.waitUntil(lambda: bool(window.findChildren(AskDialog)), timeout=2000)
    dialog = window.findChildren(AskDialog)[-1]
    if dialog.choice is not None and value is not None:
        dialog.choice.setCurrentIndex(dialog.choice.findData(value))
    dialog.do.click()
    qtbot.waitUntil(lambda: not window.findChildren(AskDialog), timeout=2000)


def store_of(window: MainWindow) -> ProjectStore:
    assert window.session.store is not None
    return window.session.store


def tracks(window: MainWindow, index: int) -> list[int | None]:
    return [i.track for i in store_of(window).instances(FrameKey(window.session.frames[0].media, index))]


def test_tracking_is_one_step_and_tracks_can_be_swapped_split_and_deleted(film: MainWindow, qtbot: QtBot) -> None:
    session, store = film.session, store_of(film)
    before = len(store.history())
    film.run("track_poses")
    done(film, qtbot)
    assert len(store.history()) == before + 1
    assert all(None not in tracks(film, index) for index in range(FRAMES))
    one, two = tracks(film, 0)
    assert one is not None
    assert two is not None
    media = session.frames[0].media
    session.go_to(FrameKey(media, 10))
    session.select(instances=[next(i.id for i in session.instances if i.track == one)])
    film.run("swap_tracks")
    answer(film, qtbot, two)
    assert tracks(film, 9) == [one, two]
    assert sorted(tracks(film, 10), key=str) == sorted([one, two], key=str)
    session.undo()
    session.select(instances=[next(i.id for i in session.instances if i.track == one)])
    film.run("split_track")
    later = {value for index in range(10, FRAMES) for value in tracks(film, index)}
    assert one not in later
    assert len(later) == 2
    session.select(instances=[next(i.id for i in session.instances if i.track == two)])
    film.run("delete_track")
    answer(film, qtbot, "rest")
    assert two not in tracks(film, 12)
    assert two in tracks(film, 3)
    session.undo()
    assert two in tracks(film, 12)


def test_a_pose_is_given_a_new_track_and_filled_between_keyframes(film: MainWindow, qtbot: QtBot) -> None:
    session, store = film.session, store_of(film)
    media = session.frames[0].media
    value = None
    for index in (0, 8):
        session.go_to(FrameKey(media, index))
        session.select(instances=[session.instances[0].id])
        film.run("assign_track")
        answer(film, qtbot, -1 if value is None else value)
        value = session.instances[0].track
        assert value is not None
        film.run("keyframe")
        assert session.instances[0].state is State.LABELLED
    session.select(instances=[session.instances[0].id])
    film.run("interpolate_track")
    filled = [i for i in store.instances(FrameKey(media, 4)) if i.track == value]
    assert len(filled) == 1
    ends = [next(i for i in store.instances(FrameKey(media, k)) if i.track == value) for k in (0, 8)]
    assert np.allclose(filled[0].keypoints, (ends[0].keypoints + ends[1].keypoints) / 2)
    assert filled[0].source == "interpolated"


def test_a_pose_is_carried_on_as_one_step(film: MainWindow, qtbot: QtBot) -> None:
    session, store = film.session, store_of(film)
    steps = len(store.history())
    session.select(instances=[session.instances[0].id])
    film.run("propagate_pose")
    done(film, qtbot)
    assert len(store.history()) <= steps + 1
    assert film.toasts.messages()


def test_chosen_frames_are_flagged(film: MainWindow, qtbot: QtBot) -> None:
    store = store_of(film)
    film.run("choose_frames")
    qtbot.waitUntil(lambda: bool(film.findChildren(AskDialog)), timeout=2000)
    dialog = film.findChildren(AskDialog)[-1]
    assert dialog.number is not None
    dialog.number.setValue(4)
    answer(film, qtbot, "uniform")
    done(film, qtbot)
    media = film.session.frames[0].media
    flagged = [index for index in range(FRAMES) if store.frame(FrameKey(media, index)).state.flagged]
    assert len(flagged) == 4


def test_a_table_and_a_video_are_written(
    film: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, video = tmp_path / "out" / "poses.csv", tmp_path / "out" / "drawn.mp4"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(table), "Table, one row per pose (*.csv)"))
    film.run("export_tracks")
    done(film, qtbot)
    with table.open() as file:
        assert len(list(csv.DictReader(file))) == 2 * FRAMES
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(video), ""))
    film.run("export_video")
    done(film, qtbot)
    with open_media(video) as source:
        assert source.frame_count == FRAMES
    assert any("written to drawn.mp4" in text for text in film.toasts.messages())


@pytest.mark.parametrize(
    ("chosen", "kind", "written"),
    [
        ("poses.csv", "Table for large projects (*.parquet)", "poses.parquet"),
        ("poses.parquet", "Table, one row per pose (*.csv)", "poses.parquet"),
        ("run.2", "Table for large projects (*.parquet)", "run.2.parquet"),
    ],
)
def test_a_table_is_what_its_name_says(
    film: MainWindow,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    kind: str,
    written: str,
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(folder / chosen), kind))
    film.run("export_tracks")
    done(film, qtbot)
    assert [path.name for path in folder.iterdir()] == [written]
    assert parquet.read_table(folder / written).num_rows == 2 * FRAMES


def test_a_table_beside_the_chosen_name_is_not_overwritten(
    film: MainWindow, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining = tmp_path / "poses.parquet"
    remaining.write_bytes(b"mine")
    kind = "Table for large projects (*.parquet)"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "poses.csv"), kind))
    film.run("export_tracks")
    done(film, qtbot)
    assert remaining.read_bytes() == b"mine"
    assert "exists already" in film.toasts.messages()[-1]


def test_verbs_of_tracks_say_what_is_missing(film: MainWindow) -> None:
    film.session.select(instances=[film.session.instances[0].id])
    film.run("split_track")
    assert "no track yet" in film.toasts.messages()[-1]


def test_sides_are_swapped_along_a_track_as_one_step(film: MainWindow, qtbot: QtBot) -> None:
    session, store = film.session, film.session.store
    assert store is not None
    film.run("track_poses")
    done(film, qtbot)
    pose = session.instances[0]
    session.go_to(session.frames[6])
    mine = next(i for i in session.instances if i.track == pose.track)
    session.select(instances=[mine.id])
    before = {key: store.instances(key) for key in session.frames}
    steps = len(store.history())
    film.run("swap_along")
    answer(film, qtbot, "rest")
    assert len(store.history()) == steps + 1
    flip = SCHEMA.flip_indices
    for position, key in enumerate(session.frames):
        for then, now in zip(before[key], store.instances(key), strict=True):
            swapped = position >= 6 and then.track == pose.track
            assert np.array_equal(now.keypoints, then.keypoints[flip] if swapped else then.keypoints)
            assert now.state is State.PREDICTED
    film.run("undo")
    assert all(a.same_as(b) for key in session.frames for a, b in zip(before[key], store.instances(key), strict=True))


def test_interpolation_over_predictions_asks_and_then_works(qtbot: QtBot, opened: MainWindow) -> None:
    session, store = opened.session, opened.session.store
    assert store is not None
    first, second, last = session.frames
    (guess,) = store.instances(second)
    label = store.instances(first)[0]
    tracked = [replace(label, track=4), replace(guess, track=4)]
    session.apply(edits.combined("Track", [edits.set_track(first, [label], 4), edits.set_track(second, [guess], 4)]))
    session.select(instances=[label.id])
    opened.run("interpolate_track")
    assert "has 1 of the 2 keyframes" in opened.toasts.messages()[-1]
    end = edits.paste(last, [tracked[0]], store.new_ids(1), offset=(20.0, 0.0), keep_track=True)
    session.apply(end)
    opened.run("interpolate_track")
    (dialog,) = [d for d in opened.findChildren(AskDialog) if d.isVisible()]
    assert dialog.chosen() is True
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    (between,) = store.instances(second)
    assert between.source == "interpolated"
    assert between.keypoints.tolist() == (label.keypoints + np.array([10.0, 0.0])).tolist()
    session.undo()
    assert store.instances(second)[0].same_as(tracked[1])
    session.go_to(first)
    session.select(instances=[label.id])
    opened.run("interpolate_track")
    (dialog,) = [d for d in opened.findChildren(AskDialog) if d.isVisible()]
    assert dialog.choice is not None
    dialog.choice.setCurrentIndex(1)  # keep them
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    assert opened.toasts.messages()[-1] == "Every frame between the keyframes already has a pose"
    assert store.instances(second)[0].same_as(tracked[1])


def test_a_pasted_pose_keeps_its_track_where_that_is_free(opened: MainWindow) -> None:
    session, store = opened.session, opened.session.store
    assert store is not None
    first, _, last = session.frames
    label = store.instances(first)[0]
    session.apply(edits.set_track(first, [label], 4))
    session.select(instances=[label.id])
    opened.run("copy")
    opened.run("paste")
    assert [i.track for i in session.instances] == [4, None, None]
    session.go_to(last)
    opened.run("paste")
    opened.run("paste")
    assert [i.track for i in session.instances] == [4, None]


def test_tracking_leaves_frames_alone_that_somebody_edited_meanwhile(film: MainWindow, qtbot: QtBot) -> None:
    session, store = film.session, store_of(film)
    media = session.frames[0].media
    key = FrameKey(media, 5)
    job = TrackJob(store.path, media, 1)
    (result,) = [step.result for step in job.run(Context()) if step.result is not None]
    pose = store.instances(key)[0]
    session.apply(edits.move_keypoints(key, pose, {0: (3.0, 4.0)}))
    _apply_tracked(film.context, store, result)
    assert tracks(film, 4) != [None, None]
    assert tracks(film, 5) == [None, None]
    assert store.instances(key)[0].keypoints[0].tolist() == [3.0, 4.0]
