"""Playing through the frames: K begins and ends it; what a person does ends it too."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from poseapp import playback
from poseapp.main_window import MainWindow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "PICTURES_MS", 20)


def test_k_plays_to_the_last_frame_and_again_from_the_first(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.session
    seen = []
    session.frame_changed.connect(seen.append)
    for _ in range(2):
        seen.clear()
        qtbot.keyClick(opened.canvas, Qt.Key.Key_K)
        assert opened.playback.playing
        assert opened.actions_by_id["play"].isChecked()
        qtbot.waitUntil(lambda: not opened.playback.playing, timeout=5000)
        assert session.position() == len(session.frames) - 1
        assert not opened.actions_by_id["play"].isChecked()
    assert seen == list(session.frames)


def test_k_again_a_step_and_an_edit_end_it(opened: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "PICTURES_MS", 10_000)
    ends = [
        lambda: qtbot.keyClick(opened.canvas, Qt.Key.Key_K),
        lambda: qtbot.keyClick(opened.canvas, Qt.Key.Key_Period),
        lambda: qtbot.keyClick(opened.canvas, Qt.Key.Key_Comma),
        lambda: opened.run("flag"),
    ]
    for end in ends:
        opened.run("play")
        assert opened.playback.playing
        end()
        assert not opened.playback.playing
    assert opened.session.position() == 0


def test_there_is_nothing_to_play_without_a_project(window: MainWindow) -> None:
    window.playback.start()
    assert not window.playback.playing


def test_a_frame_that_is_not_there_yet_is_waited_for(opened: MainWindow, qtbot: QtBot) -> None:
    opened.playback.start()
    opened.playback._shown = None
    opened.playback._tick()
    assert opened.session.position() == 0
    opened.playback.stop()


def test_escape_puts_another_tool_down(opened: MainWindow, qtbot: QtBot) -> None:
    for tool in ("tool_place", "tool_box"):
        opened.run(tool)
        assert opened.canvas.tool != "edit"
        qtbot.keyClick(opened.canvas, Qt.Key.Key_Escape)
        assert opened.canvas.tool == "edit"
        assert opened.actions_by_id["tool_edit"].isChecked()
