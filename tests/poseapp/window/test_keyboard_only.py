"""A picture is labelled from beginning to end without a mouse; everything that can be used says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QTabWidget,
    QWidget,
)
from pytestqt.qtbot import QtBot

from poseapp.dialogs.export_coco import ExportCocoDialog
from poseapp.project.model import OCCLUDED, VISIBLE, State
from poseapp.window.main_window import MainWindow

NONE, SHIFT, CTRL = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)
K = Qt.Key


class Keys:
    """Keys alone, sent to whatever has the focus."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window

    def press(self, *keys: Qt.Key, modifier: Qt.KeyboardModifier = NONE, times: int = 1) -> None:
        for _ in range(times):
            for key in keys:
                QTest.keyClick(QApplication.focusWidget() or self.window, key, modifier)

    def go(self, dx: int, dy: int) -> None:
        """Move the pointer by tens and ones."""
        for away, forth, back in ((dx, K.Key_Right, K.Key_Left), (dy, K.Key_Down, K.Key_Up)):
            key = forth if away > 0 else back
            self.press(key, modifier=SHIFT, times=abs(away) // 10)
            self.press(key, times=abs(away) % 10)


@pytest.fixture
def keys(opened: MainWindow, qtbot: QtBot) -> Keys:
    opened.activateWindow()
    opened.canvas.setFocus()
    qtbot.waitUntil(opened.canvas.hasFocus)
    return Keys(opened)


def test_a_picture_is_labelled_by_keys_alone(keys: Keys, opened: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    session, canvas = opened.session, opened.canvas
    keys.press(K.Key_End)  # the last picture has no poses yet
    qtbot.waitUntil(lambda: session.frame == session.frames[2] and not opened.runner.active())
    keys.press(K.Key_P)
    assert canvas.tool == "place"
    keys.go(-20, -60)  # from the middle of 320 x 240
    keys.press(K.Key_Space)  # head
    hand = opened.controller.keyboard_pointer
    assert hand.at is not None
    assert hand.at != (140, 60)  # it waits where the next is likely
    keys.press(K.Key_Space)  # left hand, there
    keys.press(K.Key_Space, modifier=SHIFT)  # right hand, occluded
    keys.press(K.Key_Tab)  # no foot
    (placed,) = session.instances
    assert placed.keypoints[0].tolist() == [140, 60]
    assert placed.visibility.tolist() == [VISIBLE, VISIBLE, OCCLUDED, 0]
    keys.press(K.Key_V)
    # Select it, go to its second point, mend it, hide it
    keys.press(K.Key_Tab)
    assert [i.id for i in session.selected] == [placed.id]
    keys.press(K.Key_Down, modifier=CTRL, times=2)
    assert session.selected_points == {(placed.id, 1)}
    keys.press(K.Key_Right, times=3)
    keys.press(K.Key_Up, modifier=SHIFT)
    keys.press(K.Key_Q)
    mended = session.instances[0]
    assert np.abs(mended.keypoints[1] - placed.keypoints[1] - [3, -10]).max() < 1e-9
    assert mended.visibility[1] == OCCLUDED
    # The frame is done; back to the prediction, which is accepted
    keys.press(K.Key_F, modifier=CTRL)
    assert session.frame_info().state.flagged  # type: ignore[union-attr]
    keys.press(K.Key_A)
    qtbot.waitUntil(lambda: session.frame == session.frames[1])
    keys.press(K.Key_Return, modifier=SHIFT)
    assert session.instances[0].state is State.LABELLED
    # Export
    keys.press(K.Key_E, modifier=CTRL)
    (dialog,) = [d for d in opened.findChildren(ExportCocoDialog) if d.isVisible()]
    qtbot.waitUntil(lambda: dialog.isAncestorOf(QApplication.focusWidget() or opened))
    dialog.path.setFocus()
    keys.press(K.Key_A, modifier=CTRL)
    QTest.keyClicks(dialog.path, str(tmp_path / "keys.json"))
    keys.press(K.Key_Return)
    qtbot.waitUntil(lambda: (tmp_path / "keys.json").exists() and not opened.runner.active())
    data = json.loads((tmp_path / "keys.json").read_text())
    assert len(data["annotations"]) == 4


def test_a_box_is_drawn_by_keys(keys: Keys, opened: MainWindow, qtbot: QtBot) -> None:
    boxes: list[tuple[float, ...]] = []
    opened.canvas.box_drawn.disconnect()
    opened.canvas.box_drawn.connect(lambda *box: boxes.append(box))
    keys.press(K.Key_N)
    assert opened.canvas.tool == "box"
    keys.press(K.Key_Left, K.Key_Up, modifier=CTRL)
    keys.press(K.Key_Space)
    keys.press(K.Key_Right, K.Key_Down, modifier=CTRL)
    keys.go(7, 20)
    keys.press(K.Key_Space)
    assert boxes == [(110, 70, 167, 140)]
    keys.press(K.Key_Escape)
    assert opened.canvas.tool == "edit"
    assert opened.controller.keyboard_pointer.at is None


def test_points_are_walked_through_in_order(keys: Keys, opened: MainWindow) -> None:
    session = opened.session
    first = session.instances[0]
    keys.press(K.Key_Up, modifier=CTRL)
    assert session.selected_points == {(first.id, 3)}
    keys.press(K.Key_Down, modifier=CTRL)
    assert session.selected_points == {(first.id, 0)}


USED = (
    QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QSlider, QTabWidget,
)  # fmt: skip
PARTS = (QHeaderView, QTabWidget)
"""Pieces of other widgets, which speak for them; a tab widget speaks by its tabs."""


def nameless(root: QWidget) -> set[str]:
    """Widgets that can be used and do not say what they are: no accessible name, no text, no label beside them."""
    results = set()
    labelled = {label.buddy() for label in root.findChildren(QLabel) if label.text()}
    for widget in [root, *root.findChildren(QWidget)]:
        if not isinstance(widget, USED) or isinstance(widget, PARTS) or not widget.isEnabled():
            continue
        own = widget.objectName()
        if own.startswith("qt_") or isinstance(widget.parentWidget(), QComboBox | QAbstractSpinBox):
            continue
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus and not isinstance(widget, QAbstractButton):
            continue
        text = widget.text() if isinstance(widget, QAbstractButton) else ""
        popup = (widget.parentWidget() or widget).inherits("QComboBoxPrivateContainer")
        if not (widget.accessibleName() or text.strip() or widget in labelled or popup):
            above = widget.parentWidget()
            results.add(
                f"{type(widget).__name__} {own!r} in {type(above).__name__} {above.objectName() if above else ''}"
            )
    return results


def test_everything_in_the_window_says_what_it_is(opened: MainWindow) -> None:
    assert not nameless(opened)


def test_everything_on_the_first_page_says_what_it_is(window: MainWindow) -> None:
    assert not nameless(window)


DIALOGS = (
    "settings", "export_coco", "models", "run_range", "fine_tune", "choose_kind", "edit_points", "change_points",
    "snapshots", "choose_frames", "delete_below", "assign_track", "swap_along", "go_to_frame", "keys", "palette",
)  # fmt: skip


@pytest.mark.parametrize("verb", DIALOGS)
def test_everything_in_a_dialog_says_what_it_is(opened: MainWindow, verb: str, qtbot: QtBot) -> None:
    opened.session.select(instances=[opened.session.instances[0].id])
    opened.run(verb)
    dialogs = [d for d in opened.findChildren(QDialog) if d.isVisible()]
    for dialog in dialogs:
        assert dialog.windowTitle() or dialog.accessibleName()
        assert not nameless(dialog)
        first = dialog.nextInFocusChain()
        assert first is not None
        dialog.close()
    opened.palette_box.close()
    qtbot.waitUntil(lambda: not opened.runner.active())
