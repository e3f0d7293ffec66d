"""A view of one picture with zoom and pan; the subclass draws on it.

The ground (picture and whatever is still) is painted into a cache that scrolling shifts, so a pan paints only the
strips that come into sight.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QResizeEvent, QTransform
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QWidget

from poseapp.app.fault_guard import guarded

LARGEST_SCALE = 64.0
WHEEL_FACTOR = 1.2
_BUTTON_FACTOR = 1.25
_FIT_MARGIN = 12.0
_BEYOND_FIT = 4.0
"""How much smaller than the view the picture can be zoomed."""


@guarded
class PanZoomView(QGraphicsView):
    """Zoom, pan, fit. Scene coordinates are image pixels."""

    zoom_changed = Signal(float)
    """Screen pixels per image pixel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._size: tuple[int, int] | None = None
        self._fitted = True
        self.setScene(QGraphicsScene(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.FullViewportUpdate)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheBackground)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)

    @property
    def scale_factor(self) -> float:
        """Screen pixels per image pixel."""
        return self.transform().m11()

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of the frame."""
        return self._size

    def set_image_size(self, size: tuple[int, int] | None) -> None:
        """Set the size of the picture. The view fits another size, and does not move for the same size."""
        if size == self._size:
            return
        self._size = size
        width, height = size or (1, 1)
        slack = _BEYOND_FIT * max(width, height)
        bounds = QRectF(-0.5, -0.5, width, height)
        self.scene().setSceneRect(bounds.adjusted(-slack, -slack, slack, slack))
        self.fit()

    def fit(self) -> None:
        """Show the whole picture, and keep doing so when the window changes, until the next zoom or pan."""
        if self._size is None:
            return
        scale = self._fit_scale()
        self._show(scale, QPointF(self._size[0] / 2 - 0.5, self._size[1] / 2 - 0.5))
        self._fitted = True

    def actual_size(self) -> None:
        """One screen pixel per image pixel, about the center of the view."""
        self.zoom_at(1.0)

    def zoom_in(self) -> None:
        self.zoom_at(self.scale_factor * _BUTTON_FACTOR)

    def zoom_out(self) -> None:
        self.zoom_at(self.scale_factor / _BUTTON_FACTOR)

    def zoom_at(self, scale: float, position: QPointF | None = None) -> None:
        """Zoom so that the image point at a viewport position stays there (default: the middle)."""
        if self._size is None:
            return
        middle = QPointF(self.viewport().width() / 2, self.viewport().height() / 2)
        position = middle if position is None else position
        anchor = self.to_image(position)
        scale = min(max(scale, self._fit_scale() / _BEYOND_FIT), LARGEST_SCALE)
        self._show(scale, anchor + (middle - position) / scale)

    def zoom_to(self, box: tuple[float, float, float, float], margin: float = 0.15) -> None:
        """Show a box (x1, y1, x2, y2) in image pixels, with some room around it."""
        x1, y1, x2, y2 = box
        width, height = max(x2 - x1, 4.0) * (1 + 2 * margin), max(y2 - y1, 4.0) * (1 + 2 * margin)
        scale = min(self.viewport().width() / width, self.viewport().height() / height, LARGEST_SCALE)
        self._show(scale, QPointF((x1 + x2) / 2, (y1 + y2) / 2))

    def pan_by(self, dx: float, dy: float) -> None:
        """Move the picture by screen pixels."""
        middle = QPointF(self.viewport().width() / 2 - dx, self.viewport().height() / 2 - dy)
        self._show(self.scale_factor, self.to_image(middle))

    def to_image(self, position: QPointF) -> QPointF:
        """Viewport position to image pixels."""
        inverse, _ = self.viewportTransform().inverted()
        return inverse.map(position)

    def to_view(self, x: float, y: float) -> QPointF:
        """Image pixels to viewport position."""
        return self.viewportTransform().map(QPointF(x, y))

    def repaint_ground(self) -> None:
        """Repaint the cached background."""
        self.resetCachedContent()
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        middle = QPointF(event.oldSize().width() / 2, event.oldSize().height() / 2)
        center = self.to_image(middle)
        super().resizeEvent(event)
        if self._size is None:
            return
        if self._fitted:
            self.fit()
        else:
            self._show(self.scale_factor, center)

    def _fit_scale(self) -> float:
        assert self._size is not None
        width = max(self.viewport().width() - 2 * _FIT_MARGIN, 16.0)
        height = max(self.viewport().height() - 2 * _FIT_MARGIN, 16.0)
        return min(width / self._size[0], height / self._size[1], LARGEST_SCALE)

    def _show(self, scale: float, center: QPointF) -> None:
        """Scale, and bring an image point to the middle of the view; the middle never leaves the picture."""
        assert self._size is not None
        self._fitted = False
        x = min(max(center.x(), -0.5), self._size[0] - 0.5)
        y = min(max(center.y(), -0.5), self._size[1] - 0.5)
        zoomed = not math.isclose(scale, self.scale_factor, rel_tol=1e-9)
        if zoomed:
            self.setTransform(QTransform.fromScale(scale, scale))
        if zoomed or not self.devicePixelRatioF().is_integer():
            # Scrolling shifts the cache by whole pixels, which a step is not on a screen of 150 %.
            self.resetCachedContent()
        self.horizontalScrollBar().setValue(round(x * scale - self.viewport().width() / 2))
        self.verticalScrollBar().setValue(round(y * scale - self.viewport().height() / 2))
        if zoomed:
            self.zoom_changed.emit(scale)
