"""Zoom, pan, fit, and keys that must not be lost to shortcuts."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtTest import QTest

from poseapp.project.model import FrameKey


def near(a: QPointF, b: QPointF, within: float = 1.0) -> bool:
    return abs(a.x() - b.x()) <= within and abs(a.y() - b.y()) <= within


def test_the_wheel_zooms_to_the_cursor(desk) -> None:  # type: ignore[no-untyped-def]
    under = desk.at(150, 90)
    before = desk.view.scale_factor
    desk.wheel((150, 90), 3)
    assert desk.view.scale_factor == pytest.approx(before * 1.2**3)
    assert near(desk.view.to_view(150, 90), QPointF(under))
    desk.wheel((150, 90), -3)
    assert desk.view.scale_factor == pytest.approx(before)


def test_a_drag_on_empty_ground_pans(desk) -> None:  # type: ignore[no-untyped-def]
    before = desk.view.to_view(0, 0)
    start = desk.at(100, 100)
    QTest.mousePress(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 6):
        QTest.mouseMove(desk.view.viewport(), start + QPoint(10 * step, 6 * step))
    QTest.mouseRelease(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=start + QPoint(50, 30))
    assert near(desk.view.to_view(0, 0), before + QPointF(50, 30))


def test_the_middle_button_pans_over_a_pose_too(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60))
    before, start = desk.view.to_view(0, 0), desk.at(*desk.of(1, 9))
    QTest.mousePress(desk.view.viewport(), Qt.MouseButton.MiddleButton, pos=start)
    QTest.mouseMove(desk.view.viewport(), start + QPoint(30, -20))
    QTest.mouseRelease(desk.view.viewport(), Qt.MouseButton.MiddleButton, pos=start + QPoint(30, -20))
    assert near(desk.view.to_view(0, 0), before + QPointF(30, -20))
    assert desk.edits == []


def test_a_drag_while_space_is_down_pans_and_space_alone_is_told(desk, person, qtbot) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60))
    taps: list[bool] = []
    desk.view.space_tapped.connect(taps.append)
    before, start = desk.view.to_view(0, 0), desk.at(*desk.of(1, 9))
    QTest.keyPress(desk.view, Qt.Key.Key_Space)
    QTest.mousePress(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(desk.view.viewport(), start + QPoint(30, -20))
    QTest.mouseRelease(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=start + QPoint(30, -20))
    QTest.keyRelease(desk.view, Qt.Key.Key_Space)
    assert near(desk.view.to_view(0, 0), before + QPointF(30, -20))
    assert taps == []
    assert desk.edits == []
    desk.key(Qt.Key.Key_Space)
    desk.key(Qt.Key.Key_Space, Qt.KeyboardModifier.ShiftModifier)
    assert taps == [False, True]


def test_fit_shows_the_whole_picture_and_follows_the_window(desk, qtbot) -> None:  # type: ignore[no-untyped-def]
    desk.view.fit()
    for size in ((800, 600), (500, 700)):
        desk.view.resize(*size)
        qtbot.wait(1)
        top_left, bottom_right = desk.view.to_view(-0.5, -0.5), desk.view.to_view(399.5, 299.5)
        assert top_left.x() >= 0
        assert top_left.y() >= 0
        assert bottom_right.x() <= size[0]
        assert bottom_right.y() <= size[1]
        assert min(top_left.x(), top_left.y()) < 15


def test_a_zoomed_view_keeps_its_middle_when_the_window_changes(desk, qtbot) -> None:  # type: ignore[no-untyped-def]
    desk.view.zoom_at(5.0, QPointF(100, 100))
    middle = desk.view.to_image(QPointF(400, 300))
    desk.view.resize(600, 400)
    qtbot.wait(1)
    assert near(desk.view.to_image(QPointF(300, 200)), middle, 0.3)
    assert desk.view.scale_factor == 5.0


def test_actual_size_is_one_to_one_and_is_told(desk) -> None:  # type: ignore[no-untyped-def]
    messages: list[float] = []
    desk.view.zoom_changed.connect(messages.append)
    desk.view.actual_size()
    assert desk.view.scale_factor == 1.0
    assert messages == [1.0]


def test_zoom_to_a_box_shows_it_whole(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.zoom_to((100, 50, 140, 130))
    for x, y in ((100, 50), (140, 130)):
        position = desk.view.to_view(x, y)
        assert 0 <= position.x() <= 800
        assert 0 <= position.y() <= 600
    assert desk.view.scale_factor > 5


def test_zoom_ends_somewhere(desk) -> None:  # type: ignore[no-untyped-def]
    for _ in range(60):
        desk.wheel((200, 150), 2)
    assert desk.view.scale_factor == 64.0
    for _ in range(60):
        desk.wheel((200, 150), -2)
    assert 0.2 < desk.view.scale_factor < 1.0


def test_the_picture_cannot_be_lost_out_of_sight(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.pan_by(100_000, -100_000)
    middle = desk.view.to_image(QPointF(400, 300))
    assert -1 <= middle.x() <= 400
    assert -1 <= middle.y() <= 300


def test_the_view_stays_put_between_frames_of_one_size(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.zoom_at(7.0, QPointF(600, 200))
    before = desk.view.viewportTransform()
    desk.view.set_frame(FrameKey(1, 1), (400, 300))
    desk.view.set_image(np.zeros((300, 400, 3), np.uint8))
    assert desk.view.viewportTransform() == before


def test_a_frame_of_another_size_is_fitted(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.zoom_at(7.0)
    desk.view.set_frame(FrameKey(1, 1), (4000, 300))
    assert desk.view.scale_factor < 0.21


def test_keys_of_a_gesture_win_over_the_windows_shortcuts(desk, person, qtbot) -> None:  # type: ignore[no-untyped-def]
    fired: list[str] = []
    for key in ("Esc", "Tab", "Backspace", "D"):
        action = QAction(desk.view)
        action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda _=False, key=key: fired.append(key))
        desk.view.addAction(action)
    desk.show(person(1, 120, 60))
    x, y = desk.of(1, 9)
    desk.press((x, y))
    desk.move((x + 20, y))
    desk.key(Qt.Key.Key_Escape)
    assert fired == []
    desk.release((x + 20, y))
    desk.key(Qt.Key.Key_Escape)
    desk.key(Qt.Key.Key_D)
    assert fired == ["Esc", "D"]
