"""Which points a new pose has is asked once and remembered."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import builtin_schemas, find_schema
from poseapp.canvas.template_pose import template_pose
from poseapp.dialogs.schema.choice import KindChoice, SchemaChoiceDialog
from poseapp.project.model import Category
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import Hands

OWN = """
name = "stick"
category = "stick"
keypoints = [{name = "top"}, {name = "bottom"}]
limbs = [{from = "top", to = "bottom"}]
"""


@pytest.fixture
def dialog(qtbot: QtBot) -> SchemaChoiceDialog:
    created = SchemaChoiceDialog([Category(3, "mouse", find_schema("ap10k"))], template_pose)
    qtbot.addWidget(created)
    created.show()
    return created


def shown(dialog: SchemaChoiceDialog) -> list[str]:
    return [item.text() for row in range(dialog.list.count()) if not (item := dialog.list.item(row)).isHidden()]


def test_kinds_of_the_project_come_first_and_every_builtin_is_listed(dialog: SchemaChoiceDialog) -> None:
    assert shown(dialog)[0] == "mouse, in this project"
    different = {find_schema(name).names for name in builtin_schemas()}
    assert len({c.schema.names for c in choices(dialog)}) == len(different)


def choices(dialog: SchemaChoiceDialog) -> list[KindChoice]:
    results = []
    for row in range(dialog.list.count()):
        dialog.list.setCurrentRow(row)
        choice = dialog.choice()
        assert choice is not None
        dialog.grab()  # the preview paints every one of them
        results.append(choice)
    return results


def test_words_narrow_the_list_down(dialog: SchemaChoiceDialog) -> None:
    QTest.keyClicks(dialog.search, "wholebody hand")
    assert shown(dialog) == [find_schema("coco_wholebody_hand").title]
    choice = dialog.choice()
    assert choice is not None
    assert choice.schema.num_keypoints == 21
    QTest.keyClicks(dialog.search, "zzz")
    assert dialog.choice() is None
    assert not dialog.use_button.isEnabled()


def test_a_schema_of_ones_own_joins_the_list(dialog: SchemaChoiceDialog, tmp_path: Path) -> None:
    (tmp_path / "stick.toml").write_text(OWN, encoding="utf-8")
    dialog.take_file(tmp_path / "stick.toml")
    choice = dialog.choice()
    assert choice is not None
    assert (choice.name, choice.schema.names) == ("stick", ("top", "bottom"))


def test_the_categories_of_a_coco_file_join_the_list(dialog: SchemaChoiceDialog, tmp_path: Path) -> None:
    kinds = [
        {"id": i, "name": name, "keypoints": ["a", f"{name}_l", f"{name}_r"]} for i, name in enumerate(("fly", "ant"))
    ]
    (tmp_path / "labels.json").write_text(json.dumps({"images": [], "categories": kinds}), encoding="utf-8")
    dialog.take_file(tmp_path / "labels.json")
    assert shown(dialog)[-2:] == ["fly, from labels.json", "ant, from labels.json"]
    choice = dialog.choice()
    assert choice is not None
    assert (choice.name, choice.schema.flip_indices.tolist()) == ("fly", [0, 2, 1])


def test_a_faulty_schema_is_told_and_the_choice_stays(dialog: SchemaChoiceDialog, tmp_path: Path) -> None:
    before = dialog.choice()
    (tmp_path / "bad.toml").write_text(OWN.replace('to = "bottom"', 'to = "middle"'), encoding="utf-8")
    dialog.take_file(tmp_path / "bad.toml")
    assert dialog.note.isVisible()
    assert "middle" in dialog.note.text()
    assert dialog.choice() == before


def test_placing_in_a_fresh_folder_asks_for_the_kind_first(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "one.png"), np.full((240, 320, 3), 90, np.uint8))
    window.open_paths([folder])
    qtbot.waitUntil(lambda: window.canvas.image_size == (320, 240) and not window.runner.active(), timeout=5000)
    hands = Hands(window, qtbot)
    window.canvas.setFocus()
    hands.key(Qt.Key.Key_P)
    (dialog,) = window.findChildren(SchemaChoiceDialog)
    (tmp_path / "stick.toml").write_text(OWN, encoding="utf-8")
    dialog.take_file(tmp_path / "stick.toml")
    QTest.mouseClick(dialog.use_button, Qt.MouseButton.LeftButton)
    assert window.canvas.tool == "place"
    hands.click(100, 50)
    hands.click(100, 150)
    (placed,) = window.session.instances
    assert np.abs(placed.keypoints - [[100, 50], [100, 150]]).max() < 1.0
    assert [c.name for c in window.session.categories()] == ["stick"]


def test_a_chosen_kind_is_that_of_new_poses_whatever_is_selected(opened: MainWindow) -> None:
    from poseapp.commands.category import use_kind

    session = opened.session
    session.select(instances=[session.instances[0].id])
    use_kind(opened.context, KindChoice("hand", find_schema("coco_wholebody_hand")))
    assert session.category is not None
    assert session.category.name == "hand"
    assert len(session.categories()) == 2
    use_kind(opened.context, KindChoice("figure", session.schema_of(session.instances[0])))
    assert session.category.name == "figure"
    assert len(session.categories()) == 2
