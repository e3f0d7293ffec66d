"""Verbs on poses and points: each asks what is selected, makes one edit, applies it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.schema.builtin import schema_of_subset
from engine.schema.schema import Subset
from poseapp.canvas.missing_points import likely_places
from poseapp.canvas.template_pose import template_pose
from poseapp.canvas.tools.base import PlacedPose
from poseapp.canvas.tools.gesture_edits import with_points
from poseapp.commands.bulk_edit import edit_everywhere
from poseapp.commands.context import Context
from poseapp.commands.object_kinds import ask_object
from poseapp.project import edits
from poseapp.project.edits import points as edits_points
from poseapp.project.edits.locks import PointRef, locked_flags
from poseapp.project.edits.predictions import TEMPLATE
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Edit, FrameEdit, FrameKey, Instance, State
from poseapp.project.schema.subsets import points_of

PASTE_OFFSET = 12.0


def undo(context: Context) -> None:
    """The last step; while points are placed, the last of them."""
    if context.canvas.take_back():
        return
    context.canvas.cancel()
    context.session.undo()


def redo(context: Context) -> None:
    if context.canvas.tool == "place" and context.session.held():
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
    place = session.position()
    if session.store is None or place < 1:
        context.window.tell("There is no frame before this one")
        return
    before = session.store.instances(session.frames[place - 1])
    if not before:
        context.window.tell("The frame before has no poses")
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


# --- review


def accept(context: Context) -> None:
    """What is proposed, else the selected predictions; with nothing selected and a single prediction, that one."""
    if context.session.take_proposal():
        return
    session, chosen = context.session, _chosen_predictions(context)
    touched = [i for i in session.selected if i.id in session.correcting and i.state is State.LABELLED]
    if session.frame is not None and chosen:
        session.apply(edits.accept(session.frame, chosen))
    elif touched:
        _confirm(context, touched)
    elif session.nothing_found:
        _confirm_empty(context)
    elif session.predicted():
        context.window.tell("Select a prediction first, or press Shift+Enter to accept all in this frame")


def _confirm_empty(context: Context) -> None:
    """The model found nothing here, and that is right: the frame is reviewed, and holds nothing to label."""
    info = context.session.frame_info()
    if info is not None:
        text = "Confirm that nothing is here"
        context.session.apply(edits.set_frame_state(info.key, info.state, reviewed=True, negative=True, text=text))


def _confirm(context: Context, poses: list[Instance]) -> None:
    """Poses that were corrected are right now: no point is the model's any more, and none is offered."""
    session = context.session
    after = tuple(replace(i, by_human=i.by_human | (i.visibility != ABSENT)) for i in poses)
    pairs = [(old, new) for old, new in zip(poses, after) if not new.same_as(old)]
    if session.frame is not None and pairs:
        before, after = zip(*pairs)
        session.apply(Edit("Accept pose", (FrameEdit(session.frame, before, after),)))
    session.finish([i.id for i in poses])


def _chosen_predictions(context: Context) -> list[Instance]:
    session = context.session
    waiting = session.predicted()
    if not session.selected and len(waiting) == 1:
        return waiting
    return [i for i in session.selected if i.state is State.PREDICTED]


def accept_all(context: Context) -> None:
    session = context.session
    if session.frame is not None and session.predicted():
        session.apply(edits.accept(session.frame, session.predicted()))
    elif session.nothing_found:
        _confirm_empty(context)


def accept_everywhere(context: Context) -> None:
    """Every prediction of the project as one step; undo takes it back, so no question is asked."""

    def done(edit: Edit) -> str:
        total = sum(len(frame.after) for frame in edit.frames)
        return f"{total:,} predictions in {len(edit.frames):,} frames accepted. Ctrl+Z takes it back."

    edit_everywhere(
        context,
        lambda found: edits.accept_frames(_measured(found.items())),
        done,
        "There are no predictions to accept",
    )


def _measured(items: Iterable[tuple[FrameKey, Sequence[Instance]]]) -> list[tuple[FrameKey, list[Instance]]]:
    """Without templates that nobody has touched: their points are nobody's measurement."""
    return [(key, [i for i in instances if i.source != TEMPLATE]) for key, instances in items]


def reject(context: Context) -> None:
    session, chosen = context.session, _chosen_predictions(context)
    if session.frame is not None and chosen:
        session.apply(edits.reject(session.frame, chosen))
    elif session.nothing_found:
        context.window.tell(
            "The model found nothing here. Draw a box (N) or place points (P) where it missed something."
        )
    elif session.predicted():
        context.window.tell("Select the prediction to reject; Delete takes away labelled poses")


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
        context.window.tell("Point at a keypoint, or select some, and press the key again")


def set_visibility(context: Context, points: Iterable[PointRef], value: int | None) -> None:
    """Points of one or several poses in one step; ``None`` is the next of visible, occluded, absent."""
    session = context.session
    if session.frame is None:
        return
    wanted: dict[int, list[int]] = {}
    for instance_id, index in sorted(points):
        wanted.setdefault(instance_id, []).append(index)
    made: list[Edit] = []
    for instance in session.instances:
        if instance.id in wanted:
            schema = session.schema_of(instance)
            chosen = wanted[instance.id]
            back = _brought_back(context, instance, chosen, value)
            if back is not None:
                made.append(back)
            elif value is None:
                made.append(edits.cycle_visibility(session.frame, instance, chosen, schema))
            else:
                made.append(edits.set_visibility(session.frame, instance, chosen, value, schema))
    if made:
        session.apply(made[0] if len(made) == 1 else edits.combined(f"{made[0].text} and others", made))


def _brought_back(context: Context, pose: Instance, points: list[int], value: int | None) -> Edit | None:
    """Missing points at the places where they are offered, or where the template puts what never had a place; None
    where the points' own places are to be taken, or nothing comes back."""
    session, first = context.session, int(pose.visibility[points[0]])
    wanted = (VISIBLE if first == ABSENT else ABSENT) if value is None else value
    absent = [k for k in points if pose.visibility[k] == ABSENT]
    if session.frame is None or wanted == ABSENT or not absent:
        return None
    schema = session.schema_of(pose)
    places = {k: place for k in absent if (place := context.canvas.missing_place(pose.id, k)) is not None}
    never = [k for k in absent if k not in places and not _has_place(context, pose, k)]
    if never and (found := likely_places(pose, schema, context.canvas.image_size)) is not None:
        places.update({k: (float(found[k, 0]), float(found[k, 1])) for k in never})
    if not places:
        return None
    there = replace(pose, keypoints=with_points(pose, places).keypoints)
    edit = edits.set_visibility(session.frame, there, points, wanted, schema)
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
    made = [make(session.frame, instance) for instance in session.selected]
    session.apply(made[0] if len(made) == 1 else edits.combined(text, made))


def nudge(context: Context, dx: float, dy: float) -> bool:
    """Move the selected points (or, without any, the selected poses) by pixels; False when nothing is selected."""
    session = context.session
    if session.frame is None or not session.selected:
        return False
    made: list[Edit] = []
    for instance in session.selected:
        indices = [k for i, k in session.selected_points if i == instance.id]
        if indices:
            moves = {
                k: (float(instance.keypoints[k, 0] + dx), float(instance.keypoints[k, 1] + dy))
                for k in indices
                if instance.visibility[k] != ABSENT
            }
            if moves:
                made.append(edits.move_keypoints(session.frame, instance, moves, session.schema_of(instance)))
        elif not session.selected_points:
            made.append(edits.transform_pose(session.frame, instance, [[1, 0, dx], [0, 1, dy]], text="Move pose"))
    if made:
        key = f"nudge {sorted(session.selected_instances)} {sorted(session.selected_points)}"
        session.apply(edits.combined(made[0].text, made, merge_key=key))
    return True


# --- new poses


def new_pose(context: Context, placed: PlacedPose) -> None:
    """A pose from the placement tool, or the points that one had not."""
    session = context.session
    if placed.instance is not None:
        pose = next((i for i in session.instances if i.id == placed.instance), None)
        if pose is not None and session.frame is not None:
            schema = session.schema_of(pose)
            edit = edits_points.place_points(session.frame, pose, placed.keypoints, placed.visibility, schema)
            session.apply(edit)
        return
    if session.store is None or session.frame is None or session.category is None:
        return
    (number,) = session.store.new_ids(1)
    seen = placed.visibility > 0
    if not seen.any():
        return
    points = placed.keypoints[seen]
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    made = edits.make_instance(number, session.category, placed.keypoints, placed.visibility, box=_grown(context, box))
    if placed.decided is not None:  # a point that was skipped is absent because a person says so
        made = replace(made, by_human=placed.decided.copy())
    if session.apply(edits.add_instance(session.frame, made, text="Place pose")):
        session.select(instances=[number])


def finish_placing(context: Context) -> None:
    """Before something that needs the canvas: points that are placed are kept, any other gesture is given up."""
    if context.canvas.finish():
        context.window.tell("The points placed so far were kept as a pose; Ctrl+Z takes them away.")


def template_in_box(context: Context, box: tuple[float, float, float, float]) -> None:
    """A pose of the template, fitted into a box: what is done where no model can fill it.

    It waits as a prediction until a person has moved a point of it or accepted it: nobody has said yet that its points
    are right. Of a category with the points of several kinds of objects, it has those of one.
    """
    session, key, category = context.session, context.session.frame, context.session.category
    if session.store is None or key is None or category is None:
        return
    store = session.store

    def add(subset: Subset | None) -> None:
        if session.store is not store or session.frame != key:
            return
        chosen = points_of(category.schema, subset)
        pose = template_pose(category.schema if subset is None else schema_of_subset(category.schema, subset))
        low, high = pose.min(axis=0), pose.max(axis=0)
        x1, y1, x2, y2 = box
        points = np.zeros((category.schema.num_keypoints, 2))
        points[chosen] = (pose - low) / np.maximum(high - low, 1e-9) * (x2 - x1, y2 - y1) + (x1, y1)
        (number,) = store.new_ids(1)
        seen = np.where(chosen, VISIBLE, ABSENT)
        made = edits.make_instance(number, category, points, seen, box=box)
        made = replace(made, by_human=np.zeros(len(seen), np.bool_), state=State.PREDICTED, source=TEMPLATE)
        if session.apply(edits.add_instance(key, made, text="Add pose from template")):
            session.select(instances=[number])

    ask_object(context, category, add)


def _grown(context: Context, box: np.ndarray, margin: float = 0.1) -> np.ndarray:
    """A box around points with some air, inside the picture."""
    width, height = box[2] - box[0], box[3] - box[1]
    room = margin * max(width, height, 10.0)
    grown: np.ndarray = box + np.array([-room, -room, room, room])
    size = context.canvas.image_size
    if size is not None:
        grown = np.clip(grown, 0, [size[0] - 1, size[1] - 1, size[0] - 1, size[1] - 1])
    return grown


# --- frames


def flag(context: Context) -> None:
    _mark_frame(context, "flagged")


def reviewed(context: Context) -> None:
    _mark_frame(context, "reviewed")


def _mark_frame(context: Context, what: str) -> None:
    session = context.session
    info = session.frame_info()
    if info is not None:
        change: dict[str, Any] = {what: not getattr(info.state, what)}
        session.apply(edits.set_frame_state(info.key, info.state, **change))
