"""The review queue: frames with predictions, the least certain first, then frames in which a model found nothing; or
frames in which a check of labels found something."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QStackedLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.project.checks import ALL_CHECKS, project_checks
from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys
from poseapp.session.review_queue import PREDICTIONS
from poseapp.session.session import Session

Index = QModelIndex | QPersistentModelIndex


@guarded
class QueueModel(QAbstractTableModel):
    """Frame, number of predictions, lowest score; of a check the frame and what was found there."""

    PREDICTION_COLUMNS = ("Image", "Poses", "Min. score")
    CHECK_COLUMNS = ("Image", "Problem")

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.keys: FrameKeys = NO_FRAMES
        self.is_check = False

    def forget(self) -> None:
        self.show(NO_FRAMES, self.is_check)

    def show(self, keys: FrameKeys, is_check: bool) -> None:
        self.beginResetModel()
        self.keys, self.is_check = keys, is_check
        self.endResetModel()

    @property
    def _columns(self) -> tuple[str, ...]:
        return self.CHECK_COLUMNS if self.is_check else self.PREDICTION_COLUMNS

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.keys)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return tr(self._columns[section])
        if role == Qt.ItemDataRole.TextAlignmentRole and section and not self.is_check:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        store = self._session.store
        if store is None or not index.isValid():
            return None
        key = self.keys[index.row()]
        if self.is_check:
            return self._finding_data(key, index.column(), role)
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

    def _finding_data(self, key: FrameKey, column: int, role: int) -> Any:
        store = self._session.store
        messages = [tr(finding.message) for finding in self._session.review.findings_in(key)]
        if store is None or not messages:
            return None
        name = store.frame(key).name
        if role == Qt.ItemDataRole.DisplayRole:
            return name if column == 0 else "; ".join(messages)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join([name, *messages])
        return f"{name}, {'; '.join(messages)}" if role == Qt.ItemDataRole.AccessibleTextRole else None


@guarded
class ReviewPanel(QWidget):
    """The choice of what to review (predictions, or the findings of a check) and the queue, or a hint that it is empty.

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
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.source = QComboBox()
        self.source.setAccessibleName(tr("What to review"))
        self.source.setToolTip(tr("Review predictions, or what a check finds in the labels"))
        self.source.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.source.addItem(tr("Predictions"), PREDICTIONS)
        self.source.insertSeparator(1)
        self.source.addItem(tr("All checks"), ALL_CHECKS)
        for check in project_checks():
            self.source.addItem(tr(check.title), check.id)
            self.source.setItemData(self.source.count() - 1, tr(check.help), Qt.ItemDataRole.ToolTipRole)
        self.hint = QLabel()
        self.hint.setProperty("role", "hint")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedLayout()
        self._pages.addWidget(self.hint)
        self._pages.addWidget(self.view)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.source)
        self.sort_again = QPushButton()
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
        self.source.activated.connect(self._on_source)
        self.sort_again.clicked.connect(session.review.sort_again)
        self.view.selectionModel().currentRowChanged.connect(self._on_row)
        session.review.changed.connect(self._show)
        session.project_changed.connect(self._on_project)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._mark)
        session.leave_refused.connect(lambda: self._mark(session.frame))
        self._show()

    def _on_project(self) -> None:
        """Clear the old queue immediately; read the new one on the next show."""
        self.model.forget()
        self._stale = True
        if self.isVisible():
            self._later.start()

    def _on_later(self) -> None:
        if self.isVisible():
            self.refresh()

    def _on_change(self, _change: object) -> None:
        """Refresh soon if visible, otherwise on the next show."""
        self._stale = True
        if self.isVisible():
            self._later.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            # In a moment: docks that stand as tabs are all shown for an instant when a project opens.
            self._later.start()

    def refresh(self) -> None:
        """Read the queue: immediately, or in the background for a large project."""
        self._stale = False
        self._later.stop()
        self._session.review.refresh()

    def _show(self) -> None:
        queue = self._session.review
        self._marking = True
        self.model.show(queue.keys, queue.check != PREDICTIONS)
        self._marking = False
        self._size_columns()
        self.source.setCurrentIndex(max(0, self.source.findData(queue.check)))
        self._pages.setCurrentWidget(self.view if queue.keys else self.hint)
        self.hint.setText(tr(self._hint_text()))
        if queue.check == PREDICTIONS:
            self.sort_again.setText(tr("Sort again"))
            self.sort_again.setToolTip(
                tr("Sort by score again, least certain first; the order stays fixed while you work")
            )
            self.sort_again.setVisible(not queue.is_sorted)
        else:
            self.sort_again.setText(tr("Check again"))
            self.sort_again.setToolTip(tr("Run the check over all labels again, also those edited since"))
            self.sort_again.setVisible(not queue.is_checking and self._session.store is not None)
        self._mark(self._session.frame)

    def _size_columns(self) -> None:
        header, modes = self.view.horizontalHeader(), QHeaderView.ResizeMode
        if self.model.is_check:
            header.setSectionResizeMode(0, modes.Interactive)
            header.setSectionResizeMode(1, modes.Stretch)
            return
        header.setSectionResizeMode(0, modes.Stretch)
        for column, width in ((1, 60), (2, 64)):
            header.setSectionResizeMode(column, modes.Fixed)
            header.resizeSection(column, width)

    def _hint_text(self) -> str:
        queue = self._session.review
        if queue.check == PREDICTIONS:
            return "Nothing to review.\n\nPredictions wait here,\nthe least certain first.\nSpace goes to the next one."
        return "Checking the labels..." if queue.is_checking else "No problems found"

    def _on_source(self, _index: int) -> None:
        self._session.review.choose(str(self.source.currentData()))

    def _on_row(self, index: QModelIndex) -> None:
        """Whatever changes the current row (mouse or arrow keys) shows that frame, so that both always agree."""
        if index.isValid() and not self._marking:
            key = self.model.keys[index.row()]
            self.frame_chosen.emit(key)
            if self._session.frame == key:
                self._session.review.select_findings(key)

    def rest(self) -> None:
        """Stop all timers before the window closes."""
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
