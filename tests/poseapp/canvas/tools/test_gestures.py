"""What the hand does on the canvas, through real mouse, wheel and key events."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from poseapp.canvas.pose_geometry import handle_positions
from poseapp.project.model import FrameKey, State

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier
RIGHT = Qt.MouseButton.RightButton
MIDDLE = Qt.MouseButton.MiddleButton

NOSE, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, LEFT_HIP = 0, 5, 7, 9, 11
EMPTY = (20.0, 20.0)


@pytest.fixture
def two(desk, person):  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60), person(2, 270, 60, predicted=True, scores=[0.9] * 17))
    return desk


def moved(desk, instance_id: int, start: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    return desk.instance(instance_id).keypoints - start


# Selecting


def test_click_on_a_point_selects_its_instance_and_the_point(two) -> None:  # type: ignore[no-untyped-def]
    two.click(two.of(1, LEFT_WRIST))
    assert two.selections == [({1}, {(1, LEFT_WRIST)})]
    assert two.edits == []


def test_click_on_a_bone_selects_the_instance(two) -> None:  # type: ignore[no-untyped-def]
    (x1, y1), (x2, y2) = two.of(2, LEFT_SHOULDER), two.of(2, LEFT_HIP)
    two.click(((x1 + x2) / 2, (y1 + y2) / 2))
    assert two.selections == [({2}, frozenset())]


def test_click_on_empty_ground_deselects(two) -> None:  # type: ignore[no-untyped-def]
    two.view.set_selection({1}, {(1, NOSE)})
    two.click(EMPTY)
    assert two.selections == [(frozenset(), frozenset())]


def test_a_selection_that_stands_is_not_asked_for_again(two) -> None:  # type: ignore[no-untyped-def]
    two.click(EMPTY)
    assert two.selections == []


def test_shift_click_adds_and_takes_away_points(two) -> None:  # type: ignore[no-untyped-def]
    two.click(two.of(1, LEFT_WRIST))
    two.click(two.of(2, LEFT_ELBOW), SHIFT)
    assert two.selections[-1] == ({1, 2}, {(1, LEFT_WRIST), (2, LEFT_ELBOW)})
    two.click(two.of(1, LEFT_WRIST), SHIFT)
    assert two.selections[-1][1] == {(2, LEFT_ELBOW)}


def test_ctrl_click_on_bones_adds_and_takes_away_poses(two) -> None:  # type: ignore[no-untyped-def]
    def bone(instance_id: int) -> tuple[float, float]:
        (x1, y1), (x2, y2) = two.of(instance_id, LEFT_SHOULDER), two.of(instance_id, LEFT_HIP)
        return (x1 + x2) / 2, (y1 + y2) / 2

    two.click(bone(1))
    two.click(bone(2), CTRL)
    assert two.selections[-1] == ({1, 2}, frozenset())
    two.click(bone(1), CTRL)
    assert two.selections[-1] == ({2}, frozenset())
    two.click(EMPTY, CTRL)
    assert two.selections[-1] == ({2}, frozenset())


def test_shift_drag_selects_the_points_inside(two) -> None:  # type: ignore[no-untyped-def]
    wrist, elbow = two.of(1, LEFT_WRIST), two.of(1, LEFT_ELBOW)
    two.drag((elbow[0] - 4, elbow[1] - 6), (wrist[0] + 6, wrist[1] + 6), SHIFT)
    assert two.selections == [({1}, {(1, LEFT_WRIST), (1, LEFT_ELBOW)})]
    assert two.edits == []


def test_ctrl_shift_drag_adds_to_the_selected_points(two) -> None:  # type: ignore[no-untyped-def]
    two.view.set_selection({2}, {(2, NOSE)})
    wrist = two.of(1, LEFT_WRIST)
    two.drag((wrist[0] - 5, wrist[1] - 5), (wrist[0] + 8, wrist[1] + 8), SHIFT | CTRL)
    assert two.selections[-1] == ({1, 2}, {(2, NOSE), (1, LEFT_WRIST)})


# Moving


def test_dragging_a_point_commits_one_edit_on_release(two) -> None:  # type: ignore[no-untyped-def]
    before = two.instance(1).keypoints
    x, y = two.of(1, LEFT_WRIST)
    two.press((x, y))
    for step in range(1, 6):
        two.move((x + 4 * step, y + 2 * step))
        assert two.edits == []
        assert two.instance(1).keypoints is before
    two.release((x + 20, y + 10))
    assert len(two.edits) == 1
    assert two.edits[0].frames[0].frame == FrameKey(1, 0)
    delta = moved(two, 1, before)
    np.testing.assert_allclose(delta[LEFT_WRIST], (20, 10), atol=0.51)
    assert not np.delete(delta, LEFT_WRIST, axis=0).any()


def test_the_point_does_not_jump_to_the_pointer(two) -> None:  # type: ignore[no-untyped-def]
    before = two.instance(1).keypoints
    x, y = two.of(1, LEFT_WRIST)
    two.drag((x + 3, y + 2), (x + 33, y + 2))
    np.testing.assert_allclose(moved(two, 1, before)[LEFT_WRIST], (30, 0), atol=0.51)


def test_a_click_that_trembles_makes_no_edit(two) -> None:  # type: ignore[no-untyped-def]
    x, y = two.of(1, LEFT_WRIST)
    two.drag((x, y), (x + 1, y))
    assert two.edits == []
    assert two.selections == [({1}, {(1, LEFT_WRIST)})]


def test_dragging_a_predicted_point_makes_the_pose_labelled(two) -> None:  # type: ignore[no-untyped-def]
    x, y = two.of(2, LEFT_WRIST)
    two.drag((x, y), (x + 20, y))
    after = two.instance(2)
    assert after.state == State.LABELLED
    assert after.by_human.tolist() == [i == LEFT_WRIST for i in range(17)]


def test_dragging_one_of_the_selected_points_moves_them_all_as_one_edit(two) -> None:  # type: ignore[no-untyped-def]
    first, second = two.instance(1).keypoints, two.instance(2).keypoints
    two.view.set_selection({1, 2}, {(1, LEFT_WRIST), (1, LEFT_ELBOW), (2, NOSE)})
    x, y = two.of(1, LEFT_WRIST)
    two.drag((x, y), (x + 10, y + 30))
    assert len(two.edits) == 1
    np.testing.assert_allclose(moved(two, 1, first)[[LEFT_WRIST, LEFT_ELBOW]], [(10, 30)] * 2, atol=0.51)
    np.testing.assert_allclose(moved(two, 2, second)[NOSE], (10, 30), atol=0.51)
    assert (np.abs(moved(two, 1, first)).sum(axis=1) > 0).sum() == 2


def test_a_point_cannot_be_dragged_out_of_the_picture(two) -> None:  # type: ignore[no-untyped-def]
    x, y = two.of(1, NOSE)
    two.view.zoom_at(1.0)
    two.drag((x, y), (x, -80))
    assert two.instance(1).keypoints[NOSE, 1] == -0.5


def test_escape_gives_a_drag_up(two) -> None:  # type: ignore[no-untyped-def]
    x, y = two.of(1, LEFT_WRIST)
    two.press((x, y))
    two.move((x + 30, y))
    two.key(Qt.Key.Key_Escape)
    assert not two.view.busy
    two.release((x + 30, y))
    assert two.edits == []


def test_another_frame_gives_a_drag_up(two) -> None:  # type: ignore[no-untyped-def]
    x, y = two.of(1, LEFT_WRIST)
    two.press((x, y))
    two.move((x + 30, y))
    two.view.set_frame(FrameKey(1, 1), (400, 300))
    two.release((x + 30, y))
    assert two.edits == []


def test_ctrl_drag_of_the_elbow_takes_the_forearm_along(two) -> None:  # type: ignore[no-untyped-def]
    before = two.instance(1).keypoints
    x, y = two.of(1, LEFT_ELBOW)
    shoulder = before[LEFT_SHOULDER]
    two.drag((x, y), (x + 20, y - 20), CTRL)
    after = two.instance(1).keypoints
    assert len(two.edits) == 1
    forearm = [np.hypot(*(p[LEFT_WRIST] - p[LEFT_ELBOW])) for p in (before, after)]
    assert forearm[1] == pytest.approx(forearm[0])
    bends = [
        np.cross(np.append(p[LEFT_ELBOW] - shoulder, 0), np.append(p[LEFT_WRIST] - p[LEFT_ELBOW], 0))[2]
        / np.hypot(*(p[LEFT_ELBOW] - shoulder))
        for p in (before, after)
    ]
    assert bends[1] == pytest.approx(bends[0])
    still = [i for i in range(17) if i not in (LEFT_ELBOW, LEFT_WRIST)]
    np.testing.assert_array_equal(after[still], before[still])


def test_a_bare_drag_on_a_bone_pans_and_does_not_edit(two) -> None:  # type: ignore[no-untyped-def]
    (x1, y1), (x2, y2) = two.of(1, LEFT_SHOULDER), two.of(1, LEFT_HIP)
    start = ((x1 + x2) / 2, (y1 + y2) / 2)
    before = two.view.to_view(0, 0)
    two.press(start)
    QTest.mouseMove(two.view.viewport(), two.at(*start) + QPoint(40, 30))
    QTest.mouseRelease(two.view.viewport(), Qt.MouseButton.LeftButton, pos=two.at(*start))
    assert two.edits == []
    assert (two.view.to_view(0, 0) - before).toPoint() == QPoint(40, 30)


def test_alt_drag_moves_the_whole_pose_and_its_box(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60, box=(70, 50, 170, 230)))
    before = desk.instance(1)
    x, y = desk.of(1, NOSE)
    desk.drag((x, y), (x + 25, y + 15), ALT)
    after = desk.instance(1)
    assert len(desk.edits) == 1
    np.testing.assert_allclose(after.keypoints - before.keypoints, [(25, 15)] * 17, atol=0.51)
    np.testing.assert_allclose(after.box - before.box, [25, 15, 25, 15], atol=0.51)


def test_alt_drag_inside_the_box_of_the_selected_pose_moves_it(two) -> None:  # type: ignore[no-untyped-def]
    two.view.set_selection({1}, set())
    before = two.instance(1).keypoints
    two.drag((120, 100), (140, 100), ALT)
    np.testing.assert_allclose(moved(two, 1, before), [(20, 0)] * 17, atol=0.51)


def test_alt_wheel_turns_the_pose_about_its_middle_as_one_step(two) -> None:  # type: ignore[no-untyped-def]
    two.view.set_selection({1}, set())
    before = two.instance(1).keypoints
    middle = (before.min(axis=0) + before.max(axis=0)) / 2
    for _ in range(3):
        two.wheel((120, 100), 1, ALT)
    after = two.instance(1).keypoints
    assert len({edit.merge_key for edit in two.edits}) == 1
    assert two.edits[0].merge_key
    np.testing.assert_allclose(np.hypot(*(after - middle).T), np.hypot(*(before - middle).T), rtol=0.03)
    angles = np.unwrap(np.arctan2(*(after - middle).T[::-1]) - np.arctan2(*(before - middle).T[::-1]))
    assert np.degrees(np.median(angles)) % 360 == pytest.approx(6, abs=1)


def test_the_next_press_begins_another_step_of_turning(two) -> None:  # type: ignore[no-untyped-def]
    two.view.set_selection({1}, set())
    two.wheel((120, 100), 1, ALT)
    two.click(two.of(1, NOSE))
    two.wheel((120, 100), 1, ALT)
    assert len({edit.merge_key for edit in two.edits}) == 2


def test_handles_scale_the_pose_from_the_opposite_corner(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 120, 60, box=(70, 50, 170, 230)))
    desk.view.set_selection({1}, set())
    desk.view.set_style(desk.view.style_now.__class__(show_boxes=True))
    desk.drag((170, 230), (220, 275))
    assert len(desk.edits) == 1
    np.testing.assert_allclose(desk.instance(1).box, (70, 50, 220, 275), atol=0.51)
    np.testing.assert_allclose(desk.of(1, NOSE), (70 + 50 * 1.5, 50 + 18 * 1.25), atol=0.51)


def test_the_round_handle_turns_the_pose(desk, person) -> None:  # type: ignore[no-untyped-def]
    desk.show(person(1, 200, 60, box=(150, 50, 250, 230)))
    desk.view.set_selection({1}, set())
    QTest.keyPress(desk.view, Qt.Key.Key_Alt)
    grip = handle_positions(desk.instance(1).box, desk.view.scale_factor)[8]
    before = desk.instance(1).keypoints
    reach = 140 - grip[1]
    desk.drag(tuple(grip), (200 + reach, 140), ALT)
    after = desk.instance(1).keypoints
    centerd = before - (200, 140)
    np.testing.assert_allclose(after, np.array([200, 140]) + centerd[:, ::-1] * (-1, 1), atol=1.0)


# Visibility, acceptance


def test_right_click_asks_for_the_next_visibility(two) -> None:  # type: ignore[no-untyped-def]
    two.click(two.of(1, LEFT_WRIST), button=RIGHT)
    assert two.visibility == [({(1, LEFT_WRIST)}, None)]
    two.click(EMPTY, button=RIGHT)
    assert len(two.visibility) == 1


def test_double_click_accepts(two) -> None:  # type: ignore[no-untyped-def]
    position = two.at(*two.of(2, LEFT_WRIST))
    two.click(two.of(2, LEFT_WRIST))
    QTest.mouseDClick(two.view.viewport(), Qt.MouseButton.LeftButton, pos=position)
    two.release(two.of(2, LEFT_WRIST))
    assert two.accepted == [2]
    assert two.edits == []


def test_a_drag_right_after_a_click_is_still_a_drag(two) -> None:  # type: ignore[no-untyped-def]
    x, y = two.of(2, LEFT_WRIST)
    two.click((x, y))
    QTest.mouseDClick(two.view.viewport(), Qt.MouseButton.LeftButton, pos=two.at(x, y))
    two.move((x + 20, y))
    two.release((x + 20, y))
    assert two.accepted == []
    assert len(two.edits) == 1


# Boxes


def test_a_box_is_drawn_by_a_drag_from_any_corner(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.set_tool("box")
    desk.drag((200, 150), (120, 60))
    assert len(desk.boxes) == 1
    np.testing.assert_allclose(desk.boxes[0], (120, 60, 200, 150), atol=0.51)


def test_a_box_is_drawn_by_two_clicks(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.set_tool("box")
    desk.click((120, 60))
    assert desk.boxes == []
    desk.move((200, 150))
    desk.click((200, 150))
    np.testing.assert_allclose(desk.boxes, [(120, 60, 200, 150)], atol=0.51)
    assert not desk.view.busy


def test_a_box_ends_at_the_edge_of_the_picture(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.zoom_at(1.0)
    desk.view.set_tool("box")
    desk.drag((350, 250), (500, 400))
    np.testing.assert_allclose(desk.boxes, [(350, 250, 400, 300)], atol=0.51)


def test_escape_gives_a_box_up(desk) -> None:  # type: ignore[no-untyped-def]
    desk.view.set_tool("box")
    desk.press((120, 60))
    desk.move((200, 150))
    desk.key(Qt.Key.Key_Escape)
    desk.release((200, 150))
    assert desk.boxes == []


def test_the_box_tool_does_not_select(two) -> None:  # type: ignore[no-untyped-def]
    two.view.set_tool("box")
    two.drag(two.of(1, NOSE), two.of(1, LEFT_WRIST))
    assert two.selections == []
    assert two.edits == []


def test_there_is_no_other_tool(desk) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(KeyError):
        desk.view.set_tool("lasso")


# Hover


def test_moving_over_a_point_tells_what_is_hovered(two, qtbot) -> None:  # type: ignore[no-untyped-def]
    results: list[object] = []
    two.view.hovered.connect(results.append)
    two.move(two.of(1, LEFT_WRIST))
    two.move(EMPTY)
    assert [getattr(target, "index", None) for target in results] == [LEFT_WRIST, None]


def test_the_cursor_is_told_in_image_pixels(two) -> None:  # type: ignore[no-untyped-def]
    results: list[tuple[float, float]] = []
    two.view.cursor_moved.connect(results.append)
    two.move((100, 70))
    np.testing.assert_allclose(results[-1], (100, 70), atol=0.51)


def test_what_disappears_is_no_longer_hovered(two) -> None:  # type: ignore[no-untyped-def]
    two.move(two.of(1, LEFT_WRIST))
    two.show()
    two.pixels()
    assert two.view._state.hovered is None
