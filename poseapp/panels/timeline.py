"""The strip below the canvas: every frame as a column of marks. Click or drag to go there."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPixmap, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from poseapp.i18n import tr
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
        self.setAccessibleName(tr("Timeline"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(2 * TOP + len(ROWS) * ROW)
        self.setMouseTracking(True)
        self._session, self._colours = session, colours
        self._marks = np.zeros((len(ROWS), 0), dtype=np.bool_)
        self._lanes: QPixmap | None = None
        session.project_changed.connect(self.refresh)
        session.changed.connect(self._on_change)
        session.frame_changed.connect(lambda _key: self.update())

    def sizeHint(self) -> QSize:
        return QSize(400, self.height())

    def set_colours(self, colours: Tokens) -> None:
        self._colours = colours
        self.update_lanes()

    def refresh(self) -> None:
        """Read the marks of all frames."""
        store = self._session.store
        bits = np.zeros(0, np.uint8) if store is None else store.frame_marks()
        self._marks = (bits >> np.arange(len(ROWS), dtype=np.uint8)[:, None] & 1).astype(np.bool_)
        self.update_lanes()

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
        self.update_lanes()

    def update_lanes(self) -> None:
        """Paint the marks anew next time."""
        self._lanes = None
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lanes = None
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        ratio = self.devicePixelRatioF()
        if self._lanes is None or self._lanes.devicePixelRatio() != ratio:
            self._lanes = self._painted_lanes(ratio)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._lanes)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._small_font())
        self._cursor(painter, self._span())
        painter.end()

    def _small_font(self) -> QFont:
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 0.85)
        return font

    def _painted_lanes(self, ratio: float) -> QPixmap:
        """Names and marks as a picture: a frame change then only moves the cursor."""
        picture = QPixmap(round(self.width() * ratio), round(self.height() * ratio))
        picture.setDevicePixelRatio(ratio)
        colours = self._colours
        picture.fill(QColor(colours.panel))
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(QRectF(0, 0, self.width(), 1), QColor(colours.line))
        painter.setFont(self._small_font())
        span = self._span()
        tints = (colours.good, colours.predicted, colours.accent, colours.warning)
        for row, (name, tint) in enumerate(zip(ROWS, tints)):
            top = TOP + row * ROW
            painter.setPen(QColor(colours.text_faint))
            painter.drawText(
                QRectF(12, top, LEFT - 20, ROW),
                int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft),
                tr(name),
            )
            lane = QRectF(span.left(), top + 3, span.width(), ROW - 6)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.field))
            painter.drawRoundedRect(lane, 2, 2)
            _paint_lane(painter, self._marks[row], lane, QColor(tint))
        painter.end()
        return picture

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
            text, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), tr(f"{place + 1:,}\nof {count:,}")
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
            QToolTip.showText(event.globalPosition().toPoint(), tr(f"{place + 1}  {name}"), self)

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


def _paint_lane(painter: QPainter, marks: np.ndarray, lane: QRectF, colour: QColor) -> None:
    """Runs of marked columns as one bar each, with a gap between columns where they are wide."""
    count = len(marks)
    if not count:
        return
    columns = min(count, max(1, int(lane.width())))
    starts = np.arange(columns) * count // columns
    filled = np.flatnonzero(np.logical_or.reduceat(marks, starts))
    if not len(filled):
        return
    step = lane.width() / columns
    gap = 1.0 if step > 5 else 0.0
    breaks = np.flatnonzero(np.diff(filled) > 1) if gap == 0.0 else np.arange(len(filled) - 1)
    first = filled[np.concatenate([[0], breaks + 1])]
    last = filled[np.concatenate([breaks, [len(filled) - 1]])]
    painter.setBrush(colour)
    painter.drawRects(
        [
            QRectF(lane.left() + a * step, lane.top(), max((b - a + 1) * step - gap, 1.0), lane.height())
            for a, b in zip(first.tolist(), last.tolist())
        ]
    )
