"""Merging, splitting, weeding out, hiding, locking: through the real window, each one step that undo takes back."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.schema.schema import schema_from_names
from poseapp.dialogs.prompt import AskDialog
from poseapp.project import edits
from poseapp.project.model import ABSENT, State
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE


def answer(window: MainWindow, qtbot: QtBot) -> AskDialog:
    qtbot.waitUntil(lambda: bool(window.findChildren(AskDialog)), timeout=2000)
    return window.findChildren(AskDialog)[-1]


def test_split_and_merge_give_the_pose_back(opened: MainWindow) -> None:
    session = opened.session
    first = session.instances[0]
    before = len(session.instances)
    session.select(instances=[first.id], points=[(first.id, 0), (first.id, 1)])
    opened.run("split_pose")
    assert len(session.instances) == before + 1
    match = next(i for i in session.instances if i.id == first.id)
    (new,) = session.selected
    assert match.visibility[0] == match.visibility[1] == ABSENT
    assert [int(v > 0) for v in new.visibility] == [1, 1, 0, 0]
    session.select(instances=[first.id, new.id])
    opened.run("merge_poses")
    merged = next(i for i in session.instances if i.id == first.id)
    assert len(session.instances) == before
    assert np.array_equal(merged.keypoints, first.keypoints)
    assert np.array_equal(merged.visibility, first.visibility)
    session.undo()
    session.undo()
    assert session.instances[0].same_as(first)


def test_all_points_cannot_be_split_off_and_one_pose_cannot_be_merged(opened: MainWindow) -> None:
    session = opened.session
    first = session.instances[0]
    session.select(instances=[first.id], points=[(first.id, k) for k in range(4)])
    opened.run("split_pose")
    assert "not all" in opened.toasts.messages()[-1]
    session.select(instances=[first.id])
    opened.run("merge_poses")
    assert "two or more" in opened.toasts.messages()[-1]
    assert session.instances[0].same_as(first)


def test_a_pose_becomes_another_kind_with_the_points_they_share(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.session
    other = session.add_category("stick", schema_from_names("stick", ["foot", "tip"], [(0, 1)], category="stick"))
    assert other is not None
    first = session.instances[0]
    session.select(instances=[first.id])
    opened.run("change_category")
    dialog = answer(opened, qtbot)
    assert dialog.choice is not None
    dialog.choice.setCurrentIndex(dialog.choice.findData(other.id))
    dialog.do.click()
    pose = next(i for i in session.instances if i.id == first.id)
    assert pose.category == other.id
    assert np.array_equal(pose.keypoints[0], first.keypoints[3])
    assert pose.visibility.tolist() == [first.visibility[3], ABSENT]


def test_predictions_below_a_score_go_in_one_step_and_labels_stay(opened: MainWindow, qtbot: QtBot) -> None:
    store = opened.session.store
    assert store is not None
    before = store.summary()
    assert before.predicted == 1
    opened.run("delete_below")
    dialog = answer(opened, qtbot)
    assert dialog.number is not None
    dialog.number.setValue(100)
    dialog.do.click()
    assert store.summary().predicted == 0
    assert store.summary().labelled == before.labelled
    opened.session.undo()
    assert store.summary().predicted == 1


def test_an_empty_frame_is_said_to_hold_nothing(opened: MainWindow) -> None:
    session = opened.session
    opened.run("nothing_here")
    assert "has labelled poses" in opened.toasts.messages()[-1]
    session.go_to(session.frames[2])
    opened.run("nothing_here")
    info = session.frame_info()
    assert info is not None
    assert info.state.negative
    opened.refresh_actions_now()
    assert opened.actions_by_id["nothing_here"].isChecked()
    opened.run("nothing_here")
    info = session.frame_info()
    assert info is not None
    assert not info.state.negative


def test_hidden_poses_are_not_hit_and_locked_ones_not_either_until_all_are_shown(
    opened: MainWindow, qtbot: QtBot
) -> None:
    session, canvas = opened.session, opened.canvas
    first = session.instances[0]
    where = canvas.mapFromScene(*map(float, POSE[3]))

    def click() -> frozenset[int]:
        session.select()
        qtbot.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=where)
        return session.selected_instances | {i for i, _ in session.selected_points}

    assert first.id in click()
    for verb in ("hide_poses", "lock_poses"):
        session.select(instances=[first.id])
        opened.run(verb)
        assert not session.selected
        assert first.id not in click()
        opened.run("show_all_poses")
        assert first.id in click()


def test_with_one_part_there_is_nothing_to_focus(opened: MainWindow) -> None:
    opened.run("next_part")
    assert "only one part" in opened.toasts.messages()[-1]
    assert opened.canvas.style_now.parts is None


def test_accepting_keeps_working_beside_the_new_verbs(opened: MainWindow) -> None:
    session = opened.session
    session.go_to(session.frames[1])
    opened.run("accept_all")
    assert all(i.state is State.LABELLED for i in session.instances)


def test_points_that_are_split_off_do_not_have_the_track_a_second_time(opened: MainWindow) -> None:
    session = opened.session
    first = session.instances[0]
    assert session.frame is not None
    session.apply(edits.set_track(session.frame, [first], 5))
    session.select(instances=[first.id], points=[(first.id, 0), (first.id, 1)])
    opened.run("split_pose")
    assert {i.id == first.id: i.track for i in session.instances if i.track is not None} == {True: 5}
