"""What a prediction has not can be taken hold of: through the real window, by mouse and keys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.canvas.hit_test import HitKind
from poseapp.project import edits
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Instance, State
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE, SCHEMA, Hands

ALT, SHIFT = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ShiftModifier
HAND, FOOT = 2, 3


def guess(index: int, category: int, *, scores: tuple[float, ...] = (0.9, 0.8, 0.0, 0.0)) -> Instance:
    """A prediction without right hand and foot; the places of those are worth nothing."""
    points = POSE.copy()
    points[[HAND, FOOT]] = 0.0
    return Instance(
        index,
        category,
        points,
        np.array([2, 2, 0, 0], np.uint8),
        np.zeros(4, bool),
        scores=np.array(scores),
        score=0.7,
        box=np.array([40.0, 50, 160, 190]),
        source="a_model",
        state=State.PREDICTED,
    )


@pytest.fixture
def third(opened: MainWindow, hands: Hands, qtbot: QtBot) -> MainWindow:
    """The window on its third frame, which holds one prediction with two points missing; it is selected by key."""
    session = opened.session
    assert session.store is not None
    (index,) = session.store.new_ids(1)
    frame = session.frames[2]
    session.store.apply(edits.add_instance(frame, guess(index, session.instances[0].category)))
    hands.key(Qt.Key.Key_End)
    qtbot.waitUntil(lambda: opened.canvas._host.frame == frame and opened.canvas.pixels is not None, timeout=5000)
    hands.key(Qt.Key.Key_1)
    assert session.selected_instances == {index}
    return opened


def offered(window: MainWindow, index: int) -> tuple[float, float] | None:
    return window.canvas.missing_place(window.session.instances[0].id, index)


def there(window: MainWindow, index: int) -> tuple[float, float]:
    position = offered(window, index)
    assert position is not None
    return position


def grab(hands: Hands, start: tuple[float, float], end: tuple[float, float], button: Qt.MouseButton, keys=None) -> None:  # type: ignore[no-untyped-def]
    view = hands.window.canvas.viewport()
    keys = keys or Qt.KeyboardModifier.NoModifier
    a, b = hands.at(*start), hands.at(*end)
    QTest.mouseMove(view, a)
    QTest.mousePress(view, button, keys, a)
    QTest.mouseMove(view, (a + b) / 2)
    QTest.mouseMove(view, b)
    QTest.mouseRelease(view, button, keys, b)


def test_two_drags_and_enter_finish_a_prediction_without_two_points(third: MainWindow, hands: Hands) -> None:
    store = third.session.store
    assert store is not None
    steps = len(store.history())
    before = hands.instance()
    for index in (HAND, FOOT):
        hands.drag(there(third, index), tuple(POSE[index]))  # type: ignore[arg-type]
    after = hands.instance()
    assert after.visibility.tolist() == [VISIBLE] * 4
    np.testing.assert_allclose(after.keypoints, POSE, atol=1)
    assert after.state is State.LABELLED
    assert len(store.history()) == steps + 2
    hands.key(Qt.Key.Key_Return)
    assert hands.instance().by_human.all()
    assert third.session.correcting == frozenset()
    for _ in range(3):
        hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert hands.instance().same_as(before)
    assert offered(third, HAND) is not None, "after undo it is a prediction again"


@pytest.mark.parametrize("method", ["right button", "alt"])
def test_a_point_is_placed_as_occluded(third: MainWindow, hands: Hands, method: str) -> None:
    button = Qt.MouseButton.RightButton if method == "right button" else Qt.MouseButton.LeftButton
    grab(hands, there(third, FOOT), (100, 180), button, ALT if method == "alt" else None)
    after = hands.instance()
    assert after.visibility.tolist() == [2, 2, ABSENT, OCCLUDED]
    np.testing.assert_allclose(after.keypoints[FOOT], (100, 180), atol=1)


def test_a_right_click_places_where_it_is_and_a_click_only_selects(third: MainWindow, hands: Hands) -> None:
    x, y = there(third, FOOT)
    before = hands.instance()
    hands.click(x, y)
    assert hands.instance().same_as(before)
    assert third.session.selected_points == {(before.id, FOOT)}
    hands.click(x, y, Qt.MouseButton.RightButton)
    after = hands.instance()
    assert after.visibility[FOOT] == OCCLUDED
    np.testing.assert_allclose(after.keypoints[FOOT], (x, y))


def test_the_key_of_a_visibility_places_the_hovered_ghost(third: MainWindow, hands: Hands) -> None:
    x, y = there(third, HAND)
    QTest.mouseMove(hands.window.canvas.viewport(), hands.at(x + 30, y))
    QTest.mouseMove(hands.window.canvas.viewport(), hands.at(x, y))
    hands.key(Qt.Key.Key_Q, SHIFT)
    after = hands.instance()
    assert after.visibility[HAND] == VISIBLE
    np.testing.assert_allclose(after.keypoints[HAND], (x, y))


def test_escape_gives_a_drag_up(third: MainWindow, hands: Hands) -> None:
    view, before = third.canvas.viewport(), hands.instance()
    start = hands.at(*there(third, FOOT))
    QTest.mousePress(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    QTest.mouseMove(view, hands.at(110, 200))
    hands.key(Qt.Key.Key_Escape)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, hands.at(110, 200))
    assert hands.instance().same_as(before)
    assert offered(third, FOOT) is not None


def test_only_a_selected_prediction_offers_and_enter_ends_it(third: MainWindow, hands: Hands) -> None:
    assert offered(third, FOOT) is not None
    hands.click(5, 235)
    assert third.session.selected_instances == frozenset()
    assert offered(third, FOOT) is None
    hands.key(Qt.Key.Key_1)
    hands.key(Qt.Key.Key_Return)
    assert hands.instance().state is State.LABELLED
    assert offered(third, FOOT) is None
    hands.key(Qt.Key.Key_Home)
    hands.key(Qt.Key.Key_2)
    assert not third.session.instances[1].visibility.all()
    assert third.canvas.missing_place(third.session.instances[1].id, 3) is None, "a label of a person"


@pytest.mark.parametrize("verb", ["accept", "accept_all", "accept_everywhere", "keyframe"])
def test_whatever_accepts_it_ends_its_correction(third: MainWindow, hands: Hands, qtbot: QtBot, verb: str) -> None:
    third.run(verb)
    qtbot.waitUntil(lambda: hands.instance().state is State.LABELLED, timeout=5000)
    qtbot.waitUntil(lambda: third.session.correcting == frozenset(), timeout=2000)
    assert third.session.selected_instances == {hands.instance().id}
    assert offered(third, FOOT) is None
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: hands.instance().state is State.PREDICTED, timeout=5000)
    assert offered(third, FOOT) is not None


def test_what_was_dragged_and_left_is_no_prediction_on_the_next_visit(
    third: MainWindow, hands: Hands, qtbot: QtBot
) -> None:
    hands.drag(tuple(POSE[0]), (105, 70))  # type: ignore[arg-type]
    assert offered(third, FOOT) is not None, "it is under correction still"
    hands.key(Qt.Key.Key_Home)
    hands.key(Qt.Key.Key_End)
    qtbot.waitUntil(lambda: third.canvas._host.frame == third.session.frames[2], timeout=5000)
    hands.key(Qt.Key.Key_1)
    assert offered(third, FOOT) is None


def test_the_switch_is_remembered_and_nothing_is_drawn_or_hit_without_it(third: MainWindow, hands: Hands) -> None:
    x, y = there(third, FOOT)

    def shown() -> bytes:
        image = third.canvas.viewport().grab().toImage()  # kept: its bytes are only lent
        return bytes(image.constBits())

    with_ghosts = shown()
    hands.key(Qt.Key.Key_G, SHIFT)
    third.refresh_actions_now()
    assert not third.actions_by_id["show_missing"].isChecked()
    assert not third.settings.canvas_style().show_missing
    assert offered(third, FOOT) is None
    assert shown() != with_ghosts
    target = third.canvas._state.hit(x, y, third.canvas.scale_factor)
    assert target is None or target.kind is not HitKind.MISSING
    hands.key(Qt.Key.Key_G, SHIFT)
    assert offered(third, FOOT) is not None


def test_a_real_point_is_hit_first(third: MainWindow, hands: Hands) -> None:
    x, y = there(third, HAND)
    hands.drag(tuple(POSE[0]), (x, y))  # type: ignore[arg-type]
    target = third.canvas._state.hit(x, y, third.canvas.scale_factor)
    assert target is not None
    assert (target.kind, target.index) == (HitKind.POINT, 0)
    moved = there(third, HAND)
    assert np.hypot(moved[0] - x, moved[1] - y) > 2, "the ghost gives way"


def test_a_point_that_a_person_made_absent_is_not_offered(third: MainWindow, hands: Hands) -> None:
    QTest.mouseMove(third.canvas.viewport(), hands.at(20, 20))
    QTest.mouseMove(third.canvas.viewport(), hands.at(*POSE[1]))
    hands.key(Qt.Key.Key_O)
    assert hands.instance().visibility[1] == ABSENT
    assert offered(third, 1) is None
    assert offered(third, FOOT) is not None


def test_placement_and_other_tools_show_none(third: MainWindow, hands: Hands) -> None:
    hands.key(Qt.Key.Key_P, SHIFT)
    assert third.canvas.tool == "place"
    assert offered(third, FOOT) is None
    hands.key(Qt.Key.Key_Escape)
    assert offered(third, FOOT) is not None


def test_ghosts_are_not_exported(third: MainWindow, hands: Hands, tmp_path: Path, qtbot: QtBot) -> None:
    from poseapp.dialogs.export_coco import ExportCocoDialog

    hands.drag(there(third, HAND), (60, 95))
    assert offered(third, FOOT) is not None
    index = hands.instance().id
    hands.key(Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    (dialog,) = third.findChildren(ExportCocoDialog)
    target = tmp_path / "out.json"
    dialog.path.setText(str(target))
    QTest.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: target.exists() and not third.runner.active(), timeout=8000)
    rows = json.loads(target.read_text("utf-8"))["annotations"]
    assert [row["keypoints"][2::3] for row in rows if row["num_keypoints"] == 3][-1] == [2, 2, 2, 0]
    assert index == hands.instance().id


def test_a_point_that_never_had_a_place_comes_back_inside_the_pose(third: MainWindow, hands: Hands) -> None:
    index = hands.instance().id
    hands.key(Qt.Key.Key_G, SHIFT)  # so that it is no ghost that is taken
    third.instances.visibility_requested.emit({(index, FOOT)}, None)
    after = hands.instance()
    assert after.visibility[FOOT] == VISIBLE
    assert 40 < after.keypoints[FOOT][0] < 160
    assert after.keypoints[FOOT][1] > 120
    assert SCHEMA.num_keypoints == len(after.keypoints)
