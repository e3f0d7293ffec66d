"""The strip below the canvas: every frame as a column of marks. Click or drag to go there."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from poseapp.project.model import Change
from poseapp.session import Session
from poseapp.theme import Tokens

ROWS = ("Labelled", "To review", "Reviewed", "Flagged")
LEFT, RIGHT, TOP, ROW = 86, 74, 8, 14
ONE_BY_ONE = 500
"""From more changed frames on, all marks are read at once."""


class Timeline(QWidget):
    """Marks of all frames, binned where there are more frames than pixels.

    Signals:
        frame_chosen(FrameKey)
    """

    frame_chosen = Signal(object)

    def __init__(self, session: Session, colours: Tokens, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("timeline")
        self.setAccessibleName("Timeline")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(2 * TOP + len(ROWS) * ROW)
        self.setMouseTracking(True)
        self._session, self._colours = session, colours
        self._marks = np.zeros((len(ROWS), 0), dtype=np.bool_)
        session.project_changed.connect(self.refresh)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(lambda _key: self.update())

    def sizeHint(self) -> QSize:
        return QSize(400, self.height())

    def set_colours(self, colours: Tokens) -> None:
        self._colours = colours
        self.update()

    def refresh(self) -> None:
        """Read the marks of all frames."""
        store = self._session.store
        bits = np.zeros(0, np.uint8) if store is None else store.frame_marks()
        self._marks = (bits >> np.arange(len(ROWS), dtype=np.uint8)[:, None] & 1).astype(np.bool_)
        self.update()

    def _on_change(self, change: Change) -> None:
        store = self._session.store
        many = len(change.frames) > ONE_BY_ONE
        if store is None or change.structure or many or self._marks.shape[1] != len(self._session.frames):
            self.refresh()
            return
        for key in change.frames:
            place = self._session.position(key)
            if place >= 0:
                counts = store.frame_counts(key)
                state = store.frame(key).state
                self._marks[:, place] = counts.labelled > 0, counts.predicted > 0, state.reviewed, state.flagged
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._colours
        painter.fillRect(self.rect(), QColor(colours.panel))
        painter.fillRect(QRectF(0, 0, self.width(), 1), QColor(colours.line))
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 0.85)
        painter.setFont(font)
        span = self._span()
        tints = (colours.good, colours.predicted, colours.accent, colours.warning)
        for row, (name, tint) in enumerate(zip(ROWS, tints)):
            top = TOP + row * ROW
            painter.setPen(QColor(colours.text_faint))
            painter.drawText(
                QRectF(12, top, LEFT - 20, ROW), int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), name
            )
            lane = QRectF(span.left(), top + 3, span.width(), ROW - 6)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.field))
            painter.drawRoundedRect(lane, 2, 2)
            self._lane(painter, self._marks[row], lane, QColor(tint))
        self._cursor(painter, span)
        painter.end()

    def _lane(self, painter: QPainter, marks: np.ndarray, lane: QRectF, colour: QColor) -> None:
        count = len(marks)
        if not count:
            return
        columns = min(count, max(1, int(lane.width())))
        filled = np.unique(np.flatnonzero(marks) * columns // count)
        step = lane.width() / columns
        gap = 1.0 if step > 5 else 0.0
        painter.setBrush(colour)
        painter.drawRects(
            [QRectF(lane.left() + c * step, lane.top(), max(step - gap, 1.0), lane.height()) for c in filled.tolist()]
        )

    def _cursor(self, painter: QPainter, span: QRectF) -> None:
        count, place = len(self._session.frames), self._session.position()
        if place < 0:
            return
        x = span.left() + (place + 0.5) / count * span.width()
        painter.setBrush(QColor(self._colours.accent))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRect(QRectF(x - 1, TOP - 2, 2, len(ROWS) * ROW + 4))
        painter.drawPolygon(QPolygonF([QPointF(x - 5, TOP - 6), QPointF(x + 5, TOP - 6), QPointF(x, TOP + 1)]))
        painter.setPen(QColor(self._colours.text_soft))
        text = QRectF(span.right() + 8, TOP, RIGHT - 12, len(ROWS) * ROW)
        painter.drawText(
            text, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), f"{place + 1:,}\nof {count:,}"
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._go(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event.position().x())
            return
        place = self._place(event.position().x())
        if place is not None and self._session.store is not None:
            name = self._session.store.frame(self._session.frames[place]).name
            QToolTip.showText(event.globalPosition().toPoint(), f"{place + 1}  {name}", self)

    def _go(self, x: float) -> None:
        place = self._place(x)
        if place is not None:
            self.frame_chosen.emit(self._session.frames[place])

    def _place(self, x: float) -> int | None:
        span, count = self._span(), len(self._session.frames)
        if not count:
            return None
        return int(np.clip((x - span.left()) / span.width() * count, 0, count - 1))

    def _span(self) -> QRectF:
        return QRectF(LEFT, TOP, max(self.width() - LEFT - RIGHT, 1), len(ROWS) * ROW)
