"""Painting of the rows of the frame list: thumbnail, name, state of the frame."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache

import numpy as np
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.project.model import Frame, FrameCounts, FrameKey
from poseapp.session.session import Session
from poseapp.widgets.icons import pixmap

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 60
THUMB = QSize(76, 52)
SIGN = 15
FRAME_ROLE = Qt.ItemDataRole.UserRole + 1
COUNTS_ROLE = Qt.ItemDataRole.UserRole + 2
PICTURES = 256
"""Thumbnails kept ready to be painted."""


@guarded
class FrameDelegate(QStyledItemDelegate):
    """Paints a row: thumbnail, name, state of the frame."""

    def __init__(self, session: Session, loader: FrameLoader, colors: Tokens, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._loader = session, loader
        self.colors = colors
        self._pictures: OrderedDict[FrameKey, QPixmap] = OrderedDict()

    def forget(self) -> None:
        self._pictures.clear()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(160, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        frame = index.data(FRAME_ROLE)
        if frame is None:
            return
        colors, rect = self.colors, option.rect
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(colors.accent_soft if selected else colors.hover))
        if selected:
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), QColor(colors.accent))
        thumbnail_rect = QRect(
            rect.left() + 10, rect.top() + (rect.height() - THUMB.height()) // 2, THUMB.width(), THUMB.height()
        )
        self._thumbnail(painter, thumbnail_rect, frame)
        text = rect.adjusted(THUMB.width() + 22, 9, -10, -9)
        painter.setPen(QColor(colors.text))
        why = self._problem(frame.key)
        shown = index.data(Qt.ItemDataRole.DisplayRole)
        name = option.fontMetrics.elidedText(shown, Qt.TextElideMode.ElideMiddle, text.width())
        painter.drawText(text, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), name)
        self._state(painter, text, index.data(COUNTS_ROLE), frame, "cannot be read" if why else "")
        painter.restore()

    def _thumbnail(self, painter: QPainter, target_rect: QRect, frame: Frame) -> None:
        path = QPainterPath()
        path.addRoundedRect(target_rect, 4, 4)
        painter.fillPath(path, QColor(self.colors.field))
        picture = self._picture(frame.key)
        if picture is not None:
            size = picture.size().scaled(target_rect.size(), Qt.AspectRatioMode.KeepAspectRatioByExpanding)
            target = QRect(0, 0, size.width(), size.height())
            target.moveCenter(target_rect.center())
            painter.save()
            painter.setClipPath(path)
            painter.drawPixmap(target, picture)
            painter.restore()
        elif self._problem(frame.key):
            ratio = painter.device().devicePixelRatioF()
            corner = target_rect.center() - QPoint(SIGN // 2, SIGN // 2)
            painter.drawPixmap(corner, sign("warning", self.colors.warning, ratio))

    def _problem(self, key: FrameKey) -> str | None:
        store = self._session.store
        return None if store is None else self._loader.problem(key, store.frame_path(key))

    def _picture(self, key: FrameKey) -> QPixmap | None:
        pixmap = self._pictures.get(key)
        store = self._session.store
        if pixmap is None and store is not None:
            pixels = self._loader.request_thumbnail(key, store.frame_path(key))
            if pixels is None:
                return None
            pixmap = self._pictures[key] = to_pixmap(pixels)
            if len(self._pictures) > PICTURES:
                self._pictures.popitem(last=False)
        return pixmap

    def _state(self, painter: QPainter, text: QRect, counts: FrameCounts, frame: Frame, problem: str) -> None:
        labelled, predicted, _ = counts
        colors = self.colors
        line = QRect(text.left(), text.bottom() - 16, text.width(), 18)
        x = line.left()
        middle = line.center().y() + 1
        for count, color, hollow in ((labelled, colors.good, False), (predicted, colors.predicted, True)):
            if not count:
                continue
            painter.setPen(QPen(QColor(color), 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush if hollow else QColor(color))
            painter.drawEllipse(x + 1, middle - 4, 8, 8)
            painter.setPen(QColor(colors.text_soft))
            words = f"{count}"
            painter.drawText(QRect(x + 14, line.top(), 60, line.height()), int(Qt.AlignmentFlag.AlignVCenter), words)
            x += 24 + painter.fontMetrics().horizontalAdvance(words)
        if problem:
            painter.setPen(QColor(colors.warning))
            painter.drawText(line.adjusted(x - line.left(), 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), tr(problem))
        elif not labelled and not predicted:
            painter.setPen(QColor(colors.text_faint))
            state = frame.state
            words = "no objects" if state.negative else "nothing found" if state.nothing_found else "not labelled"
            painter.drawText(line, int(Qt.AlignmentFlag.AlignVCenter), tr(words))
        right = line.right()
        ratio = painter.device().devicePixelRatioF()
        for mark, name, color in (
            (frame.state.flagged, "flag", colors.warning),
            (frame.state.reviewed, "check", colors.accent),
        ):
            if mark:
                painter.drawPixmap(right - SIGN, middle - SIGN // 2, sign(name, color, ratio))
                right -= SIGN + 4


@cache
def sign(name: str, color: str, ratio: float) -> QPixmap:
    return pixmap(name, color, SIGN, ratio)


def to_pixmap(pixels: np.ndarray) -> QPixmap:
    """(h, w, 3) uint8 RGB as a pixmap."""
    data = np.ascontiguousarray(pixels)
    height, width = data.shape[:2]
    return QPixmap.fromImage(QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888))
