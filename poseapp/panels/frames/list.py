"""The list of frames with thumbnails: virtual, so that two hundred thousand frames cost as much as ten."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from engine.utils.plain_text import visible
from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.panels.frames.delegate import COUNTS_ROLE, FRAME_ROLE, ROW_HEIGHT, FrameDelegate
from poseapp.panels.frames.filter_bar import FilterBar
from poseapp.project.model import Change, FrameCounts, FrameKey, FrameState
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys
from poseapp.project.store import ProjectStore
from poseapp.session.session import Session

Index = QModelIndex | QPersistentModelIndex
QUESTION = "images listed"
SLOW_MS = 150
"""What takes longer than this is shown as under way."""
EDITED_MS = 250
MANY = 64
"""From so many changed frames on, the list repaints as a whole."""


@guarded
class FrameModel(QAbstractListModel):
    """Frames of the session that match the query, in its order."""

    def __init__(self, session: Session, loader: FrameLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._loader = session, loader
        self._keys: FrameKeys = session.frames
        self._videos: dict[int, str] = {}

    def show(self, keys: FrameKeys) -> None:
        """List these frames of the session in this order."""
        store = self._session.store
        media = [] if store is None else store.media()
        self.beginResetModel()
        self._keys = keys
        # The frames of each video have the same names.
        self._videos = {m.id: Path(m.path).name for m in media if m.kind == "video" and len(media) > 1}
        self.endResetModel()

    @property
    def keys(self) -> FrameKeys:
        """The frames that are listed."""
        return self._keys

    def row_of(self, key: FrameKey | None) -> int:
        return self._keys.position(key)

    def key_at(self, row: int) -> FrameKey:
        return self._keys[row]

    def touch(self, keys: frozenset[FrameKey]) -> None:
        """Repaint the rows of these frames."""
        if len(keys) > MANY:
            self.dataChanged.emit(self.index(0), self.index(len(self._keys) - 1))
            return
        for key in keys:
            row = self.row_of(key)
            if row >= 0:
                self.dataChanged.emit(self.index(row), self.index(row))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._keys)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        store = self._session.store
        if store is None or not index.isValid() or index.row() >= len(self._keys):
            return None
        key = self._keys[index.row()]
        if role == COUNTS_ROLE:
            return store.frame_counts(key)
        if role not in _ROLES:
            return None
        frame = store.frame(key)
        if role == FRAME_ROLE:
            return frame
        name = f"{self._videos[key.media]}  {frame.name}" if key.media in self._videos else frame.name
        name = visible(name)
        if role == Qt.ItemDataRole.DisplayRole:
            return name
        if role == Qt.ItemDataRole.ToolTipRole:
            why = self._loader.problem(key, store.frame_path(key))
            size = f"{frame.width} x {frame.height}" if frame.width else ""
            return "\n".join(part for part in (name, size, tr(why or "")) if part)
        return f"{name}, {tr(_summary(store.frame_counts(key), frame.state))}"


_ROLES = (
    FRAME_ROLE,
    Qt.ItemDataRole.DisplayRole,
    Qt.ItemDataRole.ToolTipRole,
    Qt.ItemDataRole.AccessibleTextRole,
)


def _summary(counts: FrameCounts, state: FrameState) -> str:
    """ "2 labelled, 1 to review"."""
    parts = [
        f"{counts.labelled} labelled" if counts.labelled else "",
        f"{counts.predicted} to review" if counts.predicted else "",
    ]
    return ", ".join(p for p in parts if p) or ("nothing found" if state.nothing_found else "no poses")


def _rows_view() -> QTableView:
    """A table of one column: unlike a list view it does not query hidden rows, however many there are."""
    view = QTableView()
    view.setAccessibleName(tr("Images"))
    view.setMouseTracking(True)
    view.setShowGrid(False)
    view.setTabKeyNavigation(False)
    view.setAutoScroll(False)  # the panel scrolls, when a frame is shown
    view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
    view.setVerticalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.verticalScrollBar().setSingleStep(ROW_HEIGHT // 2)
    view.horizontalHeader().hide()
    view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    view.verticalHeader().hide()
    view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    return view


def _busy_line(parent: QWidget) -> QProgressBar:
    """A thin busy indicator, laid over the list so that nothing moves."""
    line = QProgressBar(parent)
    line.setAccessibleName(tr("Looking for images"))
    line.setRange(0, 0)
    line.setTextVisible(False)
    line.hide()
    return line


class MediaList(QWidget):
    """Filter bar and list.

    Signals:
        frame_chosen(FrameKey)
    """

    frame_chosen = Signal(object)

    def __init__(self, session: Session, loader: FrameLoader, colors: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("mediaList")
        self._session = session
        self.model = FrameModel(session, loader, self)
        self.view = _rows_view()
        self.view.setModel(self.model)
        self.delegate = FrameDelegate(session, loader, colors, self.view)
        self.view.setItemDelegate(self.delegate)
        # Before this panel's own connections: of a new project the bar forgets the old conditions first.
        self.filter = FilterBar(session, colors)
        self.busy = _busy_line(self)
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(SLOW_MS)
        self._slow.timeout.connect(self._show_wait)
        # A condition holds for what an edit has just made too; the list follows once the edits pause.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(EDITED_MS)
        self._later.timeout.connect(self._ask)
        self.hint = QLabel(tr("No image matches these filters."))
        self.hint.setProperty("role", "hint")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.show_all = QPushButton(tr("Show all images"))
        nothing = QWidget()
        words = QVBoxLayout(nothing)
        words.addStretch(1)
        words.addWidget(self.hint)
        words.addWidget(self.show_all, 0, Qt.AlignmentFlag.AlignHCenter)
        words.addStretch(1)
        self._pages = QStackedLayout()
        self._pages.addWidget(self.view)
        self._pages.addWidget(nothing)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.filter)
        column.addLayout(self._pages, 1)
        self.show_all.clicked.connect(self.filter.clear)
        self.filter.query_changed.connect(lambda _query: self.reset())
        self.view.selectionModel().currentChanged.connect(self._on_current)
        session.project_changed.connect(self._on_project)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._on_frame)
        session.leave_refused.connect(lambda: self._on_frame(session.frame))
        loader.thumbnail_loaded.connect(self._on_thumbnail)
        loader.health_changed.connect(self._on_thumbnail)

    @property
    def search(self) -> QWidget:
        """The field to find images by name."""
        return self.filter.search

    def set_colors(self, colors: Tokens) -> None:
        self.delegate.colors = colors
        self.filter.set_colors(colors)
        self.view.viewport().update()

    def rest(self) -> None:
        """Stop all timers before the window closes."""
        self.filter.rest()
        self._later.stop()
        self._end_wait()

    def _on_project(self) -> None:
        self.delegate.forget()
        self.model.show(self._session.frames if self.filter.query.is_plain else NO_FRAMES)
        self.reset()

    def reset(self) -> None:
        """Run the query: immediately, or in the background for a large project; the old rows stay until then."""
        gone = len(self._session.frames) < len(self.model.keys) or not self._session.frames
        if gone and not self.filter.query.is_plain:
            here = np.isin(self.model.keys.packed, self._session.frames.packed)
            self.model.show(FrameKeys(self.model.keys.packed[here]))
        self._ask()

    def _ask(self) -> None:
        query, queries = self.filter.query, self._session.queries
        self._later.stop()
        if self._session.store is None or query.is_plain:
            queries.forget(QUESTION)
            self._list(self._session.frames)
            return
        queries.ask(QUESTION, partial(ProjectStore.find_frames, query=query), self._list)
        if queries.is_pending(QUESTION):
            self._slow.start()

    def _list(self, keys: FrameKeys) -> None:
        self._end_wait()
        if keys is not self.model.keys and keys != self.model.keys:
            scroll_position = self.view.verticalScrollBar().value()
            self.model.show(keys)
            self.view.verticalScrollBar().setValue(scroll_position)
        self._session.set_listed(None if self.filter.query.is_plain else keys)
        shown, of = self.model.rowCount(), len(self._session.frames)
        self.filter.set_count(shown, of)
        self._pages.setCurrentIndex(1 if of and not shown else 0)
        self._on_frame(self._session.frame)

    def _show_wait(self) -> None:
        self.busy.setGeometry(0, self.filter.geometry().bottom() + 1, self.width(), 3)
        self.busy.raise_()
        self.busy.show()

    def _end_wait(self) -> None:
        self._slow.stop()
        self.busy.hide()

    def _on_change(self, change: Change) -> None:
        if change.structure:
            self.reset()
            self.view.viewport().update()
            return
        self.model.touch(change.frames)
        if change.frames and not self.filter.query.is_plain:
            self._later.start()

    def _on_frame(self, key: FrameKey | None) -> None:
        row = self.model.row_of(key)
        if row < 0:
            self.view.selectionModel().clear()
            return
        index = self.model.index(row)
        if self.view.currentIndex().row() != row:
            self.view.setCurrentIndex(index)
        if not self.view.viewport().rect().contains(self.view.visualRect(index)):
            # To the middle: the next steps then move a mark and not the whole list, and one sees what comes.
            self.view.scrollTo(index, QTableView.ScrollHint.PositionAtCenter)

    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid():
            self.frame_chosen.emit(self.model.key_at(index.row()))

    def _on_thumbnail(self, key: FrameKey, _pixels: object = None) -> None:
        row = self.model.row_of(key)
        if row >= 0:
            self.view.update(self.model.index(row))
