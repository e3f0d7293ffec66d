"""Colors of parts: chosen in the list of poses, kept with the project. Through the real window."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QColorDialog
from pytestqt.qtbot import QtBot

from engine.errors import ProjectError
from engine.schema.builtin import find_schema
from poseapp.app.canvas_style import ColorMode
from poseapp.canvas.render.colors import DARK, palette_for, part_color
from poseapp.canvas.template_pose import template_pose
from poseapp.commands import view
from poseapp.project import edits
from poseapp.project.schema.part_colors import part_colors, set_part_color
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow

PINK = 0xFF00AA


@pytest.fixture
def dense(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """The window on a person of 133 points, with the list of poses in front."""
    path, schema = tmp_path / "dense.pose", find_schema("coco_wholebody")
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((240, 320, 3), 90, np.uint8))
    with ProjectStore.create(path) as store:
        (frame,) = store.add_frames(store.add_media("images", tmp_path).id, [("a.png", 320, 240)])
        points = template_pose(schema) * 200 + (150, 20)
        pose = edits.make_instance(store.new_ids(1)[0], store.add_category("person", schema), points)
        store.apply(edits.add_instance(frame, pose))
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.canvas.image_size == (320, 240) and not window.runner.active(), timeout=5000)
    window.docks[1].raise_()
    qtbot.waitUntil(lambda: window.instances.isVisible(), timeout=2000)
    window.instances.tree.expandAll()
    return window


def part_row(window: MainWindow, part: str) -> QModelIndex:
    model = window.instances.model
    root = model.index(0, 0)
    rows = [model.index(row, 0, root) for row in range(model.rowCount(root))]
    return next(index for index in rows if model.node(index).part == part)


def choose(window: MainWindow, part: str, text: str) -> None:
    tree, index = window.instances.tree, part_row(window, part)
    tree.scrollTo(index)
    menu = window.instances.menu_at(tree.visualRect(index).center())
    assert menu is not None
    action = next(action for action in menu.actions() if action.text() == text)
    assert action.isEnabled()
    action.trigger()
    menu.deleteLater()


def seen(window: MainWindow) -> set[int]:
    QApplication.processEvents()
    image = window.canvas.viewport().grab().toImage()
    return {image.pixel(x, y) & 0xFFFFFF for x in range(image.width()) for y in range(0, image.height(), 2)}


def test_a_part_gets_a_color_in_its_menu_which_is_kept_and_can_be_taken_back(dense: MainWindow, qtbot: QtBot) -> None:
    assert PINK not in seen(dense)
    choose(dense, "left_hand", "Color of this part...")
    qtbot.waitUntil(lambda: bool(dense.instances.findChildren(QColorDialog)), timeout=2000)
    (dialog,) = dense.instances.findChildren(QColorDialog)
    assert dialog.currentColor() == QColor(part_color(DARK, "left_hand"))
    dialog.setCurrentColor(QColor(PINK))
    dialog.accept()
    assert dense.canvas.style_now.color_mode is ColorMode.PART
    dense.refresh_actions_now()
    assert dense.actions_by_id["color_part"].isChecked()
    assert PINK in seen(dense)
    row = part_row(dense, "left_hand")
    assert dense.instances.model.data(row, Qt.ItemDataRole.DecorationRole) == QColor(PINK)
    path = dense.session.path
    assert path is not None
    dense.run("close_project")
    assert dense.canvas.style_now.part_colors == ()
    dense.open_paths([path])
    qtbot.waitUntil(lambda: dense.session.store is not None and not dense.runner.active(), timeout=5000)
    assert dense.canvas.style_now.part_colors == (("left_hand", PINK),)
    dense.docks[1].raise_()
    qtbot.waitUntil(lambda: dense.instances.isVisible(), timeout=2000)
    dense.instances.tree.expandAll()
    choose(dense, "left_hand", "Default color")
    assert dense.canvas.style_now.part_colors == ()
    assert PINK not in seen(dense)


def test_a_part_is_locked_and_hidden_as_a_whole(dense: MainWindow) -> None:
    pose = dense.session.instances[0]
    hand = {(pose.id, k) for k in find_schema("coco_wholebody").parts["left_hand"]}
    choose(dense, "left_hand", "Lock")
    assert dense.session.locked_points == hand
    row = part_row(dense, "left_hand")
    assert dense.instances.model.hidden_or_locked(dense.instances.model.node(row)) == "lock"
    dense.session.select(instances=[pose.id])
    dense.run("nudge_right_far")
    moved = np.abs(dense.session.instances[0].keypoints - pose.keypoints).max(axis=1) > 0
    assert {(pose.id, int(k)) for k in np.flatnonzero(~moved)} == hand
    choose(dense, "left_hand", "Lock")
    choose(dense, "left_hand", "Hide")
    assert dense.session.hidden_points == hand
    assert not dense.session.locked_points
    assert not any(dense.canvas._state.arrays.shown[k] for _, k in hand)


def test_a_given_up_dialog_changes_nothing(dense: MainWindow) -> None:
    choose(dense, "face", "Color of this part...")
    (dialog,) = dense.instances.findChildren(QColorDialog)
    dialog.setCurrentColor(QColor(PINK))
    dialog.reject()
    assert dense.session.store is not None
    assert part_colors(dense.session.store) == ()


def test_usual_parts_differ_and_a_strange_name_has_a_color() -> None:
    usual = [part_color(DARK, name) for name in ("body", "face", "left_hand", "right_hand", "foot")]
    assert len(set(usual)) == 5
    assert part_color(DARK, "vest") == part_color(palette_for(dark=True), "vest")


def test_what_is_no_color_is_refused(tmp_path: Path) -> None:
    with ProjectStore.create(tmp_path / "a.pose") as store:
        for part, color in (("", 3), ("face", -1), ("face", 1 << 24)):
            with pytest.raises(ProjectError):
                set_part_color(store, part, color)
        set_part_color(store, "face", None)
        assert part_colors(store) == ()


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@settings(max_examples=20, deadline=None)
@given(colors=st.dictionaries(NAMES, st.integers(0, (1 << 24) - 1), max_size=4))
def test_colors_come_back_as_they_were_given(colors: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("colors") / "a.pose"
    with ProjectStore.create(path) as store:
        for part, color in colors.items():
            set_part_color(store, part, color)
    with ProjectStore.open(path) as store:
        assert dict(part_colors(store)) == colors


def test_a_color_that_cannot_be_kept_is_told_and_not_shown(dense: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise ProjectError("the disk is full")

    messages: list[tuple[str, str]] = []
    monkeypatch.setattr("poseapp.project.schema.part_colors.set_part_color", full)
    monkeypatch.setattr(dense, "tell", lambda text, kind="info": messages.append((text, kind)))
    view.set_part_color(dense.context, "face", 0x00FF00)
    assert messages == [("the disk is full", "error")]
    assert dense.canvas.style_now.part_colors == ()
