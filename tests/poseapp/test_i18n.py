"""The window speaks Chinese throughout: verbs, menus, panels, dialogs, messages; a font for it is found."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDockWidget,
    QGroupBox,
    QLabel,
    QLineEdit,
    QMenu,
    QTabWidget,
    QWidget,
)
from pytestqt.qtbot import QtBot

import poseapp
from poseapp import i18n, language
from poseapp.actions import ACTIONS, MENUS
from poseapp.application import make_application
from poseapp.i18n import Catalogue, best_language, tr
from poseapp.main_window import MainWindow
from poseapp.project import edits
from poseapp.settings import Settings

NAMES = (
    "poseapp|COCO|OKS|SLEAP|DeepLabCut|CVAT|labelme|MMPose|MoveNet|EfficientDet|Thunder|Lightning|Lite|CSV|Parquet|"
    "TOML|Python|CUDA|CPU|MPS|Apple|Ctrl|Shift|Alt|Esc|Enter|Tab|Return|Backspace|Space|Home|End|Del|Up|Down|Left|"
    "Right|Backtab|PgUp|PgDown|Apache|Sigma|AP|PCK|px|MB|GB|Inter|HEIC|English|CollectedData|csv|slp|pose|mp4|json|"
    "toml|py|safetensors|parquet|Ins|AFLW|AI Challenger|300W|AP-10K|Animal-Pose|WholeBody|COFW|CrowdPose|DeepFashion2?|"
    "FreiHAND|Halpe|Human-Art|JHMDB|MPII|OCHuman|OneHand10K|PoseTrack18|WFLW|Lite0|HRNet|ResNet|UDP|DARK|Faster|CNN|"
    "MobileNetV3|FPN|pip|install|pi-heif|kB|POSEAPP_MODELS"
)
KNOWN = re.compile(rf"/[^\s：；，。]+|[A-Z]:\\[^\s：；，。]+|\b\w+\.\w+\b|\b(?:{NAMES})\b|\btest_\w+", re.ASCII)
WORD = re.compile(r"[A-Za-z]{2,}")
OWN = {
    "body",
    "movenet",
    "thunder",
    "coco",
    "figure",
    "head",
    "left",
    "right",
    "hand",
    "foot",
    "tee",
    "small",
    "a_model",
}
"""Names of the project under test: data, not words of the window."""


def english(text: str) -> list[str]:
    """Words in a text of the window that should be Chinese."""
    return [word for word in WORD.findall(KNOWN.sub(" ", text).replace("_", " ")) if word not in OWN]


@pytest.fixture
def chinese(qapp: QApplication) -> Iterator[None]:
    Settings().language = "zh_CN"
    if not language.font_for("zh_CN"):
        i18n.set_language("zh_CN")  # the words are looked at, not their picture
    yield
    i18n.set_language(i18n.ENGLISH)
    language.apply_language(qapp, i18n.ENGLISH)


def texts_of(root: QWidget) -> Iterator[tuple[str, str]]:
    """Every text that a person can read or hear in a widget and all within it, with where it stands."""
    for widget in [root, *root.findChildren(QWidget)]:
        where = f"{type(widget).__name__} {widget.objectName()}"
        found = [widget.windowTitle(), widget.toolTip(), widget.accessibleName(), widget.accessibleDescription()]
        found.append(widget.statusTip())
        if isinstance(widget, QLabel | QAbstractButton):
            found.append(widget.text())
        elif isinstance(widget, QLineEdit):
            found.append(widget.placeholderText())
        elif isinstance(widget, QGroupBox | QMenu):
            found.append(widget.title())
        elif isinstance(widget, QComboBox):
            found += [widget.itemText(i) for i in range(widget.count())]
        elif isinstance(widget, QTabWidget):
            found += [widget.tabText(i) for i in range(widget.count())]
        elif isinstance(widget, QAbstractSpinBox):
            found.append(widget.text())
        elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
            found += list(cells(widget.model()))
        found += [action.text() for action in widget.actions()]
        yield from ((text, where) for text in found if text)


def cells(model: QAbstractItemModel, above: QModelIndex | None = None, depth: int = 0) -> Iterator[str]:
    """Heads and the first rows of a model."""
    above = above or QModelIndex()
    role = Qt.ItemDataRole
    try:
        columns = model.columnCount(above)
    except TypeError:  # a list, whose count Qt keeps to itself
        columns = 1
    for column in range(columns):
        head = model.headerData(column, Qt.Orientation.Horizontal, role.DisplayRole)
        if isinstance(head, str):
            yield head
        for row in range(min(model.rowCount(above), 60)):
            index = model.index(row, column, above)
            for which in (role.DisplayRole, role.ToolTipRole, role.AccessibleTextRole):
                text = index.data(which)
                if isinstance(text, str):
                    yield text
            if depth < 2 and column == 0:
                yield from cells(model, index, depth + 1)


def check(root: QWidget) -> None:
    wrong = sorted({f"{where}: {text!r}" for text, where in texts_of(root) if english(text)})
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_verb_has_a_chinese_name_and_tip(chinese: None) -> None:
    i18n.set_language("zh_CN")
    wrong = [text for row in ACTIONS for text in (row.text, row.name, row.tip) if english(tr(text))]
    wrong += [menu for menu in MENUS if english(tr(menu))]
    assert not wrong, wrong


def test_the_window_speaks_chinese(chinese: None, window: MainWindow) -> None:
    check(window)


def test_an_open_project_speaks_chinese(chinese: None, opened: MainWindow, qtbot: QtBot) -> None:
    key = opened.session.frames[0]
    opened.session.apply(edits.set_frame_state(key, opened.session.store.frame(key).state, flagged=True))  # type: ignore[union-attr]
    opened.run("select_all")
    for verb in ("duplicate", "mirror", "swap", "occluded", "delete", "undo", "copy", "paste", "accept", "reject"):
        opened.run(verb)
    opened.session.step(1)
    opened.run("accept_all")
    for dock in opened.findChildren(QDockWidget):
        dock.raise_()
        assert not english(dock.windowTitle())
    opened.history.refresh()
    opened.media.filter.open_choices()
    opened.media.filter.choices.hide()
    check(opened)
    assert not [text for text in opened.toasts.messages() if english(tr(text))]


DIALOGS = (
    "settings", "export_coco", "models", "run_range", "fine_tune", "choose_kind", "edit_points", "change_points",
    "snapshots", "choose_frames", "assign_track", "delete_below", "keys", "palette",
)  # fmt: skip


def test_dialogs_speak_chinese(chinese: None, opened: MainWindow, qtbot: QtBot) -> None:
    for verb in DIALOGS:
        opened.run("select_1")
        opened.run(verb)
        qtbot.waitUntil(lambda: not opened.runner.active(), timeout=10000)
        for dialog in opened.findChildren(QDialog):
            check(dialog)
            dialog.close()
        opened.palette_box.hide()
    check(opened)


def test_broken_pictures_are_told_in_chinese(chinese: None, opened: MainWindow, project: Path, qtbot: QtBot) -> None:
    (project.parent / "b.png").write_bytes(b"no picture")
    opened.loader.clear()
    opened.session.step(1)
    qtbot.waitUntil(lambda: opened.notice.isVisible(), timeout=5000)
    check(opened.notice)


def test_the_language_is_chosen_in_the_settings_and_kept(opened: MainWindow) -> None:
    from poseapp.dialogs.settings import SettingsDialog

    opened.run("settings")
    (dialog,) = opened.findChildren(SettingsDialog)
    assert [dialog.language.itemText(i) for i in range(3)] == ["As the system", "English", "简体中文"]
    dialog.language.setCurrentIndex(2)
    assert opened.settings.language == "zh_CN"
    dialog.close()


def test_without_a_font_the_window_stays_english_and_says_why(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "font_for", lambda _language: "")
    make_application()
    language.apply_language(qapp, "zh_CN")
    assert i18n.language_in_use() == "en"
    assert "Noto Sans CJK" in language.font_hint("zh_CN")
    assert language.font_hint("en") == ""


def test_well_drawn_fonts_are_preferred() -> None:
    assert language.font_for("zh_CN", ["Fancy Kai", "Noto Sans CJK SC"]) == "Noto Sans CJK SC"
    assert language.font_for("zh_CN", ["Fancy Kai"]) == "Fancy Kai"
    assert language.font_for("zh_CN", []) == ""
    assert language.font_for("en", ["Fancy Kai"]) == ""


@pytest.mark.parametrize(
    ("wished", "language"),
    [(["zh-Hans-CN", "en"], "zh_CN"), (["zh_CN"], "zh_CN"), (["de-DE", "zh"], "zh_CN"), (["en-US", "zh"], "en"),
     (["zh-Hant-TW"], "en"), (["zh_TW", "zh_CN"], "zh_CN"), (["C"], "en"), ([], "en")],
)  # fmt: skip
def test_the_language_of_the_system_is_taken_where_there_is_one(wished: list[str], language: str) -> None:
    assert best_language(wished) == language


def test_the_catalogue_names_the_same_parts_on_both_sides() -> None:
    catalogue = Catalogue.read("zh_CN")
    for template in catalogue.templates:
        assert isinstance(template.target, str)
        assert set(template.pattern.groupindex) == set(re.findall(r"\{(\w+)\}", template.target)), template.target
    assert not [target for target in catalogue.exact.values() if not target or "{" in target]


def test_composed_texts_are_translated_in_the_order_of_the_other_language() -> None:
    catalogue = Catalogue("zh_CN", {"{a} of {b:d}": "{b} 之 {a}", "pose": "姿态", "Add {what}": "加{what}"})
    assert catalogue.find("pose of 12") == "12 之 姿态"
    assert catalogue.find("pose of twelve") is None
    assert catalogue.find("Add pose") == "加姿态"
    assert catalogue.find("pose, left_eye") == "姿态, left_eye"
    assert catalogue.find("left_eye") is None


def test_a_language_may_have_several_plural_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"xx": lambda n: "one" if n == 1 else "few" if n < 5 else "many"}
    monkeypatch.setattr(i18n, "PLURAL_RULES", rules)
    forms = {"one": "{n} stopa", "few": "{n} stopy", "many": "{n} stop", "other": "{n} stopy"}
    catalogue = Catalogue("xx", {}, {"n": {"{n:d} tracks": forms}})
    assert [catalogue.find(f"{n} tracks") for n in ("1", "3", "1,200")] == ["1 stopa", "3 stopy", "1,200 stop"]


SAID = {"tell", "tr", "label", "button", "AskDialog", "_with_other", "_say", "_tell", "show_findings", "append"}
"""Calls whose texts a person reads."""


def literals(node: ast.AST) -> Iterator[str]:
    """Texts written in an expression, with 7 for what is put into them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "7" for part in node.values)  # type: ignore[misc]
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.List | ast.Tuple):
        for part in node.elts:
            yield from literals(part)


@pytest.mark.parametrize("room", ["commands", "dialogs", "panels", "widgets", "main_window.py", "opening.py"])
def test_every_text_that_a_call_says_is_in_the_catalogue(room: str) -> None:
    top = Path(poseapp.__file__).parent / room
    catalogue = Catalogue.read("zh_CN")
    missing = []
    for file in [top] if top.is_file() else sorted(top.glob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or getattr(call.func, "attr", getattr(call.func, "id", "")) not in SAID:
                continue
            for text in (text for argument in call.args for text in literals(argument)):
                words = text[:1].isupper() or " " in text.strip()
                if words and english(text) and english(catalogue.find(text) or text):
                    missing.append(f"{file.name}:{call.lineno}: {text!r}")
    assert not missing, "\n" + "\n".join(missing)


@given(st.text())
def test_any_text_comes_back_as_text(text: str) -> None:
    catalogue = Catalogue.read("zh_CN") if not hasattr(test_any_text_comes_back_as_text, "kept") else None
    kept = test_any_text_comes_back_as_text
    if catalogue is not None:
        kept.kept = catalogue  # type: ignore[attr-defined]
    found = kept.kept.find(text)  # type: ignore[attr-defined]
    assert found is None or isinstance(found, str)
