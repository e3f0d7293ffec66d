"""Spin boxes with a left margin, which a style sheet cannot set."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox

from poseapp.app.fault_guard import guarded

ROOM = 7


def _make_room(box: QAbstractSpinBox) -> None:
    box.lineEdit().setTextMargins(ROOM, 0, 0, 0)


@guarded
class SpinBox(QSpinBox):
    def __init__(self) -> None:
        super().__init__()
        _make_room(self)

    def sizeHint(self) -> QSize:
        return super().sizeHint() + QSize(ROOM, 0)


@guarded
class DoubleSpinBox(QDoubleSpinBox):
    def __init__(self) -> None:
        super().__init__()
        _make_room(self)

    def sizeHint(self) -> QSize:
        return super().sizeHint() + QSize(ROOM, 0)
