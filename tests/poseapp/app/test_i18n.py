"""The window speaks Chinese throughout: verbs, menus, panels, dialogs, messages; a font for it is found."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtGui import QPainter
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
from engine.errors import PoseError
from engine.media.source import open_media
from poseapp.app import i18n, language
from poseapp.app.application import make_application
from poseapp.app.i18n import Catalogue, best_language, tr
from poseapp.app.settings import Settings
from poseapp.canvas.tools.base import Button, EventKind
from poseapp.jobs.storage import check_target
from poseapp.project import edits
from poseapp.project.schema.files import read_schemas
from poseapp.project.store import ProjectStore
from poseapp.window.actions import ACTIONS, MENUS
from poseapp.window.main_window import MainWindow

NAMES = (
    "poseapp|COCO|JSON|OKS|SLEAP|DeepLabCut|CVAT|labelme|MMPose|MoveNet|EfficientDet|Thunder|Lightning|Lite|CSV|Parquet|"
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
    "person",
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
def chinese(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Settings().language = "zh_CN"
    if not language.font_for("zh_CN"):  # a machine without such a font: the words are checked, not their picture
        monkeypatch.setattr(language, "font_for", lambda *_: "Inter")
    i18n.set_language("zh_CN")
    yield
    i18n.set_language(i18n.ENGLISH)
    language.apply_language(qapp, i18n.ENGLISH)


def texts_of(root: QWidget) -> Iterator[tuple[str, str]]:
    """Every text that a person can read or hear in a widget and all within it, with where it stands."""
    for widget in [root, *root.findChildren(QWidget)]:
        where = f"{type(widget).__name__} {widget.objectName()}"
        results = [widget.windowTitle(), widget.toolTip(), widget.accessibleName(), widget.accessibleDescription()]
        results.append(widget.statusTip())
        if isinstance(widget, QLabel | QAbstractButton):
            results.append(widget.text())
        elif isinstance(widget, QLineEdit):
            results.append(widget.placeholderText())
        elif isinstance(widget, QGroupBox | QMenu):
            results.append(widget.title())
        elif isinstance(widget, QComboBox):
            results += [widget.itemText(i) for i in range(widget.count())]
        elif isinstance(widget, QTabWidget):
            results += [widget.tabText(i) for i in range(widget.count())]
        elif isinstance(widget, QAbstractSpinBox):
            results.append(widget.text())
        elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
            results += list(cells(widget.model()))
        results += [action.text() for action in widget.actions()]
        yield from ((text, where) for text in results if text)


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


@pytest.mark.slow
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
    from poseapp.dialogs.settings.dialog import SettingsDialog

    opened.run("settings")
    (dialog,) = opened.findChildren(SettingsDialog)
    assert [dialog.language.itemText(i) for i in range(3)] == ["System", "English", "简体中文"]
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


def test_what_is_painted_by_hand_is_chinese(
    chinese: None, opened: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: set[str] = set()
    draw = QPainter.drawText

    def listen(self: QPainter, *arguments: object) -> object:
        painted.update(text for text in arguments if isinstance(text, str))
        return draw(self, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(QPainter, "drawText", listen)
    session, canvas = opened.session, opened.canvas
    opened.set_theme("light")
    for frame in (0, 1, 2):
        session.go_to(session.frames[frame])
        qtbot.waitUntil(lambda: not opened.runner.active())
        if session.instances:
            pose = session.instances[0]
            session.select(instances=[pose.id], points=[(pose.id, 1)])
            canvas.point(EventKind.MOVE, *pose.keypoints[0])
            opened.run("show_boxes")
            opened.run("zoom_in")
        opened.grab()
    opened.run("tool_place")
    canvas.point(EventKind.MOVE, 100, 100)
    canvas.point(EventKind.PRESS, 100, 100, Button.LEFT)
    canvas.point(EventKind.RELEASE, 100, 100, Button.LEFT)
    opened.grab()
    opened.run("palette")
    opened.grab()
    opened.palette_box.close()
    canvas.cancel()
    opened.run("edit_points")
    for dialog in opened.findChildren(QDialog):
        if dialog.isVisible():
            dialog.grab()
            dialog.close()
    assert len(painted) > 20
    assert not sorted(text for text in painted if english(text))


def _refused(act: Callable[[], object]) -> str:
    with pytest.raises(PoseError) as messages:
        act()
    return str(messages.value)


def test_the_commonest_faults_of_files_are_told_in_chinese(tmp_path: Path) -> None:
    catalogue = Catalogue.read("zh_CN")
    head = 'name = "a"\ncategory = "a"\nkeypoints = '
    texts = {
        "empty.json": "",
        "broken.json": "{",
        "shapes.json": '{"shapes": []}',
        "results.json": "[1]",
        "boxes.json": '{"images": [], "categories": [{"id": 1, "name": "box"}]}',
        "broken.toml": "name = ",
        "twice.toml": head + '[{name = "x"}, {name = "x"}]',
        "swap.toml": head + '[{name = "x", swap = "y"}]',
        "itself.toml": head + '[{name = "x", swap = "x"}]',
        "limb.toml": head + '[{name = "x"}]\nlimbs = [{from = "x", to = "z"}]',
        "none.toml": head + "[]",
        "code.py": "x = (",
        "other.py": "x = 3",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    said = {name: _refused(lambda name=name: read_schemas(tmp_path / name)) for name in (*texts, "absent.json")}  # type: ignore[misc]
    for name in ("empty.mp4", "absent.mp4"):
        (tmp_path / "empty.mp4").write_bytes(b"")
        said[name] = _refused(lambda name=name: open_media(tmp_path / name))  # type: ignore[misc]
    (tmp_path / "text.pose").write_text("no project")
    said["project"] = _refused(lambda: ProjectStore.open(tmp_path / "text.pose"))
    said["place"] = _refused(lambda: check_target(tmp_path, tmp_path, 0))
    wrong = {}
    for name, text in said.items():
        result = (catalogue.find(text) or text).replace(str(tmp_path), "")
        result = re.sub(r"(不是有效的 (?:JSON|TOML)：).*", r"\1", result)  # the parser's own words
        left = [word for word in english(re.sub(r"'[^']*'|[(（].*[)）]", "", result)) if word not in texts]
        if left:
            wrong[name] = (text, result)
    assert not wrong


def test_what_is_told_of_a_file_keeps_the_file_in_front() -> None:
    catalogue = Catalogue("xx", {"{where}: {what}": "{where} >> {what}", "{a} is no {b}": "{b}? not {a}"})
    assert catalogue.find("/a/b is.toml: point is no limb") == "/a/b is.toml >> limb? not point"
    assert catalogue.find(r"C:\x\y.json: z is no w") == r"C:\x\y.json >> w? not z"


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        (
            "Training keypoints · epoch 2 of 9 · 28 images/s · about 8 s left",
            "训练关键点 · 第 2 / 9 轮 · 每秒 28 幅 · 约剩 8 秒",
        ),
        ("20 images/min · 2 min left", "每分钟 20 幅 · 剩余 2 分钟"),
        ("left wrist · 12 left", "左腕 · 还剩 12 个"),
        ("left wrist · occluded", "左腕 · 遮挡"),
        ("step", "步"),
        ("typical error 2.1 px, AP 0.72 on its training images", "典型误差 2.1 像素, AP 0.72（在其训练图像上）"),
        ("AP 0.720, subjects found 90%", "AP 0.720, 找到的目标 90%"),
    ],
)
def test_of_a_list_each_part_is_translated(text: str, chinese: str) -> None:
    assert Catalogue.read("zh_CN").find(text) == chinese


@given(st.text())
def test_any_text_comes_back_as_text(text: str) -> None:
    catalogue = Catalogue.read("zh_CN") if not hasattr(test_any_text_comes_back_as_text, "kept") else None
    remaining = test_any_text_comes_back_as_text
    if catalogue is not None:
        remaining.kept = catalogue  # type: ignore[attr-defined]
    result = remaining.kept.find(text)  # type: ignore[attr-defined]
    assert result is None or isinstance(result, str)
