"""Playback: every frame with its poses, at its time, the late ones left out; what a person does stops it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.jobs.frames import playback_decoder
from poseapp.jobs.frames.playback_decoder import Shown
from poseapp.project import edits
from poseapp.project.model import FrameKey
from poseapp.project.opening import open_any
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import X264, Clip, make, number_in
from tests.poseapp.conftest import POSE, SCHEMA

FRAMES = 45


@pytest.fixture
def film(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """The window on a video of 45 frames at 30 a second whose pictures carry their number; a pose in every frame."""
    video = make(Clip("film.mp4", "libx264", {**X264, "g": "12", "preset": "ultrafast"}, frames=FRAMES), tmp_path)
    with open_any(video) as store:
        category = store.add_category("figure", SCHEMA)
        items = [
            edits.add_instance(key, edits.make_instance(index, category, POSE * 0.4 + key.index))
            for key, index in zip(store.frame_keys(), store.new_ids(FRAMES))
        ]
        store.apply(edits.combined("Poses", items))
        path = store.path
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    qtbot.waitUntil(lambda: window.canvas.image_size == (160, 96), timeout=5000)
    return window


@pytest.fixture
def seen(film: MainWindow) -> list[Shown]:
    results: list[Shown] = []
    film.playback.shown.connect(results.append)
    return results


def drawn(film: MainWindow) -> list[int]:
    """Ids of the poses on the canvas."""
    return [instance.id for instance in film.canvas._state.arrays.instances]


def played(film: MainWindow, qtbot: QtBot, timeout: int = 8000) -> None:
    film.run("play")
    assert film.playback.playing
    film.refresh_actions_now()
    assert film.actions_by_id["play"].isChecked()
    qtbot.waitUntil(lambda: not film.playback.playing, timeout=timeout)
    film.refresh_actions_now()
    assert not film.actions_by_id["play"].isChecked()


def test_it_plays_to_the_end_and_shows_the_pictures_it_says(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.session.go_to(film.session.frames[30])
    played(film, qtbot)
    values = [shown.key.index for shown in seen]
    assert values == sorted(set(values))
    assert values[0] == 30
    assert values[-1] == FRAMES - 1
    assert [number_in(shown.pixels) for shown in seen if shown.pixels is not None] == values
    assert all(np.allclose(s.instances[0].keypoints, POSE * 0.4 + s.key.index) for s in seen)
    assert seen[-1].dropped == (FRAMES - 30) - len(seen)
    assert film.session.position() == FRAMES - 1
    assert film.canvas._host.frame == film.session.frame


def test_the_status_line_tells_the_frame_in_sight(film: MainWindow, qtbot: QtBot) -> None:
    messages: list[tuple[str, str]] = []
    film.playback.shown.connect(lambda shown: messages.append((film.status.place.text(), f"frame {shown.key.index}")))
    film.session.go_to(film.session.frames[30])
    played(film, qtbot)
    assert messages
    assert all(text.endswith(index) for text, index in messages)
    assert film.status.place.text().endswith(f"frame {FRAMES - 1}")


def test_at_the_end_it_begins_anew(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.session.go_to(film.session.frames[-1])
    film.playback.set_speed(4.0)
    played(film, qtbot)
    assert seen[0].key.index == 0


def test_the_clock_is_kept_whatever_the_speed(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.playback.set_speed(4.0)
    moments: list[tuple[float, int]] = []
    film.playback.shown.connect(lambda shown: moments.append((time.monotonic(), shown.key.index)))
    start = time.monotonic()
    played(film, qtbot)
    first = moments[0][1]
    # No picture comes before its time; how much later it comes is a matter of the machine.
    assert all(moment - start >= (index - first) / 30 / 4 for moment, index in moments)


@pytest.mark.slow
def test_slow_drawing_leaves_frames_out_and_says_so(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.playback.shown.connect(lambda _shown: time.sleep(0.12))
    played(film, qtbot)
    assert len(seen) < FRAMES
    assert seen[-1].key.index == FRAMES - 1
    assert seen[-1].dropped == FRAMES - len(seen)


@pytest.mark.slow
def test_where_one_frame_takes_long_the_key_frames_are_shown(
    film: MainWindow, seen: list[Shown], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback_decoder, "LATE_SECONDS", 0.0)
    film.playback.shown.connect(lambda _shown: time.sleep(0.3))
    played(film, qtbot)
    assert {shown.key.index for shown in seen} & {12, 24, 36}
    assert [number_in(shown.pixels) for shown in seen if shown.pixels is not None] == [s.key.index for s in seen]


def test_it_stays_within_the_marks_and_loops(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    frames = film.session.frames
    film.session.go_to(frames[10])
    film.run("mark_in")
    film.session.go_to(frames[14])
    film.run("mark_out")
    assert film.session.frame_range.places(frames) == (10, 14)
    film.playback.set_loop(True)
    film.session.go_to(frames[30])
    film.run("play")
    qtbot.waitUntil(lambda: [s.key.index for s in seen].count(10) >= 2, timeout=8000)
    film.run("play")
    assert not film.playback.playing
    assert {s.key.index for s in seen} <= set(range(10, 15))
    assert 10 <= film.session.position() <= 14
    film.run("clear_range")
    assert film.session.frame_range.places(frames) is None


@pytest.mark.slow
def test_keys_clicks_and_verbs_stop_it_on_the_frame_in_sight(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.playback.set_speed(0.1)
    session, view = film.session, film.canvas.viewport()

    def press() -> None:
        QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(60, 60))

    for end, moved in (
        (lambda: qtbot.keyClick(film.canvas, Qt.Key.Key_K), 0),
        (lambda: qtbot.keyClick(film.canvas, Qt.Key.Key_Period), 1),
        (lambda: qtbot.keyClick(film.canvas, Qt.Key.Key_Comma), -1),
        (lambda: film.run("flag"), 0),
        (press, 0),
    ):
        seen.clear()
        film.run("play")
        qtbot.waitUntil(lambda: len(seen) >= 2, timeout=5000)
        shown = seen[-1].key
        end()
        assert not film.playback.playing
        assert session.position() == session.position(shown) + moved
        qtbot.waitUntil(lambda: film.canvas._host.frame == session.frame, timeout=5000)


def test_a_change_elsewhere_does_not_draw_over_what_plays(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.playback.set_speed(0.1)
    film.run("play")
    qtbot.waitUntil(lambda: len(seen) >= 2, timeout=5000)
    store = film.session.store
    assert store is not None
    key = film.session.frame
    assert key == FrameKey(1, 0)
    film.session.apply(edits.delete_instances(key, store.instances(key)))
    assert film.playback.playing
    assert drawn(film) == [i.id for i in seen[-1].instances]
    film.playback.stop()


def test_another_project_and_the_end_of_the_window_stop_it(film: MainWindow, seen: list[Shown], qtbot: QtBot) -> None:
    film.playback.set_speed(0.1)
    film.run("play")
    qtbot.waitUntil(lambda: len(seen) >= 1, timeout=5000)
    film.session.close()
    assert not film.playback.playing


def test_a_video_that_is_gone_stops_it_with_a_word(film: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    film.loader.clear()
    (tmp_path / "film.mp4").unlink()
    film.playback.play()
    qtbot.waitUntil(lambda: not film.playback.playing, timeout=5000)
    assert any("film.mp4" in text for text in film.toasts.messages())


def test_pictures_play_too(opened: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback_decoder, "PICTURE_SECONDS", 0.05)
    names = []
    opened.playback.shown.connect(lambda shown: names.append(shown.path.name))
    opened.run("play")
    qtbot.waitUntil(lambda: not opened.playback.playing, timeout=5000)
    assert names[-1] == "c.png"
    assert opened.session.position() == 2


def test_there_is_nothing_to_play_without_a_project(window: MainWindow) -> None:
    window.playback.play()
    assert not window.playback.playing


def test_escape_puts_another_tool_down(opened: MainWindow, qtbot: QtBot) -> None:
    for tool in ("tool_place", "tool_box"):
        opened.run(tool)
        assert opened.canvas.tool != "edit"
        qtbot.keyClick(opened.canvas, Qt.Key.Key_Escape)
        assert opened.canvas.tool == "edit"
        opened.refresh_actions_now()
        assert opened.actions_by_id["tool_edit"].isChecked()
