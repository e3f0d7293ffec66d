"""Verbs on whole poses: their kind, merging and splitting, weeding out, hiding and locking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.errors import PoseError
from engine.schema.builtin import schema_of_subset
from engine.schema.schema import Subset
from poseapp.canvas.template_pose import template_pose
from poseapp.canvas.tools.base import PlacedPose
from poseapp.commands.category import ask_object
from poseapp.commands.context import Context, finish_placing
from poseapp.dialogs.prompt import AskDialog
from poseapp.jobs.inference import WarmUpJob
from poseapp.project import edits
from poseapp.project.edits import groups
from poseapp.project.edits import points as edits_points
from poseapp.project.edits.predictions import TEMPLATE
from poseapp.project.model import ABSENT, VISIBLE, Edit, Instance, State
from poseapp.project.schema.subsets import points_of


def change_category(context: Context) -> None:
    """The selected poses are of another kind of the project."""
    session = context.session
    chosen = session.selected
    if session.frame is None or not chosen:
        return
    own = {pose.category for pose in chosen}
    others = [category for category in session.categories() if {category.id} != own]
    if not others:
        context.window.tell("There is no other category yet: add one with Pose > Skeleton for new poses...")
        return

    def take(dialog: AskDialog) -> None:
        known = {category.id: category for category in session.categories()}
        category = known.get(_whole(dialog.chosen()))
        ids = {pose.id for pose in chosen}
        poses = [pose for pose in session.instances if pose.id in ids]
        if category is not None and session.frame is not None and poses:
            session.apply(edits.set_category(session.frame, poses, category, known))

    AskDialog(
        (
            "Change category"
        ), "Keypoints of the same name are kept; the others of the new category are absent.", "Change",
        context.window.widget(), choices=[(category.name, category.id) for category in others],
    ).ask(take)  # fmt: skip


def merge_poses(context: Context) -> None:
    """The selected poses are one."""
    session = context.session
    frame, chosen = session.frame, session.selected
    if frame is None or _any_locked(context, chosen):
        return
    edit = _made(context, lambda: groups.merge_instances(frame, chosen))
    if edit is not None and session.apply(edit):
        session.select(instances=[chosen[0].id])


def split_pose(context: Context) -> None:
    """The selected points are a pose of their own."""
    session = context.session
    frame, store = session.frame, session.store
    owners = {instance for instance, _ in session.selected_points}
    if frame is None or store is None or len(owners) != 1:
        context.window.tell("Select some keypoints of one pose first: Shift+drag a rectangle around them")
        return
    pose = session.selected[0]
    if _any_locked(context, [pose]):
        return
    points = [point for _, point in session.selected_points]
    new_id = store.new_ids(1)[0]
    edit = _made(context, lambda: groups.split_instance(frame, pose, points, new_id))
    if edit is not None and session.apply(edit):
        session.select(instances=[new_id])


def assist(context: Context) -> None:
    """Whether the model follows corrections."""
    context.settings.assist = not context.settings.assist
    if not context.settings.assist:
        context.session.propose(None)
    elif not context.host.holds(context.choice):
        context.runner.submit(WarmUpJob(context.host, context.choice))
    state = "on: after a drag, Enter takes what the model proposes" if context.settings.assist else "off"
    context.window.tell(f"Assist is {state}")
    context.window.refresh_actions()


def hide_poses(context: Context) -> None:
    """The selected poses are not drawn."""
    session = context.session
    session.hide_and_lock(session.hidden | {pose.id for pose in session.selected}, session.locked)
    context.window.tell("Hidden. Ctrl+Shift+H shows all.")


def lock_poses(context: Context) -> None:
    """The selected poses are drawn but not touched."""
    session = context.session
    session.hide_and_lock(session.hidden, session.locked | {pose.id for pose in session.selected})
    context.window.tell("Locked. Ctrl+Shift+H unlocks all.")


def hide_points(context: Context) -> None:
    """The selected points are not drawn."""
    session = context.session
    session.hide_and_lock_points(session.hidden_points | session.selected_points, session.locked_points)
    context.window.tell("Hidden. Ctrl+Shift+H shows all.")


def lock_points(context: Context) -> None:
    """The selected points are drawn but not touched; where all of them are locked already, they are free again."""
    session = context.session
    chosen = session.selected_points
    free = chosen <= session.locked_points
    locked = session.locked_points - chosen if free else session.locked_points | chosen
    session.hide_and_lock_points(session.hidden_points, locked)
    context.window.tell("Unlocked" if free else "Locked. Ctrl+Shift+H unlocks all.")


def show_all_poses(context: Context) -> None:
    """Nothing is hidden, locked, or out of focus."""
    context.session.hide_and_lock((), ())
    context.session.hide_and_lock_points((), ())
    _focus(context, None)


def next_part(context: Context) -> None:
    """The next part of the points alone, after the last all of them again."""
    session = context.session
    schemas = [session.schema_of(pose) for pose in session.selected or session.instances]
    names = list(dict.fromkeys(part for schema in schemas for part in schema.parts))
    if len(names) < 2:
        context.window.tell("This skeleton has only one part")
        return
    now = context.canvas.style_now.parts
    at = names.index(next(iter(now))) if now and next(iter(now)) in names else -1
    part = names[at + 1] if at + 1 < len(names) else None
    _focus(context, part)
    context.window.tell("All parts" if part is None else f"Only {part.replace('_', ' ')}. Shift+B goes on.")


def _focus(context: Context, part: str | None) -> None:
    context.canvas.set_style(replace(context.canvas.style_now, parts=None if part is None else frozenset({part})))


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
    (pose_id,) = session.store.new_ids(1)
    seen = placed.visibility > 0
    if not seen.any():
        return
    points = placed.keypoints[seen]
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    created = edits.make_instance(
        pose_id, session.category, placed.keypoints, placed.visibility, box=_grown(context, box)
    )
    if placed.decided is not None:  # a point that was skipped is absent because a person says so
        created = replace(created, by_human=placed.decided.copy())
    if session.apply(edits.add_instance(session.frame, created, text="Place pose")):
        session.select(instances=[pose_id])


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
        (index,) = store.new_ids(1)
        seen = np.where(chosen, VISIBLE, ABSENT)
        created = edits.make_instance(index, category, points, seen, box=box)
        created = replace(created, by_human=np.zeros(len(seen), np.bool_), state=State.PREDICTED, source=TEMPLATE)
        if session.apply(edits.add_instance(key, created, text="Add pose from template")):
            session.select(instances=[index])

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


def _any_locked(context: Context, poses: list[Instance]) -> bool:
    """Whether one of the poses is locked or has a locked point; that is told."""
    session = context.session
    hidden_or_locked = session.locked | {index for index, _ in session.locked_points}
    is_any_locked = any(pose.id in hidden_or_locked for pose in poses)
    if is_any_locked:
        context.window.tell("Locked: cannot be changed. Ctrl+Shift+H unlocks all.")
    return is_any_locked


def _made(context: Context, make) -> Edit | None:  # type: ignore[no-untyped-def]
    finish_placing(context)
    try:
        edit: Edit = make()
    except PoseError as error:
        context.window.tell(f"{error.message[0].upper()}{error.message[1:]}")
        return None
    return edit


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
