"""Points of a kind edited by hand, and poses that follow."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from engine.schema.schema import load_schema, schema_from_names
from poseapp.canvas.template_pose import template_pose
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.schema.editor import SchemaEditorDialog
from poseapp.dialogs.schema.mapping import ChangePointsDialog
from poseapp.dialogs.schema.tables import PointsTable
from poseapp.project.model import Category
from poseapp.window.main_window import MainWindow


@pytest.fixture
def editor(opened: MainWindow) -> SchemaEditorDialog:
    opened.run("edit_points")
    (result,) = [d for d in opened.findChildren(SchemaEditorDialog) if d.isVisible()]
    return result


def _cell(editor: SchemaEditorDialog, row: int, column: int, text: str) -> None:
    editor.points.table.item(row, column).setText(text)


def _names(editor: SchemaEditorDialog) -> list[str]:
    return [editor.points.table.item(r, 0).text() for r in range(editor.points.table.rowCount())]


def test_the_kind_in_use_is_shown_and_drawn(editor: SchemaEditorDialog, qtbot: QtBot) -> None:
    assert editor.name.text() == "figure"
    assert _names(editor) == ["head", "left_hand", "right_hand", "foot"]
    assert "4 points, 1 left and right pairs, 3 limbs" in editor.note.text()
    editor.grab()
    position = editor.preview._places()[3].toPoint()
    qtbot.mouseClick(editor.preview, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, position)
    assert editor.points.table.currentRow() == 3
    editor.close()


def test_names_and_colors_change_in_place_and_poses_stay(editor: SchemaEditorDialog, opened: MainWindow) -> None:
    before = opened.session.instances[0].keypoints.copy()
    name = opened.session.categories()[0].schema.names[0]
    _, steps = opened.session.store.history_length()
    _cell(editor, 0, PointsTable.NAME, "snout")
    _cell(editor, 0, PointsTable.COLOR, "#ff0000")
    _cell(editor, 3, PointsTable.SIGMA, "0,1")
    assert not editor.moves_points
    editor.use_button.click()
    (category,) = opened.session.categories()
    assert category.schema.names[0] == "snout"
    assert category.schema.limbs[0].start == "snout"
    assert category.schema.keypoints[3].sigma == 0.1
    assert (opened.session.instances[0].keypoints == before).all()
    assert opened.session.store.history_length() == (steps + 1, steps + 1)
    opened.session.undo()
    assert opened.session.categories()[0].schema.names[0] == name


def test_what_is_left_as_it_was_is_not_called_changed(editor: SchemaEditorDialog, opened: MainWindow) -> None:
    editor.use_button.click()
    assert opened.toasts.messages()[-1] == "figure was not changed"


def test_points_that_come_go_and_move_take_the_poses_along(editor: SchemaEditorDialog, opened: MainWindow) -> None:
    before = opened.session.instances[0]
    editor.points.table.setCurrentCell(3, 0)
    editor.up_button.click()
    editor.up_button.click()
    editor.points.table.setCurrentCell(0, 0)
    editor.remove_button.click()
    editor.add_button.click()
    row = editor.points.table.currentRow()
    _cell(editor, row, PointsTable.NAME, "tail")
    assert _names(editor) == ["foot", "tail", "left_hand", "right_hand"]
    assert editor.moves_points
    assert "one step" in editor.note.text()
    editor.use_button.click()
    session = opened.session
    assert sorted(c.name for c in session.categories()) == ["figure", "figure (4 points)"]
    after = session.instances[0]
    assert session.schema_of(after).names == ("foot", "tail", "left_hand", "right_hand")
    assert (after.keypoints[[0, 2, 3]] == before.keypoints[[3, 1, 2]]).all()
    assert after.visibility.tolist() == [2, 0, 2, 2]
    assert session.store.summary().predicted == 1
    opened.run("undo")
    assert session.instances[0].same_as(before)


def test_what_is_wrong_is_told_and_cannot_be_used(editor: SchemaEditorDialog) -> None:
    _cell(editor, 0, PointsTable.NAME, "foot")
    assert "called 'foot'" in editor.note.text()
    assert _names(editor)[0] == "head"
    _cell(editor, 0, PointsTable.NAME, "")
    assert "needs a name" in editor.note.text()
    assert editor.use_button.isEnabled()
    _cell(editor, 0, PointsTable.SIGMA, "wide")
    assert "sigma" in editor.note.text()
    _cell(editor, 0, PointsTable.SIGMA, "0.05")
    _cell(editor, 0, PointsTable.COLOR, "red")
    assert "not #rrggbb" in editor.note.text()
    _cell(editor, 0, PointsTable.COLOR, "")
    editor.name.clear()
    assert "a name" in editor.note.text()
    editor.close()


def test_a_new_kind_is_made_from_nothing(editor: SchemaEditorDialog, opened: MainWindow, tmp_path: Path) -> None:
    editor.kind.setCurrentIndex(editor.kind.count() - 1)
    assert not editor.use_button.isEnabled()
    for name in ("L_paw", "R_paw", "tail"):
        editor.add_button.click()
        _cell(editor, editor.points.table.currentRow(), PointsTable.NAME, name)
    editor.pairs_button.click()
    assert editor.points.table.item(0, PointsTable.PARTNER).text() == "R_paw"
    editor.add_limb.click()
    editor.add_limb.click()
    editor.limbs.table.setCurrentCell(0, 0)
    editor.remove_limb.click()
    assert [(limb.start, limb.end) for limb in editor.draft.limbs] == [("L_paw", "tail")]
    QTest.keyClicks(editor.name, "Small mouse")
    editor.save_file(tmp_path / "mouse.toml")
    assert load_schema(tmp_path / "mouse.toml").names == ("L_paw", "R_paw", "tail")
    editor.use_button.click()
    assert opened.session.category is not None
    assert opened.session.category.name == "Small mouse"
    assert opened.session.category.schema.flip_indices.tolist() == [1, 0, 2]


def test_files_are_opened_or_told_of(editor: SchemaEditorDialog, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = 3")
    editor.open_file(tmp_path / "bad.toml")
    assert "bad.toml" in editor.note.text()
    good = tmp_path / "good.toml"
    good.write_text('name = "g"\ncategory = "goat"\nkeypoints = [{name = "a"}, {name = "b"}]\n')
    editor.open_file(good)
    assert _names(editor) == ["a", "b"]
    assert editor.name.text() == "goat"
    assert editor.base is None
    editor.close()


def test_dense_kinds_are_edited_too(editor: SchemaEditorDialog, tmp_path: Path) -> None:
    from poseapp.project.schema.draft import SchemaDraft

    editor.show_draft(SchemaDraft.of(find_schema("coco_wholebody")), "person")
    assert editor.points.table.rowCount() == 133
    assert "133 points" in editor.note.text()
    editor.grab()
    editor.close()


def test_partners_are_chosen_from_a_list(editor: SchemaEditorDialog, qtbot: QtBot) -> None:
    table = editor.points.table
    index = table.model().index(0, PointsTable.PARTNER)
    delegate = table.itemDelegateForColumn(PointsTable.PARTNER)
    from PySide6.QtWidgets import QComboBox, QStyleOptionViewItem

    combo = delegate.createEditor(table.viewport(), QStyleOptionViewItem(), index)
    assert isinstance(combo, QComboBox)
    delegate.setEditorData(combo, index)
    assert combo.currentText() == "(none)"
    combo.setCurrentText("foot")
    delegate.setModelData(combo, table.model(), index)
    assert editor.draft.points[3].point.swap == "head"
    combo.deleteLater()
    editor.close()


@pytest.fixture
def changing(opened: MainWindow) -> ChangePointsDialog:
    opened.run("change_points")
    (result,) = [d for d in opened.findChildren(ChangePointsDialog) if d.isVisible()]
    return result


def test_poses_change_to_another_schema_with_a_mapping(changing: ChangePointsDialog, opened: MainWindow) -> None:
    assert not changing.change_button.isEnabled()
    position = changing.target.findText(find_schema("coco").title)
    changing.target.setCurrentIndex(position)
    assert not changing.change_button.isEnabled()  # nothing has the same name
    rows = {changing.table.item(r, 0).text(): r for r in range(changing.table.rowCount())}
    for new, old in (("nose", "head"), ("left_wrist", "left_hand"), ("right_wrist", "right_hand")):
        changing.table.item(rows[new], 1).setText(old)
    assert "3 of 17" in changing.facts.text()
    assert "Left out: foot" in changing.facts.text()
    before = opened.session.instances[0]
    changing.change_button.click()
    after = opened.session.instances[0]
    assert after.num_keypoints == 17
    assert (after.keypoints[[0, 9, 10]] == before.keypoints[:3]).all()
    assert opened.session.category is not None
    assert opened.session.category.name == "figure"
    opened.run("undo")
    assert opened.session.instances[0].same_as(before)
    opened.run("redo")
    assert opened.session.instances[0].num_keypoints == 17


CATEGORIES = {
    "images": [],
    "categories": [
        {"id": 1, "name": "fly", "keypoints": ["head", "leg_l", "leg_r"], "skeleton": [[1, 2], [1, 3]]},
        {"id": 2, "name": "coat", "keypoints": ["领", "左袖", "右袖"], "skeleton": [[1, 2], [1, 3]]},
        {"id": 3, "name": "box"},
    ],
}


def test_a_category_of_a_coco_file_is_chosen_drawn_and_used(
    editor: SchemaEditorDialog, opened: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(CATEGORIES), encoding="utf-8")
    editor.open_file(tmp_path / "labels.json")
    qtbot.waitUntil(lambda: bool(editor.findChildren(AskDialog)))
    (asked,) = editor.findChildren(AskDialog)
    assert asked.choice is not None
    assert [asked.choice.itemText(i) for i in range(asked.choice.count())] == ["fly, 3 points", "coat, 3 points"]
    asked.choice.setCurrentIndex(1)
    qtbot.mouseClick(asked.do, Qt.MouseButton.LeftButton)
    assert _names(editor) == ["领", "左袖", "右袖"]
    assert editor.points.table.item(1, PointsTable.PARTNER).text() == "右袖"
    assert "3 points, 1 left and right pairs, 2 limbs" in editor.note.text()
    assert len(editor.preview._points) == 3
    editor.save_file(tmp_path / "coat.toml")
    assert load_schema(tmp_path / "coat.toml").names == ("领", "左袖", "右袖")
    qtbot.mouseClick(editor.use_button, Qt.MouseButton.LeftButton)
    assert opened.session.category is not None
    assert opened.session.category.name == "coat"


def test_a_file_without_points_changes_nothing(editor: SchemaEditorDialog, tmp_path: Path, qtbot: QtBot) -> None:
    before = _names(editor)
    (tmp_path / "boxes.json").write_text(json.dumps({**CATEGORIES, "categories": CATEGORIES["categories"][2:]}))
    editor.open_file(tmp_path / "boxes.json")
    qtbot.waitUntil(lambda: "no category with keypoints" in editor.note.text())
    assert _names(editor) == before
    assert editor.name.text() == "figure"
    assert editor.use_button.isEnabled()
    editor.open_file(tmp_path / "boxes.json")
    editor.close()  # while it is being read


def test_the_title_follows_the_whole_name_that_is_typed(qtbot: QtBot) -> None:
    dialog = SchemaEditorDialog([], template_pose)
    qtbot.addWidget(dialog)
    dialog.show()
    QTest.mouseClick(dialog.add_button, Qt.MouseButton.LeftButton)
    dialog.name.setFocus()
    QTest.keyClicks(dialog.name, "mouse")
    schema = dialog.schema()
    assert schema is not None
    assert (schema.title, schema.name, schema.category) == ("mouse", "mouse", "mouse")
    dialog.close()


def test_a_title_of_its_own_stays_and_one_that_was_the_name_follows_it(qtbot: QtBot) -> None:
    coco, own = find_schema("coco"), schema_from_names("rat", ["nose", "tail"])
    kinds = [Category(1, "person", coco), Category(2, "rat", msgspec.structs.replace(own, title="rat"))]
    dialog = SchemaEditorDialog([*kinds, Category(3, "mice", msgspec.structs.replace(own, title="m"))], template_pose)
    qtbot.addWidget(dialog)
    titles = []
    for row in range(3):
        dialog.kind.setCurrentIndex(row)
        dialog.name.setText("renamed")
        schema = dialog.schema()
        assert schema is not None
        titles.append(schema.title)
    assert titles == [coco.title, "renamed", "renamed"]
