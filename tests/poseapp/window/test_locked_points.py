"""A locked point stays where it is, whatever verb, drag or suggestion would have it otherwise; a hidden one is not
drawn or hit. Through the real window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from poseapp.project.edits.locks import keep_locked_points
from poseapp.project.model import Instance, State
from poseapp.window.main_window import MainWindow
from poseapp.window.refinement_controller import proposal_of
from tests.poseapp.conftest import POSE, Hands

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
ALT, NONE = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.NoModifier
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
HEAD, LEFT_HAND, RIGHT_HAND, FOOT = range(4)


def row(window: MainWindow, pose: int, point: int | None = None) -> QModelIndex:
    return window.instances.model.find(pose, point)


@pytest.fixture
def tree(opened: MainWindow, qtbot: QtBot) -> MainWindow:
    """The window with the list of poses in front."""
    opened.docks[1].raise_()
    qtbot.waitUntil(lambda: opened.instances.isVisible(), timeout=2000)
    opened.instances.tree.expandAll()
    return opened


@pytest.fixture
def locked(tree: MainWindow, hands: Hands) -> Instance:
    """The first pose, of which the left hand is locked: chosen by a click, locked by the key."""
    hands.click(*POSE[LEFT_HAND])
    hands.key(Qt.Key.Key_L, CONTROL)
    pose = hands.instance()
    assert tree.session.locked_points == {(pose.id, LEFT_HAND)}
    assert tree.session.selected_points == frozenset()
    return pose


def grab(hands: Hands, start: tuple[float, float], end: tuple[float, float], keys: Qt.KeyboardModifier) -> None:
    view = hands.window.canvas.viewport()
    a, b = hands.at(*start), hands.at(*end)
    QTest.mouseMove(view, a + QPoint(0, 5))
    QTest.mouseMove(view, a)
    QTest.mousePress(view, LEFT, keys, a)
    QTest.mouseMove(view, (a + b) / 2)
    QTest.mouseMove(view, b)
    QTest.mouseRelease(view, LEFT, keys, b)


def from_the_list(window: MainWindow, hands: Hands, *points: int) -> None:
    """Choose points of the first pose by their rows."""
    selection, pose = window.instances.tree.selectionModel(), hands.instance().id
    selection.clear()
    for point in points:
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        selection.select(row(window, pose, point), flags)
    assert window.session.selected_points == {(pose, point) for point in points}


def stays(hands: Hands, before: Instance) -> None:
    after = hands.instance()
    assert np.array_equal(after.keypoints[LEFT_HAND], before.keypoints[LEFT_HAND])
    assert after.visibility[LEFT_HAND] == before.visibility[LEFT_HAND]


def test_the_mouse_does_not_hit_it(locked: Instance, hands: Hands) -> None:
    window = hands.window
    assert window.session.store is not None
    steps = len(window.session.store.history())
    x, y = POSE[LEFT_HAND]
    hands.drag((x, y), (x + 20, y - 20))
    hands.click(x, y, RIGHT)
    assert hands.instance().same_as(locked)
    assert len(window.session.store.history()) == steps
    grab(hands, (30, 40), (165, 100), SHIFT)
    assert window.session.selected_points == {(locked.id, HEAD), (locked.id, RIGHT_HAND)}


WITH_A_POINT: dict[str, Callable[[Hands], None]] = {
    "nudge": lambda hands: hands.key(Qt.Key.Key_Right),
    "nudge far": lambda hands: hands.key(Qt.Key.Key_Down, SHIFT),
    "occluded": lambda hands: hands.key(Qt.Key.Key_Q),
    "absent": lambda hands: hands.key(Qt.Key.Key_O),
    "delete": lambda hands: hands.key(Qt.Key.Key_Delete),
    "swap": lambda hands: hands.key(Qt.Key.Key_X),
    "split": lambda hands: hands.key(Qt.Key.Key_M, SHIFT),
}


@pytest.mark.parametrize("verb", WITH_A_POINT)
def test_verbs_on_the_locked_point_do_nothing_and_say_so(
    tree: MainWindow, locked: Instance, hands: Hands, verb: str
) -> None:
    assert tree.session.store is not None
    steps = len(tree.session.store.history())
    from_the_list(tree, hands, LEFT_HAND)
    WITH_A_POINT[verb](hands)
    assert hands.instance().same_as(locked)
    assert len(tree.session.instances) == 2
    if verb != "swap":
        assert any("Locked" in text for text in tree.toasts.messages())
        assert len(tree.session.store.history()) == steps
    hands.key(Qt.Key.Key_H, CONTROL | SHIFT)
    from_the_list(tree, hands, LEFT_HAND)
    WITH_A_POINT[verb](hands)
    after = next(i for i in tree.session.instances if i.id == locked.id)
    assert not after.same_as(locked), "unlocked, the verb works"


def test_nudging_it_together_with_others_moves_the_others(tree: MainWindow, locked: Instance, hands: Hands) -> None:
    from_the_list(tree, hands, HEAD, LEFT_HAND)
    hands.key(Qt.Key.Key_Right)
    stays(hands, locked)
    np.testing.assert_allclose(hands.instance().keypoints[HEAD], POSE[HEAD] + (1, 0))


def turn(hands: Hands, keys: Qt.KeyboardModifier) -> None:
    view = hands.window.canvas.viewport()
    position = QPointF(hands.at(100, 120))
    far, wheel = QPointF(view.mapToGlobal(position.toPoint())), QPoint(0, 120)
    phase = Qt.ScrollPhase.NoScrollPhase
    QApplication.sendEvent(
        view, QWheelEvent(position, far, QPoint(), wheel, Qt.MouseButton.NoButton, keys, phase, False)
    )


def mirrored(hands: Hands) -> None:
    """The figure is symmetric; with the head aside it is not."""
    grab(hands, (POSE[HEAD, 0], POSE[HEAD, 1]), (80, 55), NONE)
    _first(hands)
    hands.key(Qt.Key.Key_X, SHIFT)


WHOLE: dict[str, Callable[[Hands], None]] = {
    "nudge": lambda hands: hands.key(Qt.Key.Key_Right),
    "alt drag": lambda hands: grab(hands, (100, 120), (115, 130), ALT),
    "alt wheel": lambda hands: turn(hands, ALT),
    "alt shift wheel": lambda hands: turn(hands, ALT | SHIFT),
    "mirror": lambda hands: mirrored(hands),
    "limb drag": lambda hands: grab(hands, tuple(POSE[HEAD]), (110, 50), CONTROL),  # type: ignore[arg-type]
}


def _first(hands: Hands) -> None:
    hands.key(Qt.Key.Key_1)


@pytest.mark.parametrize("verb", WHOLE)
def test_the_whole_pose_moves_without_it(locked: Instance, hands: Hands, verb: str) -> None:
    _first(hands)
    WHOLE[verb](hands)
    after = hands.instance()
    assert not np.array_equal(after.keypoints, locked.keypoints)
    stays(hands, locked)


def test_handles_scale_the_rest(locked: Instance, hands: Hands) -> None:
    _first(hands)
    hands.key(Qt.Key.Key_G)
    grab(hands, (160, 190), (175, 205), NONE)
    after = hands.instance()
    assert after.keypoints[FOOT][1] > POSE[FOOT][1]
    stays(hands, locked)


def test_the_preview_of_a_drag_leaves_it_too(locked: Instance, hands: Hands) -> None:
    _first(hands)
    view = hands.window.canvas.viewport()
    QTest.mousePress(view, LEFT, ALT, hands.at(100, 120))
    QTest.mouseMove(view, hands.at(120, 140))
    shown = hands.window.canvas._state.preview[locked.id]
    assert np.array_equal(shown.keypoints[LEFT_HAND], POSE[LEFT_HAND])
    assert not np.array_equal(shown.keypoints[HEAD], POSE[HEAD])
    hands.key(Qt.Key.Key_Escape)
    QTest.mouseRelease(view, LEFT, ALT, hands.at(120, 140))


def test_its_partner_keeps_its_side_when_the_pose_is_swapped(locked: Instance, hands: Hands) -> None:
    _first(hands)
    hands.key(Qt.Key.Key_X)
    np.testing.assert_array_equal(hands.instance().keypoints, POSE)


def test_a_pose_with_a_locked_point_is_not_deleted_or_merged(tree: MainWindow, locked: Instance, hands: Hands) -> None:
    _first(hands)
    hands.key(Qt.Key.Key_Delete)
    hands.key(Qt.Key.Key_A, CONTROL)
    hands.key(Qt.Key.Key_M)
    assert [i.id for i in tree.session.instances].count(locked.id) == 1
    assert len(tree.session.instances) == 2
    hands.key(Qt.Key.Key_H, CONTROL | SHIFT)
    _first(hands)
    hands.key(Qt.Key.Key_Delete)
    assert locked.id not in [i.id for i in tree.session.instances]


def test_the_sign_in_the_list_leaves_it(tree: MainWindow, locked: Instance, hands: Hands) -> None:
    position = tree.instances.tree.visualRect(row(tree, locked.id, LEFT_HAND).siblingAtColumn(1))
    QTest.mouseClick(tree.instances.tree.viewport(), LEFT, NONE, position.topLeft() + QPoint(8, position.height() // 2))
    assert hands.instance().same_as(locked)


def test_the_list_shows_a_lock_and_the_same_key_takes_it_away(tree: MainWindow, locked: Instance, hands: Hands) -> None:
    model = tree.instances.model
    lock = row(tree, locked.id, LEFT_HAND)
    assert model.hidden_or_locked(model.node(lock)) == "lock"
    assert model.data(lock, Qt.ItemDataRole.DecorationRole) is not None
    assert model.data(row(tree, locked.id, HEAD), Qt.ItemDataRole.DecorationRole) is None
    from_the_list(tree, hands, LEFT_HAND)
    hands.key(Qt.Key.Key_L, CONTROL)
    assert tree.session.locked_points == frozenset()
    assert model.data(row(tree, locked.id, LEFT_HAND), Qt.ItemDataRole.DecorationRole) is None


def test_assist_does_not_estimate_it_anew(locked: Instance) -> None:
    free = Instance(
        locked.id, locked.category, POSE.copy(), np.full(4, 2, np.uint8), np.array([True, False, False, False]),
        state=State.PREDICTED,
    )  # fmt: skip
    proposed = proposal_of(free, POSE + 30.0, np.full(4, 0.9))
    assert proposed is not None
    held = keep_locked_points(free, proposed, {(locked.id, LEFT_HAND)})
    np.testing.assert_array_equal(held.keypoints[LEFT_HAND], POSE[LEFT_HAND])
    np.testing.assert_array_equal(held.keypoints[FOOT], POSE[FOOT] + 30.0)


def choose(window: MainWindow, index: QModelIndex, text: str) -> None:
    tree = window.instances.tree
    tree.scrollTo(index)
    menu = window.instances.menu_at(tree.visualRect(index).center())
    assert menu is not None
    next(action for action in menu.actions() if action.text() == text).trigger()
    menu.deleteLater()


def test_rows_are_locked_and_hidden_in_their_menu(tree: MainWindow, hands: Hands) -> None:
    session, pose = tree.session, hands.instance().id
    choose(tree, row(tree, pose, FOOT), "Lock")
    assert session.locked_points == {(pose, FOOT)}
    choose(tree, row(tree, pose, FOOT), "Lock")
    assert session.locked_points == frozenset()
    choose(tree, row(tree, pose, FOOT), "Hide")
    assert session.hidden_points == {(pose, FOOT)}
    choose(tree, row(tree, pose), "Lock")
    assert session.locked == {pose}
    hands.key(Qt.Key.Key_H, CONTROL | SHIFT)
    assert not session.hidden_points | session.locked_points
    assert not session.locked


def test_a_hidden_point_is_not_drawn_nor_hit_and_is_there_still(tree: MainWindow, hands: Hands) -> None:
    def pixel() -> tuple[int, ...]:
        QApplication.processEvents()
        return tree.canvas.viewport().grab().toImage().pixelColor(hands.at(*POSE[FOOT])).getRgb()

    QTest.mouseMove(tree.canvas.viewport(), hands.at(5, 5))
    before, drawn = hands.instance(), pixel()
    hands.click(*POSE[FOOT])
    hands.key(Qt.Key.Key_H, CONTROL)
    hands.click(5, 5)
    QTest.mouseMove(tree.canvas.viewport(), hands.at(8, 8))
    assert pixel() != drawn
    target = tree.canvas._state.hit(*POSE[FOOT], tree.canvas.scale_factor)
    assert target is None or (target.instance_id, target.index) != (before.id, FOOT)
    assert hands.instance().same_as(before)
    hands.key(Qt.Key.Key_H, CONTROL | SHIFT)
    assert pixel() == drawn


def test_a_locked_pose_is_not_changed_from_the_list_either(tree: MainWindow, hands: Hands) -> None:
    _first(hands)
    hands.key(Qt.Key.Key_L, SHIFT)
    before = hands.instance()
    assert tree.session.locked == {before.id}
    tree.session.select(instances=[before.id])
    for key, keys in ((Qt.Key.Key_Right, NONE), (Qt.Key.Key_X, NONE), (Qt.Key.Key_Delete, NONE)):
        hands.key(key, keys)
        tree.session.select(instances=[before.id])
    assert hands.instance().same_as(before)
