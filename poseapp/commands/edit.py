"""Verbs on poses and points: each asks what is selected, makes one edit, applies it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from poseapp.canvas.missing_points import likely_places
from poseapp.canvas.tools.gesture_edits import with_points
from poseapp.commands.context import Context
from poseapp.project import edits
from poseapp.project.edits.locks import PointRef, locked_flags
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Edit, FrameKey, Instance

PASTE_OFFSET = 12.0


def undo(context: Context) -> None:
    """The last step; while points are placed, the last of them."""
    if context.canvas.take_back():
        return
    context.canvas.cancel()
    context.session.undo()


def redo(context: Context) -> None:
    if context.canvas.active_tool.holds_points and context.session.is_blocked():
        return
    context.canvas.cancel()
    context.session.redo()


# --- clipboard


def copy(context: Context) -> None:
    context.clipboard, context.clipboard_project = list(context.session.selected), context.session.path
    count = len(context.clipboard)
    context.window.tell(f"{'Pose' if count == 1 else f'{count} poses'} copied. Ctrl+V pastes into any frame.")


def paste(context: Context) -> None:
    if not context.clipboard:
        context.window.tell("Nothing to paste yet: select a pose and press Ctrl+C")
        return
    here = {i.id for i in context.session.instances}
    shift = PASTE_OFFSET if any(i.id in here for i in context.clipboard) else 0.0
    same = context.clipboard_project == context.session.path
    _paste(context, context.clipboard, (shift, shift), keep_track=same)


def duplicate(context: Context) -> None:
    _paste(context, context.session.selected, (PASTE_OFFSET, PASTE_OFFSET), "Duplicate pose")


def copy_previous(context: Context) -> None:
    """The poses of the frame before, as new ones of this frame."""
    session = context.session
    position = session.position()
    if session.store is None or position < 1:
        context.window.tell("This is the first frame")
        return
    before = session.store.instances(session.frames[position - 1])
    if not before:
        context.window.tell("The previous frame has no poses")
        return
    _paste(context, before, (0.0, 0.0), "Copy poses from previous frame", keep_track=True)


def _paste(
    context: Context,
    poses: Iterable[Instance],
    offset: tuple[float, float],
    text: str = "",
    *,
    keep_track: bool = False,
) -> None:
    session = context.session
    known = [pose for pose in poses if pose.category in session.schemas]
    if session.store is None or session.frame is None or not known:
        return
    ids = session.store.new_ids(len(known))
    taken = {i.track for i in session.instances}
    edit = edits.paste(session.frame, known, ids, offset=offset, keep_track=keep_track, taken=taken, text=text)
    if session.apply(edit):
        session.select(instances=ids)


# --- selection and deletion


def select_all(context: Context) -> None:
    context.session.select(instances=[i.id for i in context.session.instances])


def delete(context: Context) -> None:
    """Selected points become absent; with no points selected, the selected poses go."""
    session = context.session
    if session.selected_points:
        set_visibility(context, session.selected_points, ABSENT)
    elif session.frame is not None and session.selected:
        session.apply(edits.delete_instances(session.frame, session.selected))


# --- points


def occluded(context: Context) -> None:
    _mark(context, OCCLUDED)


def absent(context: Context) -> None:
    _mark(context, ABSENT)


def visible(context: Context) -> None:
    _mark(context, VISIBLE)


def _mark(context: Context, value: int) -> None:
    points = context.session.selected_points or context.hovered
    if points:
        set_visibility(context, points, value)
    else:
        context.window.tell("Hover or select a keypoint, then press the key again")


def set_visibility(context: Context, points: Iterable[PointRef], value: int | None) -> None:
    """Points of one or several poses in one step; ``None`` is the next of visible, occluded, absent."""
    session = context.session
    if session.frame is None:
        return
    chosen_points: dict[int, list[int]] = {}
    for instance_id, index in sorted(points):
        chosen_points.setdefault(instance_id, []).append(index)
    changes: list[Edit] = []
    for instance in session.instances:
        if instance.id in chosen_points:
            schema = session.schema_of(instance)
            chosen = chosen_points[instance.id]
            back = _brought_back(context, instance, chosen, value)
            if back is not None:
                changes.append(back)
            elif value is None:
                changes.append(edits.cycle_visibility(session.frame, instance, chosen, schema))
            else:
                changes.append(edits.set_visibility(session.frame, instance, chosen, value, schema))
    if changes:
        session.apply(changes[0] if len(changes) == 1 else edits.combined(f"{changes[0].text} and others", changes))


def _brought_back(context: Context, pose: Instance, points: list[int], value: int | None) -> Edit | None:
    """Missing points at the places where they are offered, or where the template puts what never had a place; None
    where the points' own places are to be taken, or nothing comes back."""
    session, first = context.session, int(pose.visibility[points[0]])
    new_value = (VISIBLE if first == ABSENT else ABSENT) if value is None else value
    absent = [k for k in points if pose.visibility[k] == ABSENT]
    if session.frame is None or new_value == ABSENT or not absent:
        return None
    schema = session.schema_of(pose)
    positions = {k: position for k in absent if (position := context.canvas.missing_place(pose.id, k)) is not None}
    never = [k for k in absent if k not in positions and not _has_place(context, pose, k)]
    if never and (likely := likely_places(pose, schema, context.canvas.image_size)) is not None:
        positions.update({k: (float(likely[k, 0]), float(likely[k, 1])) for k in never})
    if not positions:
        return None
    placed = replace(pose, keypoints=with_points(pose, positions).keypoints)
    edit = edits.set_visibility(session.frame, placed, points, new_value, schema)
    return replace(edit, frames=(replace(edit.frames[0], before=(pose,)),))


def _has_place(context: Context, pose: Instance, point: int) -> bool:
    """Whether an absent point stood, or was seen by a model, somewhere in the picture."""
    x, y = pose.keypoints[point].tolist()
    size = context.canvas.image_size or (np.inf, np.inf)
    return (x, y) != (0.0, 0.0) and 0 <= x < size[0] and 0 <= y < size[1]


# --- whole poses


def swap(context: Context) -> None:
    """Left and right of the selected points, or of the selected poses."""
    session = context.session
    points: dict[int, list[int]] = {}
    for instance_id, index in session.selected_points:
        points.setdefault(instance_id, []).append(index)

    def swapped(frame: FrameKey, pose: Instance) -> Edit:
        schema, locked = session.schema_of(pose), locked_flags(pose, session.locked_points)
        chosen = points.get(pose.id)
        if locked.any() and len(schema.flip_indices) == len(locked):  # one that stays keeps its partner too
            free = ~(locked | locked[schema.flip_indices])
            chosen = [k for k in (range(len(free)) if chosen is None else chosen) if free[k]]
        return edits.swap_sides(frame, pose, schema, chosen)

    _each(context, "Swap left and right", swapped)


def mirror(context: Context) -> None:
    session = context.session
    _each(context, "Mirror poses", lambda frame, i: edits.mirror(frame, i, session.schema_of(i)))


def _each(context: Context, text: str, make: Callable[[FrameKey, Instance], Edit]) -> None:
    session = context.session
    if session.frame is None or not session.selected:
        return
    changes = [make(session.frame, instance) for instance in session.selected]
    session.apply(changes[0] if len(changes) == 1 else edits.combined(text, changes))


def nudge(context: Context, dx: float, dy: float) -> bool:
    """Move the selected points (or, without any, the selected poses) by pixels; False when nothing is selected."""
    session = context.session
    if session.frame is None or not session.selected:
        return False
    changes: list[Edit] = []
    for instance in session.selected:
        indices = [k for i, k in session.selected_points if i == instance.id]
        if indices:
            moves = {
                k: (float(instance.keypoints[k, 0] + dx), float(instance.keypoints[k, 1] + dy))
                for k in indices
                if instance.visibility[k] != ABSENT
            }
            if moves:
                changes.append(edits.move_keypoints(session.frame, instance, moves, session.schema_of(instance)))
        elif not session.selected_points:
            changes.append(edits.transform_pose(session.frame, instance, [[1, 0, dx], [0, 1, dy]], text="Move pose"))
    if changes:
        key = f"nudge {sorted(session.selected_instances)} {sorted(session.selected_points)}"
        session.apply(edits.combined(changes[0].text, changes, merge_key=key))
    return True
