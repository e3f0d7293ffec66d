"""The canvas widget: shows a picture with poses and turns mouse and keys into edits and requests.

It knows no session: it is given a frame, instances and a selection, and emits signals. Scene coordinates are image
pixels, with pixel centers at integers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QFocusEvent, QHideEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QWheelEvent
from PySide6.QtWidgets import QWidget

from engine.schema.builtin import schema_of_subset
from engine.schema.schema import Schema, Subset
from poseapp.app.canvas_style import CanvasStyle
from poseapp.app.fault_guard import guarded
from poseapp.canvas.pan_zoom_view import WHEEL_FACTOR, PanZoomView
from poseapp.canvas.qt_events import KEY_NAMES, button_of, cursor_of, modifiers_of
from poseapp.canvas.render.adaptive_quality import AdaptiveQuality
from poseapp.canvas.render.colors import palette_for
from poseapp.canvas.render.image_pyramid import Picture, make_picture, rgb_of
from poseapp.canvas.render.overlay_painter import Marks, OverlayPainter
from poseapp.canvas.render.pose_painter import PosePainter, PosesItem, viewports
from poseapp.canvas.render.sprites import color_of
from poseapp.canvas.render.viewport import ViewPort
from poseapp.canvas.scene import CanvasScene, ghost_arrays
from poseapp.canvas.template_pose import template_pose
from poseapp.canvas.tool_host import CanvasHost
from poseapp.canvas.tools import TOOLS
from poseapp.canvas.tools.base import Button, EventKind, Ghost, Placement, PointerEvent, PointRef, Tool
from poseapp.project.model import FrameKey, Instance
from poseapp.project.schema.subsets import points_of, possible_points

Pixels = npt.NDArray[np.uint8]

_GHOST_OPACITY = 0.35
_TO_COME_OPACITY = 0.8


@guarded
class CanvasView(PanZoomView):
    """Picture, poses, tools.

    For a new frame call ``set_frame``, ``set_instances`` and ``set_image`` together, when the picture is there:
    painting waits for the event loop, so nothing in between is seen.
    """

    edit_requested = Signal(object)
    """An Edit to apply at once; the view shows the old state until ``set_instances`` is called."""
    selection_requested = Signal(object, object)
    """frozenset of instance ids, frozenset of (instance id, keypoint)."""
    box_drawn = Signal(float, float, float, float)
    """x1, y1, x2, y2 in image pixels, inside the picture."""
    pose_placed = Signal(object)
    """A PlacedPose from the placement tool."""
    visibility_requested = Signal(object, object)
    """frozenset of (instance id, keypoint); 0, 1, 2, or None for the next in the cycle 2, 1, 0."""
    accept_requested = Signal(int)
    cursor_moved = Signal(object)
    """(x, y) in image pixels, or None outside."""
    hovered = Signal(object)
    """HitTarget or None."""
    released = Signal()
    """The mouse button of a drag or click was released; the signals of what it did have been emitted."""
    tool_changed = Signal(str)
    style_changed = Signal()
    space_tapped = Signal(bool)
    """Space was pressed and released without a drag; True with Shift. While it is down, a drag pans."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = CanvasScene()
        self._marks = Marks()
        self._rgb: Pixels | None = None
        self._picture: Picture | None = None
        self._quality = AdaptiveQuality(self.repaint_ground, self)
        self._host = CanvasHost(self, self._state, self._marks)
        self._tools: dict[str, Tool] = {tool.info.id: tool(self._host) for tool in TOOLS}
        self._first_tool = self._tool_name = TOOLS[0].info.id
        self._pan_from: QPointF | None = None
        self._space = False
        self._space_used = False
        self._has_mouse = False
        self._pressed = False
        self._item = PosesItem(self._paint_live)
        self.scene().addItem(self._item)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.set_style(CanvasStyle())

    # What is shown

    def set_image(self, image: QImage | Pixels | None) -> None:
        """The picture: QImage or (h, w, 3) uint8 RGB; None for none. Without ``set_frame`` it gives the size too."""
        self._rgb = None if image is None else rgb_of(image)
        self._make_picture()
        if self._picture is not None and self.image_size is None:
            self.set_image_size((self._picture.width, self._picture.height))
        self.repaint_ground()

    @property
    def pixels(self) -> Pixels | None:
        """The picture that is shown, (h, w, 3) uint8 RGB."""
        return self._rgb

    def set_frame(self, key: FrameKey | None, size: tuple[int, int] | None) -> None:
        """Set the frame that edits belong to, and its size. The view does not move if the size is the same."""
        if key != self._host.frame:
            self._quality.step()
            self.cancel()
            if self._host.placement is not None and self._host.placement.pose is not None:
                self.set_placement(self._host.placement.schema)  # that pose stays behind
        self._host.frame = key
        self.set_image_size(size)

    def set_instances(self, instances: Sequence[Instance], schemas: Mapping[int, Schema]) -> None:
        """Set the poses in drawing order, and the schema of each category id."""
        self._state.set_instances(instances, schemas)
        self.repaint_ground()

    def set_selection(self, instances: Collection[int], points: Collection[PointRef]) -> None:
        chosen, marked = frozenset(instances), frozenset(points)
        if chosen != self._state.selected:
            self.repaint_ground()
        self._state.selected, self._state.points = chosen, marked
        self._state.refresh()
        self.viewport().update()

    def set_hidden_and_locked(
        self,
        hidden: Collection[int],
        locked: Collection[int],
        hidden_points: Collection[PointRef] = (),
        locked_points: Collection[PointRef] = (),
    ) -> None:
        """Set the instances and keypoints that are hidden, and those that are locked: drawn, but not selectable."""
        self._state.hidden, self._state.locked = frozenset(hidden), frozenset(locked)
        self._state.hide_and_lock_points(frozenset(hidden_points), frozenset(locked_points))
        self._state.refresh()
        self.repaint_ground()

    def set_correcting(self, instances: Collection[int]) -> None:
        """Set the predictions under correction: the missing keypoints of one that alone is selected are offered."""
        if frozenset(instances) != self._state.correcting:
            self._state.correcting = frozenset(instances)
            self.viewport().update()

    def missing_place(self, instance_id: int, index: int) -> tuple[float, float] | None:
        """Image position at which a missing point is offered, or None."""
        return self._state.missing_place(instance_id, index)

    def set_ghosts(self, instances: Sequence[Instance]) -> None:
        """Set poses of another frame, or a proposal, to be drawn faintly and never hit; empty for none."""
        self._state.set_ghosts(instances)
        self.repaint_ground()

    def set_style(self, style: CanvasStyle) -> None:
        new_tones = style.picture != self._state.style.picture
        self._state.style = style
        self._state.refresh()
        palette = palette_for(dark=style.dark, own=style.colors, parts=style.part_colors)
        self._poses = PosePainter(style, palette)
        self._overlay = OverlayPainter(self._state, palette, self.font())
        self.setBackgroundBrush(QBrush(color_of(palette.ground)))
        if new_tones:
            self._make_picture()
        self.repaint_ground()
        self.style_changed.emit()

    @property
    def style_now(self) -> CanvasStyle:
        return self._state.style

    # Tools

    @property
    def tool(self) -> str:
        return self._tool_name

    def set_tool(self, name: str) -> None:
        """Select a tool by its id; an unfinished gesture of the old one is cancelled.

        Raises:
            KeyError: no such tool.
        """
        if name not in self._tools:
            raise KeyError(name)
        if name == self._tool_name:
            return
        self._active.cancel()
        self._active.leave()
        self._tool_name = name
        self._state.offering = name == self._first_tool
        self.viewport().setCursor(cursor_of(self._active.info.cursor))
        self.tool_changed.emit(name)

    def set_first_tool(self) -> None:
        """Select the first tool of TOOLS, the one to select and edit with."""
        self.set_tool(self._first_tool)

    @property
    def active_tool(self) -> Tool:
        """The tool in use, for its facts and its state; it gets its events from the view."""
        return self._active

    def set_placement(
        self, schema: Schema | None, pose: Instance | None = None, *, subset: Subset | None = None
    ) -> None:
        """Set what the placement tool places: a new pose of a schema (or of a subset of its keypoints), or the missing
        keypoints of a pose."""
        self._active.cancel()
        if schema is None:
            self._host.placement = None
            return
        points = possible_points(schema, pose.visibility) if pose is not None else points_of(schema, subset)
        template = template_pose(schema)
        if subset is not None:
            template[points] = template_pose(schema_of_subset(schema, subset))
        self._host.placement = Placement(schema, template, pose, points)

    @property
    def placement(self) -> Placement | None:
        """What the placement tool places."""
        return self._host.placement

    def cancel(self) -> bool:
        """Cancel the unfinished gesture; False when there was none."""
        return self._active.cancel()

    @property
    def has_mouse(self) -> bool:
        """Whether a mouse is over the canvas and was the last to move the pointer."""
        return self._has_mouse

    def finish(self) -> bool:
        """Keep the keypoints placed so far, as Enter does; cancel any other gesture. True when a pose was kept."""
        return self._active.finish()

    def take_back(self) -> bool:
        """Remove the keypoint that was placed last; False when there is none."""
        return self._active.take_back()

    @property
    def busy(self) -> bool:
        """Whether a gesture is unfinished; undo and frame changes should wait."""
        return self._active.busy

    @property
    def pressed(self) -> bool:
        """Whether a mouse button is down that the tool knows of: a drag may be unfinished."""
        return self._pressed

    @property
    def ghost(self) -> Ghost | None:
        """The pose that the placement tool offers now."""
        return self._marks.ghost

    def point(self, kind: EventKind, x: float, y: float, button: Button = Button.NONE) -> None:
        """Send the tool a pointer event at x, y (image pixels) that does not come from a mouse but, say, from keys."""
        self._has_mouse = False
        self._active.handle(PointerEvent(kind, x, y, button, frozenset(), self.scale_factor))
        self._marks.cursor = (x, y)
        self.cursor_moved.emit(self._marks.cursor)
        self.viewport().update()

    @property
    def _active(self) -> Tool:
        return self._tools[self._tool_name]

    # Painting

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.fillRect(rect, self.backgroundBrush())
        width, height = self.viewport().width(), self.viewport().height()
        for view in viewports(painter, width, height):
            left, top, right, bottom = view.clip
            if (right - left) * (bottom - top) < 0.5 * width * height:  # a strip that came into sight
                self._paint_still(painter, view, draft=False)
                continue
            draft = self._quality.draft and self.isVisible()  # a picture of a hidden canvas is not painted again
            with self._quality.painting(draft):
                self._paint_still(painter, view, draft)

    def _paint_still(self, painter: QPainter, view: ViewPort, draft: bool) -> None:
        still, ghosts = self._state.still_rows(), self._state.ghosts
        if self._picture is not None:
            self._picture.paint(painter, view, draft)
        if len(ghosts):
            every = np.ones(len(ghosts), dtype=np.bool_)
            self._poses.paint_dimmed(painter, ghosts, view, every, _GHOST_OPACITY, draft)
        if self._state.selected:
            self._poses.paint_dimmed(painter, self._state.arrays, view, still, self._state.style.dim, draft)
        else:
            self._poses.paint(painter, self._state.arrays, view, still, draft)

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        if self.image_size is not None:
            width, height = self.viewport().width(), self.viewport().height()
            self._overlay.paint(painter, self._marks, self._whole_view(painter), width, height)

    def _paint_live(self, painter: QPainter) -> None:
        live = self._state.live_arrays()
        view = self._whole_view(painter)
        self._poses.paint(painter, live, view, np.ones(len(live), dtype=np.bool_))
        if self._marks.ghost is not None:
            to_come, placed = ghost_arrays(self._marks.ghost)
            self._poses.paint_dimmed(painter, to_come, view, np.ones(1, dtype=np.bool_), _TO_COME_OPACITY)
            self._poses.paint(painter, placed, view, np.ones(1, dtype=np.bool_))

    def _whole_view(self, painter: QPainter) -> ViewPort:
        world, ratio = painter.worldTransform(), painter.device().devicePixelRatioF()
        clip = (0.0, 0.0, float(self.viewport().width()), float(self.viewport().height()))
        return ViewPort(world.m11(), world.dx(), world.dy(), clip, ratio)

    def set_image_size(self, size: tuple[int, int] | None) -> None:
        super().set_image_size(size)
        self._state.size = size
        self._item.set_bounds(self.scene().sceneRect())

    def _make_picture(self) -> None:
        self._picture = make_picture(self._rgb, self._state.style.picture, self._picture, self.repaint_ground)

    # Qt events

    def mousePressEvent(self, event: QMouseEvent) -> None:
        middle = event.button() == Qt.MouseButton.MiddleButton
        if middle or (self._space and event.button() == Qt.MouseButton.LeftButton):
            self._pan_from = event.position()
            self._space_used = True
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        else:
            self._pressed = True
            self._send(EventKind.PRESS, event)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._has_mouse = True
        if self._pan_from is not None:
            delta = event.position() - self._pan_from
            self._pan_from = event.position()
            self.pan_by(delta.x(), delta.y())
        else:
            self._send(EventKind.MOVE, event)
        self._tell_cursor(event.position())
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._pan_from is not None:
            self._pan_from = None
            self.viewport().setCursor(Qt.CursorShape.OpenHandCursor if self._space else Qt.CursorShape.ArrowCursor)
        else:
            self._pressed = False
            try:
                self._send(EventKind.RELEASE, event)
            finally:
                self.released.emit()
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._pressed = True
        self._send(EventKind.DOUBLE if event.button() == Qt.MouseButton.LeftButton else EventKind.PRESS, event)
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        # With Alt held, Qt turns the wheel into the horizontal one.
        steps = (event.angleDelta().y() or event.angleDelta().x()) / 120.0
        if event.modifiers() & Qt.KeyboardModifier.AltModifier:
            x, y = self._image_position(event.position())
            modifiers = modifiers_of(event.modifiers())
            self._active.handle(PointerEvent(EventKind.WHEEL, x, y, Button.NONE, modifiers, self.scale_factor, steps))
        elif steps:
            self._quality.step()
            self.zoom_at(self.scale_factor * WHEEL_FACTOR**steps, event.position())
            self._tell_cursor(event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        if not self._active.busy:
            self._active.leave()
        self._marks.cursor = None
        self._has_mouse = False
        self.cursor_moved.emit(None)
        self.viewport().update()
        super().leaveEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """A hidden canvas is not repainted in full quality."""
        self._quality.rest()
        self._pressed = False
        super().hideEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._space = False
        self._show_handles(False)
        super().focusOutEvent(event)

    def event(self, event: QEvent) -> bool:
        # A key that the tool needs now must not go to the window's shortcuts, which would otherwise take it first.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            name = KEY_NAMES.get(Qt.Key(event.key()))
            if (name and self._active.wants_key(name)) or event.key() == Qt.Key.Key_Space:
                event.accept()
                return True
        tab = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Tab
        if tab and self._active.key("tab"):  # Qt would move the focus before keyPressEvent hears of it
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        name = KEY_NAMES.get(Qt.Key(event.key()))
        if name and self._active.key(name):
            event.accept()
        elif name == "escape" and self._tool_name != self._first_tool:
            self.set_first_tool()
        elif event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._space, self._space_used = True, False
                self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
        elif event.key() == Qt.Key.Key_Alt:
            self._show_handles(True)
        else:
            event.ignore()  # not to QGraphicsView, whose arrow keys scroll: the window's actions come next

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and self._space and not event.isAutoRepeat():
            self._space = False
            self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
            if not self._space_used:
                self.space_tapped.emit(bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif event.key() == Qt.Key.Key_Alt:
            self._show_handles(False)
        else:
            event.ignore()

    def _show_handles(self, shown: bool) -> None:
        self._state.handles = shown
        self.viewport().update()

    def _send(self, kind: EventKind, event: QMouseEvent) -> None:
        x, y = self._image_position(event.position())
        modifiers = modifiers_of(event.modifiers())
        self._active.handle(PointerEvent(kind, x, y, button_of(event.button()), modifiers, self.scale_factor))

    def _tell_cursor(self, position: QPointF) -> None:
        self._marks.cursor = self._image_position(position)
        self.cursor_moved.emit(self._marks.cursor)
        self.viewport().update()

    def _image_position(self, position: QPointF) -> tuple[float, float]:
        point = self.to_image(position)
        return point.x(), point.y()
