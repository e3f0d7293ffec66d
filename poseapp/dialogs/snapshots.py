"""File > Snapshots: named states of the project."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from poseapp.app.i18n import tr
from poseapp.dialogs.common import button, label
from poseapp.project.storage.snapshots import Snapshot, list_snapshots
from poseapp.widgets.line_edit import LineEdit


class SnapshotsDialog(QDialog):
    """Lists the snapshots of a project. Non-modal; call :meth:`refresh` after a change.

    Signals:
        take_requested(str): a name.
        restore_requested(Snapshot), open_requested(Snapshot), delete_requested(Snapshot)
    """

    take_requested = Signal(str)
    restore_requested = Signal(object)
    open_requested = Signal(object)
    delete_requested = Signal(object)

    def __init__(self, project: Path, read_only: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("snapshotsDialog")
        self.setWindowTitle(tr("Snapshots"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(560, 420)
        self._project, self._read_only = project, read_only
        self._snapshots: list[Snapshot] = []
        self.name = LineEdit()
        self.name.setPlaceholderText(tr("Name, for example: before the second round"))
        self.name.setAccessibleName(tr("Name of the snapshot"))
        self.take_button = button("Take snapshot", primary=True)
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName(tr("Snapshots"))
        self.table.setHorizontalHeaderLabels([tr(head) for head in ["Name", "Taken", "Size"]])
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.table.horizontalHeader().setHighlightSections(False)
        self.none_yet = label(
            "No snapshot yet. Take one before a large change: restoring it takes a second.", "hint", wrap=True
        )
        self.none_yet.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.restore_button = button("Restore", tip="In one step, which Undo reverts")
        self.open_button = button("Open as a project", tip="Open the snapshot as a project in this window")
        self.delete_button = button("Delete")
        self._lay_out()
        self.take_button.clicked.connect(self._take)
        for widget, signal in (
            (self.restore_button, self.restore_requested),
            (self.open_button, self.open_requested),
            (self.delete_button, self.delete_requested),
        ):
            widget.clicked.connect(lambda _checked=False, tell=signal: self._tell(tell))
        self.table.itemSelectionChanged.connect(self._check)
        self.refresh()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label("Snapshots", "heading"))
        column.addWidget(
            label("Full copies of the project, stored next to it. Restoring one is a step that Undo reverts.", "hint",
                  wrap=True)
        )  # fmt: skip
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.name, 1)
        top.addWidget(self.take_button)
        column.addLayout(top)
        column.addWidget(self.table, 1)
        column.addWidget(self.none_yet, 1)
        bottom = QHBoxLayout()
        bottom.setSpacing(8)
        bottom.addWidget(self.restore_button)
        bottom.addWidget(self.open_button)
        bottom.addWidget(self.delete_button)
        bottom.addStretch(1)
        close = button("Close")
        close.clicked.connect(self.close)
        bottom.addWidget(close)
        column.addLayout(bottom)

    def chosen(self) -> Snapshot | None:
        row = self.table.currentRow()
        return self._snapshots[row] if self.table.selectedItems() and 0 <= row < len(self._snapshots) else None

    def refresh(self) -> None:
        """Read the folder and select the newest snapshot."""
        self._snapshots = list_snapshots(self._project)
        self.table.setVisible(bool(self._snapshots))
        self.none_yet.setVisible(not self._snapshots)
        self.table.setRowCount(len(self._snapshots))
        for row, snapshot in enumerate(self._snapshots):
            size = f"{snapshot.size / 1e6:,.1f} MB"
            for column, text in enumerate(
                (snapshot.name, f"{datetime.fromtimestamp(snapshot.time):%Y-%m-%d %H:%M}", size)
            ):
                self.table.setItem(row, column, QTableWidgetItem(text))
        header = self.table.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, header.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, header.ResizeMode.ResizeToContents)
        if self._snapshots:
            self.table.selectRow(0)
        self._check()

    def _check(self) -> None:
        has_choice = self.chosen() is not None
        self.restore_button.setEnabled(has_choice and not self._read_only)
        self.open_button.setEnabled(has_choice)
        self.delete_button.setEnabled(has_choice)

    def _take(self) -> None:
        self.take_requested.emit(self.name.text().strip() or "snapshot")
        self.name.clear()

    def _tell(self, signal: object) -> None:
        snapshot = self.chosen()
        if snapshot is not None:
            signal.emit(snapshot)  # type: ignore[attr-defined]
