"""Verbs on files: open, export, close."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog

from engine.contract.errors import PoseError
from engine.media.images import IMAGE_SUFFIXES
from engine.media.source import VIDEO_SUFFIXES
from poseapp.commands.context import Context
from poseapp.dialogs.export_coco import ExportCocoDialog, ExportWish
from poseapp.i18n import tr
from poseapp.jobs.check_videos import CheckVideosJob
from poseapp.jobs.job import Outcome
from poseapp.jobs.project_files import ExportCocoJob
from poseapp.project.fingerprints import fingerprints, keep_fingerprint
from resources import resource_path

SAMPLE_FILES = ("astronaut.jpg", "camera.png", "grace_hopper.jpg")


def open_folder(context: Context) -> None:
    chosen = QFileDialog.getExistingDirectory(
        context.window.widget(), tr("Open a folder of pictures"), str(context.settings.last_folder)
    )
    if chosen:
        _open(context, [Path(chosen)])


def open_images(context: Context) -> None:
    pictures, videos = (
        " ".join(f"*{suffix} *{suffix.upper()}" for suffix in sorted(kind)) for kind in (IMAGE_SUFFIXES, VIDEO_SUFFIXES)
    )
    chosen, _ = QFileDialog.getOpenFileNames(
        context.window.widget(),
        tr("Open pictures or a video"),
        str(context.settings.last_folder),
        tr(f"Pictures and videos ({pictures} {videos});;Pictures ({pictures});;Videos ({videos});;All files (*)"),
    )
    if chosen:
        _open(context, [Path(path) for path in chosen])


def open_coco(context: Context) -> None:
    _open_one(context, "Open a COCO annotation file", "COCO annotations (*.json);;All files (*)")


def open_deeplabcut(context: Context) -> None:
    _open_one(context, "Open DeepLabCut labels", "DeepLabCut labels (*.csv);;All files (*)")


def open_sleap(context: Context) -> None:
    _open_one(context, "Open SLEAP labels", "SLEAP labels (*.slp);;All files (*)")


def open_project(context: Context) -> None:
    _open_one(context, "Open a project", "Projects (*.pose);;All files (*)")


def _open_one(context: Context, title: str, kinds: str) -> None:
    chosen, _ = QFileDialog.getOpenFileName(
        context.window.widget(), tr(title), str(context.settings.last_folder), tr(kinds)
    )
    if chosen:
        _open(context, [Path(chosen)])


def _open(context: Context, paths: list[Path]) -> None:
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    context.settings.last_folder = folder
    context.window.open_paths(paths)


def find_video(context: Context) -> None:
    """Ask where the video of this frame lies now."""
    store, key = context.session.store, context.session.frame
    media = None if store is None or key is None else next((m for m in store.media() if m.id == key.media), None)
    if store is None or media is None or media.kind != "video":
        context.window.tell("This frame is a picture of a folder, not of a video")
        return
    kinds = f"Videos ({' '.join(f'*{suffix} *{suffix.upper()}' for suffix in sorted(VIDEO_SUFFIXES))});;All files (*)"
    title = f"Where is {Path(media.path).name} now?"
    chosen, _ = QFileDialog.getOpenFileName(context.window.widget(), tr(title), str(Path(media.path).parent), tr(kinds))
    if chosen:
        link_video(context, media.id, Path(chosen))


def link_video(context: Context, media: int, path: Path) -> int | None:
    """Take a file for a video of the project if its frames are those that were labelled; the job's id."""
    store = context.session.store
    if store is None:
        return None

    def take(results: list[Any]) -> None:
        for check in results:
            if context.session.store is not store:
                return
            if not check.fits:
                context.window.tell(f"Not taken: {check.text}", "error")
                continue
            try:
                store.move_media(media, check.path)
                keep_fingerprint(store, media, check.fingerprint)
            except PoseError as error:
                context.window.tell(str(error), "error")
                continue
            context.loader.clear()
            context.session.structure_changed()
            if context.session.frame is not None:
                context.session.frame_changed.emit(context.session.frame)
            context.window.tell(check.text or f"{check.path.name} is the video that was labelled", "good")

    return context.runner.submit(CheckVideosJob([(media, path, fingerprints(store).get(media, ""))]), on_results=take)


def open_sample(context: Context) -> None:
    """The sample photographs, in a folder of the user's own, so that the labels made on them stay."""
    try:
        folder = copy_sample(sample_folder())
    except OSError as error:
        context.window.tell(f"The sample cannot be copied to {error.filename}: {error.strerror}", "error")
        return
    context.window.open_paths([folder])


def sample_folder() -> Path:
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(base) / "poseapp" / "sample"


def copy_sample(folder: Path) -> Path:
    """Put the sample photographs into ``folder``; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SAMPLE_FILES:
        if not (folder / name).exists():
            shutil.copyfile(resource_path(f"sample/{name}"), folder / name)
    return folder


def export_coco(context: Context) -> None:
    """Ask where and what, then write in the background."""
    session = context.session
    if session.store is None:
        return
    dialog = ExportCocoDialog(session.store.summary(), _suggested(session.store.path), context.window.widget())
    dialog.accepted_wish.connect(lambda wish: write_coco(context, wish))
    dialog.open()


def write_coco(context: Context, wish: ExportWish) -> int:
    """Start the export and return the job's id."""
    assert context.session.path is not None

    def done(results: list[Any]) -> None:
        for result in results:
            context.window.tell(
                f"{result.annotations:,} poses of {result.images:,} images written to {result.path}", "good"
            )

    def ended(outcome: Outcome) -> None:
        if outcome.error is not None:
            context.window.tell(f"Not exported: {outcome.error}", "error")

    job = ExportCocoJob(
        context.session.path,
        wish.path,
        include_predicted=wish.include_predicted,
        only_labelled_frames=wish.only_labelled_frames,
    )
    return context.runner.submit(job, on_results=done, on_finished=ended)


def _suggested(project: Path) -> Path:
    return project.with_name(f"{project.stem}-labels.json")


def close_project(context: Context) -> None:
    context.canvas.cancel()
    context.session.close()


def quit(context: Context) -> None:
    context.window.close_window()
