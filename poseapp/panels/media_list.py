"""The list of frames with thumbnails: virtual, so that a hundred thousand frames cost as much as ten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from poseapp.jobs.frames import FrameLoader
from poseapp.project.model import Change, Frame, FrameKey
from poseapp.session import Session
from poseapp.theme import Tokens
from poseapp.widgets.icons import pixmap
from poseapp.widgets.line_edit import LineEdit

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 60
THUMB = QSize(76, 52)
SIGN = 15
FRAME_ROLE = Qt.ItemDataRole.UserRole + 1
PICTURES = 256
"""Thumbnails kept ready to be painted."""
MANY = 64
"""From so many changed frames on, the list repaints as a whole."""


class Show(StrEnum):
    """Which frames are listed."""

    ALL = "All images"
    LABELLED = "Labelled"
    PREDICTED = "To review"
    EMPTY = "Without poses"
    FLAGGED = "Flagged"


class FrameModel(QAbstractListModel):
    """Frames of the session that pass the filter."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._keys: Sequence[FrameKey] = ()
        self._rows: dict[FrameKey, int] | None = None
        self.text, self.show = "", Show.ALL
        self.read()

    def read(self) -> None:
        """Which frames are listed. Unfiltered this is the session's own list, and nothing is read."""
        self.beginResetModel()
        self._keys, self._rows = self._session.frames, None
        if self.text or self.show is not Show.ALL:
            self._keys = [key for key in self._of_state() if self._fits(key)]
            self._rows = {key: row for row, key in enumerate(self._keys)}
        self.endResetModel()

    def _of_state(self) -> Sequence[FrameKey]:
        keys, store = self._session.frames, self._session.store
        if store is None or self.show is Show.ALL:
            return keys
        if self.show is Show.FLAGGED:
            return [frame.key for frame in store.frames() if frame.state.flagged]
        counts = store.counts()
        if self.show is Show.EMPTY:
            return [key for key in keys if key not in counts or not (counts[key].labelled or counts[key].predicted)]
        field = "labelled" if self.show is Show.LABELLED else "predicted"
        found = {key for key, count in counts.items() if getattr(count, field)}
        return [key for key in keys if key in found]

    def _fits(self, key: FrameKey) -> bool:
        return not self.text or self.text.lower() in self._session.frame_names()[self._session.position(key)]

    def row_of(self, key: FrameKey | None) -> int:
        if key is None:
            return -1
        return self._session.position(key) if self._rows is None else self._rows.get(key, -1)

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
        frame = store.frame(self._keys[index.row()])
        if role == Qt.ItemDataRole.DisplayRole:
            return frame.name
        if role == Qt.ItemDataRole.ToolTipRole:
            size = f"\n{frame.width} x {frame.height}" if frame.width else ""
            return f"{frame.name}{size}"
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{frame.name}, {self.summary(frame.key)}"
        if role == FRAME_ROLE:
            return frame
        return None

    def summary(self, key: FrameKey) -> str:
        """ "2 labelled, 1 to review"."""
        store = self._session.store
        if store is None:
            return ""
        counts = store.frame_counts(key)
        parts = [
            f"{counts.labelled} labelled" if counts.labelled else "",
            f"{counts.predicted} to review" if counts.predicted else "",
        ]
        return ", ".join(p for p in parts if p) or "no poses"

    def counts_of(self, key: FrameKey) -> tuple[int, int]:
        store = self._session.store
        if store is None:
            return 0, 0
        counts = store.frame_counts(key)
        return counts.labelled, counts.predicted


class FrameDelegate(QStyledItemDelegate):
    """Paints a row: thumbnail, name, what is in it."""

    def __init__(self, session: Session, loader: FrameLoader, colours: Tokens, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._loader = session, loader
        self.colours = colours
        self._pictures: OrderedDict[FrameKey, QPixmap] = OrderedDict()

    def forget(self) -> None:
        self._pictures.clear()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(160, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        frame, model = index.data(FRAME_ROLE), index.model()
        if frame is None or not isinstance(model, FrameModel):
            return
        colours, rect = self.colours, option.rect
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(colours.accent_soft if selected else colours.hover))
        if selected:
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), QColor(colours.accent))
        place = QRect(
            rect.left() + 10, rect.top() + (rect.height() - THUMB.height()) // 2, THUMB.width(), THUMB.height()
        )
        self._thumbnail(painter, place, frame)
        text = rect.adjusted(THUMB.width() + 22, 9, -10, -9)
        painter.setPen(QColor(colours.text))
        name = option.fontMetrics.elidedText(frame.name, Qt.TextElideMode.ElideMiddle, text.width())
        painter.drawText(text, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), name)
        self._state(painter, text, model, frame)
        painter.restore()

    def _thumbnail(self, painter: QPainter, place: QRect, frame: Frame) -> None:
        path = QPainterPath()
        path.addRoundedRect(place, 4, 4)
        painter.fillPath(path, QColor(self.colours.field))
        picture = self._picture(frame.key)
        if picture is not None:
            size = picture.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatioByExpanding)
            target = QRect(0, 0, size.width(), size.height())
            target.moveCenter(place.center())
            painter.save()
            painter.setClipPath(path)
            painter.drawPixmap(target, picture)
            painter.restore()

    def _picture(self, key: FrameKey) -> QPixmap | None:
        found = self._pictures.get(key)
        store = self._session.store
        if found is None and store is not None:
            pixels = self._loader.request_thumbnail(key, store.frame_path(key))
            if pixels is None:
                return None
            found = self._pictures[key] = to_pixmap(pixels)
            if len(self._pictures) > PICTURES:
                self._pictures.popitem(last=False)
        return found

    def _state(self, painter: QPainter, text: QRect, model: FrameModel, frame: Frame) -> None:
        labelled, predicted = model.counts_of(frame.key)
        colours = self.colours
        line = QRect(text.left(), text.bottom() - 16, text.width(), 18)
        x = line.left()
        middle = line.center().y() + 1
        for count, colour, hollow in ((labelled, colours.good, False), (predicted, colours.predicted, True)):
            if not count:
                continue
            painter.setPen(QPen(QColor(colour), 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush if hollow else QColor(colour))
            painter.drawEllipse(x + 1, middle - 4, 8, 8)
            painter.setPen(QColor(colours.text_soft))
            words = f"{count}"
            painter.drawText(QRect(x + 14, line.top(), 60, line.height()), int(Qt.AlignmentFlag.AlignVCenter), words)
            x += 24 + painter.fontMetrics().horizontalAdvance(words)
        if not labelled and not predicted:
            painter.setPen(QColor(colours.text_faint))
            painter.drawText(
                line, int(Qt.AlignmentFlag.AlignVCenter), "nothing here" if frame.state.negative else "no poses yet"
            )
        right = line.right()
        ratio = painter.device().devicePixelRatioF()
        for mark, name, colour in (
            (frame.state.flagged, "flag", colours.warning),
            (frame.state.reviewed, "check", colours.accent),
        ):
            if mark:
                painter.drawPixmap(right - SIGN, middle - SIGN // 2, sign(name, colour, ratio))
                right -= SIGN + 4


@cache
def sign(name: str, colour: str, ratio: float) -> QPixmap:
    return pixmap(name, colour, SIGN, ratio)


def to_pixmap(pixels: np.ndarray) -> QPixmap:
    """(h, w, 3) uint8 RGB as a pixmap."""
    data = np.ascontiguousarray(pixels)
    height, width = data.shape[:2]
    return QPixmap.fromImage(QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888))


def _rows_view() -> QTableView:
    """A table of one column: unlike a list view it asks nothing of rows out of sight, however many there are."""
    view = QTableView()
    view.setAccessibleName("Images")
    view.setMouseTracking(True)
    view.setShowGrid(False)
    view.setTabKeyNavigation(False)
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


class MediaList(QWidget):
    """Filter line and list.

    Signals:
        frame_chosen(FrameKey)
    """

    frame_chosen = Signal(object)

    def __init__(self, session: Session, loader: FrameLoader, colours: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("mediaList")
        self._session = session
        self.model = FrameModel(session, self)
        self.view = _rows_view()
        self.view.setModel(self.model)
        self.delegate = FrameDelegate(session, loader, colours, self.view)
        self.view.setItemDelegate(self.delegate)
        self.search = LineEdit()
        self.search.setPlaceholderText("Find by name")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Find images by name")
        self.which = QComboBox()
        self.which.setAccessibleName("Which images")
        for show in Show:
            self.which.addItem(show.value, show)
        top = QHBoxLayout()
        top.setContentsMargins(10, 10, 10, 8)
        top.setSpacing(8)
        top.addWidget(self.search, 1)
        top.addWidget(self.which)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        self.hint = QLabel("No image fits.\n\nClear the name above,\nor choose All images.")
        self.hint.setProperty("role", "hint")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedLayout()
        self._pages.addWidget(self.view)
        self._pages.addWidget(self.hint)
        column.addLayout(self._pages, 1)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(120)
        self._typing.timeout.connect(self.refilter)
        self.search.textChanged.connect(lambda: self._typing.start())
        self.which.currentIndexChanged.connect(self.refilter)
        self.view.selectionModel().currentChanged.connect(self._on_current)
        session.project_changed.connect(self._on_project)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(self._on_frame)
        loader.thumbnail_loaded.connect(self._on_thumbnail)

    def set_colours(self, colours: Tokens) -> None:
        self.delegate.colours = colours
        self.view.viewport().update()

    def rest(self) -> None:
        """No timer is left running (the window closes)."""
        self._typing.stop()

    def _on_project(self) -> None:
        self.delegate.forget()
        self.reset()

    def reset(self) -> None:
        self._typing.stop()
        self.model.read()
        nothing = self.model.rowCount() == 0 and len(self._session.frames) > 0
        self._pages.setCurrentWidget(self.hint if nothing else self.view)
        self._on_frame(self._session.frame)

    def refilter(self) -> None:
        self.model.text, self.model.show = self.search.text().strip(), Show(self.which.currentData())
        self.reset()

    def _on_change(self, change: Change) -> None:
        if change.structure:
            self.reset()
        else:
            self.model.touch(change.frames)

    def _on_frame(self, key: FrameKey | None) -> None:
        row = self.model.row_of(key)
        if row < 0:
            self.view.selectionModel().clear()
        elif self.view.currentIndex().row() != row:
            self.view.setCurrentIndex(self.model.index(row))

    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid():
            self.frame_chosen.emit(self.model.key_at(index.row()))

    def _on_thumbnail(self, key: FrameKey, _pixels: object) -> None:
        row = self.model.row_of(key)
        if row >= 0:
            self.view.update(self.model.index(row))
