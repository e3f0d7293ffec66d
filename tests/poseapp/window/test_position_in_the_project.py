"""Where one is: the filter that holds, the frame at which one stopped, and pictures that are of another frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from poseapp.project import edits
from poseapp.project.queries.frame_query import FrameQuery, Labels, Sort
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import SIZE, Hands

K = Qt.Key


@pytest.fixture
def nine(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> Hands:
    """Nine pictures; those with numbers 1, 4 and 7 are flagged, and the list shows the flagged ones."""
    for index in range(9):
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((SIZE[1], SIZE[0], 3), 20 * index, np.uint8))
    window.open_paths([tmp_path])
    qtbot.waitUntil(lambda: window.canvas.pixels is not None and not window.runner.active(), timeout=8000)
    session = window.session
    for index in (1, 4, 7):
        key = session.frames[index]
        session.apply(edits.set_frame_state(key, session.frame_info(key).state, flagged=True))  # type: ignore[union-attr]
    window.canvas.setFocus()
    return Hands(window, qtbot)


def show(hands: Hands, query: FrameQuery) -> None:
    media = hands.window.media
    media.filter.set_query(query)
    hands.bot.waitUntil(lambda: media.filter.query == query and not media._later.isActive(), timeout=3000)


def walked(hands: Hands, *keys: Qt.Key) -> list[int]:
    results = []
    for key in keys:
        hands.key(key)
        results.append(hands.window.session.position())
    return results


def test_steps_stay_in_the_filtered_list(nine: Hands) -> None:
    show(nine, FrameQuery(flagged=True))
    keys = (K.Key_D, K.Key_D, K.Key_D, K.Key_A, K.Key_Home, K.Key_End)
    assert walked(nine, *keys) == [1, 4, 7, 4, 1, 7]
    nine.window.media.filter.clear()
    assert walked(nine, K.Key_A) == [6]


def test_steps_follow_the_order_of_the_list(nine: Hands) -> None:
    show(nine, FrameQuery(flagged=True, sort=Sort.NUMBER, descending=True))
    assert walked(nine, K.Key_Home, K.Key_D, K.Key_D) == [7, 4, 1]


def test_a_frame_that_leaves_the_list_is_followed_by_the_next_one(nine: Hands) -> None:
    show(nine, FrameQuery(flagged=True))
    assert walked(nine, K.Key_D, K.Key_D) == [1, 4]
    nine.window.run("flag")  # it is not listed any more
    nine.bot.waitUntil(lambda: nine.window.media.model.rowCount() == 2, timeout=3000)
    assert walked(nine, K.Key_D, K.Key_A) == [7, 1]


def test_a_filter_that_shows_nothing_does_not_stop_the_steps(nine: Hands) -> None:
    show(nine, FrameQuery(labels=Labels.LABELLED))
    assert walked(nine, K.Key_D) == [1]


def test_a_project_opens_where_one_stopped(nine: Hands, tmp_path: Path, qtbot: QtBot) -> None:
    window = nine.window
    path = window.session.path
    assert path is not None
    window.session.go_to(window.session.frames[5])
    window.run("close_project")
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None, timeout=5000)
    assert window.session.position() == 5
    window.settings._store.setValue("last_frames", '{"' + str(path) + '": ["x", 3]}')
    assert window.settings.last_frame_of(path) is None
    window.settings._store.setValue("last_frames", "[1")
    assert window.settings.last_frame_of(path) is None
    window.settings.keep_last_frame_of(path, 1, 3)
    assert window.settings.last_frame_of(path) == (1, 3)


def test_a_picture_of_another_frame_is_marked_until_its_own_is_there(
    nine: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, session = nine.window, nine.window.session
    asked: list[object] = []
    monkeypatch.setattr(window.loader, "request", lambda key, path, near: asked.append(key))
    window.loader.cache.clear()
    session.go_to(session.frames[6])
    assert asked == [session.frames[6]]
    badge = window.controller.waiting
    assert "6.png" in badge.text()
    badge.show_now()
    assert badge.isVisible()
    window.loader.loaded.emit(session.frames[6], np.full((SIZE[1], SIZE[0], 3), 120, np.uint8))
    assert badge.isHidden()


def test_a_late_picture_of_another_frame_is_not_shown(nine: Hands) -> None:
    window, session = nine.window, nine.window.session
    before = window.canvas.pixels
    late = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    window.loader.loaded.emit(session.frames[8], late)
    window.loader.previewed.emit(session.frames[8], late)
    window.loader.failed.emit(session.frames[8], "8.png is gone")
    assert window.canvas.pixels is before
    assert window.canvas._host.frame == session.frame
    assert window.notice.isHidden()


def test_later_tracks_do_not_shrink_the_picture(opened: MainWindow, qtbot: QtBot) -> None:
    session, store = opened.session, opened.session.store
    assert store is not None
    first = session.frames[0]
    poses = store.instances(first)
    session.apply(edits.set_track(first, [poses[0]], 1))
    qtbot.waitUntil(lambda: len(opened.timeline.data.lanes) == 1, timeout=3000)
    height = opened.canvas.height()
    session.apply(edits.set_track(first, [store.instances(first)[1]], 2))
    qtbot.waitUntil(lambda: len(opened.timeline.data.lanes) == 2, timeout=3000)
    assert opened.canvas.height() == height
