"""The edit tool: which gesture a press begins, and what a bare move, click or wheel does. No Qt.

Drag a point to move it; with several selected, all of them. Ctrl+drag a keypoint: the limb beyond follows.
Alt+drag: the whole pose. Alt+wheel: turn it, Alt+Shift+wheel: scale it. Shift+drag: rubber band (Ctrl+Shift adds).
Shift+click or Ctrl+click: add to or take from the selection. Drag elsewhere: pan. Click: select; on empty ground,
nothing is selected then.
Drag a missing point: it is placed there (right button or Alt: occluded); with the right button, a click places it too.
Right click: next visibility of the point. Double click: accept. Esc: give up the gesture.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from poseapp.canvas.hit_test import HitKind, HitTarget
from poseapp.canvas.pose_geometry import ROTATE_HANDLE, rotation_about
from poseapp.canvas.tools.base import (
    ALT,
    CTRL,
    SHIFT,
    Button,
    CursorRole,
    EventKind,
    Gesture,
    GestureTool,
    Host,
    PointerEvent,
    ToolInfo,
)
from poseapp.canvas.tools.gesture_edits import transform_edit
from poseapp.canvas.tools.gestures import (
    drag_handle,
    drag_limb,
    drag_missing,
    drag_points,
    drag_poses,
    pan_or_click,
    pose_box,
    rubber_band,
)
from poseapp.project.model import Instance

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


class EditTool(GestureTool):
    """Select, move, turn, accept; see the module's docstring."""

    info = ToolInfo(
        id="edit",
        title="Edit",
        tip="Select and drag keypoints; drag the background to pan",
        keys=("V",),
        icon="select",
        cursor=CursorRole.ARROW,
        writes=False,  # selecting and panning need no writing
        mouse=(
            ("Move a keypoint", "Drag it"),
            ("Move with the rest of the limb", "Ctrl+drag a keypoint"),
            ("Move the whole pose", "Alt+drag"),
            ("Rotate the whole pose", "Alt+wheel"),
            ("Visible, occluded, absent", "Right-click a keypoint"),
            ("Select keypoints with a rectangle", "Shift+drag"),
            ("Accept a prediction", "Double-click"),
        ),
    )

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._bursts = count(1)
        self._burst: tuple[int, int, str] = (0, 0, "")

    def handle(self, event: PointerEvent) -> None:
        if event.kind == EventKind.WHEEL and not self.busy:
            self._wheel(event)
        else:
            super().handle(event)

    def press(self, event: PointerEvent) -> Gesture | None:
        if event.kind == EventKind.PRESS and event.button != Button.LEFT:
            return self._right(event) if event.button == Button.RIGHT else None
        self._burst = (0, 0, "")
        host, target = self.host, self.host.hit(event)
        handle = host.hit_handle(event)
        instance = None if handle is None else host.instance(handle[0])
        if handle is not None and instance is not None:
            return drag_handle(host, event, instance, handle[1])
        if target is not None and target.kind == HitKind.MISSING and SHIFT not in event.modifiers:
            return drag_missing(host, event, target)
        if ALT in event.modifiers and (poses := self._poses(event, target)):
            return drag_poses(host, event, poses)
        if SHIFT in event.modifiers:
            return rubber_band(host, event, target)
        if target is None or target.kind != HitKind.POINT:
            return pan_or_click(host, event, target)
        if CTRL in event.modifiers:
            return drag_limb(host, event, target)
        return drag_points(host, event, target)

    def _poses(self, event: PointerEvent, target: HitTarget | None) -> list[Instance]:
        """The poses that Alt takes hold of: the selected ones, if one was hit or the pointer is in the box of one."""
        selected = [i for id_ in sorted(self.host.selected_instances) if (i := self.host.instance(id_)) is not None]
        if target is not None and target.instance_id not in self.host.selected_instances:
            instance = self.host.instance(target.instance_id)
            return [instance] if instance is not None else []
        if target is not None or any(_in_box(instance, event) for instance in selected):
            return selected
        return []

    def _right(self, event: PointerEvent) -> Gesture | None:
        target = self.host.hit(event)
        if target is not None and target.kind == HitKind.MISSING:
            return drag_missing(self.host, event, target)
        if target is not None and target.kind == HitKind.POINT:
            self.host.request_visibility({(target.instance_id, target.index)}, None)
        return None

    def hover(self, event: PointerEvent) -> None:
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
        center = np.array([corners[:, [0, 2]].mean(), corners[:, [1, 3]].mean()])
        what = "Scale" if SHIFT in event.modifiers else "Rotate"
        if what == "Scale":
            matrix = rotation_about(center, 0.0, _SCALE_STEP**event.steps)
        else:
            matrix = rotation_about(center, _TURN_STEP * event.steps)
        key = (hash(frozenset(pose.id for pose in poses)), hash(self.host.frame), what)
        if key != self._burst:
            self._burst, self._burst_number = key, next(self._bursts)
        merge_key = f"wheel:{what}:{id(self)}:{self._burst_number}"
        self.host.commit(transform_edit(self.host.frame, poses, matrix, what, merge_key))


def _in_box(instance: Instance, event: PointerEvent) -> bool:
    box = pose_box(instance)
    return box is not None and bool(box[0] <= event.x <= box[2] and box[1] <= event.y <= box[3])
