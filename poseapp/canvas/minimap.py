"""A small overview of the picture while the view shows only a part of it; a click moves the view."""

from __future__ import annotations

import cv2
import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.canvas.render.colors import palette_for
from poseapp.canvas.render.sprites import color_of
from poseapp.canvas.view import CanvasView

SIDE = 136
MARGIN = 12
SHOWN_BELOW = 0.4
"""The overview appears when less than this share of the picture is visible."""


@guarded
class Minimap(QWidget):
    """The overview in the upper right corner of a canvas; takes no focus."""

    def __init__(self, canvas: CanvasView) -> None:
        super().__init__(canvas)
        self.setObjectName("minimap")
        self.setAccessibleName(tr("Overview"))
        self.setToolTip(tr("The whole image; click or drag to go there"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._canvas = canvas
        self._image: QImage | None = None
        self._of: object = None
        canvas.zoom_changed.connect(self.refresh)
        canvas.style_changed.connect(self.refresh)
        canvas.horizontalScrollBar().valueChanged.connect(self.refresh)
        canvas.verticalScrollBar().valueChanged.connect(self.refresh)
        canvas.viewport().installEventFilter(self)
        self.hide()

    def refresh(self, *_: object) -> None:
        """Show or hide the overview, and mark the visible part."""
        size, seen = self._canvas.image_size, self.in_sight()
        if size is None or seen is None or not self._canvas.style_now.show_minimap:
            self.hide()
            return
        share = seen.width() * seen.height() / (size[0] * size[1])
        scale = min(SIDE / size[0], SIDE / size[1])
        size_here = QSize(max(round(size[0] * scale), 24), max(round(size[1] * scale), 24))
        room = self._canvas.viewport().size()
        fits = room.width() > 3 * size_here.width() and room.height() > 2 * size_here.height()
        if not fits or share >= SHOWN_BELOW:
            self.hide()
            return
        self.setGeometry(room.width() - size_here.width() - MARGIN, MARGIN, size_here.width(), size_here.height())
        self.show()
        self.update()

    def in_sight(self) -> QRectF | None:
        """The part of the picture that the canvas shows, in image pixels."""
        size = self._canvas.image_size
        if size is None:
            return None
        room = self._canvas.viewport()
        corner = self._canvas.to_image(QPointF(0, 0))
        opposite = self._canvas.to_image(QPointF(room.width(), room.height()))
        return QRectF(corner, opposite).intersected(QRectF(-0.5, -0.5, *size))

    def paintEvent(self, event: QPaintEvent) -> None:
        size, seen = self._canvas.image_size, self.in_sight()
        if size is None or seen is None:
            return
        colors = palette_for(dark=self._canvas.style_now.dark, own=())
        painter = QPainter(self)
        image = self._picture()
        whole = QRectF(self.rect())
        painter.fillRect(whole, color_of(colors.ground))
        if image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(whole, image)
        across, down = self.width() / size[0], self.height() / size[1]
        frame = QRectF(
            (seen.x() + 0.5) * across,
            (seen.y() + 0.5) * down,
            max(seen.width() * across, 4),
            max(seen.height() * down, 4),
        )
        veil = QColor(0, 0, 0, 110)
        for part in _around(whole, frame):
            painter.fillRect(part, veil)
        for color, width in ((QColor(0, 0, 0, 160), 3.0), (color_of(colors.accent), 1.6)):
            painter.setPen(QPen(color, width))
            painter.drawRect(frame.adjusted(0.8, 0.8, -0.8, -0.8))
        painter.setPen(QPen(QColor(128, 128, 128, 150), 1))
        painter.drawRect(whole.adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    def _picture(self) -> QImage | None:
        """The scaled picture; made once for each."""
        pixels = self._canvas.pixels
        if pixels is not self._of:
            self._of, self._image = pixels, None
            if pixels is not None:
                ratio = self.devicePixelRatioF()
                size = (max(round(self.width() * ratio), 1), max(round(self.height() * ratio), 1))
                height, width = pixels.shape[:2]
                step = min(width, height) // 270
                if step > 1:  # of a large picture every few pixels will do: an exact mean of all is felt
                    pixels = cv2.resize(pixels, (width // step, height // step), interpolation=cv2.INTER_LINEAR)
                small = np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
                self._image = QImage(small.data, *size, 3 * size[0], QImage.Format.Format_RGB888).copy()
        return self._image

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._go(event.position())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event.position())
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def _go(self, position: QPointF) -> None:
        size = self._canvas.image_size
        if size is not None:
            x = position.x() / self.width() * size[0] - 0.5
            y = position.y() / self.height() * size[1] - 0.5
            middle = QPointF(self._canvas.viewport().width() / 2, self._canvas.viewport().height() / 2)
            shift = middle - self._canvas.to_view(x, y)
            self._canvas.pan_by(shift.x(), shift.y())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self.refresh()
        return False


def _around(whole: QRectF, frame: QRectF) -> list[QRectF]:
    """The parts of ``whole`` outside ``frame``, as four rectangles."""
    left, top, right, bottom = whole.left(), whole.top(), whole.right(), whole.bottom()
    return [
        QRectF(left, top, right - left, frame.top() - top),
        QRectF(left, frame.bottom(), right - left, bottom - frame.bottom()),
        QRectF(left, frame.top(), frame.left() - left, frame.height()),
        QRectF(frame.right(), frame.top(), right - frame.right(), frame.height()),
    ]
