"""Verbs that go somewhere: frames, the review queue, poses."""

from __future__ import annotations

import numpy as np

from poseapp.commands.context import Context
from poseapp.commands.edit import nudge
from poseapp.dialogs.prompt import AskDialog
from poseapp.project.model import FrameKey


def next_frame(context: Context) -> None:
    context.session.step(1)


def previous_frame(context: Context) -> None:
    context.session.step(-1)


def next_ten(context: Context) -> None:
    context.session.step(10)


def previous_ten(context: Context) -> None:
    context.session.step(-10)


def first_frame(context: Context) -> None:
    context.session.step(-len(context.session.frames))


def last_frame(context: Context) -> None:
    context.session.step(len(context.session.frames))


def go_to_frame(context: Context) -> None:
    """Ask for a number. Frames of a video are counted from 0, as in all files that are written, pictures from 1."""
    session = context.session
    store, here = session.store, session.frame
    if store is None or here is None:
        return
    frames, first = session.frames, 1
    if any(media.id == here.media and media.kind == "video" for media in store.media()):
        indices = frames.packed[frames.packed >> 32 == here.media] & 0xFFFFFFFF
        first, last, now = int(indices.min()), int(indices.max()), here.index

        def frame_at(index: int) -> FrameKey:
            return FrameKey(here.media, int(indices[np.abs(indices - index).argmin()]))
    else:
        last, now = len(frames), session.position() + 1

        def frame_at(index: int) -> FrameKey:
            return frames[index - 1]

    def go(dialog: AskDialog) -> None:
        if dialog.number is not None and session.store is store:
            session.go_to(frame_at(dialog.number.value()))

    AskDialog(
        "Go to frame", f"A number from {first:,} to {last:,}.", "Go", context.window.widget(),
        number_range=("Frame number", first, last, now),
    ).ask(go)  # fmt: skip


def next_pose(context: Context) -> None:
    _cycle(context, 1)


def previous_pose(context: Context) -> None:
    _cycle(context, -1)


def _cycle(context: Context, direction: int) -> None:
    session = context.session
    ids = [i.id for i in session.instances]
    if not ids:
        return
    now = [ids.index(i.id) for i in session.selected]
    position = (now[-1] + direction) % len(ids) if now else (0 if direction > 0 else len(ids) - 1)
    session.select(instances=[ids[position]])


def select_nth_pose(context: Context, index: int) -> None:
    """The n-th pose of the frame, counted from 1."""
    instances = context.session.instances
    if index <= len(instances):
        context.session.select(instances=[instances[index - 1].id])


def next_point(context: Context) -> None:
    """Select the next point of the selected pose in the order of its kind; the first after the last."""
    _step_point(context, 1)


def previous_point(context: Context) -> None:
    """Select the point before."""
    _step_point(context, -1)


def _step_point(context: Context, by: int) -> None:
    session = context.session
    poses = session.selected or session.instances[:1]
    if not poses:
        return
    pose = poses[0]
    here = [k for i, k in session.selected_points if i == pose.id]
    point = (max(here) if by > 0 else min(here)) + by if here else (0 if by > 0 else -1)
    session.select(instances=[pose.id], points=[(pose.id, point % pose.num_keypoints)])


def nudge_left(context: Context) -> None:
    if not nudge(context, -1, 0):
        previous_frame(context)


def nudge_right(context: Context) -> None:
    if not nudge(context, 1, 0):
        next_frame(context)


def nudge_up(context: Context) -> None:
    nudge(context, 0, -1)


def nudge_down(context: Context) -> None:
    nudge(context, 0, 1)


def nudge_left_far(context: Context) -> None:
    nudge(context, -10, 0)


def nudge_right_far(context: Context) -> None:
    nudge(context, 10, 0)


def nudge_up_far(context: Context) -> None:
    nudge(context, 0, -10)


def nudge_down_far(context: Context) -> None:
    nudge(context, 0, 10)
