"""Poses painted in bulk: lines as arrays, points as stamps, everything constant in screen size."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen, QRegion, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.canvas.render.coloring import ALPHA_STEPS
from poseapp.canvas.render.colors import Palette
from poseapp.canvas.render.draw_list import (
    DASHED,
    SHORT_DASHED,
    SOLID,
    TICKED,
    Strokes,
    make_strokes,
    runs,
    unpacked,
    without_color,
)
from poseapp.canvas.render.pose_arrays import FULL, HIDDEN, SMALL, TINY, PoseBatch
from poseapp.canvas.render.primitives import Sprites, draw_lines, draw_rects
from poseapp.canvas.render.sprites import PointLook, color_of, point_sprite
from poseapp.canvas.render.style import CanvasStyle
from poseapp.canvas.render.viewport import ViewPort

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SIZES = {FULL: 1.0, SMALL: 0.66, TINY: 0.4}
_WIDTHS = (0.42, 0.5, 0.8, 1.0)
"""Line width of a part by the size of its points (HIDDEN..FULL), as a share of the style's."""
_DASHES: dict[int, tuple[float, float]] = {DASHED: (7.0, 4.5), SHORT_DASHED: (3.5, 3.5), TICKED: (1.2, 12.0)}
"""Screen pixels of stroke and gap: predictions, predictions of the right side, and the dark ticks across the bones of
the right side of a pose that a person answers for (which still read as solid)."""
_DASH_RIM = 0.75
"""Opacity of the rim under dashes. (Long lines that are not opaque are slow; dashes are short.)"""


def viewports(painter: QPainter, width: float, height: float) -> list[ViewPort]:
    """The mapping that a painter of the view holds, once for each rectangle of its clip."""
    world = painter.worldTransform()
    ratio = painter.device().devicePixelRatioF()
    painter.setWorldTransform(QTransform())
    region = painter.clipRegion() if painter.hasClipping() else QRegion(0, 0, math.ceil(width), math.ceil(height))
    rects = [QRectF(rect) for rect in region]  # type: ignore[attr-defined]
    painter.setWorldTransform(world)
    clips = [(rect.left(), rect.top(), rect.right(), rect.bottom()) for rect in rects]
    return [ViewPort(world.m11(), world.dx(), world.dy(), clip, ratio) for clip in clips]


class PosePainter:
    """Paints batches with a style."""

    def __init__(self, style: CanvasStyle, palette: Palette) -> None:
        self.style = style
        self.palette = palette
        self._recent: deque[tuple[PoseBatch, float, Strokes]] = deque(maxlen=4)
        self._layer: QImage | None = None

    def paint_dimmed(
        self,
        painter: QPainter,
        batch: PoseBatch,
        view: ViewPort,
        drawn: Flags,
        opacity: float,
        rough: bool = False,
    ) -> None:
        """As ``paint``, the whole at an opacity.

        The poses are painted opaque into a layer of their own: they do not shine through one another, and the raster
        engine is ten times quicker with opaque lines.
        """
        if not len(batch) or not drawn.any():
            return
        left, top, right, bottom = (round(edge) for edge in view.clip)
        layer = self._empty_layer(
            math.ceil((right - left) * view.ratio), math.ceil((bottom - top) * view.ratio), view.ratio
        )
        brush = QPainter(layer)
        inner = (0.0, 0.0, float(right - left), float(bottom - top))
        self.paint(brush, batch, replace(view, dx=view.dx - left, dy=view.dy - top, clip=inner), drawn, rough)
        brush.end()
        painter.save()
        painter.setWorldTransform(QTransform())
        painter.setOpacity(opacity)
        painter.drawImage(QPointF(left, top), layer)
        painter.restore()

    def _empty_layer(self, width: int, height: int, ratio: float) -> QImage:
        """A transparent picture in device pixels; that of the last time where it fits, for fresh memory is slow."""
        layer = self._layer
        if layer is None or (layer.width(), layer.height()) != (width, height):
            layer = self._layer = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
        layer.setDevicePixelRatio(ratio)
        layer.fill(Qt.GlobalColor.transparent)
        return layer

    def paint(self, painter: QPainter, batch: PoseBatch, view: ViewPort, drawn: Flags, rough: bool = False) -> None:
        """Draw the instances where ``drawn`` (N,), whatever transform the painter has; it is given back as it came.

        ``rough``: lines with steps in them, which is ten times as fast.
        """
        if not len(batch) or not drawn.any():
            return
        painter.save()
        painter.setWorldTransform(QTransform())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not rough)
        strokes = self._strokes_of(batch, view.scale)
        origin = np.array((view.dx, view.dy))
        left, top, right, bottom = view.clip
        clip = (left - view.dx, top - view.dy, right - view.dx, bottom - view.dy)
        boxed = drawn if self.style.show_boxes else drawn & batch.pointless
        if boxed.any():
            self._boxes(painter, batch.boxes, batch.predicted, boxed, view)
        specks = drawn & batch.specks(view.scale)
        if specks.any():
            marks = np.full((len(batch), 4), np.nan)
            marks[specks] = batch.speck_boxes(view.scale, specks)
            self._boxes(painter, marks, batch.predicted, specks, view)
        rows = strokes.lines_in(clip, self.style.line_width + 3.0, drawn)
        self._bones(painter, strokes.lines[rows] + np.tile(origin, 2), strokes.line_keys[rows], strokes.ticked[rows])
        rows = strokes.points_in(clip, self.style.point_size + 3.0, drawn)
        self._points(painter, strokes.points[rows] + origin, strokes.point_keys[rows], view.ratio)
        painter.restore()

    def _strokes_of(self, batch: PoseBatch, scale: float) -> Strokes:
        for known, known_scale, strokes in self._recent:
            if known is batch and known_scale == scale:
                return strokes
        made = make_strokes(batch, scale, self.style, self.palette)
        self._recent.appendleft((batch, scale, made))
        return made

    def _bones(self, painter: QPainter, lines: Floats, keys: Ints, ticked: Flags) -> None:
        for key, first, end in runs(without_color(keys)):
            size, dash, alpha, _ = unpacked(key)
            if size > HIDDEN:  # dense parts go without a rim: their lines would drown in it
                width = self.style.line_width * _WIDTHS[size] + (2.0 if size >= SMALL else 1.4)
                strength = 1.0 if dash == SOLID else _DASH_RIM * alpha / ALPHA_STEPS
                painter.setPen(_pen(self.palette.outline, strength, width, dash))
                draw_lines(painter, lines[first:end])
        for key, first, end in runs(keys):
            size, dash, alpha, color = unpacked(key)
            painter.setPen(_pen(color, alpha / ALPHA_STEPS, max(self.style.line_width * _WIDTHS[size], 1.0), dash))
            draw_lines(painter, lines[first:end])
        painter.setPen(_pen(self.palette.outline, 0.8, self.style.line_width, TICKED))
        draw_lines(painter, lines[ticked])

    def _points(self, painter: QPainter, places: Floats, keys: Ints, ratio: float) -> None:
        sprites = Sprites(places, ratio)
        for key, first, end in runs(keys):
            size, look, alpha, color = unpacked(key)
            diameter = max(self.style.point_size * _SIZES[size], 2.5)
            sprite = point_sprite(PointLook(look), diameter, color, self.palette.outline, alpha / ALPHA_STEPS, ratio)
            sprites.draw(painter, sprite, first, end)

    def _boxes(self, painter: QPainter, boxes: Floats, predictions: Flags, drawn: Flags, view: ViewPort) -> None:
        """Boxes (N, 4) xyxy in image pixels, of those that are ``drawn`` (N,) and finite."""
        boxed = drawn & np.isfinite(boxes).all(axis=1)
        corners = view.to_screen(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for predicted in (False, True):
            x1, y1, x2, y2 = corners[boxed & (predictions == predicted)].T
            rects = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)
            painter.setPen(QPen(color_of(self.palette.outline, 0.5), 3.0))
            draw_rects(painter, rects)
            pen = QPen(color_of(self.palette.accent, 0.9), 1.2)
            if predicted:
                pen.setDashPattern([5.0, 4.0])
            painter.setPen(pen)
            draw_rects(painter, rects)


@lru_cache(maxsize=1024)
def _pen(color: int, alpha: float, width: float, dash: int) -> QPen:
    # Flat caps: the raster engine has a quick road for lines without round ends, and points cover the joints.
    pen = QPen(color_of(color, alpha), width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
    if dash != SOLID:
        pen.setDashPattern([length / width for length in _DASHES[dash]])
    return pen


@guarded
class PosesItem(QGraphicsItem):
    """The one item of the scene: hands its painting on, above the cached ground."""

    def __init__(self, paint: Callable[[QPainter], None]) -> None:
        super().__init__()
        self._paint = paint
        self._bounds = QRectF()

    def set_bounds(self, bounds: QRectF) -> None:
        self.prepareGeometryChange()
        self._bounds = bounds

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        self._paint(painter)
