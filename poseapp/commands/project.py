"""Verbs on the project as a whole: copies and snapshots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QFileDialog

from engine.errors import PoseError
from poseapp.app.i18n import tr
from poseapp.commands.context import Context, finish_placing
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.snapshots import SnapshotsDialog
from poseapp.jobs.base import Outcome
from poseapp.jobs.opening import SaveCopyJob, SnapshotJob
from poseapp.project.storage import save_copy as copies
from poseapp.project.storage.database import SUFFIX
from poseapp.project.storage.snapshots import Snapshot, delete_snapshot


def save_copy(context: Context) -> None:
    """Ask for a name, then write the copy in the background. The project that is open stays the one it was."""
    store = context.session.store
    target = _ask_target(context)
    if store is None or target is None:
        return
    if store.database.is_gone:
        save_again(context, target)
        return

    def done(results: list[Any]) -> None:
        for path in results:
            context.window.tell(f"Copy saved as {path}", "good")

    def ended(outcome: Outcome) -> None:
        if outcome.error is not None:
            context.window.tell(str(outcome.error), "error")

    context.runner.submit(SaveCopyJob(store.path, target), on_results=done, on_finished=ended)


def save_again(context: Context, target: Path) -> None:
    """Save a project whose file has been deleted or replaced, and go on with the new file."""
    session = context.session
    store = session.store
    if store is None:
        return
    session.chunked_edits.finish()
    try:
        copies.save_copy(store.path, target, store.database.connection)
    except PoseError as error:
        context.window.tell(str(error), "error")
        return
    context.canvas.cancel()
    session.close()
    context.window.open_paths([target])


def ask_to_save_again(context: Context, path: Path) -> None:
    """The file is gone while the project is open: under which name shall all of it be saved?"""
    choices: list[tuple[str, object]] = [("Save a copy under another name...", "copy")]
    if not path.exists():
        choices.insert(0, ("Save it again under its name", "again"))
    text = (
        f"{path.name} was deleted, replaced or moved to another disk while it is open. All its labels are still here. "
        "Save them; edits are refused until then."
    )
    dialog = AskDialog("The project file is gone", text, "Save", context.window.widget(), choices=choices)
    context.session.project_changed.connect(dialog.close)

    def save(answer: AskDialog) -> None:
        target = path if answer.chosen() == "again" else _ask_target(context)
        if target is not None:
            save_again(context, target)

    dialog.ask(save)


def _ask_target(context: Context) -> Path | None:
    path = context.session.path
    if path is None:
        return None
    suggested = path.with_name(f"{path.stem}-copy{SUFFIX}")
    chosen, _ = QFileDialog.getSaveFileName(
        context.window.widget(), tr("Save a copy"), str(suggested), tr("Projects (*.pose);;All files (*)")
    )
    if not chosen:
        return None
    target = Path(chosen)
    if target.suffix.lower() != SUFFIX:
        target = target.with_name(target.name + SUFFIX)
        if os.path.exists(target):  # the dialog has asked about another name
            context.window.tell(f"{target.name} exists already; nothing was saved", "error")
            return None
    return target


def snapshots(context: Context) -> None:
    """Take, restore, open and delete snapshots."""
    session = context.session
    if session.path is None:
        return
    dialog = SnapshotsDialog(session.path, session.read_only, context.window.widget())
    dialog.take_requested.connect(lambda name: take_snapshot(context, name, dialog))
    dialog.restore_requested.connect(lambda snapshot: restore_snapshot(context, snapshot))
    dialog.open_requested.connect(lambda snapshot: open_snapshot(context, snapshot, dialog))
    dialog.delete_requested.connect(lambda snapshot: remove_snapshot(context, snapshot, dialog))
    session.project_changed.connect(dialog.close)
    dialog.show()


def take_snapshot(context: Context, name: str, dialog: SnapshotsDialog) -> None:
    """In the background; labelling goes on."""
    assert context.session.path is not None
    closed: list[bool] = []
    dialog.finished.connect(lambda _result: closed.append(True))

    def done(results: list[Any]) -> None:
        for snapshot in results:
            context.window.tell(f"Snapshot {snapshot.name} taken", "good")
        if not closed:
            dialog.refresh()

    def ended(outcome: Outcome) -> None:
        if outcome.error is not None:
            context.window.tell(str(outcome.error), "error")

    context.runner.submit(SnapshotJob(context.session.path, name), on_results=done, on_finished=ended)


def restore_snapshot(context: Context, snapshot: Snapshot) -> None:
    finish_placing(context)
    if context.session.restore(snapshot):
        context.window.tell(f"Snapshot {snapshot.name} is back. Undo takes you to where you were.", "good")


def open_snapshot(context: Context, snapshot: Snapshot, dialog: SnapshotsDialog) -> None:
    dialog.close()
    context.window.open_paths([snapshot.path])


def remove_snapshot(context: Context, snapshot: Snapshot, dialog: SnapshotsDialog) -> None:
    try:
        delete_snapshot(snapshot)
    except PoseError as error:
        context.window.tell(str(error), "error")
    dialog.refresh()
