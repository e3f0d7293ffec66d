"""Poses painted in bulk: lines as arrays, points as stamps, everything constant in screen size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseapp.canvas.batch import FULL, HIDDEN, SMALL, TINY, PoseBatch
from poseapp.canvas.coloring import ALPHA_STEPS, batch_alphas, batch_colors
from poseapp.canvas.layout import OUTLINE
from poseapp.canvas.palette import RIGHT, Palette
from poseapp.canvas.primitives import draw_lines, draw_rects, draw_sprites
from poseapp.canvas.sprites import PointLook, color_of, point_sprite
from poseapp.canvas.style import CanvasStyle

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SIZES = {FULL: 1.0, SMALL: 0.66, TINY: 0.4}
_WIDTHS = np.array([0.42, 0.5, 0.8, 1.0])
"""Line width of a part by the size of its points (HIDDEN..FULL), as a share of the style's."""
_SOLID, _DASHED, _SHORT_DASHED = 0, 1, 2
_DASHES: dict[int, tuple[float, float]] = {_DASHED: (7.0, 4.5), _SHORT_DASHED: (3.5, 3.5)}
"""Lengths in screen pixels of dash and gap: predictions, and predictions of the right side."""
_STITCH = (2.5, 4.5)
"""Dark stitches along the bones of the right side of a pose that a person answers for."""


@dataclass(frozen=True)
class ViewPort:
    """How image pixels become logical screen pixels: ``screen = image * scale + (dx, dy)``.

    ``clip`` is left, top, right, bottom of what is to be painted; ``ratio`` device pixels to the logical one.
    """

    scale: float
    dx: float
    dy: float
    clip: tuple[float, float, float, float]
    ratio: float = 1.0

    def to_screen(self, points: Floats) -> Floats:
        """(..., 2) image pixels to (..., 2) screen pixels."""
        mapped: Floats = points * self.scale + (self.dx, self.dy)
        return mapped


def viewport_of(painter: QPainter, exposed: QRectF | None = None) -> ViewPort:
    """The mapping that a painter of the view holds; ``exposed`` is in image pixels."""
    world = painter.worldTransform()
    device = painter.device()
    area = QRectF(0, 0, device.width(), device.height()) if exposed is None else world.mapRect(exposed)
    clip = (area.left(), area.top(), area.right(), area.bottom())
    return ViewPort(world.m11(), world.dx(), world.dy(), clip, device.devicePixelRatioF())


class PosePainter:
    """Paints a batch with a style. Holds no state between calls but what it was made with."""

    def __init__(self, style: CanvasStyle, palette: Palette) -> None:
        self.style = style
        self.palette = palette

    def paint(self, painter: QPainter, batch: PoseBatch, view: ViewPort, drawn: Flags, bright: Flags) -> None:
        """Draw the instances where ``drawn`` (N,); dim those that are not ``bright`` (N,).

        The painter comes with the view's transform and is given back as it came.
        """
        if not len(batch) or not drawn.any():
            return
        painter.save()
        painter.setWorldTransform(QTransform())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        point_colors, line_colors = batch_colors(batch, self.style.color_mode, self.palette)
        point_alphas, line_alphas = batch_alphas(batch, bright, self.style.dim)
        part_sizes = batch.part_sizes(view.scale, self.style.parts)
        screen = view.to_screen(batch.points)
        if self.style.show_boxes:
            self._boxes(painter, batch, view, drawn, bright)
        if self.style.show_bones:
            self._bones(painter, batch, view, screen, part_sizes, drawn, line_colors, line_alphas)
        self._points(painter, batch, view, screen, part_sizes, drawn, point_colors, point_alphas)
        painter.restore()

    def _bones(
        self,
        painter: QPainter,
        batch: PoseBatch,
        view: ViewPort,
        screen: Floats,
        part_sizes: Ints,
        drawn: Flags,
        colors: Ints,
        alphas: Ints,
    ) -> None:
        wanted = batch.limb_shown & drawn[batch.limb_owner]
        if self.style.parts is not None:
            wanted &= batch.parts_in(self.style.parts)[batch.limb_part]
        rows = np.flatnonzero(wanted)
        lines = screen[batch.limbs[rows]].reshape(-1, 4)
        near = _lines_in(lines, view.clip, self.style.line_width + 3.0)
        rows, lines = rows[near], lines[near]
        sizes = part_sizes[batch.limb_part[rows]]
        sizes = np.where(batch.limb_index[rows] == OUTLINE, np.minimum(sizes, TINY), sizes)
        predicted = batch.predicted[batch.limb_owner[rows]]
        right = batch.limb_sides[rows] == RIGHT
        dash = np.where(predicted & (sizes > HIDDEN), np.where(right, _SHORT_DASHED, _DASHED), _SOLID)
        alphas = alphas[rows]
        self._halos(painter, lines, sizes, alphas, predicted)
        keys = np.stack([colors[rows], alphas, sizes, dash], axis=1)
        for (color, alpha, size, dashes), members in _grouped(keys):
            pen = _pen(color, alpha / ALPHA_STEPS, max(self.style.line_width * _WIDTHS[size], 1.0))
            if dashes != _SOLID:
                pen.setDashPattern([length / pen.widthF() for length in _DASHES[dashes]])
            painter.setPen(pen)
            draw_lines(painter, lines[members])
        stitched = right & ~predicted & (sizes >= SMALL)
        for (alpha,), members in _grouped(np.where(stitched, alphas, 0)[:, None]):
            if alpha:
                pen = _pen(self.palette.outline, 0.75 * alpha / ALPHA_STEPS, max(self.style.line_width * 0.4, 1.0))
                pen.setDashPattern([length / pen.widthF() for length in _STITCH])
                painter.setPen(pen)
                draw_lines(painter, lines[members])

    def _halos(self, painter: QPainter, lines: Floats, sizes: Ints, alphas: Ints, predicted: Flags) -> None:
        """The dark rim under the bones. Dense parts go without: their lines would drown in it."""
        keys = np.stack([sizes, alphas, predicted.astype(np.int64)], axis=1)
        for (size, alpha, unsure), members in _grouped(keys):
            if size > HIDDEN:
                strength = (0.35 if unsure else 0.65) * alpha / ALPHA_STEPS
                width = self.style.line_width * _WIDTHS[size] + (2.2 if size >= SMALL else 1.4)
                painter.setPen(_pen(self.palette.outline, strength, width))
                draw_lines(painter, lines[members])

    def _points(
        self,
        painter: QPainter,
        batch: PoseBatch,
        view: ViewPort,
        screen: Floats,
        part_sizes: Ints,
        drawn: Flags,
        colors: Ints,
        alphas: Ints,
    ) -> None:
        sizes = part_sizes[batch.part]
        margin = self.style.point_size + 3.0
        left, top, right, bottom = view.clip
        x, y = screen[:, 0], screen[:, 1]
        inside = (x > left - margin) & (x < right + margin) & (y > top - margin) & (y < bottom + margin)
        rows = np.flatnonzero(batch.shown & (sizes > HIDDEN) & drawn[batch.owner] & inside)
        occluded = batch.visibility[rows] == 1
        looks = np.where(batch.predicted[batch.owner[rows]], PointLook.HOLLOW, PointLook.FILLED) + occluded
        keys = np.stack([sizes[rows], colors[rows], alphas[rows], looks], axis=1)
        for (size, color, alpha, look), members in _grouped(keys):
            sprite = point_sprite(
                PointLook(look),
                max(self.style.point_size * _SIZES[size], 2.5),
                color,
                self.palette.outline,
                alpha / ALPHA_STEPS,
                view.ratio,
            )
            draw_sprites(painter, sprite, screen[rows[members]], view.ratio)

    def _boxes(self, painter: QPainter, batch: PoseBatch, view: ViewPort, drawn: Flags, bright: Flags) -> None:
        rows = np.flatnonzero(drawn & np.isfinite(batch.boxes).all(axis=1))
        corners = view.to_screen(batch.boxes[rows].reshape(-1, 2)).reshape(-1, 4)
        rects = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for row, rect in zip(rows.tolist(), rects, strict=True):
            alpha = 1.0 if bright[row] else self.style.dim
            painter.setPen(_pen(self.palette.outline, 0.5 * alpha, 3.0))
            draw_rects(painter, rect[None])
            pen = _pen(self.palette.accent, 0.9 * alpha, 1.2)
            if batch.predicted[row]:
                pen.setDashPattern([5.0, 4.0])
            painter.setPen(pen)
            draw_rects(painter, rect[None])


def _pen(color: int, alpha: float, width: float) -> QPen:
    # Flat caps: the raster engine has a quick road for lines without round ends, and points cover the joints anyway.
    return QPen(color_of(color, alpha), width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)


def _lines_in(lines: Floats, clip: tuple[float, float, float, float], margin: float) -> Flags:
    """(n,) which lines' bounding boxes meet the clip."""
    left, top, right, bottom = clip
    x, y = lines[:, 0::2], lines[:, 1::2]
    across = (x.max(axis=1) > left - margin) & (x.min(axis=1) < right + margin)
    return across & (y.max(axis=1) > top - margin) & (y.min(axis=1) < bottom + margin)


def _grouped(keys: Ints) -> Iterator[tuple[tuple[int, ...], Ints]]:
    """Rows of equal keys (n, c): the key and the positions, keys in ascending order."""
    if not len(keys):
        return
    order = np.lexsort(keys.T[::-1])
    ranked = keys[order]
    changes = np.flatnonzero((ranked[1:] != ranked[:-1]).any(axis=1)) + 1
    starts = [0, *changes.tolist()]
    for start, members in zip(starts, np.split(order, changes), strict=True):
        yield tuple(ranked[start].tolist()), members


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
