"""File > Import labels...: what an import would do, before anything is done."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QHeaderView,
    QListWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, button_row, label
from poseapp.project.formats.report import LabelOffer

MINE, THEIRS = "mine", "theirs"
_ROW_HEIGHT = 28
_MAX_TABLE_HEIGHT = 320
_MAX_LISTED = 1000


class ImportLabelsDialog(QDialog):
    """Shows counts of what is new, changed and equal, and asks what becomes of conflicts.

    Signals:
        accepted_import(bool): Import was pressed; whether conflicts become as they are in the file.
    """

    accepted_import = Signal(bool)

    def __init__(self, offer: LabelOffer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("importLabelsDialog")
        self.setWindowTitle(tr("Import labels"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(560)
        self.table = QTableWidget(len(offer.counts), 2)
        self.table.setAccessibleName(tr("What the import does"))
        for row, (text, count) in enumerate(offer.counts):
            self.table.setItem(row, 0, QTableWidgetItem(tr(text)))
            cell = QTableWidgetItem(f"{count:,}")
            cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(row, 1, cell)
        self.conflicts = QComboBox()
        self.conflicts.addItem(tr("Keep them as they are in the project"), MINE)
        self.conflicts.addItem(tr("Take them as they are in the file"), THEIRS)
        self.details = QListWidget()
        self.details.setWordWrap(True)
        self.details.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for sentence in (*offer.conflicts, *offer.remarks)[:_MAX_LISTED]:
            self.details.addItem(tr(sentence))
        self.import_button = button("Import", primary=True)
        self.import_button.setEnabled(offer.has_news)
        self._lay_out(offer)
        self.import_button.clicked.connect(self._finish)

    def _lay_out(self, offer: LabelOffer) -> None:
        self.table.horizontalHeader().hide()
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setShowGrid(False)
        self.table.setFixedHeight(min(_MAX_TABLE_HEIGHT, _ROW_HEIGHT * max(1, len(offer.counts)) + 4))
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(f"Import {offer.paths[0].name}", "heading"))
        hint = "Nothing has been changed yet. Undo takes the import back in one step."
        if not offer.has_news:
            hint = "The project has all of these labels already."
        column.addWidget(label(hint, "hint", wrap=True))
        column.addWidget(self.table)
        if offer.conflicts:
            form = QFormLayout()
            form.addRow(label("Poses that differ"), self.conflicts)
            self.conflicts.setAccessibleName(tr("Poses that differ"))
            column.addLayout(form)
        self.conflicts.setVisible(bool(offer.conflicts))
        self.details.setAccessibleName(tr("Records and remarks"))
        self.details.setVisible(self.details.count() > 0)
        column.addWidget(self.details, 1)
        column.addLayout(button_row(self.reject, self.import_button))

    def _finish(self) -> None:
        self.accepted_import.emit(self.conflicts.currentData() == THEIRS)
        self.accept()
