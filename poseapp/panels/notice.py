"""The notice on the canvas when an image cannot be shown: the reason, and buttons to retry and to find the video."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr
from poseapp.app.theme import Tokens
from poseapp.widgets.icons import pixmap

WIDTH = 420
MARGIN = 16
MOMENT_MS = 120


@guarded
class CanvasNotice(QFrame):
    """A card in the center of its host. It takes no focus until it is clicked, so that frame keys work on.

    Args:
        find_video: the verb that asks where a video lies now.

    Signals:
        retry_requested(): the file may have been repaired or copied again.
    """

    retry_requested = Signal()

    def __init__(self, host: QWidget, colors: Tokens, find_video: QAction) -> None:
        super().__init__(host)
        self.setObjectName("canvasNotice")
        self.setProperty("role", "toast")
        self.sign, self.title, self.why = QLabel(), QLabel(tr("This image cannot be shown")), QLabel()
        self.title.setProperty("role", "heading")
        self.why.setProperty("role", "hint")
        self.why.setWordWrap(True)
        self.why.setTextFormat(Qt.TextFormat.PlainText)
        self.why.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.why.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.retry, self.seek = QPushButton(tr("Try again")), QPushButton(tr("Find video..."))
        self._find_video, self._of_video = find_video, False
        for button in (self.retry, self.seek):
            button.setAutoDefault(False)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.retry.clicked.connect(self.retry_requested)
        self.seek.clicked.connect(find_video.trigger)
        find_video.changed.connect(self._show_seek)
        for label in (self.sign, self.title, self.why):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.setSpacing(8)
        for part in (self.sign, self.title, self.why):
            column.addWidget(part)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(self.seek)
        row.addWidget(self.retry)
        row.addStretch(1)
        column.addLayout(row)
        self._host = host
        host.installEventFilter(self)
        self.set_colors(colors)
        self.hide()

    def set_colors(self, colors: Tokens) -> None:
        self.sign.setPixmap(pixmap("warning", colors.warning, 28, 2.0))

    def tell(self, why: str, of_video: bool = False) -> None:
        """Show a reason, or with "" nothing."""
        self._of_video = of_video
        self._show_seek()
        self.why.setText(tr(why))
        self.setAccessibleName(tr(f"{self.title.text()}: {why}"))
        self.setVisible(bool(why))
        self._place()

    def _show_seek(self) -> None:
        """Show the button if a video cannot be shown and the action to find it is enabled."""
        is_shown = self._of_video and self._find_video.isEnabled()
        if self.seek.isHidden() == is_shown:
            self.seek.setVisible(is_shown)
            self._place()

    def _place(self) -> None:
        if self.isHidden():
            return
        width = max(120, min(WIDTH, self._host.width() - 2 * MARGIN))
        layout = self.layout()
        assert layout is not None
        height = layout.totalHeightForWidth(width)
        self.setGeometry((self._host.width() - width) // 2, (self._host.height() - height) // 2, width, height)
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._host and event.type() == QEvent.Type.Resize:
            self._place()
        return False


class WaitingBadge(QLabel):
    """A badge at the top of the canvas: the image shown is not yet that of the current frame.

    It appears after a short delay: most images load faster than that.
    """

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self.setObjectName("waitingBadge")
        self.setProperty("role", "toast")
        self.setContentsMargins(10, 6, 10, 6)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._host = host
        self._moment = QTimer(self)
        self._moment.setSingleShot(True)
        self._moment.setInterval(MOMENT_MS)
        self._moment.timeout.connect(self.show_now)
        self.hide()

    def begin(self, text: str) -> None:
        """Show this text after a short delay, unless :meth:`end` is called before."""
        self.setText(tr(text))
        self.setAccessibleName(tr(text))
        if self.isHidden():
            self._moment.start()

    def show_now(self) -> None:
        """Show the badge now: the image on the canvas is of another frame."""
        self._moment.stop()
        if self.text():
            self.adjustSize()
            self.move(max(0, (self._host.width() - self.width()) // 2), MARGIN // 2)
            self.show()
            self.raise_()

    def end(self) -> None:
        """Hide the badge: the image is that of the frame, or none is shown."""
        self._moment.stop()
        self.setText("")
        self.hide()
