"""Banner above the canvas that says why the project cannot be edited."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from poseapp.app.i18n import tr
from poseapp.session.session import Session


class ReadOnlyBanner(QFrame):
    """Shown while the project is open for reading only.

    Signals:
        retry_requested(): try again to open the project for writing.
    """

    retry_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("readOnlyBanner")
        self.setProperty("role", "banner")
        self._session = session
        self.words = QLabel(
            tr("Read-only: this project is open in another window, or its file or folder cannot be written.")
        )
        self.words.setProperty("role", "warning")
        self.words.setWordWrap(True)
        self.retry = QPushButton(tr("Try to edit here"))
        self.retry.setAutoDefault(False)
        self.retry.clicked.connect(self.retry_requested)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.addWidget(self.words, 1)
        row.addWidget(self.retry)
        session.project_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        self.setVisible(self._session.read_only)
