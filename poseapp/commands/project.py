"""Verbs on the project as a whole: its snapshots."""

from __future__ import annotations

from typing import Any

from engine.contract.errors import PoseError
from poseapp.commands.context import Context
from poseapp.commands.labels import finish_placing
from poseapp.dialogs.snapshots import SnapshotsDialog
from poseapp.jobs.job import Outcome
from poseapp.jobs.project_files import SnapshotJob
from poseapp.project.snapshots import Snapshot, delete_snapshot


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
