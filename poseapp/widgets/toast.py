"""Short messages in a corner that disappear by themselves, instead of message boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.widgets.icons import icon, pixmap

WIDTH = 380
MARGIN = 16
SECONDS = {"info": 5, "good": 5, "warning": 10, "error": 0}
"""How long a message stays; 0 stays until it is closed."""
MOST = 4
MOST_HINTS = 2
"""Of messages that only inform: an older one has been read, or does not matter any more."""


@dataclass(frozen=True)
class ToastAction:
    """A button of a message: its text and its action. Pressing it closes the message."""

    text: str
    do: Callable[[], None]


class Toast(QFrame):
    """One message: icon, text, an optional action button, close button."""

    def __init__(self, text: str, kind: str, colors: Tokens, parent: Toasts, action: ToastAction | None = None) -> None:
        super().__init__(parent)
        self.text, self.kind = text, kind
        self.setProperty("role", "toast")
        self.setAccessibleName(tr(text))
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 8, 10)
        row.setSpacing(10)
        sign = QLabel()
        sign_name = {"good": "check"}.get(kind, kind)
        color = {"good": colors.good, "warning": colors.warning, "error": colors.error}.get(kind, colors.accent)
        sign.setPixmap(pixmap(sign_name, color, 18, self.devicePixelRatioF()))
        words = QLabel(tr(text))
        words.setWordWrap(True)
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = QToolButton()
        close.setIcon(icon("close", colors))
        close.setAccessibleName(tr("Close message"))
        close.clicked.connect(lambda: parent.remove(self))
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(words, 1)
        self.button: QPushButton | None = None
        if action is not None:
            self.button = QPushButton(tr(action.text))
            self.button.setAutoDefault(False)
            self.button.clicked.connect(action.do)
            self.button.clicked.connect(lambda: parent.remove(self))
            row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignVCenter)
        self._words = words
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(lambda: parent.remove(self))

    def height_at(self, width: int) -> int:
        """The height of the whole text at a width, with font and margins of the theme."""
        own = self.layout()
        assert own is not None
        for part in (self, *self.findChildren(QWidget)):
            part.ensurePolished()
        own.invalidate()
        own.activate()
        frame = 2 * self.frameWidth()
        return max(own.heightForWidth(width - frame), self._words.sizeHint().height()) + frame + 2


@guarded
class Toasts(QWidget):
    """The stack of messages in the lower right corner of a host widget."""

    def __init__(self, host: QWidget, colors: Tokens) -> None:
        super().__init__(host)
        self.colors = colors
        self._host = host
        self._pile = QVBoxLayout(self)
        self._pile.setContentsMargins(0, 0, 0, 0)
        self._pile.setSpacing(8)
        self._toasts: list[Toast] = []
        self._ground: QWidget | None = None
        self.hide()
        host.installEventFilter(self)

    def stand_in(self, ground: QWidget) -> None:
        """Use the corner of this widget, a child of the host, while it is visible."""
        self._ground = ground
        ground.installEventFilter(self)

    def show_message(self, text: str, kind: str = "info", action: ToastAction | None = None) -> None:
        """Show a message; the same text again only renews it, unless it has its own button."""
        for toast in self._toasts:
            if toast.text == text and action is None and toast.button is None:
                self._rest(toast)
                return
        if kind == "info":
            hints = [toast for toast in self._toasts if toast.kind == kind]
            for older in hints[: max(0, len(hints) + 1 - MOST_HINTS)]:
                self.remove(older)
        while len(self._toasts) >= MOST:
            self.remove(self._toasts[0])
        toast = Toast(text, kind, self.colors, self, action)
        self._toasts.append(toast)
        self._pile.addWidget(toast)
        self._rest(toast)
        self._place()

    def messages(self) -> list[str]:
        return [toast.text for toast in self._toasts]

    def clear(self) -> None:
        for toast in list(self._toasts):
            self.remove(toast)

    def remove(self, toast: Toast) -> None:
        if toast in self._toasts:
            self._toasts.remove(toast)
            toast.timer.stop()
            self._pile.removeWidget(toast)
            toast.hide()
            toast.deleteLater()
        self._place()

    def _rest(self, toast: Toast) -> None:
        seconds = SECONDS.get(toast.kind, 5)
        if seconds:
            toast.timer.start(seconds * 1000)

    def _place(self) -> None:
        self.setVisible(bool(self._toasts))
        if not self._toasts:
            return
        self.setFixedWidth(min(WIDTH, self._host.width() - 2 * MARGIN))
        height = (len(self._toasts) - 1) * self._pile.spacing()
        for toast in self._toasts:
            tall = max(toast.height_at(self.width()), 44)
            toast.setFixedHeight(tall)
            height += tall
        self.setFixedHeight(height)
        ground = self._ground if self._ground is not None and self._ground.isVisible() else self._host
        corner = ground.mapTo(self._host, QPoint(ground.width(), ground.height()))
        self.move(corner.x() - self.width() - MARGIN, corner.y() - self.height() - MARGIN)
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide):
            self._place()
        return False
