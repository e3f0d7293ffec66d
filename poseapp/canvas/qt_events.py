"""Qt's buttons, modifiers, keys and cursors in the plain words of the tools."""

from __future__ import annotations

from PySide6.QtCore import Qt

from poseapp.canvas.tools.base import ALT, CTRL, SHIFT, Button, CursorRole

KEY_NAMES = {
    Qt.Key.Key_Tab: "tab",
    Qt.Key.Key_Backspace: "backspace",
    Qt.Key.Key_Delete: "delete",
    Qt.Key.Key_Return: "enter",
    Qt.Key.Key_Enter: "enter",
    Qt.Key.Key_Escape: "escape",
}

_CURSORS = {
    CursorRole.ARROW: Qt.CursorShape.ArrowCursor,
    CursorRole.POINT: Qt.CursorShape.PointingHandCursor,
    CursorRole.POSE: Qt.CursorShape.PointingHandCursor,
    CursorRole.CROSS: Qt.CursorShape.CrossCursor,
    CursorRole.GRAB: Qt.CursorShape.ClosedHandCursor,
    CursorRole.MOVE: Qt.CursorShape.BlankCursor,
    CursorRole.SCALE_FALLING: Qt.CursorShape.SizeFDiagCursor,
    CursorRole.SCALE_RISING: Qt.CursorShape.SizeBDiagCursor,
    CursorRole.SCALE_ACROSS: Qt.CursorShape.SizeHorCursor,
    CursorRole.SCALE_UP: Qt.CursorShape.SizeVerCursor,
    CursorRole.ROTATE: Qt.CursorShape.SizeAllCursor,
}
assert set(_CURSORS) == set(CursorRole)


def button_of(button: Qt.MouseButton) -> Button:
    if button == Qt.MouseButton.LeftButton:
        return Button.LEFT
    return Button.RIGHT if button == Qt.MouseButton.RightButton else Button.NONE


def modifiers_of(modifiers: Qt.KeyboardModifier) -> frozenset[str]:
    names = (
        (SHIFT, Qt.KeyboardModifier.ShiftModifier),
        (CTRL, Qt.KeyboardModifier.ControlModifier),
        (ALT, Qt.KeyboardModifier.AltModifier),
    )
    return frozenset(name for name, flag in names if modifiers & flag)


def cursor_of(role: CursorRole) -> Qt.CursorShape:
    return _CURSORS[role]
