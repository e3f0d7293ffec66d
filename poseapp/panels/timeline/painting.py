"""Painting of the timeline: ruler, rows of marks, track lanes, selected range, cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from poseapp.app.i18n import tr
from poseapp.app.theme import DARK, Tokens
from poseapp.panels.timeline.lanes import (
    INTERPOLATED_POSE,
    LABELLED_POSE,
    Sight,
    TrackLanes,
    clock_text,
    frame_step,
    in_columns,
    runs_of,
)

ROWS = ("Labelled", "To review", "Reviewed", "Flagged")
LEFT, RIGHT, HEADER, GAP, ROW = 124, 92, 28, 4, 14
"""Names at the left, read-out at the right, ruler above, height of a row and of a lane."""
_WIDE = 5.0
_VERTICAL = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)


@dataclass
class Look:
    """What there is to paint.

    Attributes:
        sight: the frames in sight, counted from the first of the timeline.
        marks: (4, N) whether a frame is labelled, to review, reviewed, flagged.
        times: (N,) seconds of the frames; None where they are not known, or mean nothing.
        lanes: of the tracks; frame 0 of them stands at ``lane_shift``.
        first_lane: how far the lanes are scrolled, in pixels.
        range: marked frames, first and last (included).
        track: the track that is selected.
        color_of: 0xRRGGBB of a track.
        origin: number of the first frame: 0 in a video, as in all files that are written, 1 for pictures.
    """

    width: float
    height: float
    sight: Sight
    marks: npt.NDArray[np.bool_]
    times: npt.NDArray[np.float64] | None = None
    lanes: TrackLanes = None  # type: ignore[assignment]
    lane_shift: int = 0
    first_lane: int = 0
    range: tuple[int, int] | None = None
    track: int | None = None
    color_of: Callable[[int], int] = int
    origin: int = 1

    @property
    def span(self) -> QRectF:
        """The horizontal span of the frames, between names and readout."""
        return QRectF(LEFT, HEADER + GAP, max(self.width - LEFT - RIGHT, 1.0), max(self.height - HEADER - 2 * GAP, 1.0))

    @property
    def lanes_area(self) -> QRectF:
        """The area of the track lanes, with their names."""
        top = HEADER + GAP + len(ROWS) * ROW + GAP
        return QRectF(0, top, self.span.right(), max(self.height - top - GAP, 0.0))

    def x_of(self, frame: float) -> float:
        return self.span.left() + self.sight.share(frame) * self.span.width()


def lanes_top(look: Look, lane: int) -> float:
    return look.lanes_area.top() + lane * ROW - look.first_lane


def small_font(font: QFont) -> QFont:
    frame = QFont(font)
    frame.setPointSizeF(font.pointSizeF() * 0.85)
    return frame


def paint_ground(painter: QPainter, look: Look, colors: Tokens) -> None:
    """Paint everything except the cursor."""
    painter.fillRect(QRectF(0, 0, look.width, look.height), QColor(colors.panel))
    painter.fillRect(QRectF(0, 0, look.width, 1), QColor(colors.line))
    _paint_ruler(painter, look, colors)
    tints = (colors.good, colors.predicted, colors.accent, colors.warning)
    for row, (name, tint) in enumerate(zip(ROWS, tints)):
        top = HEADER + GAP + row * ROW
        _paint_name(painter, QRectF(12, top, LEFT - 18, ROW), tr(name), QColor(colors.text_faint))
        field = _field(painter, look, top, colors)
        if row < len(look.marks):
            columns = _columns(look)
            codes = in_columns(look.marks[row], look.sight.start, look.sight.count, columns).astype(np.uint8)
            painter.setBrush(QColor(tint))
            painter.drawRects([rect for rect, _ in _bars(look, codes, field)])
    _paint_lanes(painter, look, colors)
    _paint_range(painter, look, colors)


def _columns(look: Look) -> int:
    return max(1, int(look.span.width()))


def _field(painter: QPainter, look: Look, top: float, colors: Tokens) -> QRectF:
    """The background of a row or lane."""
    span = look.span
    field = QRectF(span.left(), top + 3, span.width(), ROW - 6)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colors.field))
    painter.drawRoundedRect(field, 2, 2)
    return field


def _paint_name(painter: QPainter, where: QRectF, name: str, color: QColor) -> None:
    painter.setPen(color)
    text = QFontMetricsF(painter.font()).elidedText(name, Qt.TextElideMode.ElideRight, where.width())
    painter.drawText(where, _VERTICAL, text)


def _bars(look: Look, codes: npt.NDArray[np.uint8], field: QRectF) -> Iterator[tuple[QRectF, int]]:
    """Paint runs of equal columns as one bar each; where frames are wide, one bar per frame with a gap."""
    width = field.width() / look.sight.count
    step = field.width() / len(codes)
    for first, last, code in runs_of(codes):
        left, right = field.left() + first * step, field.left() + (last + 1) * step
        if width <= _WIDE:
            yield QRectF(left, field.top(), max(right - left, 1.0), field.height()), code
            continue
        a = round(look.sight.at(first / len(codes)))
        b = max(round(look.sight.at((last + 1) / len(codes))), a + 1)
        for frame in range(a, b):
            x = max(look.x_of(frame), field.left())
            yield QRectF(x, field.top(), min(look.x_of(frame + 1), field.right()) - x - 1.0, field.height()), code


def _paint_ruler(painter: QPainter, look: Look, colors: Tokens) -> None:
    count, span = look.sight.total, look.span
    if not count:
        return
    room = 64.0 if look.times is None else 150.0
    step = frame_step(look.sight.count, span.width(), room)
    small = frame_step(look.sight.count, span.width(), 9.0)
    small = small if step % small == 0 else step
    metrics = QFontMetricsF(painter.font())
    first, last = int(look.sight.start), min(int(look.sight.at(1.0)) + 1, count)
    painter.setPen(QPen(QColor(colors.line_strong), 1))
    # Marks stand at the first frame, then at whole numbers.
    position = [0] if first == 0 else []
    lines = []
    for tick in range(first - first % small, last + 1, small):
        ticks = max(tick - look.origin, 0)
        x = round(look.x_of(ticks + 0.5)) + 0.5
        if not span.left() <= x <= span.right() or ticks >= count:
            continue
        big = tick % step == 0 and ticks > 0
        if big:
            position.append(ticks)
        lines.append((x, 7.0 if big else 4.0))
    for x, tall in lines:
        painter.drawLine(QPointF(x, HEADER - tall), QPointF(x, HEADER))
    end = -1.0
    for ticks in position:
        x = max(look.x_of(ticks + 0.5) - 1, span.left())
        texts = [(f"{ticks + look.origin:,}", colors.text_soft)]
        if look.times is not None and ticks < len(look.times):
            texts.append((clock_text(float(look.times[ticks])), colors.text_faint))
        wide = sum(metrics.horizontalAdvance(text) for text, _ in texts) + 8 * (len(texts) - 1)
        if x < end or x + wide > span.right() + 40:
            continue
        for text, color in texts:
            painter.setPen(QColor(color))
            painter.drawText(QPointF(x, HEADER - 11), text)
            x += metrics.horizontalAdvance(text) + 8
        end = x + 4


def _track_color(look: Look, track: int, colors: Tokens) -> QColor:
    """The color of a track on the canvas, darker on a light background."""
    color = QColor.fromRgb(look.color_of(track))
    return color if colors == DARK else color.darker(135)


def _paint_lanes(painter: QPainter, look: Look, colors: Tokens) -> None:
    """Labelled poses fill the lane, predicted ones are pale, interpolated ones are a line."""
    area = look.lanes_area
    if not look.lanes or area.height() < 2:
        return
    painter.save()
    painter.setClipRect(area)
    columns = _columns(look)
    first = look.first_lane // ROW
    for lane in range(first, min(len(look.lanes), first + int(area.height() // ROW) + 2)):
        track, top = look.lanes.tracks[lane], lanes_top(look, lane)
        color = _track_color(look, track, colors)
        chosen = track == look.track
        if chosen:
            painter.fillRect(QRectF(4, top, LEFT - 8, ROW), QColor(colors.accent_soft))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawRoundedRect(QRectF(12, top + 4, 6, ROW - 8), 1.5, 1.5)
        name = QColor(colors.text if chosen else colors.text_faint)
        _paint_name(painter, QRectF(24, top, LEFT - 30, ROW), tr(f"Track {track}"), name)
        field = _field(painter, look, top, colors)
        codes = look.lanes.in_columns(track, look.sight.start - look.lane_shift, look.sight.count, columns)
        pale = QColor(color)
        pale.setAlphaF(0.42)
        for rect, code in _bars(look, codes, field):
            if code == INTERPOLATED_POSE:
                painter.fillRect(rect.adjusted(0, 3, 0, -3), color)
            else:
                painter.fillRect(rect, color if code == LABELLED_POSE else pale)
    painter.restore()


def _paint_range(painter: QPainter, look: Look, colors: Tokens) -> None:
    """Paint brackets at the ends of the selected range and shade what is outside."""
    if look.range is None:
        return
    span = look.span
    left = min(max(look.x_of(look.range[0]), span.left()), span.right())
    right = min(max(look.x_of(look.range[1] + 1), span.left()), span.right())
    shade = QColor(colors.panel)
    shade.setAlphaF(0.6)
    for a, b in ((span.left(), left), (right, span.right())):
        painter.fillRect(QRectF(a, HEADER, b - a, look.height - HEADER), shade)
    band = QColor(colors.accent)
    painter.fillRect(QRectF(left, HEADER - 1, right - left, 3), band)
    painter.setPen(QPen(band, 1.5))
    for x, inward, inside in (
        (left, 5, look.range[0] >= look.sight.start),
        (right, -5, look.range[1] < look.sight.at(1.0)),
    ):
        if inside:
            ends = (QPointF(x + inward, HEADER), QPointF(x, HEADER), QPointF(x, look.height - GAP))
            painter.drawPolyline([*ends, QPointF(x + inward, look.height - GAP)])


def paint_cursor(painter: QPainter, look: Look, preferred: int, lines: list[str], warn: str, colors: Tokens) -> None:
    """Paint the line at the current frame and the readout at the right."""
    span, x = look.span, look.x_of(preferred + 0.5)
    if span.left() - 1 <= x <= span.right() + 1:
        painter.setBrush(QColor(colors.accent))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRect(QRectF(x - 1, HEADER - 3, 2, look.height - HEADER + 3 - GAP))
        top = HEADER - 7
        painter.drawPolygon(QPolygonF([QPointF(x - 5, top), QPointF(x + 5, top), QPointF(x, top + 7)]))
    where = QRectF(span.right() + 10, HEADER + GAP, RIGHT - 14, ROW)
    for text, color in [*((line, colors.text_soft) for line in lines), (warn, colors.warning)]:
        painter.setPen(QColor(color))
        painter.drawText(where, _VERTICAL, text)
        where.translate(0, ROW)
