"""F1: all shortcuts on one page, made from the table of actions."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.app.shortcuts import Keymap, ListedAction, default_keys

MOUSE = (
    ("Zoom at the cursor", "Wheel"),
    ("Pan", "Drag the background"),
)
NUMBERS = ("Select pose 1 to 9", "1 ... 9")
ARROWS = (
    ("Move selected keypoints 1 px", "Arrows"),
    ("Move selected keypoints 10 px", "Shift+arrows"),
    ("Pointer while placing", "Arrows"),
    ("Place at the pointer", "Space"),
)
COLUMNS = (("File", "Edit", "Models", "Help"), ("Pose", "Track"), ("View", "Mouse"), ("Go",))
WIDEST = 160
"""Pixels of a name; a longer one takes two lines."""
SAME = {"Enter", "Shift+Enter", "Backtab"}
"""Second names of a key that is listed already."""


class KeysSheet(QDialog):
    """The page of shortcuts; Esc closes it."""

    def __init__(self, parent: QWidget, actions: Sequence[ListedAction], mouse: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(parent)
        self._actions, self._mouse = actions, mouse
        self.setObjectName("keysSheet")
        self.setWindowTitle(tr("Keyboard shortcuts"))
        self._filled = False
        self._keymap: Keymap = default_keys(actions)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._area)

    def set_keys(self, keymap: Keymap) -> None:
        """Show these shortcuts."""
        self._keymap = keymap
        self._filled = False

    def open(self) -> None:
        if not self._filled:
            self._fill()
        super().open()

    def _fill(self) -> None:
        self._filled = True
        page = QWidget()
        page.setObjectName("keysPage")
        row = QHBoxLayout(page)
        row.setContentsMargins(20, 16, 20, 16)
        row.setSpacing(20)
        placed = {name for names in COLUMNS for name in names}
        rest = tuple(name for name in dict.fromkeys(a.menu for a in self._actions) if name and name not in placed)
        for names in (*COLUMNS[:-1], COLUMNS[-1] + rest):
            column = QVBoxLayout()
            column.setSpacing(16)
            for name in names:
                column.addLayout(_table(name, self._rows(name)))
            column.addStretch(1)
            row.addLayout(column)
        self._area.setWidget(page)  # the page before is deleted
        preferred = page.sizeHint()
        parent = self.parentWidget()
        room = preferred if parent is None else parent.size()
        self.resize(min(preferred.width() + 20, room.width() - 16), min(preferred.height() + 10, room.height() - 40))

    def _rows(self, name: str) -> list[tuple[str, str]]:
        if name == "Mouse":
            return [*self._mouse, *MOUSE]
        keymap = self._keymap
        rows = [(a.name, _keys(keymap[a.id])) for a in self._actions if a.menu == name and keymap.get(a.id)]
        if name == "Go":
            # Left and right are verbs of their own, for they nudge where something is selected.
            for row, (verb, arrow) in enumerate((("next_frame", "nudge_right"), ("previous_frame", "nudge_left"))):
                if keymap.get(verb) and keymap.get(arrow):
                    rows[row] = (rows[row][0], f"{rows[row][1]}, {_keys(keymap[arrow])}")
            rows.append(NUMBERS)
        return [*rows, *ARROWS] if name == "Pose" else rows


def _keys(keys: tuple[str, ...]) -> str:
    shown = [key for key in keys if key not in SAME]
    return ", ".join(QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in shown)


def _table(title: str, rows: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(3)
    head = QLabel(tr(title))
    head.setProperty("role", "heading")
    grid.addWidget(head, 0, 0, 1, 2)
    for row, (text, keys) in enumerate(rows, 1):
        words, sign = QLabel(tr(text)), QLabel(tr(keys))
        words.setProperty("role", "soft")
        if words.sizeHint().width() > WIDEST:  # one long name would widen a whole column
            words.setWordWrap(True)
            words.setFixedWidth(WIDEST)
        sign.setProperty("role", "value")
        sign.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(words, row, 0)
        grid.addWidget(sign, row, 1)
    grid.setColumnStretch(0, 1)
    return grid
