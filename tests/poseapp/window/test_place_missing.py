"""The points that a pose has not are placed in its schema's order, by mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from poseapp.project.model import Instance
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import Hands


@pytest.fixture
def short(hands: Hands, opened: MainWindow) -> Instance:
    """A pose of which head and left hand are there, the others not."""
    session = opened.session
    pose = session.instances[0]
    session.select([pose.id], [(pose.id, 2), (pose.id, 3)])
    opened.run("absent")
    session.select([pose.id])
    return session.instances[0]


def test_missing_points_are_placed_as_one_step_and_the_tool_is_put_down(
    short: Instance, hands: Hands, opened: MainWindow, qtbot: QtBot
) -> None:
    assert opened.session.store is not None
    steps = len(opened.session.store.history())
    hands.key(Qt.Key.Key_P, Qt.KeyboardModifier.ShiftModifier)
    assert opened.canvas.tool == "place"
    hands.click(60, 95)
    hands.click(110, 175, Qt.MouseButton.RightButton)
    after = hands.instance()
    np.testing.assert_allclose(after.keypoints[2:], [(60, 95), (110, 175)], atol=1)
    assert after.visibility.tolist() == [2, 2, 2, 1]
    assert np.array_equal(after.keypoints[:2], short.keypoints[:2])
    assert len(opened.session.store.history()) == steps + 1
    qtbot.waitUntil(lambda: opened.canvas.tool == "edit", timeout=2000)
    assert len(opened.session.instances) == 2
    opened.run("undo")
    assert hands.instance().same_as(short)


def test_only_what_is_missing_is_counted_as_left(hands: Hands, opened: MainWindow) -> None:
    session = opened.session
    pose = session.instances[0]
    session.select([pose.id], [(pose.id, 0), (pose.id, 1)])
    opened.run("absent")
    session.select([pose.id])
    opened.run("place_missing")
    hands.click(60, 95)
    ghost = opened.canvas._marks.ghost
    assert ghost is not None
    assert (ghost.next_point, ghost.left) == (1, 1)


def test_tab_skips_a_missing_point(short: Instance, hands: Hands, opened: MainWindow) -> None:
    opened.run("place_missing")
    hands.key(Qt.Key.Key_Tab)
    hands.click(110, 175)
    after = hands.instance()
    assert after.visibility.tolist() == [2, 2, 0, 2]


def test_backspace_takes_the_last_one_back_and_not_one_that_was_there(
    short: Instance, hands: Hands, opened: MainWindow
) -> None:
    opened.run("place_missing")
    hands.click(60, 95)
    for _ in range(3):
        hands.key(Qt.Key.Key_Backspace)
    hands.click(70, 95)
    hands.key(Qt.Key.Key_Return)
    after = hands.instance()
    np.testing.assert_allclose(after.keypoints[2], (70, 95), atol=1)
    assert after.visibility.tolist() == [2, 2, 2, 0]


def test_a_whole_pose_has_nothing_to_place(hands: Hands, opened: MainWindow) -> None:
    opened.session.select([opened.session.instances[0].id])
    opened.run("place_missing")
    assert opened.canvas.tool == "edit"


def test_on_the_next_frame_it_is_a_new_pose(short: Instance, hands: Hands, opened: MainWindow, qtbot: QtBot) -> None:
    opened.run("place_missing")
    first, second = opened.session.frames[0], opened.session.frames[1]
    opened.session.go_to(second)
    qtbot.waitUntil(lambda: opened.canvas._host.frame == second, timeout=5000)
    poses = len(opened.session.instances)
    hands.click(60, 95)
    hands.key(Qt.Key.Key_Return)
    assert len(opened.session.instances) == poses + 1
    assert opened.session.store is not None
    assert opened.session.store.instances(first)[0].same_as(short)


def test_a_point_skipped_in_a_new_pose_is_absent_by_a_person(hands: Hands, opened: MainWindow) -> None:
    opened.run("tool_place")
    hands.click(60, 95)
    hands.key(Qt.Key.Key_Tab)
    hands.key(Qt.Key.Key_Return)
    created = opened.session.instances[-1]
    assert created.visibility.tolist() == [2, 0, 0, 0]
    assert created.by_human.tolist() == [True, True, False, False]


def test_escape_puts_a_tool_down(opened: MainWindow, hands: Hands) -> None:
    for tool in ("tool_place", "tool_box"):
        opened.run(tool)
        assert opened.canvas.tool != "edit"
        hands.key(Qt.Key.Key_Escape)
        assert opened.canvas.tool == "edit"
        opened.refresh_actions_now()
        assert opened.actions_by_id["tool_edit"].isChecked()
