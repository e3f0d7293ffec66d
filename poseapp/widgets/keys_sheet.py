"""F1: every key on one page, made from the actions table."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from poseapp.actions import ACTIONS, MENUS

MOUSE = (
    ("Drag a point", "move it"),
    ("Drag empty ground", "pan (also middle button, Space+drag)"),
    ("Wheel", "zoom about the cursor"),
    ("Right click a point", "visible, occluded, absent"),
    ("Shift+drag", "select points with a rubber band"),
    ("Ctrl+drag a joint", "the limb beyond follows"),
    ("Alt+drag", "move the whole pose"),
    ("Alt+wheel", "turn the pose"),
    ("Double click", "accept the prediction"),
)
COLUMNS = (("File", "Edit", "View"), ("Pose", "Models"), ("Go", "Help"))


class KeysSheet(QDialog):
    """A page to look at; Esc closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("keysSheet")
        self.setWindowTitle("Keyboard shortcuts")
        self._filled = False

    def open(self) -> None:
        if not self._filled:
            self._fill()
        super().open()

    def _fill(self) -> None:
        self._filled = True
        page = QWidget()
        row = QHBoxLayout(page)
        row.setContentsMargins(24, 20, 24, 20)
        row.setSpacing(36)
        assert {name for names in COLUMNS for name in names} == set(MENUS)
        for place, names in enumerate(COLUMNS):
            column = QVBoxLayout()
            column.setSpacing(8)
            for name in names:
                column.addLayout(
                    _table(
                        name,
                        [(a.text.removesuffix("..."), _keys(a.keys)) for a in ACTIONS if a.menu == name and a.keys],
                    )
                )
            if place == 2:
                column.addLayout(_table("Mouse", [(what, key) for key, what in MOUSE]))
            column.addStretch(1)
            row.addLayout(column)
        area = QScrollArea()
        area.setWidget(page)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        wanted = page.sizeHint()
        room = self.parentWidget().size()
        self.resize(min(wanted.width() + 20, room.width() - 40), min(wanted.height() + 10, room.height() - 40))


def _keys(keys: tuple[str, ...]) -> str:
    return "  ".join(QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in keys)


def _table(title: str, rows: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(4)
    head = QLabel(title)
    head.setProperty("role", "heading")
    grid.addWidget(head, 0, 0, 1, 2)
    for place, (text, keys) in enumerate(rows, 1):
        words, sign = QLabel(text), QLabel(keys)
        words.setProperty("role", "soft")
        sign.setProperty("role", "value")
        sign.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(words, place, 0)
        grid.addWidget(sign, place, 1)
    grid.setColumnStretch(0, 1)
    return grid
