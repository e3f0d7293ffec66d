"""The pointer on the timeline: frames while it is dragged, without a queue, and a preview of the frame under it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QPoint, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.theme import Tokens
from poseapp.jobs.frames.cache import Pixels
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.frames.timeline_previews import PREVIEW_SIDE, TimelinePreviews
from poseapp.project.model import FrameKey

PATIENCE_MS = 200
_PAD, _TEXT = 5, 20


class Scrub(QObject):
    """Asks for the frame under the hand, the next one only when a picture of the last has come: the newest wins, and
    every one that is asked for is seen.

    Signals:
        wanted(FrameKey)
    """

    wanted = Signal(object)

    def __init__(self, loader: FrameLoader, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._next: FrameKey | None = None
        self._asked: FrameKey | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._go_on)
        for came in (loader.loaded, loader.previewed, loader.failed):
            came.connect(self._on_shown)

    def want(self, key: FrameKey) -> None:
        """Show a frame as soon as possible."""
        self._next = key
        if self._asked is None:
            self._go_on()

    def finish(self) -> None:
        """The drag has ended: show its last frame now."""
        self._go_on()
        self._patience.stop()
        self._asked = None

    def _on_shown(self, key: FrameKey, _picture: object) -> None:
        if key == self._asked:
            self._asked = None
            # After all that listen to this picture have had it.
            QTimer.singleShot(0, self, self._when_free)

    def _when_free(self) -> None:
        if self._asked is None and self._next is not None:
            self._go_on()

    def _go_on(self) -> None:
        key, self._next = self._next, None
        self._asked = key
        if key is None:
            self._patience.stop()
            return
        self._patience.start()
        self.wanted.emit(key)


@guarded
class FramePreview(QWidget):
    """A preview image with a line of text, above a point of the window."""

    def __init__(self, window: QWidget, colors: Tokens) -> None:
        super().__init__(window)
        self._window = window
        self.setObjectName("framePreview")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.colors = colors
        self.key: FrameKey | None = None
        self.exact = False
        self._text = ""
        self._picture: QPixmap | None = None
        self.hide()

    def point_at(self, key: FrameKey, text: str, above: QPoint) -> None:
        """Show the text of a frame above a point of the window; its image follows when it is decoded."""
        if key != self.key:
            self.key, self.exact = key, False  # the picture before stays until a new one is there: nothing flickers
        self._text = text
        self._place(above)
        self.show()
        self.raise_()
        self.update()

    def set_picture(self, key: FrameKey, pixels: Pixels, exact: bool) -> None:
        if key != self.key or (self.exact and not exact):
            return
        height, width = pixels.shape[:2]
        image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        before = self._size()
        self._picture, self.exact = QPixmap.fromImage(image), exact
        if self._size() != before:
            self._place(QPoint(self.geometry().center().x(), self.geometry().bottom() + 1))
        self.update()

    def leave(self) -> None:
        self.key, self._picture = None, None
        self.hide()

    def _size(self) -> QSize:
        text = self.fontMetrics().horizontalAdvance(self._text)
        wide, high = max(text, 80), 0
        if self._picture is not None:
            wide, high = max(wide, self._picture.width()), self._picture.height()
        return QSize(min(max(wide, 60), PREVIEW_SIDE + 60) + 2 * _PAD, high + _TEXT + 2 * _PAD)

    def _place(self, above: QPoint) -> None:
        size, window = self._size(), self._window
        x = min(max(above.x() - size.width() // 2, 4), max(window.width() - size.width() - 4, 4))
        self.setGeometry(x, max(above.y() - size.height(), 0), size.width(), size.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(self.colors.line_strong))
        painter.setBrush(QColor(self.colors.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        if self._picture is not None:
            painter.setOpacity(1.0 if self.exact else 0.75)
            painter.drawPixmap((self.width() - self._picture.width()) // 2, _PAD, self._picture)
            painter.setOpacity(1.0)
        painter.setPen(QColor(self.colors.text))
        text = QRectF(0, self.height() - _TEXT - _PAD + 2, self.width(), _TEXT)
        painter.drawText(text, int(Qt.AlignmentFlag.AlignCenter), self._text)
        painter.end()


class Pointer(QObject):
    """Shows a preview of the frame under the pointer, above the widget."""

    def __init__(self, previews: TimelinePreviews, owner: QWidget, colors: Tokens) -> None:
        super().__init__(owner)
        self._previews, self._owner, self._colors = previews, owner, colors
        self.preview: FramePreview | None = None
        previews.previewed.connect(self._on_picture)

    def set_colors(self, colors: Tokens) -> None:
        self._colors = colors
        if self.preview is not None:
            self.preview.colors = colors

    def point_at(self, key: FrameKey, path: Path, text: str, x: float) -> None:
        """The pointer is over a frame, ``x`` pixels from the left of the widget."""
        window = self._owner.window()
        if self.preview is None or self.preview.parentWidget() is not window:
            self.preview = FramePreview(window, self._colors)
        asked = self.preview.key != key
        self.preview.point_at(key, text, self._owner.mapTo(window, QPoint(round(x), -2)))
        preview = self._previews.request(key, path) if asked else None
        if preview is not None:
            self.preview.set_picture(key, preview, True)

    def leave(self) -> None:
        """The pointer has left the frames."""
        if self.preview is not None:
            self.preview.leave()
        self._previews.forget_request()

    def _on_picture(self, key: FrameKey, pixels: Pixels, exact: bool) -> None:
        if self.preview is not None:
            self.preview.set_picture(key, pixels, exact)
