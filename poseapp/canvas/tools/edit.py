"""The tools: which gesture a press begins, and what a bare move, click or wheel does. No Qt.

Default tool ("edit"): drag a point; with several selected, all of them. Ctrl+drag a keypoint: the limb beyond follows.
Alt+drag: the whole pose. Alt+wheel: turn it, Alt+Shift+wheel: scale it. Shift+drag: rubber band (Ctrl+Shift adds).
Shift+click or Ctrl+click: add to or take from the selection. Drag elsewhere: pan. Click: select; on empty ground,
nothing is selected then.
Drag a missing point: it is placed there (right button or Alt: occluded); with the right button, a click places it too.
Right click: next visibility of the point. Double click: accept. Esc: give up the gesture.
"""

from __future__ import annotations

from itertools import count
from typing import Protocol

import numpy as np

from poseapp.canvas.hit_test import HitKind, HitTarget
from poseapp.canvas.pose_geometry import ROTATE_HANDLE, rotation_about
from poseapp.canvas.tools.base import ALT, CTRL, SHIFT, Button, CursorRole, EventKind, Host, PointerEvent
from poseapp.canvas.tools.gesture_edits import transform_edit
from poseapp.canvas.tools.gestures import (
    Gesture,
    drag_handle,
    drag_limb,
    drag_missing,
    drag_points,
    drag_poses,
    draw_box,
    pan_or_click,
    pose_box,
    rubber_band,
)
from poseapp.canvas.tools.place import PlacementTool
from poseapp.project.model import Instance

__all__ = ["TOOLS", "BoxTool", "Button", "EditTool", "EventKind", "PlacementTool", "PointerEvent", "Tool"]

_TURN_STEP = np.radians(2.0)
_SCALE_STEP = 1.02
_HANDLE_CURSORS = {
    0: CursorRole.SCALE_FALLING,
    1: CursorRole.SCALE_UP,
    2: CursorRole.SCALE_RISING,
    3: CursorRole.SCALE_ACROSS,
    4: CursorRole.SCALE_FALLING,
    5: CursorRole.SCALE_UP,
    6: CursorRole.SCALE_RISING,
    7: CursorRole.SCALE_ACROSS,
    ROTATE_HANDLE: CursorRole.ROTATE,
}


class Tool(Protocol):
    """One mode of the pointer."""

    @property
    def busy(self) -> bool:
        """Whether a gesture is under way."""

    def handle(self, event: PointerEvent) -> None: ...
    def leave(self) -> None:
        """The pointer left the canvas."""

    def key(self, name: str) -> bool:
        """Act on a key ("tab", "backspace", "enter", "escape"); False when the tool has no use for it now."""

    def wants_key(self, name: str) -> bool: ...
    def cancel(self) -> bool:
        """Give up what is under way; False when nothing was."""


class _GestureTool:
    """A tool that runs at most one gesture."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._gesture: Gesture | None = None

    @property
    def busy(self) -> bool:
        return self._gesture is not None

    def begin(self, gesture: Gesture) -> None:
        self._gesture = gesture
        next(gesture, None)

    def send(self, event: PointerEvent) -> None:
        """Pass an event on to the gesture; after its end the tool is idle."""
        assert self._gesture is not None
        try:
            self._gesture.send(event)
        except StopIteration:
            self._gesture = None
        except BaseException:
            self._gesture = None
            raise

    def cancel(self) -> bool:
        if self._gesture is None:
            return False
        self._gesture.close()
        self._gesture = None
        return True

    def wants_key(self, name: str) -> bool:
        return name == "escape" and self.busy

    def key(self, name: str) -> bool:
        return name == "escape" and self.cancel()

    def leave(self) -> None:
        self.host.hover(None)
        self.host.show_crosshair(None)


class EditTool(_GestureTool):
    """Select, move, turn, accept; see the module's docstring."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._bursts = count(1)
        self._burst: tuple[int, int, str] = (0, 0, "")

    def handle(self, event: PointerEvent) -> None:
        if self.busy:
            if event.kind in (EventKind.MOVE, EventKind.RELEASE):
                self.send(event)
                if not self.busy:
                    self._hover(event)
        elif event.kind == EventKind.DOUBLE or (event.kind == EventKind.PRESS and event.button == Button.LEFT):
            self._begin(event)  # a quick second press may still become a drag
        elif event.kind == EventKind.PRESS and event.button == Button.RIGHT:
            self._right(event)
        elif event.kind == EventKind.MOVE:
            self._hover(event)
        elif event.kind == EventKind.WHEEL:
            self._wheel(event)

    def _begin(self, event: PointerEvent) -> None:
        self._burst = (0, 0, "")
        host, target = self.host, self.host.hit(event)
        handle = host.hit_handle(event)
        if handle is not None:
            instance = host.instance(handle[0])
            if instance is not None:
                self.begin(drag_handle(host, event, instance, handle[1]))
                return
        if target is not None and target.kind == HitKind.MISSING and SHIFT not in event.modifiers:
            self.begin(drag_missing(host, event, target))
        elif ALT in event.modifiers and (poses := self._poses(event, target)):
            self.begin(drag_poses(host, event, poses))
        elif SHIFT in event.modifiers:
            self.begin(rubber_band(host, event, target))
        elif target is None or target.kind != HitKind.POINT:
            self.begin(pan_or_click(host, event, target))
        elif CTRL in event.modifiers:
            self.begin(drag_limb(host, event, target))
        else:
            self.begin(drag_points(host, event, target))

    def _poses(self, event: PointerEvent, target: HitTarget | None) -> list[Instance]:
        """The poses that Alt takes hold of: the selected ones, if one was hit or the pointer is in the box of one."""
        selected = [i for id_ in sorted(self.host.selected_instances) if (i := self.host.instance(id_)) is not None]
        if target is not None and target.instance_id not in self.host.selected_instances:
            instance = self.host.instance(target.instance_id)
            return [instance] if instance is not None else []
        if target is not None or any(_in_box(instance, event) for instance in selected):
            return selected
        return []

    def _right(self, event: PointerEvent) -> None:
        target = self.host.hit(event)
        if target is not None and target.kind == HitKind.MISSING:
            self.begin(drag_missing(self.host, event, target))
        elif target is not None and target.kind == HitKind.POINT:
            self.host.request_visibility({(target.instance_id, target.index)}, None)

    def _hover(self, event: PointerEvent) -> None:
        handle = self.host.hit_handle(event)
        target = None if handle is not None else self.host.hit(event)
        self.host.hover(target)
        if handle is not None:
            self.host.show_cursor(_HANDLE_CURSORS[handle[1]])
        elif target is None:
            self.host.show_cursor(CursorRole.ARROW)
        else:
            on_point = target.kind in (HitKind.POINT, HitKind.MISSING)
            self.host.show_cursor(CursorRole.POINT if on_point else CursorRole.POSE)

    def _wheel(self, event: PointerEvent) -> None:
        """Turn or scale; notches on the same poses without a press between are one step of the history."""
        poses = self._poses(event, self.host.hit(event))
        boxes = [box for pose in poses if (box := pose_box(pose)) is not None]
        if ALT not in event.modifiers or not boxes or self.host.frame is None:
            return
        corners = np.array(boxes)
        centre = np.array([corners[:, [0, 2]].mean(), corners[:, [1, 3]].mean()])
        what = "Scale" if SHIFT in event.modifiers else "Rotate"
        if what == "Scale":
            matrix = rotation_about(centre, 0.0, _SCALE_STEP**event.steps)
        else:
            matrix = rotation_about(centre, _TURN_STEP * event.steps)
        key = (hash(frozenset(pose.id for pose in poses)), hash(self.host.frame), what)
        if key != self._burst:
            self._burst, self._burst_number = key, next(self._bursts)
        merge_key = f"wheel:{what}:{id(self)}:{self._burst_number}"
        self.host.commit(transform_edit(self.host.frame, poses, matrix, what, merge_key))


class BoxTool(_GestureTool):
    """Draw a box, corner to corner, with a crosshair over the whole picture."""

    def handle(self, event: PointerEvent) -> None:
        self.host.show_cursor(CursorRole.CROSS)
        self.host.show_crosshair((event.x, event.y))
        if self.busy:
            if event.kind in (EventKind.MOVE, EventKind.RELEASE):
                self.send(event)
        elif event.kind == EventKind.PRESS and event.button == Button.LEFT:
            self.begin(draw_box(self.host, event))

    def cancel(self) -> bool:
        self.host.show_crosshair(None)
        return super().cancel()


TOOLS: dict[str, type[EditTool] | type[BoxTool] | type[PlacementTool]] = {
    "edit": EditTool,
    "box": BoxTool,
    "place": PlacementTool,
}


def _in_box(instance: Instance, event: PointerEvent) -> bool:
    box = pose_box(instance)
    return box is not None and bool(box[0] <= event.x <= box[2] and box[1] <= event.y <= box[3])
