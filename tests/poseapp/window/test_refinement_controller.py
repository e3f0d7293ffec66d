"""Refinement through the real window: a keypoint is dragged, the model proposes, Enter takes it, Esc drops it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from poseapp.project import edits
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.opening import open_any
from poseapp.window.main_window import MainWindow
from poseapp.window.refinement_controller import likely_box, proposal_of

ELBOW = 7
OFFSET = np.array([40.0, 25.0])


@pytest.fixture
def shifted(window: MainWindow, resources_dir: Path, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """A window on a photograph whose pose lies beside the person, and whose model is loaded."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copyfile(resources_dir / "sample" / "astronaut.jpg", folder / "astronaut.jpg")
    with open_any(folder) as store:
        category = store.add_category("person", find_schema("coco"))
        (key,) = list(store.frame_keys())
        points = np.tile([[250.0, 250.0]], (17, 1)) + np.column_stack([np.arange(17) * 4.0, np.arange(17) * -6.0])
        pose = edits.make_instance(store.new_ids(1)[0], category, points, box=[20, 0, 480, 500])
        created = replace(
            pose, by_human=np.zeros(17, np.bool_), state=State.PREDICTED, source="model", scores=np.full(17, 0.5)
        )
        store.apply(edits.add_instance(key, created))
        path = store.path
    window.settings.model = "movenet_lightning"
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    window.settings.assist = False
    window.run("assist")
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=60000)
    return window


def drag(window: MainWindow, qtbot: QtBot, index: int, by: np.ndarray) -> Instance:
    canvas, pose = window.canvas, window.session.instances[0]
    start = canvas.mapFromScene(*map(float, pose.keypoints[index]))
    end = canvas.mapFromScene(*map(float, pose.keypoints[index] + by))
    port = canvas.viewport()
    QTest.mouseMove(port, start)
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    for share in (0.3, 0.7, 1.0):
        QTest.mouseMove(port, start + QPoint(round((end - start).x() * share), round((end - start).y() * share)))
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=end)
    return window.session.instances[0]


def proposed(window: MainWindow, qtbot: QtBot) -> Instance:
    qtbot.waitUntil(lambda: window.session.proposal is not None, timeout=15000)
    assert window.session.proposal is not None
    return window.session.proposal.frames[0].after[0]


def test_enter_takes_what_the_model_proposes_and_undo_gives_it_back(shifted: MainWindow, qtbot: QtBot) -> None:
    session = shifted.session
    corrected = drag(shifted, qtbot, ELBOW, OFFSET)
    assert corrected.by_human[ELBOW]
    ghost = proposed(shifted, qtbot)
    assert np.array_equal(ghost.keypoints[ELBOW], corrected.keypoints[ELBOW])
    assert not np.allclose(ghost.keypoints, corrected.keypoints)
    assert shifted.actions_by_id["accept"].isEnabled() or shifted.window_actions.can_run("accept", session)
    shifted.run("accept")
    taken = session.instances[0]
    assert np.array_equal(taken.keypoints, ghost.keypoints)
    assert session.proposal is None
    session.undo()
    assert np.array_equal(session.instances[0].keypoints, corrected.keypoints)


def test_escape_drops_it_and_another_edit_too(shifted: MainWindow, qtbot: QtBot) -> None:
    corrected = drag(shifted, qtbot, ELBOW, OFFSET)
    proposed(shifted, qtbot)
    qtbot.keyClick(shifted.canvas, Qt.Key.Key_Escape)
    assert shifted.session.proposal is None
    assert shifted.session.instances[0].same_as(corrected)
    drag(shifted, qtbot, ELBOW, -OFFSET)
    proposed(shifted, qtbot)
    shifted.session.undo()
    assert shifted.session.proposal is None


def test_switched_off_nothing_is_proposed(shifted: MainWindow, qtbot: QtBot) -> None:
    shifted.run("assist")
    assert not shifted.settings.assist
    drag(shifted, qtbot, ELBOW, OFFSET)
    assert not shifted.context.runner.active()
    assert shifted.session.proposal is None


def test_points_that_a_person_set_are_never_moved_by_a_proposal() -> None:
    points = np.arange(8.0).reshape(4, 2)
    pose = Instance(1, 1, points, np.array([2, 2, 0, 2], np.uint8), np.array([True, False, False, False]))
    result = proposal_of(pose, points + 50, np.full(4, 0.9))
    assert result is not None
    assert np.array_equal(result.keypoints[0], points[0])
    assert np.array_equal(result.keypoints[1:], points[1:] + 50)


def test_absent_points_are_proposed_where_the_model_sees_them_and_nobody_has_taken_them_away() -> None:
    points = np.arange(8.0).reshape(4, 2)
    by_human = np.array([True, True, False, False])
    pose = Instance(1, 1, points, np.array([2, 0, 0, 0], np.uint8), by_human)
    result = proposal_of(pose, points + 50, np.array([0.9, 0.9, 0.9, 0.01]))
    assert result is not None
    assert result.visibility.tolist() == [2, 0, 2, 0]
    assert np.array_equal(result.keypoints[2], points[2] + 50)
    assert np.array_equal(result.by_human, by_human)


def test_after_a_few_points_are_placed_the_model_proposes_the_rest(shifted: MainWindow, qtbot: QtBot) -> None:
    session, canvas = shifted.session, shifted.canvas
    drag(shifted, qtbot, ELBOW, OFFSET)  # loads nothing: the model is there
    session.propose(None)
    session.select()
    shifted.run("tool_place")
    positions = {0: (228, 130), 5: (330, 270), 6: (150, 270)}  # nose and shoulders of the photograph
    for index in range(7):
        if index in positions:
            position = canvas.to_view(*map(float, positions[index])).toPoint()
            QTest.mouseMove(canvas.viewport(), position)
            qtbot.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=position)
        elif index in (3, 4):  # the ears are skipped, and so not proposed
            qtbot.keyClick(canvas, Qt.Key.Key_Tab)
        else:
            position = canvas.to_view(228.0 + (20 if index == 1 else -20), 115.0).toPoint()
            QTest.mouseMove(canvas.viewport(), position)
            qtbot.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=position)
    qtbot.keyClick(canvas, Qt.Key.Key_Return)
    placed = session.selected[0]
    ghost = proposed(shifted, qtbot)
    assert ghost.id == placed.id
    assert (ghost.visibility > 0).sum() > (placed.visibility > 0).sum()
    assert ghost.visibility[[3, 4]].tolist() == [0, 0]
    assert np.array_equal(ghost.keypoints[:3], placed.keypoints[:3])
    assert ghost.box is not None
    present = ghost.keypoints[ghost.visibility > 0]
    assert (present >= ghost.box[:2]).all()
    assert (present <= ghost.box[2:]).all()
    qtbot.keyClick(canvas, Qt.Key.Key_Return)
    assert session.selected[0].same_as(ghost)


def test_one_point_says_nothing_of_the_size_of_a_pose() -> None:
    schema = find_schema("coco")
    seen = np.zeros(17, np.uint8)
    seen[0] = 2
    pose = Instance(1, 1, np.zeros((17, 2)), seen, seen > 0)
    assert likely_box(pose, schema) is None
    points = np.zeros((17, 2))
    points[[5, 6]] = (120.0, 100.0), (80.0, 100.0)
    seen = np.zeros(17, np.uint8)
    seen[[0, 5, 6]] = 0, 2, 2
    box = likely_box(Instance(1, 1, points, seen, seen > 0), schema)
    assert box is not None
    assert box[3] > 200  # the legs are below
    assert box[1] < 100


def test_where_the_model_tells_what_is_visible_the_proposal_does_too() -> None:
    points = np.arange(8.0).reshape(4, 2)
    pose = Instance(1, 1, points, np.array([2, 2, 0, 2], np.uint8), np.array([True, False, False, False]))
    result = proposal_of(pose, points + 50, np.full(4, 0.9), np.array([0.1, 0.2, 0.3, 0.9]))
    assert result is not None
    assert result.visibility.tolist() == [2, 1, 1, 2]


def test_what_lies_where_it_lay_is_no_proposal() -> None:
    points = np.arange(8.0).reshape(4, 2)
    pose = Instance(1, 1, points, np.full(4, 2, np.uint8), np.array([True, False, False, False]))
    assert proposal_of(pose, points, np.full(4, 0.9)) is None


def test_the_frame_key_is_that_of_the_pose(shifted: MainWindow, qtbot: QtBot) -> None:
    drag(shifted, qtbot, ELBOW, OFFSET)
    proposed(shifted, qtbot)
    proposal = shifted.session.proposal
    assert proposal is not None
    assert isinstance(proposal.frames[0].frame, FrameKey)
    shifted.session.propose(None)
