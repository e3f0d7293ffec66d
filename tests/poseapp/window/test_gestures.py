"""Every drag of the canvas changes the project as it should, through the real window; undo gives all back."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from poseapp.canvas.pose_geometry import handle_positions
from poseapp.project import edits
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE, Hands

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
ALT, NONE = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.NoModifier
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
HEAD, LEFT_HAND, RIGHT_HAND, FOOT = range(4)
BOX = (40.0, 50.0, 160.0, 190.0)
Place = tuple[float, float]


def drag(
    hands: Hands, start: Place, end: Place, keys: Qt.KeyboardModifier = NONE, button: Qt.MouseButton = LEFT
) -> None:
    view = hands.window.canvas.viewport()
    a, b = hands.at(*start), hands.at(*end)
    QTest.mouseMove(view, a + QPoint(0, 4))
    QTest.mouseMove(view, a)
    QTest.mousePress(view, button, keys, a)
    QTest.mouseMove(view, (a + b) / 2)
    QTest.mouseMove(view, b)
    QTest.mouseRelease(view, button, keys, b)


def wheel(hands: Hands, position: Place, keys: Qt.KeyboardModifier, notches: int = 1) -> None:
    view, at = hands.window.canvas.viewport(), QPointF(hands.at(*position))
    far, phase = QPointF(view.mapToGlobal(at.toPoint())), Qt.ScrollPhase.NoScrollPhase
    turn = QWheelEvent(at, far, QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton, keys, phase, False)
    QApplication.sendEvent(view, turn)


def steps(hands: Hands) -> int:
    store = hands.window.session.store
    assert store is not None
    return sum(step.done for step in store.history())


def taken_back(hands: Hands, before: object, count: int) -> None:
    assert steps(hands) == count + 1, "one step"
    hands.key(Qt.Key.Key_Z, CONTROL)
    assert hands.instance().same_as(before)  # type: ignore[arg-type]


def test_a_drag_on_a_limb_or_empty_ground_moves_nothing(hands: Hands) -> None:
    before, count = hands.instance(), steps(hands)
    drag(hands, (100, 130), (120, 150))
    drag(hands, (10, 220), (40, 200))
    assert hands.instance().same_as(before)
    assert steps(hands) == count


def test_with_ctrl_the_limb_beyond_follows(hands: Hands) -> None:
    before, count = hands.instance(), steps(hands)
    drag(hands, (100, 60), (110, 55), CONTROL)
    after = hands.instance()
    np.testing.assert_allclose(after.keypoints[HEAD], (110, 55), atol=1)
    moved = np.abs(after.keypoints - before.keypoints).max(axis=1) > 1
    assert moved.sum() > 1, "something hangs on it"
    assert not moved.all(), "the near side stays"
    taken_back(hands, before, count)


def test_with_alt_the_whole_pose_moves(hands: Hands) -> None:
    before, count = hands.instance(), steps(hands)
    hands.key(Qt.Key.Key_1)
    drag(hands, (100, 120), (112, 130), ALT)
    after = hands.instance()
    shift = after.keypoints - before.keypoints
    np.testing.assert_allclose(shift, np.tile(shift[0], (4, 1)))
    np.testing.assert_allclose(shift[0], (12, 10), atol=1)
    assert after.box is not None
    np.testing.assert_allclose(after.box - np.array(BOX), np.tile(shift[0], 2))
    taken_back(hands, before, count)


@pytest.mark.parametrize("keys", [ALT, ALT | SHIFT], ids=["turn", "scale"])
def test_the_wheel_turns_and_scales_in_one_step(hands: Hands, keys: Qt.KeyboardModifier) -> None:
    before, count = hands.instance(), steps(hands)
    hands.key(Qt.Key.Key_1)
    for _ in range(3):
        wheel(hands, (100, 120), keys)
    after = hands.instance()
    limb = [np.linalg.norm(i.keypoints[FOOT] - i.keypoints[HEAD]) for i in (before, after)]
    if keys == ALT:
        assert abs(limb[1] - limb[0]) < 1e-6
        direction = after.keypoints[FOOT] - after.keypoints[HEAD]
        assert abs(np.degrees(np.arctan2(-direction[0], direction[1])) - 6.0) < 1e-6
    else:
        assert abs(limb[1] / limb[0] - 1.02**3) < 1e-6
    taken_back(hands, before, count)


def test_handles_scale_from_the_opposite_side(hands: Hands) -> None:
    before, count = hands.instance(), steps(hands)
    hands.key(Qt.Key.Key_1)
    hands.key(Qt.Key.Key_G)
    drag(hands, (160, 120), (190, 120))
    after = hands.instance()
    np.testing.assert_allclose(after.keypoints[:, 1], before.keypoints[:, 1], atol=1e-6)
    np.testing.assert_allclose((after.keypoints[:, 0] - 40) / (before.keypoints[:, 0] - 40), 150 / 120, rtol=0.02)
    taken_back(hands, before, count)
    hands.key(Qt.Key.Key_G)


def test_the_handle_above_turns_with_shift_in_steps(hands: Hands) -> None:
    before, count = hands.instance(), steps(hands)
    hands.key(Qt.Key.Key_1)
    hands.key(Qt.Key.Key_G)
    position = handle_positions(np.array(BOX), hands.window.canvas.scale_factor)[8]
    drag(hands, (position[0], position[1]), (position[0] + 60, position[1] + 10), SHIFT)
    direction = hands.instance().keypoints[FOOT] - hands.instance().keypoints[HEAD]
    angle = np.degrees(np.arctan2(-direction[0], direction[1]))
    assert abs(angle) > 1
    assert abs(angle / 15 - round(angle / 15)) < 1e-6
    taken_back(hands, before, count)
    hands.key(Qt.Key.Key_G)


def test_alt_shows_the_handles_while_it_is_down(hands: Hands) -> None:
    hands.key(Qt.Key.Key_1)
    canvas = hands.window.canvas
    QTest.keyPress(canvas, Qt.Key.Key_Alt, ALT)
    assert canvas._state.handle_owner() is not None
    QTest.keyRelease(canvas, Qt.Key.Key_Alt)
    assert canvas._state.handle_owner() is None


def test_the_rubber_band_selects_and_with_ctrl_adds(hands: Hands) -> None:
    session, index = hands.window.session, hands.instance().id
    drag(hands, (40, 40), (165, 105), SHIFT)
    assert session.selected_points == {(index, HEAD), (index, LEFT_HAND), (index, RIGHT_HAND)}
    drag(hands, (90, 170), (110, 190), SHIFT)
    assert session.selected_points == {(index, FOOT)}
    drag(hands, (90, 50), (110, 70), SHIFT | CONTROL)
    assert session.selected_points == {(index, FOOT), (index, HEAD)}


def test_a_drag_of_one_selected_point_moves_all_of_them(hands: Hands) -> None:
    before, count = hands.instance(), steps(hands)
    drag(hands, (40, 40), (165, 105), SHIFT)
    drag(hands, (100, 60), (105, 70))
    np.testing.assert_allclose(
        hands.instance().keypoints - before.keypoints, [(5, 10), (5, 10), (5, 10), (0, 0)], atol=1
    )
    taken_back(hands, before, count)


@pytest.mark.parametrize("key", [Qt.Key.Key_N, Qt.Key.Key_R])
@pytest.mark.parametrize("method", ["drag", "two clicks"])
def test_a_box_is_drawn(hands: Hands, qtbot: QtBot, key: Qt.Key, method: str) -> None:
    session = hands.window.session
    hands.key(Qt.Key.Key_End)
    qtbot.waitUntil(lambda: hands.window.canvas._host.frame == session.frames[2], timeout=5000)
    hands.key(key)
    if method == "drag":
        hands.drag((250, 200), (60, 40))
    else:
        hands.click(60, 40)
        hands.click(250, 200)
    qtbot.waitUntil(lambda: bool(session.instances), timeout=5000)
    (created,) = session.instances
    assert created.box is not None
    np.testing.assert_allclose(created.box, (60, 40, 250, 200), atol=1)
    qtbot.waitUntil(lambda: hands.window.canvas.tool == "edit", timeout=2000)


def test_a_drag_in_placement_sets_where_the_button_comes_up(hands: Hands) -> None:
    hands.key(Qt.Key.Key_End)
    hands.key(Qt.Key.Key_P)
    drag(hands, (40, 40), (100, 60))
    drag(hands, (200, 200), (150, 90), button=RIGHT)
    hands.key(Qt.Key.Key_Tab)
    hands.click(100, 180)
    (created,) = hands.window.session.instances
    assert created.visibility.tolist() == [VISIBLE, OCCLUDED, ABSENT, VISIBLE]
    np.testing.assert_allclose(created.keypoints[[HEAD, LEFT_HAND, FOOT]], POSE[[HEAD, LEFT_HAND, FOOT]], atol=1)


def test_a_double_click_accepts(hands: Hands, opened: MainWindow, qtbot: QtBot) -> None:
    hands.key(Qt.Key.Key_D)
    qtbot.waitUntil(lambda: opened.canvas._host.frame == opened.session.frames[1], timeout=5000)
    position = hands.at(*(POSE[HEAD] + (60, 0)))
    view = opened.canvas.viewport()
    QTest.mouseMove(view, position)
    QTest.mouseClick(view, LEFT, NONE, position)
    QTest.mouseDClick(view, LEFT, NONE, position)
    QTest.mouseRelease(view, LEFT, NONE, position)
    assert hands.instance().state.value == "labelled"


def test_escape_gives_every_drag_up(hands: Hands) -> None:
    before, count, view = hands.instance(), steps(hands), hands.window.canvas.viewport()
    hands.key(Qt.Key.Key_1)
    for start, keys in (((100, 60), NONE), ((100, 60), CONTROL), ((100, 120), ALT), ((20, 20), SHIFT)):
        QTest.mousePress(view, LEFT, keys, hands.at(*start))
        QTest.mouseMove(view, hands.at(start[0] + 30, start[1] + 20))
        assert hands.window.canvas.busy
        hands.key(Qt.Key.Key_Escape)
        assert not hands.window.canvas.busy
        QTest.mouseRelease(view, LEFT, keys, hands.at(start[0] + 30, start[1] + 20))
    assert hands.instance().same_as(before)
    assert steps(hands) == count


def test_a_pose_of_three_pixels_is_drawn_and_can_be_selected_and_moved(hands: Hands) -> None:
    window, session = hands.window, hands.window.session
    store, frame = session.store, session.frame
    assert store is not None
    assert frame is not None
    session.apply(edits.delete_instances(frame, session.instances))
    empty = window.canvas.grab().toImage()
    (index,) = store.new_ids(1)
    small = edits.make_instance(index, session.categories()[0], [[150, 100], [151, 100], [150, 101], [152, 102]])
    session.apply(edits.add_instance(frame, small))
    assert window.canvas.grab().toImage() != empty
    hands.click(150 - 5 / window.canvas.scale_factor, 100 - 5 / window.canvas.scale_factor)
    assert [i.id for i in session.selected] == [index]
    before = hands.instance().keypoints.copy()
    hands.drag((152, 102), (200, 150))
    moved = np.flatnonzero((hands.instance().keypoints != before).any(axis=1))
    assert moved.tolist() == [3]
