"""Verbs on the file of a video: where it lies now, and what becomes of the labels when it is another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QFileDialog

from engine.errors import PoseError
from engine.media.alignment.fingerprint import Fingerprint
from engine.media.source import VIDEO_SUFFIXES
from engine.media.video.index.folder import index_home
from engine.media.video.index.index import index_folder
from poseapp.app.i18n import tr
from poseapp.commands.context import Context
from poseapp.dialogs.relink import RelinkDialog
from poseapp.jobs.base import Outcome
from poseapp.jobs.check_videos import CheckVideosJob, VideoCheck
from poseapp.jobs.video_relink import AlignJob, Proposal, facts_of
from poseapp.project.model import Change, FrameKey
from poseapp.project.relink.fingerprints import fingerprints, keep_fingerprint
from poseapp.project.relink.remap import Mapping, NewFile, plan_remap, relink_video, remap_video
from poseapp.project.store import ProjectStore


def find_video(context: Context) -> None:
    """Ask where the video of this frame lies now."""
    store, key = context.session.store, context.session.frame
    media = None if store is None or key is None else next((m for m in store.media() if m.id == key.media), None)
    if store is None or media is None or media.kind != "video":
        context.window.tell("This frame is an image of a folder, not of a video")
        return
    ask_for_video(context, media.id)


def ask_for_video(context: Context, media: int) -> None:
    """Ask where a video of the project lies now."""
    store = context.session.store
    path = None if store is None else next((Path(m.path) for m in store.media() if m.id == media), None)
    if path is None:
        return
    kinds = f"Videos ({' '.join(f'*{suffix} *{suffix.upper()}' for suffix in sorted(VIDEO_SUFFIXES))});;All files (*)"
    title = f"Where is {path.name} now?"
    chosen, _ = QFileDialog.getOpenFileName(context.window.widget(), tr(title), str(path.parent), tr(kinds))
    if chosen:
        link_video(context, media, Path(chosen))


def link_video(context: Context, media: int, path: Path) -> int | None:
    """Take a file for a video of the project; what to do is asked where its frames are not those that were labelled.

    Returns the job's id.
    """
    store = context.session.store
    if store is None:
        return None

    def take(results: list[Any]) -> None:
        for check in results:
            if context.session.store is not store:
                return
            if check.fits:
                _link(context, store, check)
            elif check.differs:
                offer(context, check)
            else:
                context.window.tell(f"Not used: {check.text}", "error")

    return context.runner.submit(CheckVideosJob([(media, path, fingerprints(store).get(media, ""))]), on_results=take)


def _link(context: Context, store: ProjectStore, check: VideoCheck) -> None:
    """The frames are those that were labelled: it only lies elsewhere."""
    try:
        store.move_media(check.media, check.path)
        keep_fingerprint(store, check.media, check.fingerprint)
    except PoseError as error:
        context.window.tell(str(error), "error")
        return
    context.session.announce(Change(structure=True, media=frozenset({check.media})))
    context.window.tell(check.text or f"{check.path.name} is the video that was labelled", "good")


def offer(context: Context, check: VideoCheck) -> RelinkDialog | None:
    """Say how a file differs from the one that was labelled, and ask what to do; nothing is changed before."""
    session, store = context.session, context.session.store
    new = facts_of(check.fingerprint, check.path.name)
    if store is None or session.path is None or new is None or not any(m.id == check.media for m in store.media()):
        return None
    old = facts_of(check.kept, next(Path(m.path).name for m in store.media() if m.id == check.media))
    dialog = RelinkDialog(
        old, new, check.text, lambda mapping: plan_remap(store, check.media, mapping), context.window.widget()
    )
    job_id = _compare(context, store, check, dialog)
    dialog.left.connect(lambda: context.runner.cancel(job_id))
    dialog.other_requested.connect(lambda: ask_for_video(context, check.media))
    dialog.use_requested.connect(lambda: context.runner.cancel(job_id))
    dialog.use_requested.connect(lambda: _use(context, store, check))
    dialog.remap_requested.connect(lambda proposal, mapping: _remap(context, store, proposal, mapping))
    dialog.open()
    return dialog


def _compare(context: Context, store: ProjectStore, check: VideoCheck, dialog: RelinkDialog) -> int:
    """Look for the labelled frames in the background; the dialog shows how far, and what was found."""
    open_now = [dialog]
    dialog.finished.connect(lambda _code: open_now.clear())

    def found(results: list[Any]) -> None:
        for proposal in results:
            if open_now and context.session.store is store:
                dialog.show_proposal(proposal)

    def ended(outcome: Outcome) -> None:
        context.runner.progress.disconnect(connection)
        if outcome.error is not None and open_now:
            dialog.show_failure(str(outcome.error))

    job = AlignJob(store.path, check.media, check.path, check.fingerprint, (index_home(), index_folder()))
    job_id = context.runner.submit(job, on_results=found, on_finished=ended)
    connection = context.runner.progress.connect(
        lambda id, step: dialog.show_progress(step.done, step.total) if open_now and id == job_id else None
    )
    return job_id


def _use(context: Context, store: ProjectStore, check: VideoCheck) -> None:
    mark = Fingerprint.from_text(check.fingerprint)
    new = NewFile(check.path, check.fingerprint, mark.frame_count, mark.size)
    _done(context, store, f"{check.path.name} is used as it is", lambda: relink_video(store, check.media, new))


def _remap(context: Context, store: ProjectStore, proposal: Proposal, mapping: Mapping) -> None:
    name, here = proposal.new.path.name, context.session.frame
    moved = _done(
        context,
        store,
        f"The labels are now on the frames of {name} that show the same. Undo reverts it.",
        lambda: remap_video(store, proposal.media, proposal.new, mapping),
    )
    if moved and here is not None and here.media == proposal.media and mapping[here.index] >= 0:
        context.session.go_to(FrameKey(here.media, int(mapping[here.index])))  # the same picture as before


def _done(context: Context, store: ProjectStore, text: str, change: Any) -> bool:
    """Change the project and say so; whether it was changed."""
    if context.session.store is not store:
        return False
    try:
        change_made = change()
    except PoseError as error:
        context.window.tell(str(error), "error")
        return False
    context.session.announce(change_made)
    context.window.tell(text, "good")
    return True
