"""Edits of the whole project, made and written beside what the window does."""

from __future__ import annotations

from collections.abc import Callable

from poseapp.app import gc_control
from poseapp.commands.context import Context
from poseapp.project.edits.locks import held_edit
from poseapp.project.model import Change, Edit, FrameKey, Instance, State
from poseapp.project.store import ProjectStore

Found = dict[FrameKey, list[Instance]]


def predictions(store: ProjectStore) -> Found:
    """All predictions, by frame."""
    by_frame: Found = {}
    for key, instance in store.all_instances(State.PREDICTED):
        by_frame.setdefault(key, []).append(instance)
    return by_frame


def edit_everywhere(context: Context, make: Callable[[Found], Edit], done: Callable[[Edit], str], nothing: str) -> None:
    """Make an edit of all predictions and do it as one step; at once where there are few.

    Args:
        make: runs in another thread where there are many.
        done: what to tell once it is done.
        nothing: what to tell when the edit is empty.
    """
    session, shown = context.session, context.session.store
    if shown is None:
        return

    def take(edit: Edit) -> None:
        free = held_edit(edit, session.locked, session.locked_points)
        if free is None:
            context.window.tell("Locked: left as it is. Ctrl+Shift+H unlocks all.", "info")
        elif not free.frames:
            context.window.tell(nothing)
        else:
            session.long_steps.start(lambda: shown.apply_in_pieces(free), "Changing", lambda change: told(free, change))

    def told(edit: Edit, change: Change) -> None:
        session.tell_change(change)
        context.window.tell(done(edit), "good")

    def work(store: ProjectStore) -> Edit:
        with gc_control.paused():
            return make(predictions(store))

    session.long_steps.finish()  # what is under way is not seen from the other thread
    session.queries.ask("bulk edit", work, take, once=True)
