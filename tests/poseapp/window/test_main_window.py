"""The window answers to mouse and keys; everything goes through edits and comes back by undo."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.canvas.tools.base import PlacedPose
from poseapp.commands import pose as pose_commands
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, FrameKey, State
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE, Hands

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_the_first_page_offers_ways_to_begin(window: MainWindow) -> None:
    assert window.middle.currentWidget() is window.empty
    assert not window.actions_by_id["export_coco"].isEnabled()
    assert window.actions_by_id["open_folder"].isEnabled()


def test_a_missing_file_is_told_and_nothing_opens(window: MainWindow, tmp_path: Path) -> None:
    window.open_paths([tmp_path / "nothing.json"])
    assert any("no such file" in text for text in window.toasts.messages())
    assert window.session.store is None


def test_a_broken_file_leaves_the_open_project_alone(opened: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    bad = tmp_path / "bad" / "labels.json"
    bad.parent.mkdir()
    bad.write_text('{"images": [', encoding="utf-8")
    before = opened.session.path
    opened.open_paths([bad])
    qtbot.waitUntil(lambda: bool(opened.toasts.messages()) and not opened.runner.active(), timeout=5000)
    assert "labels.json" in opened.toasts.messages()[0]
    assert opened.session.path == before
    assert list(bad.parent.iterdir()) == [bad]


def test_a_dragged_point_is_moved_saved_and_undone(hands: Hands) -> None:
    before = hands.instance()
    hands.drag((100, 60), (120, 70))
    after = hands.instance()
    assert np.abs(after.keypoints[0] - [120, 70]).max() < 1.0
    assert np.array_equal(after.keypoints[1:], before.keypoints[1:])
    hands.key(Qt.Key.Key_Z, CONTROL)
    assert hands.instance().same_as(before)
    hands.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert hands.instance().same_as(after)


def test_right_click_cycles_the_visibility(hands: Hands) -> None:
    seen = []
    for _ in range(2):
        hands.click(100, 180, Qt.MouseButton.RightButton)
        seen.append(int(hands.instance().visibility[3]))
    assert seen == [OCCLUDED, ABSENT]


@pytest.mark.parametrize(("key", "value"), [(Qt.Key.Key_Q, OCCLUDED), (Qt.Key.Key_O, ABSENT)])
def test_a_key_marks_the_hovered_point(hands: Hands, key: Qt.Key, value: int) -> None:
    view = hands.window.canvas.viewport()
    QTest.mouseMove(view, hands.at(60, 60))
    QTest.mouseMove(view, hands.at(100, 180))
    hands.key(key)
    assert hands.instance().visibility[3] == value


def test_delete_takes_selected_points_first_and_poses_otherwise(hands: Hands) -> None:
    session = hands.window.session
    first = hands.instance()
    session.select(instances=[first.id], points=[(first.id, 0)])
    hands.key(Qt.Key.Key_Delete)
    assert hands.instance().visibility[0] == ABSENT
    session.select(instances=[first.id])
    hands.key(Qt.Key.Key_Delete)
    assert first.id not in [i.id for i in session.instances]


def test_digits_and_tab_select_poses(hands: Hands) -> None:
    session = hands.window.session
    first, second = (i.id for i in session.instances)
    hands.key(Qt.Key.Key_2)
    assert session.selected_instances == {second}
    hands.key(Qt.Key.Key_Tab)
    assert session.selected_instances == {first}


def test_arrows_nudge_selected_points_and_walk_otherwise(hands: Hands) -> None:
    session = hands.window.session
    first = hands.instance()
    session.select(instances=[first.id], points=[(first.id, 0)])
    hands.key(Qt.Key.Key_Right)
    hands.key(Qt.Key.Key_Down, SHIFT)
    assert np.allclose(hands.instance().keypoints[0], POSE[0] + [1, 10])
    hands.key(Qt.Key.Key_Z, CONTROL)
    assert np.allclose(hands.instance().keypoints[0], POSE[0]), "nudges of one selection are one step"
    session.select()
    hands.key(Qt.Key.Key_Right)
    assert session.position() == 1
    hands.key(Qt.Key.Key_A)
    assert session.position() == 0


def test_swap_exchanges_the_hands(hands: Hands) -> None:
    hands.window.session.select(instances=[hands.instance().id])
    hands.key(Qt.Key.Key_X)
    assert np.array_equal(hands.instance().keypoints, POSE[[0, 2, 1, 3]])


def test_mirror_keeps_left_on_the_left_of_the_subject(hands: Hands) -> None:
    hands.window.session.select(instances=[hands.instance().id])
    hands.key(Qt.Key.Key_X, SHIFT)
    assert np.allclose(hands.instance().keypoints, POSE)  # the figure is symmetric


def test_copy_and_paste_into_another_frame(hands: Hands) -> None:
    session = hands.window.session
    session.select(instances=[hands.instance().id])
    hands.key(Qt.Key.Key_C, CONTROL)
    hands.key(Qt.Key.Key_End)
    hands.key(Qt.Key.Key_V, CONTROL)
    (pasted,) = session.instances
    assert np.array_equal(pasted.keypoints, POSE)
    assert session.selected_instances == {pasted.id}


def test_poses_come_from_the_previous_frame(hands: Hands) -> None:
    session = hands.window.session
    hands.key(Qt.Key.Key_End)
    hands.key(Qt.Key.Key_V, CONTROL | SHIFT)
    (copied,) = session.instances
    assert copied.state is State.LABELLED


def test_enter_accepts_the_single_prediction_and_backspace_rejects_it(hands: Hands) -> None:
    session = hands.window.session
    hands.key(Qt.Key.Key_D)
    assert hands.instance().state is State.PREDICTED
    hands.key(Qt.Key.Key_Return)
    assert hands.instance().state is State.LABELLED
    hands.key(Qt.Key.Key_Z, CONTROL)
    hands.key(Qt.Key.Key_Backspace)
    assert session.instances == ()


def test_space_goes_to_the_frame_that_waits_for_review(hands: Hands) -> None:
    hands.key(Qt.Key.Key_Space)
    session = hands.window.session
    assert session.position() == 1
    assert session.selected_instances == {session.instances[0].id}


def test_placed_points_become_a_pose(hands: Hands) -> None:
    hands.key(Qt.Key.Key_End)
    hands.key(Qt.Key.Key_P)
    for x, y in ((100, 50), (140, 90), (60, 90)):
        hands.click(x, y)
    hands.click(100, 170, Qt.MouseButton.RightButton)
    (placed,) = hands.window.session.instances
    assert placed.visibility.tolist() == [VISIBLE, VISIBLE, VISIBLE, OCCLUDED]
    assert np.abs(placed.keypoints[0] - [100, 50]).max() < 1.0


def test_a_placed_pose_without_points_makes_nothing(opened: MainWindow) -> None:
    opened.session.step(2)
    pose_commands.new_pose(opened.context, PlacedPose(np.zeros((4, 2)), np.zeros(4, np.uint8)))
    assert opened.session.instances == ()


def test_a_box_of_an_unknown_kind_gets_the_template(hands: Hands, qtbot: QtBot) -> None:
    hands.key(Qt.Key.Key_End)
    hands.key(Qt.Key.Key_N)
    hands.drag((50, 40), (200, 200))
    qtbot.waitUntil(lambda: bool(hands.window.session.instances), timeout=5000)
    (created,) = hands.window.session.instances
    assert created.keypoints.min() >= 39
    assert hands.window.canvas.tool == "edit"


def test_flag_is_a_step_that_undo_takes_back(hands: Hands) -> None:
    session = hands.window.session
    hands.key(Qt.Key.Key_F, CONTROL)
    info = session.frame_info()
    assert info is not None
    assert info.state.flagged
    hands.window.refresh_actions_now()
    assert hands.window.actions_by_id["flag"].isChecked()
    hands.key(Qt.Key.Key_Z, CONTROL)
    info = session.frame_info()
    assert info is not None
    assert not info.state.flagged


def test_switches_show_in_menu_and_canvas(hands: Hands) -> None:
    window = hands.window
    hands.key(Qt.Key.Key_G)
    assert window.canvas.style_now.show_boxes
    window.refresh_actions_now()
    assert window.actions_by_id["show_boxes"].isChecked()
    hands.key(Qt.Key.Key_G)
    window.refresh_actions_now()
    assert not window.actions_by_id["show_boxes"].isChecked()


def test_the_palette_runs_what_it_finds(hands: Hands) -> None:
    window = hands.window
    hands.key(Qt.Key.Key_K, CONTROL)
    QTest.keyClicks(window.palette_box.line, "select all")
    QTest.keyClick(window.palette_box.line, Qt.Key.Key_Return)
    assert len(window.session.selected_instances) == 2
    assert not window.palette_box.isVisible()


def test_theme_changes_at_once(opened: MainWindow) -> None:
    opened.run("theme_light")
    light = opened.palette().window().color().lightness()
    opened.run("theme_dark")
    assert opened.palette().window().color().lightness() < 80 < light
    assert opened.canvas.style_now.dark


def test_the_keys_sheet_lists_every_key_of_the_menus(opened: MainWindow) -> None:
    opened.run("keys")
    assert opened.keys_sheet.isVisible()
    opened.keys_sheet.close()


def test_an_unreadable_picture_is_told_and_its_labels_stay(opened: MainWindow, project: Path, qtbot: QtBot) -> None:
    file, notice = project.parent / "b.png", opened.notice
    whole = file.read_bytes()
    file.write_bytes(b"no picture")
    opened.loader.clear()
    opened.session.step(1)
    qtbot.waitUntil(lambda: notice.isVisible(), timeout=5000)
    assert "b.png" in notice.why.text()
    assert "not an image" in notice.why.text()
    assert opened.canvas.rect().contains(notice.geometry())
    assert not notice.seek.isVisible()
    assert len(opened.session.instances) == 1
    row = opened.media.model.index(1)
    assert "not an image" in opened.media.model.data(row, Qt.ItemDataRole.ToolTipRole)
    opened.session.step(1)
    assert not notice.isVisible()
    opened.session.step(-1)
    qtbot.waitUntil(lambda: notice.isVisible(), timeout=5000)
    file.write_bytes(whole)
    QTest.mouseClick(notice.retry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "not an image" not in opened.media.model.data(row, Qt.ItemDataRole.ToolTipRole))
    assert not notice.isVisible()


def test_the_export_dialog_writes_a_file_that_reads_back(opened: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    from poseapp.dialogs.export_coco import ExportCocoDialog

    opened.run("export_coco")
    (dialog,) = opened.findChildren(ExportCocoDialog)
    target = tmp_path / "out.json"
    dialog.path.setText(str(target))
    QTest.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: target.exists() and not opened.runner.active(), timeout=5000)
    data = json.loads(target.read_text())
    assert len(data["annotations"]) == 2
    assert data["annotations"][1]["keypoints"][5] == 1


def test_a_second_window_opens_the_project_read_only(opened: MainWindow, project: Path, qtbot: QtBot) -> None:
    other = MainWindow()
    other.show()
    other.open_paths([project])
    qtbot.waitUntil(lambda: other.session.store is not None, timeout=5000)
    assert other.session.read_only
    assert any("another window" in text for text in other.toasts.messages())
    other.close()


def test_a_closed_window_leaves_no_timer_active(opened: MainWindow) -> None:
    timers = opened.findChildren(QTimer)
    assert len(timers) > 5
    for timer in timers:
        timer.start(3_600_000)
    opened.close()
    assert [timer.objectName() for timer in timers if timer.isActive()] == []


def test_a_closed_window_starts_nothing_more(opened: MainWindow, qtbot: QtBot) -> None:
    threads = set(threading.enumerate())
    opened.media.filter.search.setText("b")
    opened.session.go_to(opened.session.frames[1])  # its picture comes while the window closes
    opened.close()
    assert not opened.isVisible()
    opened.grab()  # paints the list, which would ask for thumbnails, and the canvas
    opened.loader.request(FrameKey(1, 0), Path("a.png"))
    opened.loader.request_thumbnail(FrameKey(1, 1), Path("b.png"))
    qtbot.wait(50)
    assert [timer.objectName() for timer in opened.findChildren(QTimer) if timer.isActive()] == []
    assert [thread.name for thread in threading.enumerate() if thread not in threads] == []
