"""Poses painted in bulk: lines as arrays, points as stamps, everything constant in screen size.

Arrays of numbers are drawn by QPainter in one call, without a Python object for each line or sprite: QPainter's C++
functions take a pointer to the first of many, which PySide exposes as one object. The object made here points into the
numpy array, whose rows have the memory layout of the Qt class (all fields double).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt
import shiboken6
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen, QPixmap, QRegion, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseapp.app.canvas_style import CanvasStyle
from poseapp.app.fault_guard import guarded
from poseapp.canvas.render.colors import Palette
from poseapp.canvas.render.draw_list import (
    DASHED,
    SHORT_DASHED,
    SOLID,
    TICKED,
    DrawList,
    make_draw_list,
    runs,
    unpacked,
    without_color,
)
from poseapp.canvas.render.pose_arrays import FULL, HIDDEN, SMALL, TINY, PoseArrays
from poseapp.canvas.render.pose_colors import ALPHA_STEPS
from poseapp.canvas.render.sprites import PointLook, color_of, point_sprite
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
        self._recent: deque[tuple[PoseArrays, float, DrawList]] = deque(maxlen=4)
        self._layer: QImage | None = None

    def paint_dimmed(
        self,
        painter: QPainter,
        arrays: PoseArrays,
        view: ViewPort,
        drawn: Flags,
        opacity: float,
        draft: bool = False,
    ) -> None:
        """As ``paint``, the whole at an opacity.

        The poses are painted opaque into a layer of their own: they do not shine through one another, and the raster
        engine is ten times quicker with opaque lines.
        """
        if not len(arrays) or not drawn.any():
            return
        left, top, right, bottom = (round(edge) for edge in view.clip)
        layer = self._empty_layer(
            math.ceil((right - left) * view.ratio), math.ceil((bottom - top) * view.ratio), view.ratio
        )
        brush = QPainter(layer)
        inner = (0.0, 0.0, float(right - left), float(bottom - top))
        self.paint(brush, arrays, replace(view, dx=view.dx - left, dy=view.dy - top, clip=inner), drawn, draft)
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

    def paint(self, painter: QPainter, arrays: PoseArrays, view: ViewPort, drawn: Flags, draft: bool = False) -> None:
        """Draw the instances where ``drawn`` (N,), whatever transform the painter has; it is given back as it came.

        ``draft``: lines with steps in them, which is ten times as fast.
        """
        if not len(arrays) or not drawn.any():
            return
        painter.save()
        painter.setWorldTransform(QTransform())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not draft)
        draw_list = self._draw_list_of(arrays, view.scale)
        origin = np.array((view.dx, view.dy))
        left, top, right, bottom = view.clip
        clip = (left - view.dx, top - view.dy, right - view.dx, bottom - view.dy)
        boxed = drawn if self.style.show_boxes else drawn & arrays.pointless
        if boxed.any():
            self._boxes(painter, arrays.boxes, arrays.predicted, boxed, view)
        specks = drawn & arrays.specks(view.scale)
        if specks.any():
            marks = np.full((len(arrays), 4), np.nan)
            marks[specks] = arrays.speck_boxes(view.scale, specks)
            self._boxes(painter, marks, arrays.predicted, specks, view)
        rows = draw_list.lines_in(clip, self.style.line_width + 3.0, drawn)
        self._paint_limbs(
            painter, draw_list.lines[rows] + np.tile(origin, 2), draw_list.line_keys[rows], draw_list.ticked[rows]
        )
        rows = draw_list.points_in(clip, self.style.point_size + 3.0, drawn)
        self._points(painter, draw_list.points[rows] + origin, draw_list.point_keys[rows], view.ratio)
        painter.restore()

    def _draw_list_of(self, arrays: PoseArrays, scale: float) -> DrawList:
        for known, known_scale, draw_list in self._recent:
            if known is arrays and known_scale == scale:
                return draw_list
        new = make_draw_list(arrays, scale, self.style, self.palette)
        self._recent.appendleft((arrays, scale, new))
        return new

    def _paint_limbs(self, painter: QPainter, lines: Floats, keys: Ints, ticked: Flags) -> None:
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

    def _points(self, painter: QPainter, centers: Floats, keys: Ints, ratio: float) -> None:
        sprites = Sprites(centers, ratio)
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


def draw_lines(painter: QPainter, lines: Floats) -> None:
    """Draw (n, 4) rows x1, y1, x2, y2 with the painter's pen."""
    if len(lines):
        array = np.ascontiguousarray(lines, dtype=np.float64)  # kept alive by this frame while Qt reads it
        first = cast(QLineF, shiboken6.wrapInstance(array.ctypes.data, QLineF))
        painter.drawLines(first, len(array))


def draw_rects(painter: QPainter, rects: Floats) -> None:
    """Draw (n, 4) rows x, y, width, height with the painter's pen and brush."""
    painter.drawRects([QRectF(*row) for row in rects.tolist()])


class Sprites:
    """Places to stamp at; positions are snapped to device pixels, so that stamps stay crisp and take the quick road.

    Args:
        centers: (n, 2) logical pixels.
        ratio: device pixels to the logical one.
    """

    def __init__(self, centers: Floats, ratio: float) -> None:
        # x, y, source left, top, width, height, scale x, y, rotation, opacity
        self._fragments = np.zeros((len(centers), 10))
        self._fragments[:, :2] = (np.floor(centers * ratio) + 0.5) / ratio
        self._fragments[:, 6:8] = 1.0 / ratio
        self._fragments[:, 9] = 1.0
        self._address = self._fragments.ctypes.data

    def draw(self, painter: QPainter, pixmap: QPixmap, first: int, end: int) -> None:
        """Stamp a pixmap of odd size, given in device pixels, at the places ``first`` to ``end``."""
        self._fragments[first:end, 4] = pixmap.width()
        self._fragments[first:end, 5] = pixmap.height()
        address = self._address + first * self._fragments.strides[0]
        fragment = cast(QPainter.PixmapFragment, shiboken6.wrapInstance(address, QPainter.PixmapFragment))
        painter.drawPixmapFragments(fragment, end - first, pixmap)
