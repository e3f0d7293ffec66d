"""Settings: each change holds at once, in the window and after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.app.canvas_style import ColorMode
from poseapp.app.settings import Settings
from poseapp.app.shortcuts import conflicts, preset
from poseapp.dialogs.settings.dialog import SettingsDialog
from poseapp.window.actions import DEFAULT_KEYS
from poseapp.window.main_window import MainWindow


@pytest.fixture
def dialog(window: MainWindow) -> SettingsDialog:
    window.run("settings")
    (result,) = [d for d in window.findChildren(SettingsDialog) if d.isVisible()]
    return result


def _keys(window: MainWindow, verb: str) -> list[str]:
    return [key.toString() for key in window.actions_by_id[verb].shortcuts()]


def test_a_key_is_pressed_and_added(window: MainWindow, dialog: SettingsDialog, qtbot: QtBot) -> None:
    page = dialog.keys
    page.choose("about")
    QTest.keyClick(page.press, Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    qtbot.mouseClick(page.add_button, Qt.MouseButton.LeftButton)
    assert _keys(window, "about") == ["Ctrl+J"]
    assert "(Ctrl+J)" in window.actions_by_id["about"].toolTip()
    assert Settings().key_changes() == {"about": ("Ctrl+J",)}
    assert page.presets.currentText() == "Own"
    dialog.close()


def test_a_key_in_use_is_told_and_can_be_taken_over(window: MainWindow, dialog: SettingsDialog, qtbot: QtBot) -> None:
    page = dialog.keys
    page.choose("about")
    page.press.setKeySequence(QKeySequence("Ctrl+Z"))
    assert "stands for Undo" in page.note.text()
    assert not page.add_button.isEnabled()
    assert page.take_button.isVisible()
    qtbot.mouseClick(page.take_button, Qt.MouseButton.LeftButton)
    assert _keys(window, "about") == ["Ctrl+Z"]
    assert _keys(window, "undo") == []
    assert conflicts(page.keymap) == {}
    page.choose("undo")
    qtbot.mouseClick(page.reset_button, Qt.MouseButton.LeftButton)
    assert _keys(window, "undo") == []
    page.choose("about")
    qtbot.mouseClick(page.clear_button, Qt.MouseButton.LeftButton)
    page.choose("undo")
    qtbot.mouseClick(page.reset_button, Qt.MouseButton.LeftButton)
    assert _keys(window, "undo") == ["Ctrl+Z"]
    dialog.close()


def test_a_preset_gives_the_keys_of_another_program(window: MainWindow, dialog: SettingsDialog) -> None:
    page = dialog.keys
    page.presets.setCurrentText("CVAT")
    page.presets.activated.emit(page.presets.currentIndex())
    assert _keys(window, "next_frame") == ["F"]
    assert _keys(window, "previous_frame") == ["D"]
    assert page.keymap == preset("CVAT", DEFAULT_KEYS)
    window.run("keys")
    window.keys_sheet.close()
    page.presets.setCurrentText("poseapp")
    page.presets.activated.emit(page.presets.currentIndex())
    assert _keys(window, "next_frame")[0] == "D"
    assert Settings().key_changes() == {}
    dialog.close()


def test_keys_go_to_a_file_and_come_back(window: MainWindow, dialog: SettingsDialog, tmp_path: Path) -> None:
    page = dialog.keys
    page.export_file(tmp_path / "mine.toml")
    (tmp_path / "other.toml").write_text('[keys]\nabout = ["F9"]\n')
    page.import_file(tmp_path / "other.toml")
    assert _keys(window, "about") == ["F9"]
    page.import_file(tmp_path / "mine.toml")
    assert _keys(window, "about") == []
    (tmp_path / "bad.toml").write_text("[keys")
    page.import_file(tmp_path / "bad.toml")
    assert "bad.toml" in page.note.text()
    dialog.close()


def test_verbs_are_found_by_words_and_keys(dialog: SettingsDialog) -> None:
    page = dialog.keys
    page.search.setText("ctrl+z undo")
    visible = [r for r in range(page.table.rowCount()) if not page.table.isRowHidden(r)]
    assert [page.table.item(r, 0).text() for r in visible] == ["Undo"]
    dialog.close()


@pytest.mark.slow
def test_sizes_and_colors_reach_the_canvas_and_stay(window: MainWindow, dialog: SettingsDialog) -> None:
    dialog.point_size.setValue(14.0)
    dialog.mode.setCurrentIndex(dialog.mode.findData(ColorMode.SOURCE.value))
    dialog.set_color("left", 0x112233)
    style = window.canvas.style_now
    assert (style.point_size, style.color_mode, dict(style.colors)) == (14.0, ColorMode.SOURCE, {"left": 0x112233})
    assert Settings().canvas_style().colors == (("left", 0x112233),)
    window.refresh_actions_now()
    assert window.actions_by_id["color_source"].isChecked()
    dialog.theme.setCurrentIndex(dialog.theme.findData("light"))
    assert window.settings.theme == "light"
    assert not window.canvas.style_now.dark
    dialog.line_width.setValue(4.0)
    assert not window.canvas.style_now.dark
    dialog.close()


def test_damaged_settings_change_nothing(window: MainWindow) -> None:
    store = window.settings._store
    for value in ("[", "3", '{"about": 3}', '{"fly": ["J"]}'):
        store.setValue("keys", value)
        store.setValue("view/colors", value)
        window._apply_keys()
        assert window.settings.canvas_style().colors == ()
        assert _keys(window, "undo") == ["Ctrl+Z"]
    store.remove("keys")


def test_the_language_is_said_to_wait_for_the_next_start(dialog: SettingsDialog) -> None:
    assert dialog.note.text() == "Changes apply immediately."
    dialog.language.setCurrentIndex(dialog.language.findData("zh_CN"))
    assert "after a restart" in dialog.note.text()
    assert Settings().language == "zh_CN"
    dialog.close()


def test_every_way_of_coloring_stands_in_the_settings(window: MainWindow) -> None:
    window.run("color_part")
    window.run("settings")
    (dialog,) = [d for d in window.findChildren(SettingsDialog) if d.isVisible()]
    assert {dialog.mode.itemData(n) for n in range(dialog.mode.count())} == {mode.value for mode in ColorMode}
    assert dialog.mode.currentData() == ColorMode.PART
    dialog.close()
