"""What lies over the poses: hover and selection marks, names, handles, ghost, crosshair, rubber band, read-out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPen, QTransform

from poseapp.app.i18n import tr
from poseapp.canvas.hit_test import HitKind
from poseapp.canvas.pose_geometry import ROTATE_HANDLE, handle_positions
from poseapp.canvas.render.colors import Palette
from poseapp.canvas.render.pose_arrays import FULL, HIDDEN
from poseapp.canvas.render.pose_colors import colors_of
from poseapp.canvas.render.pose_painter import draw_lines
from poseapp.canvas.render.sprites import color_of
from poseapp.canvas.render.viewport import ViewPort
from poseapp.canvas.scene import CanvasScene
from poseapp.canvas.tools.base import Ghost, PointRef
from poseapp.canvas.tools.gestures import pose_box
from poseapp.project.model import ABSENT, OCCLUDED, Instance, State

Floats = npt.NDArray[np.float64]

_MARGIN = 10.0
_MOST_NAMES = 40
_AROUND = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
"""Where a name may stand beside its point, best first."""


@dataclass
class Marks:
    """Things under way: rubber band or box (image corners), crosshair and cursor (image position), pose to place."""

    band: tuple[float, float, float, float] | None = None
    band_is_box: bool = False
    crosshair: tuple[float, float] | None = None
    ghost: Ghost | None = None
    cursor: tuple[float, float] | None = None


class OverlayPainter:
    """Paints everything above the poses, in logical screen pixels."""

    def __init__(self, state: CanvasScene, palette: Palette, font: QFont) -> None:
        self.state = state
        self.palette = palette
        self.font = QFont(font)
        self.font.setPointSizeF(state.style.font_size)
        self.metrics = QFontMetricsF(self.font)

    def paint(self, painter: QPainter, marks: Marks, view: ViewPort, width: float, height: float) -> None:
        """``width`` and ``height`` of the view in logical pixels."""
        painter.save()
        painter.setWorldTransform(QTransform())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.font)
        self._crosshair(painter, marks, view, width, height)
        self._band(painter, marks, view)
        self._missing(painter, view)
        self._handles(painter, view)
        self._selected_points(painter, view)
        self._hovered(painter, view)
        names = self._next_point(painter, marks.ghost, view)
        if self.state.style.show_labels:
            names += self._names(view)
        self._labels(painter, names, width, height)
        self._read_out(painter, marks, view, height)
        painter.restore()

    def _crosshair(self, painter: QPainter, marks: Marks, view: ViewPort, width: float, height: float) -> None:
        if marks.crosshair is None:
            return
        x, y = view.to_screen(np.array(marks.crosshair)).round() + 0.5
        gap = 7.0
        lines = np.array([(0, y, x - gap, y), (x + gap, y, width, y), (x, 0, x, y - gap), (x, y + gap, x, height)])
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QPen(color_of(self.palette.outline, 0.55), 3.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        draw_lines(painter, lines)
        painter.setPen(QPen(color_of(self.palette.accent, 0.9), 1.0))
        draw_lines(painter, lines)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _band(self, painter: QPainter, marks: Marks, view: ViewPort) -> None:
        if marks.band is None:
            return
        corners = view.to_screen(np.array(marks.band).reshape(2, 2)).round() + 0.5
        rect = QRectF(QPointF(*corners[0]), QPointF(*corners[1])).normalized()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color_of(self.palette.accent, 0.10))
        painter.drawRect(rect)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color_of(self.palette.outline, 0.6), 3.0))
        painter.drawRect(rect)
        pen = QPen(color_of(self.palette.accent), 1.2)
        if not marks.band_is_box:
            pen.setDashPattern([4.0, 3.0])
        painter.setPen(pen)
        painter.drawRect(rect)
        if marks.band_is_box:
            x1, y1, x2, y2 = marks.band
            text = f"{abs(x2 - x1):.0f} × {abs(y2 - y1):.0f}"
            below = rect.bottomLeft() + QPointF(0, 6)
            self._plate(painter, QRectF(below, self._plate_size(text)), text)

    def _missing(self, painter: QPainter, view: ViewPort) -> None:
        """Missing points that can be taken hold of: dotted rings with a cross, unlike anything that is placed."""
        missing, style = self.state.missing(), self.state.style
        if missing is None:
            return
        arrays = missing.arrays
        sizes = arrays.point_sizes(view.scale, style.parts, with_limbs=style.show_bones)
        colors, line_colors = colors_of(arrays, style.color_mode, self.palette)
        positions = view.to_screen(arrays.points)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        lines = arrays.limb_shown & (sizes[arrays.limbs] != HIDDEN).any(axis=1) if style.show_bones else []
        for row in np.flatnonzero(lines).tolist():
            pen = QPen(color_of(int(line_colors[row]), 0.65), 1.2)
            pen.setDashPattern([1.0, 3.5])
            painter.setPen(pen)
            draw_lines(painter, positions[arrays.limbs[row]].reshape(1, 4))
        for row in np.flatnonzero(sizes > HIDDEN).tolist():
            x, y = positions[row].tolist()
            radius = style.point_size / 2 * (1.0 if sizes[row] == FULL else 0.6)
            painter.setPen(QPen(color_of(self.palette.outline, 0.45), 3.2))
            painter.drawEllipse(QPointF(x, y), radius, radius)
            pen = QPen(color_of(int(colors[row]), 0.85), 1.3)
            pen.setDashPattern([1.4, 1.6])
            painter.setPen(pen)
            painter.drawEllipse(QPointF(x, y), radius, radius)
            painter.setPen(QPen(color_of(int(colors[row]), 0.85), 1.1))
            arm = radius * 0.5
            draw_lines(painter, np.array([(x - arm, y, x + arm, y), (x, y - arm, x, y + arm)]))

    def _handles(self, painter: QPainter, view: ViewPort) -> None:
        owner = self.state.handle_owner()
        box = None if owner is None else pose_box(owner)
        if box is None:
            return
        positions = view.to_screen(handle_positions(box, view.scale))
        rect = QRectF(QPointF(*positions[0]), QPointF(*positions[4]))
        stem = QLineF(QPointF(*positions[1]), QPointF(*positions[ROTATE_HANDLE]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, alpha, wide in ((self.palette.outline, 0.6, 3.0), (self.palette.accent, 0.95, 1.2)):
            painter.setPen(QPen(color_of(color, alpha), wide))
            painter.drawRect(rect)
            painter.drawLine(stem)
        painter.setPen(QPen(color_of(self.palette.outline, 0.9), 1.2))
        painter.setBrush(color_of(self.palette.accent))
        for x, y in positions[:ROTATE_HANDLE].tolist():
            painter.drawRect(QRectF(x - 3.5, y - 3.5, 7.0, 7.0))
        painter.drawEllipse(QPointF(*positions[ROTATE_HANDLE]), 4.5, 4.5)

    def _selected_points(self, painter: QPainter, view: ViewPort) -> None:
        radius = self.state.style.point_size / 2 + 3.0
        for x, y in self._places(view, self.state.points):
            self._ring(painter, x, y, radius, 1.0)

    def _hovered(self, painter: QPainter, view: ViewPort) -> None:
        target = self.state.hovered
        instance = None if target is None else self.state.shown(target.instance_id)
        if target is None or instance is None:
            return
        if target.kind in (HitKind.POINT, HitKind.MISSING):
            for x, y in self._places(view, {(target.instance_id, target.index)}):
                self._ring(painter, x, y, self.state.style.point_size / 2 + 3.0, 0.85)
        elif target.kind == HitKind.LIMB:
            schema = self.state.schemas.get(instance.category)
            if schema is not None and target.index < len(schema.limbs):
                ends = view.to_screen(instance.keypoints[schema.limb_indices[target.index]]).reshape(1, 4)
                wide = self.state.style.line_width + 5.0
                for color, alpha, w in ((self.palette.accent, 0.35, wide), (self.palette.accent, 0.9, 1.2)):
                    painter.setPen(QPen(color_of(color, alpha), w, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
                    draw_lines(painter, ends)

    def _ring(self, painter: QPainter, x: float, y: float, radius: float, alpha: float) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color_of(self.palette.outline, 0.75 * alpha), 3.6))
        painter.drawEllipse(QPointF(x, y), radius, radius)
        painter.setPen(QPen(color_of(self.palette.accent, alpha), 1.7))
        painter.drawEllipse(QPointF(x, y), radius, radius)

    def _places(self, view: ViewPort, points: Iterable[PointRef]) -> list[tuple[float, float]]:
        """Screen positions of those points that are placed, or offered as missing."""
        positions = []
        for instance_id, index in points:
            instance = self.state.shown(instance_id)
            if instance is None or index >= instance.num_keypoints:
                continue
            is_present = instance.visibility[index] != ABSENT
            position = instance.keypoints[index] if is_present else self.state.missing_place(instance_id, index)
            if position is not None:
                x, y = view.to_screen(np.asarray(position))
                positions.append((float(x), float(y)))
        return positions

    def _names(self, view: ViewPort) -> list[tuple[float, float, str, bool]]:
        """Screen position, text and whether it must be shown, of the hovered point and then of the selected ones."""
        points: list[PointRef] = []
        target = self.state.hovered
        if target is not None and target.kind in (HitKind.POINT, HitKind.MISSING):
            points.append((target.instance_id, target.index))
        points += [ref for ref in sorted(self.state.points) if ref not in points][:_MOST_NAMES]
        names = []
        for rank, ref in enumerate(points):
            positions = self._places(view, [ref])
            instance = self.state.shown(ref[0])
            if positions and instance is not None:
                must = rank == 0 and target is not None
                names.append((*positions[0], self._name(instance, ref[1]), must))
        return names

    def _name(self, instance: Instance, index: int) -> str:
        schema = self.state.schemas.get(instance.category)
        fits = schema is not None and index < schema.num_keypoints
        text = schema.names[index].replace("_", " ") if schema is not None and fits else f"point {index}"
        if instance.visibility[index] == ABSENT:
            return tr(f"{text} · missing")
        if instance.visibility[index] == OCCLUDED:
            text += " · occluded"
        if instance.state == State.PREDICTED and instance.scores is not None:
            text += f" · {instance.scores[index]:.2f}"
        return tr(text)

    def _labels(
        self, painter: QPainter, names: list[tuple[float, float, str, bool]], width: float, height: float
    ) -> None:
        """Names on plates beside their points; one that would cover another, or a marked point, is left out."""
        reach = self.state.style.point_size / 2 + 7.0
        points = [QRectF(x - 5, y - 5, 10, 10) for x, y, _, _ in names]
        taken: list[QRectF] = []
        for rank, (x, y, text, must) in enumerate(names):
            size = self._plate_size(text)
            others = taken + points[:rank] + points[rank + 1 :]
            spots = [_beside(x, y, dx * reach, dy * reach, size) for dx, dy in _AROUND]
            inside = QRectF(0, 0, width, height)
            free = [s for s in spots if inside.contains(s) and not any(s.intersects(other) for other in others)]
            if free or must:
                spot = free[0] if free else spots[0]
                taken.append(spot)
                self._plate(painter, spot, text)

    def _plate_size(self, text: str) -> QSizeF:
        return QSizeF(self.metrics.horizontalAdvance(text) + 12.0, self.metrics.height() + 4.0)

    def _plate(self, painter: QPainter, rect: QRectF, text: str, faint: bool = False) -> None:
        rect = QRectF(round(rect.x()), round(rect.y()), rect.width(), rect.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color_of(self.palette.plate, 0.86))
        painter.drawRoundedRect(rect, 4.0, 4.0)
        painter.setPen(color_of(self.palette.plate_faint if faint else self.palette.plate_text))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)

    def _next_point(
        self, painter: QPainter, ghost: Ghost | None, view: ViewPort
    ) -> list[tuple[float, float, str, bool]]:
        """A ring where the next point of a pose under placement belongs; returns its name, to be written beside it."""
        if ghost is None or ghost.next_point is None:
            return []
        x, y = view.to_screen(ghost.points[ghost.next_point]).tolist()
        self._ring(painter, x, y, self.state.style.point_size / 2 + 3.0, 1.0)
        name = ghost.schema.names[ghost.next_point].replace("_", " ")
        return [(x, y, tr(f"{name} · {ghost.left} left"), True)]

    def _read_out(self, painter: QPainter, marks: Marks, view: ViewPort, height: float) -> None:
        text = read_out_text(view.scale, marks.cursor)
        size = self._plate_size(text)
        self._plate(painter, QRectF(QPointF(_MARGIN, height - _MARGIN - size.height()), size), text, faint=True)


def _beside(x: float, y: float, dx: float, dy: float, size: QSizeF) -> QRectF:
    """A rectangle of a size that begins dx, dy away from a point, or is centerd on it where these are 0."""
    left = x + dx - size.width() * (0.5 - 0.5 * np.sign(dx))
    top = y + dy - size.height() * (0.5 - 0.5 * np.sign(dy))
    return QRectF(QPointF(float(left), float(top)), size)


def read_out_text(scale: float, cursor: tuple[float, float] | None) -> str:
    """Zoom, and where the pointer is."""
    zoom = f"{scale * 100:.0f} %" if scale >= 0.1 else f"{scale * 100:.1f} %"
    return zoom if cursor is None else f"{zoom}   {cursor[0]:.0f}, {cursor[1]:.0f}"
