"""Points that are placed are never lost by a key that goes elsewhere: it is refused aloud, or they are kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.canvas.tools.box import BoxTool
from poseapp.canvas.tools.place import PlacementTool
from poseapp.project.store import ProjectStore
from poseapp.window.canvas_controller import ARROWS
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import Hands

K = Qt.Key
NONE, CTRL, ALT, SHIFT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ShiftModifier,
)
JUMPS = [
    (K.Key_D, NONE), (K.Key_End, NONE), (K.Key_Space, NONE), (K.Key_U, NONE), (K.Key_Right, CTRL), (K.Key_K, NONE),
    (K.Key_Right, ALT | SHIFT),
]  # fmt: skip


@pytest.fixture
def placing(hands: Hands) -> Hands:
    """Two of four points of a new pose are placed in the first frame."""
    hands.key(K.Key_P)
    hands.click(60, 60)
    hands.click(90, 80)
    assert hands.window.canvas.busy
    return hands


@pytest.mark.parametrize(("key", "modifier"), JUMPS)
def test_a_jump_while_points_are_placed_is_refused_aloud(
    placing: Hands, key: Qt.Key, modifier: Qt.KeyboardModifier
) -> None:
    window = placing.window
    first = window.session.frame
    window.toasts.clear()
    placing.key(key, modifier)
    assert window.session.frame == first
    assert window.canvas.busy
    assert not window.playback.playing
    assert window.toasts.messages() == [PlacementTool.info.busy_hint]
    placing.key(K.Key_Return)
    assert len(window.session.instances) == 3
    assert window.session.instances[-1].visibility.tolist() == [2, 2, 0, 0]


def test_clicks_in_the_lists_are_refused_aloud_and_the_mark_stays(placing: Hands) -> None:
    window = placing.window
    view = window.media.view
    position = view.visualRect(window.media.model.index(1)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, NONE, position)
    assert window.session.position() == 0
    assert view.currentIndex().row() == 0
    assert window.toasts.messages()[-1] == PlacementTool.info.busy_hint
    assert window.canvas.busy


def test_undo_takes_back_the_last_point_and_not_the_step_before(placing: Hands) -> None:
    window, poses = placing.window, len(placing.window.session.instances)
    placing.key(K.Key_Z, CTRL)
    placing.key(K.Key_Return)
    assert len(window.session.instances) == poses + 1
    assert window.session.instances[-1].visibility.tolist() == [2, 0, 0, 0]
    placing.key(K.Key_Z, CTRL)
    assert len(window.session.instances) == poses


def test_delete_takes_back_the_last_point_and_no_pose(placing: Hands) -> None:
    window = placing.window
    window.session.select(instances=[window.session.instances[0].id])
    placing.key(K.Key_Delete)
    placing.key(K.Key_Return)
    assert [i.visibility.tolist() for i in window.session.instances] == [[2, 2, 2, 2], [2, 1, 2, 0], [2, 0, 0, 0]]


def leave_by_tool(hands: Hands) -> None:
    hands.key(K.Key_V)


def leave_by_box(hands: Hands) -> None:
    hands.key(K.Key_N)


def leave_by_placing_anew(hands: Hands) -> None:
    hands.key(K.Key_P)


def leave_by_closing_the_project(hands: Hands) -> None:
    hands.window.run("close_project")


def leave_by_closing_the_window(hands: Hands) -> None:
    hands.window.close()


@pytest.mark.parametrize(
    "leave",
    [leave_by_tool, leave_by_box, leave_by_placing_anew, leave_by_closing_the_project, leave_by_closing_the_window],
)
def test_what_ends_the_placing_keeps_the_points(placing: Hands, leave: Callable[[Hands], None]) -> None:
    session = placing.window.session
    first, path = session.frame, session.path
    assert first is not None
    assert path is not None
    leave(placing)
    placing.window.session.close()
    with ProjectStore.open(path) as store:
        assert [i.visibility.tolist() for i in store.instances(first)][2:] == [[2, 2, 0, 0]]


def test_escape_drops_the_points(placing: Hands) -> None:
    placing.key(K.Key_Escape)
    assert len(placing.window.session.instances) == 2
    placing.key(K.Key_D)
    assert placing.window.session.position() == 1


def test_a_box_under_way_is_not_left_either(hands: Hands) -> None:
    hands.key(K.Key_N)
    hands.click(60, 60)  # the first corner
    hands.key(K.Key_D)
    assert hands.window.session.position() == 0
    assert hands.window.toasts.messages()[-1] == BoxTool.info.busy_hint


def test_jump_keys_jump_between_two_poses(hands: Hands, opened: MainWindow, qtbot: QtBot) -> None:
    hands.key(K.Key_P)
    for x in (60, 70, 80, 90):
        hands.click(x, 60)
    assert not opened.canvas.busy
    for key, modifier, position in ((K.Key_Right, CTRL, 2), (K.Key_Home, NONE, 0), (K.Key_D, NONE, 1)):
        hands.key(key, modifier)
        assert opened.session.position() == position
    assert opened.canvas.tool == "place"


def test_arrow_keys_that_move_the_pointer_say_so(hands: Hands) -> None:
    hands.key(K.Key_P)
    hands.click(60, 60)
    hands.window.toasts.clear()
    hands.key(K.Key_Right)
    assert hands.window.controller.keyboard_pointer.at is not None
    assert hands.window.toasts.messages() == [ARROWS]
