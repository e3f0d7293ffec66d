"""The lists at the right follow the session, and the session follows them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from poseapp.canvas.template_pose import template_pose
from poseapp.project import edits
from poseapp.project.model import OCCLUDED
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import show_poses


def test_a_click_in_the_image_list_shows_the_frame(opened: MainWindow) -> None:
    view = opened.media.view
    position = view.visualRect(opened.media.model.index(2)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, position)
    assert opened.session.position() == 2


def test_the_tree_and_the_canvas_share_their_selection(opened: MainWindow, qtbot: QtBot) -> None:
    show_poses(opened, qtbot)
    session, panel = opened.session, opened.instances
    first = session.instances[0]
    session.select(instances=[first.id], points=[(first.id, 2)])
    names = {panel.model.data(index) for index in panel.tree.selectionModel().selectedRows(0)}
    assert names == {"1  figure", "right hand"}
    index = panel.model.find(first.id, 3)
    panel.tree.setCurrentIndex(index)
    assert session.selected_points == {(first.id, 3)}


def test_the_tree_shows_visibility_and_score(opened: MainWindow, qtbot: QtBot) -> None:
    show_poses(opened, qtbot)
    session, panel = opened.session, opened.instances
    second = session.instances[1]
    index = panel.model.find(second.id, 1)
    assert panel.model.data(index.siblingAtColumn(1)) == "occluded"
    assert panel.model.data(panel.model.find(second.id).siblingAtColumn(1)) == "3 of 4"
    session.step(1)
    (guess,) = session.instances
    assert panel.model.data(panel.model.find(guess.id, 2).siblingAtColumn(2)) == "0.40"


def test_a_name_that_does_not_fit_can_be_read_whole(opened: MainWindow, qtbot: QtBot) -> None:
    show_poses(opened, qtbot)
    panel = opened.instances
    index = panel.model.find(opened.session.instances[0].id)
    assert panel.model.data(index, Qt.ItemDataRole.ToolTipRole) == panel.model.data(index) == "1  figure"
    assert panel.tree.textElideMode() == Qt.TextElideMode.ElideMiddle


def test_the_tree_asks_for_a_visibility(opened: MainWindow) -> None:
    first = opened.session.instances[0]
    opened.instances.visibility_requested.emit({(first.id, 0)}, OCCLUDED)
    assert opened.session.instances[0].visibility[0] == OCCLUDED


def test_the_queue_empties_as_predictions_are_accepted(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.session
    opened.docks[2].raise_()
    qtbot.waitUntil(lambda: opened.review.model.keys == [session.frames[1]], timeout=2000)
    session.step(1)
    opened.run("accept_all")
    qtbot.waitUntil(lambda: opened.review.model.keys == [], timeout=2000)


def test_a_click_in_the_history_goes_there(opened: MainWindow, qtbot: QtBot) -> None:
    view, model = opened.history.view, opened.history.model
    opened.docks[3].raise_()
    qtbot.waitUntil(lambda: view.isVisible() and model.rowCount() == 3, timeout=2000)
    position = view.visualRect(model.index(0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, position)
    assert opened.session.instances == ()
    qtbot.waitUntil(lambda: model.position == 0, timeout=2000)
    opened.session.jump_to(2)
    assert len(opened.session.store.instances(opened.session.frames[0])) == 2


def test_a_click_on_the_timeline_goes_to_its_frame(opened: MainWindow) -> None:
    line = opened.timeline
    span = line._look().span
    x = round(span.left() + span.width() * 5 / 6)
    QTest.mouseClick(line, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(x, line.height() // 2))
    assert opened.session.position() == 2


def test_the_timeline_marks_what_changes(opened: MainWindow) -> None:
    assert opened.timeline._marks.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    session = opened.session
    info = session.frame_info(session.frames[2])
    assert info is not None
    session.apply(edits.set_frame_state(info.key, info.state, flagged=True, reviewed=True))
    assert opened.timeline._marks[2:].tolist() == [[False, False, True], [False, False, True]]
    opened.timeline.refresh()
    assert opened.timeline._marks[2:].tolist() == [[False, False, True], [False, False, True]]


def test_recent_projects_are_offered_on_the_first_page(opened: MainWindow) -> None:
    opened.run("close_project")
    assert opened.middle.currentWidget() is opened.empty
    names = [b.text() for b in opened.empty.findChildren(QPushButton) if b.property("role") == "flat"]
    assert len(names) == 1
    assert names[0].startswith("small")


def test_parts_of_the_points_are_shown_and_hidden_in_the_menu(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "dense.pose"
    schema = find_schema("coco_wholebody")
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((240, 320, 3), 90, np.uint8))
    with ProjectStore.create(path) as store:
        (frame,) = store.add_frames(store.add_media("images", tmp_path).id, [("a.png", 320, 240)])
        points = template_pose(schema) * 200 + (150, 20)
        pose = edits.make_instance(store.new_ids(1)[0], store.add_category("person", schema), points)
        store.apply(edits.add_instance(frame, pose))
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.canvas.image_size == (320, 240) and not window.runner.active(), timeout=5000)
    window.docks[1].raise_()
    tree, model = window.instances.tree, window.instances.model
    tree.expandAll()
    root = model.index(0, 0)
    face = next(model.index(row, 0, root) for row in range(5) if model.node(model.index(row, 0, root)).part == "face")

    def choose(text: str) -> None:
        tree.scrollTo(face)
        menu = window.instances.menu_at(tree.visualRect(face).center())
        assert menu is not None
        next(action for action in menu.actions() if action.text() == text).trigger()
        menu.deleteLater()

    choose("Only this part")
    assert window.canvas.style_now.parts == {"face"}
    choose("All parts")
    assert window.canvas.style_now.parts is None
    choose("Show this part")
    assert window.canvas.style_now.parts == set(schema.parts) - {"face"}
    assert model.parts == set(schema.parts) - {"face"}
    choose("Show this part")
    assert window.canvas.style_now.parts is None
