"""Help > Report: all remarks of an import, export or run, to read, copy and save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from engine.utils.files import replacing
from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.reports import Report, as_remark, records_of
from poseapp.dialogs.common import button, label, set_role, sign_icon
from poseapp.project.formats.report import Remark
from poseapp.project.import_reports import ProblemRemark

Index = QModelIndex | QPersistentModelIndex

HEAD = ("Remark", "Count", "First record")
SEVERITIES = {"info": "Note", "warning": "Warning", "error": "Left out"}


@guarded
class RemarksModel(QAbstractTableModel):
    """Remark with its severity, number of records, first record."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._palette = parent.palette()
        self.remarks: list[Remark] = []

    def show(self, remarks: Sequence[str]) -> None:
        self.beginResetModel()
        self.remarks = [as_remark(remark) for remark in remarks]
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.remarks)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return len(HEAD)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return tr(HEAD[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.remarks):
            return None
        remark, column = self.remarks[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return (_one_line(tr(remark.kind)), f"{remark.occurrences:,}", _one_line(_first_record(remark)))[column]
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return sign_icon({"info": "ok"}.get(remark.severity, remark.severity), self._palette)
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole) and column == 0:
            return f"{tr(SEVERITIES[remark.severity])}: {tr(remark.kind)}"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column == 1 else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None


class ReportDialog(QDialog):
    """Shows reports, the newest first, with the records of each remark and the fixes that there are. Non-modal.

    Args:
        reports: at least one, the newest first.
        can_fix: whether the fixes of a report can be done: its project is open for writing.

    Signals:
        fix_requested(str): the fix of the check with this id is to be done.
        finding_chosen(ProjectFinding): a record is to be shown.
    """

    fix_requested = Signal(str)
    finding_chosen = Signal(object)

    def __init__(
        self,
        reports: Sequence[Report],
        parent: QWidget | None = None,
        *,
        can_fix: Callable[[Report], bool] = lambda _report: False,
    ) -> None:
        super().__init__(parent)
        self._can_fix = can_fix
        self.setObjectName("reportDialog")
        self.setWindowTitle(tr("Report"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(860, 640)
        self._reports = list(reports)
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Report"))
        for report in self._reports:
            when = f"{report.time:%H:%M}" if report.time.date() == date.today() else f"{report.time:%Y-%m-%d %H:%M}"
            self.which.addItem(f"{tr(report.title)}  ({when})")
        self.which.setVisible(len(self._reports) > 1)
        self.summary = label("", wrap=True)
        self.model = RemarksModel(self)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName(tr("Remarks"))
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(28)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setStretchLastSection(True)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setAccessibleName(tr("The whole remark"))
        self.details.setFixedHeight(84)
        self.records = QListWidget()
        self.records.setAccessibleName(tr("Records"))
        self.records.setUniformItemSizes(True)
        self.records.setToolTip(tr("Double-click a record to see it"))
        self.fix_button = button("", tip="Changes all poses that this concerns, as one step that can be undone")
        self.copy_button = button("Copy all", tip="All remarks; Ctrl+C copies the selected ones")
        self.save_button = button("Save...", tip="All remarks as a text file")
        self.said = label("", "hint")
        self._lay_out()
        copy = QAction(self.table)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self.copy_selected)
        self.table.addAction(copy)
        self.copy_button.clicked.connect(self.copy)
        self.save_button.clicked.connect(self._ask_where)
        self.which.currentIndexChanged.connect(self._show)
        self.fix_button.clicked.connect(self._fix)
        self.records.itemActivated.connect(self._choose)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_details())
        self._show(0)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        self.heading = label("Report", "heading")
        column.addWidget(self.heading)
        column.addWidget(self.which)
        column.addWidget(self.summary)
        column.addWidget(self.table, 1)
        column.addWidget(self.details)
        column.addWidget(self.records, 1)
        column.addWidget(self.fix_button, 0, Qt.AlignmentFlag.AlignLeft)
        bottom = QHBoxLayout()
        bottom.setSpacing(8)
        bottom.addWidget(self.copy_button)
        bottom.addWidget(self.save_button)
        bottom.addWidget(self.said, 1)
        close = button("Close", primary=True)
        close.clicked.connect(self.close)
        bottom.addWidget(close)
        column.addLayout(bottom)

    @property
    def report(self) -> Report:
        """The report shown."""
        return self._reports[max(self.which.currentIndex(), 0)]

    def _show(self, _row: int) -> None:
        report = self.report
        self.heading.setText(tr(report.title))
        self.summary.setText(tr(report.summary))
        self.model.show(report.remarks)
        header = self.table.horizontalHeader()
        header.resizeSection(0, 460)
        header.resizeSection(1, 70)
        if report.remarks:
            self.table.selectRow(0)
        self._show_details()

    def chosen(self) -> list[int]:
        """The selected rows, in order."""
        return sorted(index.row() for index in self.table.selectionModel().selectedRows())

    def _show_details(self) -> None:
        chosen = [self.report.remarks[row] for row in self.chosen()]
        self.details.setPlainText("\n".join(_details(remark) for remark in chosen))
        self._show_records(chosen[0] if len(chosen) == 1 else None)

    def _show_records(self, remark: str | None) -> None:
        """The records of one remark, and the button of its fix."""
        self.records.clear()
        findings = remark.findings if isinstance(remark, ProblemRemark) else ()
        for finding in findings:
            item = QListWidgetItem(_one_line(f"{tr(finding.where)}: {tr(finding.message)}"))
            item.setData(Qt.ItemDataRole.UserRole, finding)
            self.records.addItem(item)
        if not findings and remark is not None and len(records_of(remark)) > 1:
            self.records.addItems([_one_line(record) for record in records_of(remark)])
        self.records.setVisible(self.records.count() > 0)
        problem = remark.problem if isinstance(remark, ProblemRemark) else None
        can_fix = problem is not None and bool(problem.fix) and self._can_fix(self.report)
        self.fix_button.setVisible(can_fix)
        if problem is not None:
            self.fix_button.setText(f"{tr(problem.fix)} ({problem.fixable:,})")

    def _fix(self) -> None:
        chosen = [self.report.remarks[row] for row in self.chosen()]
        if len(chosen) == 1 and isinstance(chosen[0], ProblemRemark) and self._can_fix(self.report):
            self.fix_requested.emit(chosen[0].problem.id)

    def _choose(self, item: QListWidgetItem) -> None:
        finding = item.data(Qt.ItemDataRole.UserRole)
        if finding is not None:
            self.finding_chosen.emit(finding)

    def copy(self) -> None:
        """Copy the whole report to the clipboard."""
        QGuiApplication.clipboard().setText(self.report.text())
        self._say("Copied")

    def copy_selected(self) -> None:
        """Copy the selected remarks to the clipboard, one per line."""
        QGuiApplication.clipboard().setText("\n".join(self.report.remarks[row] for row in self.chosen()))
        self._say("Copied")

    def _ask_where(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save the report"), "report.txt", tr("All files (*)"))
        if chosen:
            self.save(Path(chosen))

    def save(self, path: Path) -> None:
        """Save the report as a text file; an error is shown in the dialog."""
        try:
            with replacing(path) as temporary:
                temporary.write_text(self.report.text(), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            self._say(f"{path.name} cannot be written: {error.strerror or error}", "error")
            return
        self._say(f"Saved as {path.name}")

    def _say(self, text: str, role: str = "hint") -> None:
        self.said.setText(tr(text))
        set_role(self.said, role)


def _details(remark: str) -> str:
    """A remark in full; of what a check found, why it matters and what to do about it."""
    if isinstance(remark, ProblemRemark):
        return f"{tr(remark.kind)}\n{tr(remark.problem.help)}"
    return tr(remark)


def _first_record(remark: Remark) -> str:
    if isinstance(remark, ProblemRemark) and remark.findings:
        return f"{tr(remark.findings[0].where)}: {tr(remark.findings[0].message)}"
    return remark.where


def _one_line(text: str) -> str:
    return " ".join(text.split())
