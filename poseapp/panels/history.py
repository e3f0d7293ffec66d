"""The history of the project, newest step last; a click goes to a step. Only visible steps are read."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, QTimer
from PySide6.QtGui import QColor, QShowEvent
from PySide6.QtWidgets import QHeaderView, QTableView, QVBoxLayout, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.project.model import Step
from poseapp.session.session import Session

Index = QModelIndex | QPersistentModelIndex
PAGE = 128
PAGES = 16
ROW_HEIGHT = 28


@guarded
class HistoryModel(QAbstractListModel):
    """Row 0 is the start; row n is step n. Steps are read in pages, on demand."""

    def __init__(self, session: Session, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self.colors = session, colors
        self._length = self.position = 0
        self._pages: OrderedDict[int, list[Step]] = OrderedDict()

    def read(self) -> None:
        store = self._session.store
        self.beginResetModel()
        self._pages.clear()
        self._length, self.position = (0, 0) if store is None else store.history_length()
        self.endResetModel()

    def step(self, row: int) -> Step | None:
        """The step of a row; None for the start, and for a step that no longer exists."""
        store, index = self._session.store, (row - 1) // PAGE
        if store is None or row < 1:
            return None
        if index not in self._pages:
            self._pages[index] = store.history_page(1 + index * PAGE, PAGE)
            if len(self._pages) > PAGES:
                self._pages.popitem(last=False)
        page = self._pages[index]
        row_in_page = (row - 1) % PAGE
        return page[row_in_page] if row_in_page < len(page) else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() or self._session.store is None else self._length + 1

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = index.row()
        if role == Qt.ItemDataRole.ForegroundRole:
            return QColor(self.colors.text_faint) if row > self.position else None
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        if row == 0:
            return tr("Project opened") if role == Qt.ItemDataRole.DisplayRole else None
        step = self.step(row)
        if step is None:
            return None
        when = datetime.fromtimestamp(step.time)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{when:%Y-%m-%d %H:%M:%S}   {tr(step.text)}"
        return f"{when:%H:%M}   {tr(step.text)}"


@guarded
class HistoryPanel(QWidget):
    """List of steps; activating one jumps there."""

    def __init__(self, session: Session, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("historyPanel")
        self._session = session
        self._stale = False
        self.model = HistoryModel(session, colors, self)
        self.view = _steps_view()
        self.view.setModel(self.model)
        self.view.clicked.connect(lambda index: self._go(index.row()))
        self.view.activated.connect(lambda index: self._go(index.row()))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.view)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(150)
        self._later.timeout.connect(self.refresh)
        session.project_changed.connect(self.refresh)
        session.changed.connect(self._on_change)

    def _go(self, step: int) -> None:
        if step != self.model.position or self._stale:
            self._session.jump_to(step)

    def set_colors(self, colors: Tokens) -> None:
        self.model.colors = colors
        self.view.viewport().update()

    def _on_change(self, _change: object) -> None:
        """Refresh soon if visible, otherwise on the next show."""
        self._stale = True
        if self.isVisible():
            self._later.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self.refresh()

    def refresh(self) -> None:
        self._stale = False
        self._later.stop()
        self.model.read()
        row = self.model.index(self.model.position)
        if row.isValid():
            self.view.setCurrentIndex(row)
            self.view.scrollTo(row)

    def rest(self) -> None:
        self._later.stop()


def _steps_view() -> QTableView:
    """A table of one column: unlike a list view it does not query hidden rows."""
    view = QTableView()
    view.setAccessibleName(tr("History"))
    view.setShowGrid(False)
    view.setTabKeyNavigation(False)
    view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setWordWrap(False)
    view.horizontalHeader().hide()
    view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    view.verticalHeader().hide()
    view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    return view
