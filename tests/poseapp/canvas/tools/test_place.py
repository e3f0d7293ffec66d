"""Placing a pose point by point."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from engine.schema.schema import schema_from_names

RIGHT = Qt.MouseButton.RightButton


@pytest.fixture
def placing(desk):  # type: ignore[no-untyped-def]
    schema = schema_from_names("fish", ["mouth", "left_fin", "right_fin", "tail"], [(0, 3), (0, 1), (0, 2)])
    desk.view.set_placement(schema)
    desk.view.set_tool("place")
    return desk


def ghost(desk):  # type: ignore[no-untyped-def]
    return desk.view._marks.ghost


def test_points_are_placed_in_the_order_of_the_schema(placing) -> None:  # type: ignore[no-untyped-def]
    positions = [(100.0, 100.0), (120.0, 90.0), (120.0, 110.0), (180.0, 100.0)]
    for position in positions:
        assert placing.placed == []
        placing.click(position)
    np.testing.assert_allclose(placing.placed[0].keypoints, positions, atol=0.51)
    assert placing.placed[0].visibility.tolist() == [2, 2, 2, 2]
    assert not placing.view.busy


def test_right_button_places_occluded_and_tab_skips(placing) -> None:  # type: ignore[no-untyped-def]
    placing.click((100, 100))
    placing.key(Qt.Key.Key_Tab)
    placing.click((120, 110), button=RIGHT)
    placing.key(Qt.Key.Key_Return)
    assert placing.placed[0].visibility.tolist() == [2, 0, 1, 0]


def test_backspace_takes_the_last_point_back(placing) -> None:  # type: ignore[no-untyped-def]
    placing.click((100, 100))
    placing.click((120, 90))
    placing.key(Qt.Key.Key_Backspace)
    assert ghost(placing).next_point == 1
    placing.click((130, 80))
    placing.key(Qt.Key.Key_Return)
    np.testing.assert_allclose(placing.placed[0].keypoints[1], (130, 80), atol=0.51)


def test_a_point_follows_the_pointer_until_the_button_comes_up(placing) -> None:  # type: ignore[no-untyped-def]
    placing.drag((100, 100), (140, 120))
    placing.key(Qt.Key.Key_Enter)
    np.testing.assert_allclose(placing.placed[0].keypoints[0], (140, 120), atol=0.51)


def test_quick_clicks_that_make_a_double_click_place_two_points(placing) -> None:  # type: ignore[no-untyped-def]
    viewport = placing.view.viewport()
    placing.click((100, 100))
    QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=placing.at(101, 101))
    placing.release((101, 101))
    assert ghost(placing).next_point == 2


def test_escape_forgets_all(placing) -> None:  # type: ignore[no-untyped-def]
    placing.click((100, 100))
    placing.key(Qt.Key.Key_Escape)
    assert ghost(placing) is None
    assert not placing.view.busy
    assert placing.placed == []


def test_enter_without_a_point_places_nothing(placing) -> None:  # type: ignore[no-untyped-def]
    placing.move((100, 100))
    placing.key(Qt.Key.Key_Tab)
    placing.key(Qt.Key.Key_Return)
    assert placing.placed == []


def test_the_ghost_of_the_next_point_is_under_the_pointer(placing) -> None:  # type: ignore[no-untyped-def]
    placing.move((100, 100))
    np.testing.assert_allclose(ghost(placing).points[0], (100, 100), atol=0.51)
    placing.click((100, 100))
    placing.move((140, 130))
    np.testing.assert_allclose(ghost(placing).points[:2], [(100, 100), (140, 130)], atol=0.51)


def test_points_stay_inside_the_picture(placing) -> None:  # type: ignore[no-untyped-def]
    placing.view.zoom_at(1.0)
    placing.click((-30, 100))
    placing.key(Qt.Key.Key_Return)
    np.testing.assert_allclose(placing.placed[0].keypoints[0], (-0.5, 100), atol=0.51)


def test_changing_the_tool_gives_the_pose_up(placing) -> None:  # type: ignore[no-untyped-def]
    placing.click((100, 100))
    placing.view.set_tool("edit")
    assert ghost(placing) is None
    placing.view.set_tool("place")
    assert not placing.view.busy


def test_without_a_schema_nothing_is_placed(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.set_tool("place")
    desk.click((100, 100))
    assert ghost(desk) is None
    assert desk.placed == []
