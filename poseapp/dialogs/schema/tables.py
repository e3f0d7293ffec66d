"""Tables of the keypoints and limbs of a schema, edited in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QComboBox,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from engine.schema.schema import Limb
from poseapp.app.i18n import tr
from poseapp.project.schema.draft import SchemaDraft

Index = QModelIndex | QPersistentModelIndex
NONE = "(none)"
HALVES = ("", "upper", "lower")


class ChoiceDelegate(QStyledItemDelegate):
    """A cell edited with a combo box, which is created on demand."""

    def __init__(self, offer: Callable[[], Sequence[str]], parent: QWidget) -> None:
        super().__init__(parent)
        self._offer = offer

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        combo = QComboBox(parent)
        combo.addItems(list(self._offer()))
        return combo

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        if isinstance(editor, QComboBox):
            editor.setCurrentText(str(index.data() or NONE))

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        if isinstance(editor, QComboBox):
            text = editor.currentText()
            model.setData(index, "" if text == NONE else text)


def table_of(heads: Sequence[str], name: str) -> QTableWidget:
    table = QTableWidget(0, len(heads))
    table.setAccessibleName(tr(name))
    table.setHorizontalHeaderLabels([tr(head) for head in list(heads)])
    table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
    table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
    table.setShowGrid(False)
    header = table.horizontalHeader()
    header.setSectionResizeMode(0, header.ResizeMode.Stretch)
    header.setHighlightSections(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    table.verticalHeader().setDefaultSectionSize(28)
    return table


def put(table: QTableWidget, row: int, column: int, text: str, color: str = "") -> None:
    item = QTableWidgetItem(text)
    if color:
        item.setData(Qt.ItemDataRole.DecorationRole, QColor(color))
    table.setItem(row, column, item)


class PointsTable(QWidget):
    """Shows the keypoints of a draft; editing a cell edits the draft.

    Signals:
        edited(): the draft has changed.
        refused(str): an invalid name, and why.
    """

    edited = Signal()
    refused = Signal(str)
    HEADS = ("Name", "Partner", "Part", "Upper or lower body", "Sigma", "Color")
    NAME, PARTNER, PART, HALF, SIGMA, COLOR = range(6)

    def __init__(self, draft: SchemaDraft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.draft = draft
        self.table = table_of(self.HEADS, "Points")
        self._partners = ChoiceDelegate(lambda: [NONE, *self.draft.names()], self.table)
        self._halves = ChoiceDelegate(lambda: [NONE, *HALVES[1:]], self.table)
        self.table.setItemDelegateForColumn(self.PARTNER, self._partners)
        self.table.setItemDelegateForColumn(self.HALF, self._halves)
        for column, width in ((1, 120), (2, 84), (3, 64), (4, 60), (5, 100)):
            self.table.horizontalHeader().resizeSection(column, width)
        self.table.cellChanged.connect(self._on_cell)

    def fill(self, row: int | None = None) -> None:
        """Show the draft; keep the current row."""
        marked = self.table.currentRow() if row is None else row
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self.draft.points))
            for position, line in enumerate(self.draft.points):
                p = line.point
                for column, text in enumerate((p.name, p.swap, p.part, p.group, f"{p.sigma:g}", p.color)):
                    put(self.table, position, column, text, p.color if column == self.COLOR else "")
        if 0 <= marked < self.table.rowCount():
            self.table.setCurrentCell(marked, max(self.table.currentColumn(), 0))

    def _on_cell(self, row: int, column: int) -> None:
        item = self.table.item(row, column)
        text = "" if item is None else item.text().strip()
        if column == self.NAME:
            if not self.draft.rename(row, text):
                self.fill()
                self.refused.emit(f"Another keypoint is called {text!r}." if text else "A keypoint needs a name.")
                return
        elif column == self.PARTNER:
            self.draft.set_swap(row, text)
        elif column == self.SIGMA:
            self.draft.change(row, sigma=_number(text))
        else:
            self.draft.change(row, **{{self.PART: "part", self.HALF: "group", self.COLOR: "color"}[column]: text})
        self.fill()
        self.edited.emit()


class LimbsTable(QWidget):
    """Shows the limbs of a draft.

    Signals:
        edited(): the draft has changed.
    """

    edited = Signal()

    def __init__(self, draft: SchemaDraft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.draft = draft
        self.table = table_of(("From", "To", "Color"), "Limbs")
        self._ends = ChoiceDelegate(lambda: self.draft.names(), self.table)
        self.table.setItemDelegateForColumn(0, self._ends)
        self.table.setItemDelegateForColumn(1, self._ends)
        self.table.horizontalHeader().resizeSection(1, 180)
        self.table.cellChanged.connect(self._on_cell)

    def fill(self, row: int | None = None) -> None:
        marked = self.table.currentRow() if row is None else row
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self.draft.limbs))
            for position, limb in enumerate(self.draft.limbs):
                for column, text in enumerate((limb.start, limb.end, limb.color)):
                    put(self.table, position, column, text, limb.color if column == 2 else "")
        if 0 <= marked < self.table.rowCount():
            self.table.setCurrentCell(marked, max(self.table.currentColumn(), 0))

    def add(self, start: str = "") -> None:
        """Add a limb from a keypoint to the first one it is not connected to."""
        names = self.draft.names()
        present = {frozenset((limb.start, limb.end)) for limb in self.draft.limbs}
        for a in [start, *names] if start in names else names:
            for b in names:
                if a != b and frozenset((a, b)) not in present:
                    self.draft.limbs.append(Limb(a, b))
                    self.fill(len(self.draft.limbs) - 1)
                    self.edited.emit()
                    return

    def remove(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self.draft.limbs):
            del self.draft.limbs[row]
            self.fill(min(row, len(self.draft.limbs) - 1))
            self.edited.emit()

    def _on_cell(self, row: int, column: int) -> None:
        item = self.table.item(row, column)
        limb = self.draft.limbs[row]
        cells = [limb.start, limb.end, limb.color]
        cells[column] = "" if item is None else item.text().strip()
        self.draft.limbs[row] = Limb(*cells)
        self.fill()
        self.edited.emit()


def _number(text: str) -> float:
    """Text that is not a number becomes 0, which the schema refuses by name."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return 0.0
