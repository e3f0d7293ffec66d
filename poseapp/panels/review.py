"""The review queue: frames with predictions, the least certain first, then frames in which a model found nothing."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHeaderView, QLabel, QPushButton, QStackedLayout, QTableView, QVBoxLayout, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys
from poseapp.session.session import Session

Index = QModelIndex | QPersistentModelIndex


@guarded
class QueueModel(QAbstractTableModel):
    """Frame, number of predictions, lowest score."""

    HEAD = ("Image", "Poses", "Min. score")

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.keys: FrameKeys = NO_FRAMES

    def forget(self) -> None:
        self.beginResetModel()
        self.keys = NO_FRAMES
        self.endResetModel()

    def show(self, keys: FrameKeys) -> None:
        self.beginResetModel()
        self.keys = keys
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.keys)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 3

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return tr(self.HEAD[section])
        if role == Qt.ItemDataRole.TextAlignmentRole and section:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        store = self._session.store
        if store is None or not index.isValid():
            return None
        key = self.keys[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            counts = store.frame_counts(key)
            score = "" if counts.min_score is None else f"{counts.min_score:.2f}"
            return (store.frame(key).name, str(counts.predicted), score)[index.column()]
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            counts = store.frame_counts(key)
            words = f"{counts.predicted} to review" if counts.predicted else "Nothing found"
            return f"{store.frame(key).name}, {tr(words)}"
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column():
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


@guarded
class ReviewPanel(QWidget):
    """The queue, or a word that nothing waits.

    Signals:
        frame_chosen(FrameKey)
    """

    frame_chosen = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("reviewPanel")
        self._session = session
        self._stale = False
        self.model = QueueModel(session, self)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setAccessibleName(tr("Review queue"))
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.view.setShowGrid(False)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(30)
        header = self.view.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(1, 60)
        header.resizeSection(2, 64)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.hint = QLabel(
            tr("Nothing to review.\n\nPredictions wait here,\nthe least certain first.\nSpace goes to the next one.")
        )
        self.hint.setProperty("role", "hint")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedLayout()
        self._pages.addWidget(self.hint)
        self._pages.addWidget(self.view)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        self.sort_again = QPushButton(tr("Sort again"))
        self.sort_again.setToolTip(tr("Sort by score again, least certain first; the order stays fixed while you work"))
        self.sort_again.setAutoDefault(False)
        self.sort_again.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.sort_again.hide()
        column.addLayout(self._pages)
        column.addWidget(self.sort_again)
        # A run tells of many changes; the queue sorts once they pause.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(100)
        self._later.timeout.connect(self._on_later)
        self._marking = False
        self.sort_again.clicked.connect(session.review.sort_again)
        self.view.selectionModel().currentRowChanged.connect(self._on_row)
        session.review.changed.connect(self._show)
        session.project_changed.connect(self._on_project)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._mark)
        session.frame_kept.connect(lambda: self._mark(session.frame))

    def _on_project(self) -> None:
        """The old queue goes at once, the new one is read when it is looked at."""
        self.model.forget()
        self._stale = True
        if self.isVisible():
            self._later.start()

    def _on_later(self) -> None:
        if self.isVisible():
            self.refresh()

    def _on_change(self, _change: object) -> None:
        """Soon, when it is looked at; else once it is."""
        self._stale = True
        if self.isVisible():
            self._later.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            # In a moment: docks that stand as tabs are all shown for an instant when a project opens.
            self._later.start()

    def refresh(self) -> None:
        """Read the queue: at once, or in a large project soon."""
        self._stale = False
        self._later.stop()
        self._session.review.refresh()

    def _show(self) -> None:
        queue = self._session.review
        self._marking = True
        self.model.show(queue.keys)
        self._marking = False
        self._pages.setCurrentWidget(self.view if queue.keys else self.hint)
        self.sort_again.setVisible(not queue.is_sorted)
        self._mark(self._session.frame)

    def _on_row(self, index: QModelIndex) -> None:
        """Whatever moves the mark (either mouse button, arrow keys) shows that frame: the two never disagree."""
        if index.isValid() and not self._marking:
            self.frame_chosen.emit(self.model.keys[index.row()])

    def rest(self) -> None:
        """No timer is left running (the window closes)."""
        self._later.stop()

    def _mark(self, key: FrameKey | None) -> None:
        row = self.model.keys.position(key)
        self._marking = True
        if row >= 0:
            self.view.selectRow(row)
        else:
            self.view.clearSelection()
            self.view.setCurrentIndex(QModelIndex())
        self._marking = False
