"""The steps of the project, newest last; a click goes there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, QTimer
from PySide6.QtGui import QColor, QShowEvent
from PySide6.QtWidgets import QListView, QVBoxLayout, QWidget

from poseapp.project.model import Step
from poseapp.session import Session
from poseapp.theme import Tokens

Index = QModelIndex | QPersistentModelIndex


class HistoryModel(QAbstractListModel):
    """Row 0 is the beginning; row n is step n."""

    def __init__(self, session: Session, colours: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self.colours = session, colours
        self.steps: list[Step] = []

    def read(self) -> None:
        self.beginResetModel()
        self.steps = [] if self._session.store is None else self._session.store.history()
        self.endResetModel()

    @property
    def position(self) -> int:
        return sum(step.done for step in self.steps)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() or self._session.store is None else len(self.steps) + 1

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = index.row()
        if role == Qt.ItemDataRole.DisplayRole:
            if row == 0:
                return "As opened first"
            step = self.steps[row - 1]
            return f"{datetime.fromtimestamp(step.time):%H:%M}   {step.text}"
        if role == Qt.ItemDataRole.ToolTipRole and row:
            return f"{datetime.fromtimestamp(self.steps[row - 1].time):%Y-%m-%d %H:%M:%S}"
        if role == Qt.ItemDataRole.ForegroundRole and row and not self.steps[row - 1].done:
            return QColor(self.colours.text_faint)
        return None


class HistoryPanel(QWidget):
    """List of steps; activating one jumps there."""

    def __init__(self, session: Session, colours: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("historyPanel")
        self._session = session
        self._stale = False
        self.model = HistoryModel(session, colours, self)
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setUniformItemSizes(True)
        self.view.setAccessibleName("History")
        self.view.clicked.connect(lambda index: session.jump_to(index.row()))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.view)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(150)
        self._later.timeout.connect(self.refresh)
        session.project_changed.connect(self.refresh)
        session.changed.connect(self._on_change)

    def set_colours(self, colours: Tokens) -> None:
        self.model.colours = colours
        self.view.viewport().update()

    def _on_change(self, _change: object) -> None:
        """Soon, when it is looked at; else once it is."""
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
