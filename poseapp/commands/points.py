"""Verbs that go from point to point of a pose, for hands on the keyboard."""

from __future__ import annotations

from poseapp.commands.context import Context


def next_point(context: Context) -> None:
    """Select the next point of the selected pose in the order of its kind; the first after the last."""
    _go(context, 1)


def previous_point(context: Context) -> None:
    """Select the point before."""
    _go(context, -1)


def _go(context: Context, by: int) -> None:
    session = context.session
    poses = session.selected or session.instances[:1]
    if not poses:
        return
    pose = poses[0]
    here = [k for i, k in session.selected_points if i == pose.id]
    place = (max(here) if by > 0 else min(here)) + by if here else (0 if by > 0 else -1)
    session.select(instances=[pose.id], points=[(pose.id, place % pose.num_keypoints)])
