"""The canvas as the tools see it: state and marks on one side, the view's signals on the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import shiboken6

from engine.schema.schema import Schema
from poseapp.canvas.hit_test import HitTarget
from poseapp.canvas.qt_events import cursor_of
from poseapp.canvas.render.overlay_painter import Marks
from poseapp.canvas.scene import CanvasScene
from poseapp.canvas.tools.base import CursorRole, Ghost, PlacedPose, Placement, PointerEvent, PointRef
from poseapp.project.model import Edit, FrameKey, Instance

if TYPE_CHECKING:
    from poseapp.canvas.view import CanvasView


class CanvasHost:
    """Implements pointer.Host for a CanvasView."""

    def __init__(self, view: CanvasView, state: CanvasScene, marks: Marks) -> None:
        self._view = view
        self._state = state
        self._marks = marks
        self.frame: FrameKey | None = None
        self.placement: Placement | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        return self._view.image_size

    @property
    def selected_instances(self) -> frozenset[int]:
        return self._state.selected

    @property
    def selected_points(self) -> frozenset[PointRef]:
        return self._state.points

    def instance(self, instance_id: int) -> Instance | None:
        return self._state.instance(instance_id)

    def schema_of(self, instance: Instance) -> Schema | None:
        return self._state.schemas.get(instance.category)

    def hit(self, event: PointerEvent) -> HitTarget | None:
        return self._state.hit(event.x, event.y, event.scale)

    def hit_handle(self, event: PointerEvent) -> tuple[int, int] | None:
        return self._state.hit_handle(event.x, event.y, event.scale)

    def missing_place(self, instance_id: int, index: int) -> tuple[float, float] | None:
        return self._state.missing_place(instance_id, index)

    def points_inside(self, first: PointerEvent, last: PointerEvent) -> frozenset[PointRef]:
        return self._state.points_inside(first, last)

    def _update(self) -> None:
        if shiboken6.isValid(self._view):  # a gesture may be closed by the end of everything
            self._view.viewport().update()

    def hover(self, target: HitTarget | None) -> None:
        if target != self._state.hovered:
            self._state.hovered = target
            self._state.refresh()
            self._update()
            self._view.hovered.emit(target)

    def preview(self, instances: Mapping[int, Instance]) -> None:
        changed = set(instances) != set(self._state.preview)
        self._state.preview = {instance_id: self._state.held(instance) for instance_id, instance in instances.items()}
        self._state.refresh()
        if changed and not set(instances) <= self._state.selected and shiboken6.isValid(self._view):
            self._view.repaint_ground()
        self._update()

    def show_ghost(self, ghost: Ghost | None) -> None:
        self._marks.ghost = ghost
        self._update()

    def show_band(self, corners: tuple[float, float, float, float] | None, *, box: bool) -> None:
        self._marks.band, self._marks.band_is_box = corners, box
        self._update()

    def show_crosshair(self, at: tuple[float, float] | None) -> None:
        self._marks.crosshair = at
        self._update()

    def show_cursor(self, role: CursorRole) -> None:
        shape = cursor_of(role)
        if self._view.viewport().cursor().shape() != shape:
            self._view.viewport().setCursor(shape)

    def pan(self, event: PointerEvent, anchor: tuple[float, float]) -> None:
        self._view.pan_by((event.x - anchor[0]) * event.scale, (event.y - anchor[1]) * event.scale)

    def commit(self, edit: Edit) -> None:
        self._view.edit_requested.emit(edit)

    def select(self, instances: Collection[int], points: Collection[PointRef]) -> None:
        selection = frozenset(instances), frozenset(points)
        if selection != (self._state.selected, self._state.points):
            self._view.selection_requested.emit(*selection)

    def request_visibility(self, points: Collection[PointRef], value: int | None) -> None:
        self._view.visibility_requested.emit(frozenset(points), value)

    def accept(self, instance_id: int) -> None:
        self._view.accept_requested.emit(instance_id)

    def draw_box(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._view.box_drawn.emit(x1, y1, x2, y2)

    def place(self, pose: PlacedPose) -> None:
        self._view.pose_placed.emit(pose)
