"""What happens between press and release, each as one generator: code before the first ``yield`` is the press, the loop
is the drag, what follows is the release. Closing the generator cancels. No Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from poseapp.canvas.hit_test import HitKind, HitTarget
from poseapp.canvas.pose_geometry import (
    ROTATE_HANDLE,
    apply_matrix,
    extent,
    handle_positions,
    points_beyond,
    rotation_about,
    scaling_about,
    translation,
)
from poseapp.canvas.tools.base import (
    ALT,
    CLICK_SLACK,
    CTRL,
    SHIFT,
    Button,
    CursorRole,
    EventKind,
    Gesture,
    Host,
    PointerEvent,
    PointRef,
)
from poseapp.canvas.tools.gesture_edits import (
    Moves,
    move_edit,
    place_edit,
    transform_edit,
    with_matrix,
    with_placed,
    with_points,
)
from poseapp.project.model import OCCLUDED, VISIBLE, Instance

Floats = npt.NDArray[np.float64]
Drag = Generator[None, PointerEvent, PointerEvent | None]

_SNAP_RADIANS = np.pi / 12


def _until_dragged(press: PointerEvent) -> Drag:
    """Waits for the first event beyond the slack of a click; None when the button comes up before."""
    while True:
        event = yield
        if event.kind == EventKind.RELEASE:
            return None if event.screen_distance(press) < CLICK_SLACK else event
        if event.screen_distance(press) >= CLICK_SLACK:
            return event


def drag_points(host: Host, press: PointerEvent, target: HitTarget) -> Gesture:
    """Move the point under the pointer, with all selected points when it is one of them.

    A click selects it, a double click accepts its pose.
    """
    grabbed: PointRef = (target.instance_id, target.index)
    points = host.selected_points if grabbed in host.selected_points else frozenset({grabbed})
    event = yield from _until_dragged(press)
    if event is None:
        if press.kind == EventKind.DOUBLE:
            host.accept(target.instance_id)
        else:
            host.select({target.instance_id}, {grabbed})
        return
    if grabbed not in host.selected_points:
        host.select({target.instance_id}, {grabbed})
    yield from _moving(host, press, event, _by_instance(host, points))


def drag_missing(host: Host, press: PointerEvent, target: HitTarget) -> Gesture:
    """Place a point that the pose has not: visible; with Alt or the right button occluded.

    A click selects it (the keys of visibility then place it where it is offered), a right click places it there.
    """
    instance, position = host.instance(target.instance_id), host.missing_place(target.instance_id, target.index)
    schema = None if instance is None else host.schema_of(instance)
    right = press.button == Button.RIGHT
    visibility = OCCLUDED if right or ALT in press.modifiers else VISIBLE
    event = yield from _until_dragged(press)
    if instance is None or schema is None or position is None or host.frame is None:
        return
    if event is None and right:
        host.commit(place_edit(host.frame, instance, target.index, position, visibility, schema))
        return
    if event is None:
        if press.kind == EventKind.DOUBLE:
            host.accept(target.instance_id)
        else:
            host.select({target.instance_id}, {(target.instance_id, target.index)})
        return
    host.select({target.instance_id}, {(target.instance_id, target.index)})
    host.show_cursor(CursorRole.MOVE)
    try:
        while True:
            end = _within(host.size, position[0] + event.x - press.x, position[1] + event.y - press.y)
            if event.kind == EventKind.RELEASE:
                break
            host.preview({instance.id: with_placed(instance, target.index, end, visibility)})
            event = yield
        host.commit(place_edit(host.frame, instance, target.index, end, visibility, schema))
    finally:
        host.preview({})


def _within(size: tuple[int, int] | None, x: float, y: float) -> tuple[float, float]:
    if size is None:
        return x, y
    return min(max(x, -0.5), size[0] - 0.5), min(max(y, -0.5), size[1] - 0.5)


def drag_limb(host: Host, press: PointerEvent, target: HitTarget) -> Gesture:
    """Move a keypoint; what lies beyond it turns with it about the next keypoint on the near side."""
    instance, grabbed = host.instance(target.instance_id), (target.instance_id, target.index)
    schema = None if instance is None else host.schema_of(instance)
    event = yield from _until_dragged(press)
    if instance is None or schema is None or host.frame is None:
        return
    if event is None:
        host.select(host.selected_instances | {target.instance_id}, host.selected_points ^ {grabbed})
        return
    host.select({target.instance_id}, {grabbed})
    beyond, hinge = points_beyond(schema, instance.keypoints, instance.visibility > 0, target.index)
    moves: Moves = {}
    try:
        while True:
            moves = _swung(instance, target.index, beyond, hinge, event.x - press.x, event.y - press.y)
            if event.kind == EventKind.RELEASE:
                break
            host.preview({instance.id: with_points(instance, moves)})
            event = yield
        host.commit(move_edit(host.frame, [(instance, moves)], {instance.category: schema}))
    finally:
        host.preview({})


def _swung(instance: Instance, keypoint: int, beyond: frozenset[int], hinge: int | None, dx: float, dy: float) -> Moves:
    old = instance.keypoints[keypoint]
    new = old + np.array((dx, dy))
    turn = 0.0
    if hinge is not None:
        before, after = old - instance.keypoints[hinge], new - instance.keypoints[hinge]
        turn = float(np.arctan2(after[1], after[0]) - np.arctan2(before[1], before[0]))
    rows = sorted(beyond)
    followed = apply_matrix(rotation_about(old, turn), instance.keypoints[rows]) + np.array((dx, dy))
    moved = {keypoint: (float(new[0]), float(new[1]))}
    moved.update({i: (float(x), float(y)) for i, (x, y) in zip(rows, followed, strict=True)})
    return moved


def _moving(
    host: Host, press: PointerEvent, event: PointerEvent, chosen: list[tuple[Instance, tuple[int, ...]]]
) -> Gesture:
    """Shift points by the way of the pointer, kept inside the picture, until the release commits one edit."""
    if host.frame is None or not chosen:
        return
    host.show_cursor(CursorRole.MOVE)
    schemas: Mapping[int, Schema | None] = {i.category: host.schema_of(i) for i, _ in chosen}
    try:
        while True:
            dx, dy = _kept_inside(host.size, chosen, event.x - press.x, event.y - press.y)
            moved: list[tuple[Instance, Moves]] = [
                (instance, {k: (float(x + dx), float(y + dy)) for k in rows for x, y in [instance.keypoints[k]]})
                for instance, rows in chosen
            ]
            if event.kind == EventKind.RELEASE:
                break
            host.preview({instance.id: with_points(instance, moves) for instance, moves in moved})
            event = yield
        host.commit(move_edit(host.frame, moved, schemas))
    finally:
        host.preview({})


def _by_instance(host: Host, points: frozenset[PointRef]) -> list[tuple[Instance, tuple[int, ...]]]:
    rows: dict[int, list[int]] = {}
    for instance_id, index in sorted(points):
        rows.setdefault(instance_id, []).append(index)
    chosen = []
    for instance_id, indices in rows.items():
        instance = host.instance(instance_id)
        if instance is not None:
            present = tuple(i for i in indices if instance.visibility[i] > 0)
            if present:
                chosen.append((instance, present))
    return chosen


def _kept_inside(
    size: tuple[int, int] | None, chosen: list[tuple[Instance, tuple[int, ...]]], dx: float, dy: float
) -> tuple[float, float]:
    """The shift, shortened so that no point leaves the picture that was in it."""
    if size is None:
        return dx, dy
    points = np.concatenate([instance.keypoints[list(rows)] for instance, rows in chosen])
    limit = np.array(size) - 0.5
    low = np.minimum(-0.5 - points.min(axis=0), 0.0)
    high = np.maximum(limit - points.max(axis=0), 0.0)
    return float(np.clip(dx, low[0], high[0])), float(np.clip(dy, low[1], high[1]))


def drag_poses(host: Host, press: PointerEvent, instances: list[Instance]) -> Gesture:
    """Move whole poses; a click selects."""
    event = yield from _until_dragged(press)
    if event is None:
        host.select({i.id for i in instances}, set())
        return
    host.show_cursor(CursorRole.MOVE)
    yield from _transforming(
        host, event, instances, lambda event: translation(event.x - press.x, event.y - press.y), "Move"
    )


def drag_handle(host: Host, press: PointerEvent, instance: Instance, handle: int) -> Gesture:
    """Scale a pose from a side or corner of its box, or turn it. Shift keeps proportions, or steps of 15 degrees."""
    box = pose_box(instance)
    event = yield from _until_dragged(press)
    if event is None or box is None:
        return
    center = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    corners = handle_positions(box, press.scale)

    def turned(event: PointerEvent) -> Floats:
        start, now = np.array([press.x, press.y]) - center, np.array([event.x, event.y]) - center
        angle = float(np.arctan2(now[1], now[0]) - np.arctan2(start[1], start[0]))
        if SHIFT in event.modifiers:
            angle = round(angle / _SNAP_RADIANS) * _SNAP_RADIANS
        return rotation_about(center, angle)

    def scaled(event: PointerEvent) -> Floats:
        fixed, grabbed = corners[(handle + 4) % 8], corners[handle]
        old = grabbed - fixed
        new = old + np.array((event.x - press.x, event.y - press.y))
        # A side handle scales one axis only; nothing may shrink to nothing or turn inside out.
        factors = [max(new[i] / old[i], 0.02) if abs(old[i]) > 1e-6 else 1.0 for i in range(2)]
        if SHIFT in event.modifiers:
            factors = [max(factors, key=lambda f: abs(np.log(f)))] * 2
        return scaling_about(fixed, *factors)

    what = "Rotate" if handle == ROTATE_HANDLE else "Scale"
    yield from _transforming(host, event, [instance], turned if handle == ROTATE_HANDLE else scaled, what)


def _transforming(
    host: Host,
    event: PointerEvent,
    instances: list[Instance],
    matrix_of: Callable[[PointerEvent], Floats],
    what: str,
) -> Gesture:
    """Whole poses under a matrix that follows the pointer, until the release commits one edit."""
    if host.frame is None:
        return
    try:
        while event.kind != EventKind.RELEASE:
            host.preview({i.id: with_matrix(i, matrix_of(event)) for i in instances})
            event = yield
        host.commit(transform_edit(host.frame, instances, matrix_of(event), what))
    finally:
        host.preview({})


def pose_box(instance: Instance) -> Floats | None:
    """The instance's box, else the extent of its points."""
    return instance.box if instance.box is not None else extent(instance.keypoints, instance.visibility > 0)


def rubber_band(host: Host, press: PointerEvent, target: HitTarget | None) -> Gesture:
    """Select the points inside a rectangle (with Ctrl: in addition); a click adds or removes what it hits."""
    event = yield from _until_dragged(press)
    if event is None:
        _toggle(host, target)
        return
    try:
        while event.kind != EventKind.RELEASE:
            host.show_band((press.x, press.y, event.x, event.y), box=False)
            event = yield
    finally:
        host.show_band(None, box=False)
    inside = host.points_inside(press, event)
    if CTRL in press.modifiers:
        inside |= host.selected_points
    host.select({instance_id for instance_id, _ in inside}, inside)


def _toggle(host: Host, target: HitTarget | None) -> None:
    if target is None:
        return
    if target.kind == HitKind.POINT:
        points = host.selected_points ^ {(target.instance_id, target.index)}
        host.select(host.selected_instances | {target.instance_id}, points)
        return
    instances = host.selected_instances ^ {target.instance_id}
    host.select(instances, {ref for ref in host.selected_points if ref[0] in instances})


def pan_or_click(host: Host, press: PointerEvent, target: HitTarget | None) -> Gesture:
    """A drag moves the view; a click selects the pose that was hit, or nothing; a double click accepts it."""
    event = yield from _until_dragged(press)
    if event is None and press.kind == EventKind.DOUBLE:
        if target is not None:
            host.accept(target.instance_id)
        return
    if event is None and CTRL in press.modifiers:
        _toggle(host, target)
        return
    if event is None:
        host.select({target.instance_id} if target else set(), set())
        return
    host.show_cursor(CursorRole.GRAB)
    while True:
        host.pan(event, (press.x, press.y))
        if event.kind == EventKind.RELEASE:
            return
        event = yield
