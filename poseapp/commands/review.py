"""Review of predictions: going through the queue, accepting, rejecting, marking frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from poseapp.app import gc_control
from poseapp.commands.context import Context
from poseapp.dialogs.prompt import AskDialog
from poseapp.project import edits
from poseapp.project.edits import groups
from poseapp.project.edits.locks import without_locked
from poseapp.project.edits.predictions import TEMPLATE
from poseapp.project.model import ABSENT, Change, Edit, FrameEdit, FrameKey, Instance, State
from poseapp.project.store import ProjectStore

Found = dict[FrameKey, list[Instance]]


# --- the review queue


def next_review(context: Context) -> None:
    _review(context, 1)


def previous_review(context: Context) -> None:
    _review(context, -1)


def _review(context: Context, direction: int) -> None:
    """The neighbour of the place that one has reached in the queue. A prediction is selected, ready for Enter."""
    session = context.session
    if session.store is None:
        return
    next_frame = session.review.next(back=direction < 0)
    if next_frame is None:
        context.window.tell("Nothing left to review", "good")
        return
    if next_frame == session.frame:
        context.window.tell("This is the last frame to review")
    session.go_to(next_frame)
    if session.review.select_findings(next_frame):
        return
    waiting = session.predicted()
    if waiting:
        session.select(instances=[min(waiting, key=lambda i: 1.0 if i.score is None else i.score).id])


# --- one frame


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
        text = "Mark as empty"
        context.session.apply(edits.set_frame_state(info.key, info.state, reviewed=True, negative=True, text=text))


def _confirm(context: Context, poses: list[Instance]) -> None:
    """Poses that were corrected are right now: no point is the model's any more, and none is offered."""
    session = context.session
    after = tuple(replace(i, by_human=i.by_human | (i.visibility != ABSENT)) for i in poses)
    pairs = [(old, new) for old, new in zip(poses, after) if not new.same_as(old)]
    if session.frame is not None and pairs:
        before, after = zip(*pairs)
        session.apply(Edit("Accept pose", (FrameEdit(session.frame, before, after),)))
    session.end_correction([i.id for i in poses])


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
        return f"{total:,} predictions in {len(edit.frames):,} frames accepted. Ctrl+Z reverts it."

    edit_everywhere(
        context,
        lambda result: edits.accept_frames(_measured(result.items())),
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
            "The model found nothing here. Draw a box (N) or place keypoints (P) where it missed something."
        )
    elif session.predicted():
        context.window.tell("Select the prediction to reject; Delete removes labelled poses")


def nothing_here(context: Context) -> None:
    """This frame holds nothing to label; said again, it does."""
    session = context.session
    info = session.frame_info()
    if info is None:
        return
    if not info.state.negative and any(i.state is State.LABELLED for i in session.instances):
        context.window.tell("This frame has labelled poses: delete them first, or leave the frame as it is")
        return
    session.apply(edits.set_frame_state(info.key, info.state, negative=not info.state.negative))


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


# --- all frames


def check_labels(context: Context) -> None:
    """What checks find in the labels of the project, as a list with the fixes that there are."""
    context.window.check_labels()


def delete_below(context: Context) -> None:
    """Predictions of the project that score less than a number."""
    session = context.session
    store = session.store
    if store is None:
        return

    def take(dialog: AskDialog) -> None:
        threshold = 0.0 if dialog.number is None else dialog.number.value() / 100
        edit_everywhere(
            context,
            lambda result: groups.delete_below_score(result.items(), threshold),
            lambda edit: f"{edit.text.replace('Delete', 'Deleted', 1)}. Ctrl+Z brings them back.",
            f"No prediction scores below {threshold:.2f}",
        )

    AskDialog(
        "Delete below a score", "Predictions of all frames. Labels are kept, and Undo restores everything.", "Delete",
        context.window.widget(), number_range=("Score below", 1, 100, 30), unit=" %",
    ).ask(take)  # fmt: skip


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
        free = without_locked(edit, session.locked, session.locked_points)
        if free is None:
            context.window.tell("Locked: cannot be changed. Ctrl+Shift+H unlocks all.", "info")
        elif not free.frames:
            context.window.tell(nothing)
        else:
            session.chunked_edits.start(
                lambda: shown.apply_in_chunks(free), "Changing", lambda change: told(free, change)
            )

    def told(edit: Edit, change: Change) -> None:
        session.announce(change)
        context.window.tell(done(edit), "good")

    def work(store: ProjectStore) -> Edit:
        with gc_control.paused():
            return make(predictions(store))

    session.chunked_edits.finish()  # what is under way is not seen from the other thread
    session.queries.ask("bulk edit", work, take, once=True)
