"""Small non-modal questions: a choice, a number, a switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label
from poseapp.widgets.spin_box import SpinBox


class AskDialog(QDialog):
    """A title, a sentence, and optionally a choice, a number and a switch.

    Attributes:
        choice, number, switch: the fields that were asked for, else None.

    Args:
        number: what it is, least, most, given at first; ``unit`` stands behind it.
    """

    def __init__(
        self,
        title: str,
        text: str,
        do: str,
        parent: QWidget | None = None,
        *,
        choices: Sequence[tuple[str, object]] = (),
        number_range: tuple[str, int, int, int] | None = None,
        unit: str = "",
        switch: tuple[str, bool] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("askDialog")
        self.setWindowTitle(tr(title))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(440)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(title, "heading"))
        column.addWidget(label(text, "hint", wrap=True))
        self.choice: QComboBox | None = None
        self.number: QSpinBox | None = None
        self.switch: QCheckBox | None = None
        if choices:
            self.choice = QComboBox()
            self.choice.setAccessibleName(tr(title))
            for name, value in choices:
                self.choice.addItem(tr(name), value)
            column.addWidget(self.choice)
        if number_range is not None:
            name, least, most, given = number_range
            self.number = SpinBox()
            self.number.setAccessibleName(tr(name))
            self.number.setRange(least, most)
            self.number.setSuffix(tr(unit))
            self.number.setValue(given)
            row = QHBoxLayout()
            row.addWidget(label(name))
            row.addWidget(self.number)
            row.addStretch(1)
            column.addLayout(row)
        if switch is not None:
            self.switch = QCheckBox(tr(switch[0]))
            self.switch.setChecked(switch[1])
            column.addWidget(self.switch)
        column.addStretch(1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        cancel, self.do = button("Cancel"), button(do, primary=True)
        cancel.clicked.connect(self.reject)
        self.do.clicked.connect(self.accept)
        buttons.addWidget(cancel)
        buttons.addWidget(self.do)
        column.addLayout(buttons)

    def ask(self, then: Callable[[AskDialog], None]) -> None:
        """Open the dialog; ``then`` is called when it is accepted."""
        self.accepted.connect(lambda: then(self))
        self.open()
        if self.number is not None and self.choice is None:
            self.number.setFocus()
            self.number.selectAll()  # a number that is typed replaces the one that stands there

    def chosen(self) -> object:
        return None if self.choice is None else self.choice.currentData()
