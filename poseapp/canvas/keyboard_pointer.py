"""A pointer moved by the arrow keys, to place keypoints and boxes without a mouse.

While points are placed or a box is drawn, the arrow keys move the pointer by 1 image pixel, with Shift by 10, with Ctrl
by 50. Space is the left button, Shift+Space the right one (occluded). After a point the pointer jumps to where the
next one is likely to be. A real mouse that moves takes over: then Ctrl with Left or Right jumps to another frame again.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent

from poseapp.app.fault_guard import guarded
from poseapp.canvas.pose_geometry import apply_matrix, fit_similarity
from poseapp.canvas.template_pose import template_pose
from poseapp.canvas.tools.base import Button, EventKind, KeyboardUse
from poseapp.canvas.view import CanvasView

ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
STEP, FAR, FARTHEST = 1, 10, 50
_SHARE = 0.5
"""Height of a pose of which one keypoint is known, as a share of the image height."""


@guarded
class KeyboardPointer(QObject):
    """Handles the keys of a canvas; lives as long as it.

    Signals:
        started(): the arrow keys move the pointer from now on.
    """

    started = Signal()

    def __init__(self, canvas: CanvasView) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.at: tuple[float, float] | None = None
        self._pressed = False
        canvas.installEventFilter(self)
        canvas.viewport().installEventFilter(self)
        canvas.tool_changed.connect(lambda _name: self._release())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._canvas and isinstance(event, QKeyEvent) and self._wants(event):
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self._act(event)
                return True
            return event.type() == QEvent.Type.KeyRelease
        if event.type() == QEvent.Type.MouseMove and watched is not self._canvas:
            self._release()
        return False

    def _wants(self, event: QKeyEvent) -> bool:
        if self._canvas.active_tool.info.keyboard == KeyboardUse.NONE or self._canvas.image_size is None:
            return False
        other = event.modifiers() & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier)
        if other:
            return False
        if self.at is None and self._canvas.has_mouse and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return False
        return Qt.Key(event.key()) in ARROWS or (event.key() == Qt.Key.Key_Space and self.at is not None)

    def _act(self, event: QKeyEvent) -> None:
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._press(Button.RIGHT if shift else Button.LEFT)
            return
        far = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        step = FARTHEST if far else FAR if shift else STEP
        dx, dy = ARROWS[Qt.Key(event.key())]
        if self.at is None:
            self.started.emit()
        x, y = self.at or self._start()
        self._move(x + step * dx, y + step * dy)

    def _move(self, x: float, y: float) -> None:
        size = self._canvas.image_size
        assert size is not None
        self.at = (min(max(x, 0.0), size[0] - 1.0), min(max(y, 0.0), size[1] - 1.0))
        self._canvas.point(EventKind.MOVE, *self.at)

    def _press(self, button: Button) -> None:
        assert self.at is not None
        if self._canvas.active_tool.info.keyboard == KeyboardUse.DRAG:  # one corner, then the other
            kind = EventKind.RELEASE if self._pressed else EventKind.PRESS
            self._pressed = not self._pressed
            self._canvas.point(kind, *self.at, Button.LEFT)
            return
        self._canvas.point(EventKind.PRESS, *self.at, button)
        self._canvas.point(EventKind.RELEASE, *self.at, button)
        likely = self._likely_position()
        if likely is not None and self.at is not None:
            self._move(*likely)

    def _start(self) -> tuple[float, float]:
        """Where the pointer starts: the likely position of the next keypoint, else the center of the picture."""
        size = self._canvas.image_size
        assert size is not None
        return self._likely_position() or (size[0] / 2, size[1] / 2)

    def _likely_position(self) -> tuple[float, float] | None:
        """Where the next keypoint would be in the pose of the template; None before the first."""
        ghost, size = self._canvas.ghost, self._canvas.image_size
        if ghost is None or ghost.next_point is None or size is None:
            return None
        known = np.flatnonzero(ghost.visibility > 0)
        if not len(known):
            return None
        template = template_pose(ghost.schema)
        template = template * (_SHARE * size[1] / (float(np.ptp(template[:, 1])) or 1.0))
        x, y = apply_matrix(fit_similarity(template[known], ghost.points[known]), template)[ghost.next_point]
        return float(x), float(y)

    def _release(self) -> None:
        self.at, self._pressed = None, False
