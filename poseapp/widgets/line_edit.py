"""A text field that keeps Return and the arrow keys while it has the focus."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QToolButton

from poseapp.app.fault_guard import guarded
from poseapp.app.i18n import tr

_OWN = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Escape, Qt.Key.Key_Space)


@guarded
class LineEdit(QLineEdit):
    """Otherwise Return in a search field would accept a prediction: the window's shortcuts come first in Qt."""

    def setClearButtonEnabled(self, enable: bool) -> None:
        super().setClearButtonEnabled(enable)
        for cross in self.findChildren(QToolButton):
            cross.setAccessibleName(tr("Clear"))

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.key() in _OWN:
            event.accept()
            return True
        return super().event(event)
