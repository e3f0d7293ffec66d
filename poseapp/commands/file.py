"""Verbs on files: open, export, close."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog

from engine.media.images import IMAGE_SUFFIXES
from engine.media.source import VIDEO_SUFFIXES
from poseapp.app.i18n import tr
from poseapp.app.reports import Report
from poseapp.commands.context import Context
from poseapp.dialogs.export_coco import ExportCocoDialog, ExportWish
from poseapp.jobs.base import Outcome
from poseapp.jobs.opening import ExportCocoJob
from resources import resource_path

SAMPLE_FILES = ("astronaut.jpg", "camera.png", "grace_hopper.jpg")


def open_folder(context: Context) -> None:
    chosen = QFileDialog.getExistingDirectory(
        context.window.widget(), tr("Open a folder of images"), str(context.settings.last_folder)
    )
    if chosen:
        _open(context, [Path(chosen)])


def open_images(context: Context) -> None:
    pictures, videos = (
        " ".join(f"*{suffix} *{suffix.upper()}" for suffix in sorted(kind)) for kind in (IMAGE_SUFFIXES, VIDEO_SUFFIXES)
    )
    chosen, _ = QFileDialog.getOpenFileNames(
        context.window.widget(),
        tr("Open images or a video"),
        str(context.settings.last_folder),
        tr(f"Images and videos ({pictures} {videos});;Images ({pictures});;Videos ({videos});;All files (*)"),
    )
    if chosen:
        _open(context, [Path(path) for path in chosen])


def open_video(context: Context) -> None:
    kinds = " ".join(f"*{suffix} *{suffix.upper()}" for suffix in sorted(VIDEO_SUFFIXES))
    _open_one(context, "Open a video", f"Videos ({kinds});;All files (*)")


def open_coco(context: Context) -> None:
    _open_one(context, "Open a COCO annotation file", "COCO annotations (*.json);;All files (*)")


def open_labels(context: Context) -> None:
    """Labels in any format of the registry."""
    from poseapp.app.label_formats import open_filter  # with all formats: not needed to show the window

    _open_one(context, "Open labels", open_filter())


def import_labels(context: Context) -> None:
    """Ask for a label file, and show what importing it into the open project would do."""
    from poseapp.app.label_formats import open_filter  # with all formats: not needed to show the window

    chosen, _ = QFileDialog.getOpenFileName(
        context.window.widget(), tr("Import labels"), str(context.settings.last_folder), tr(open_filter())
    )
    if chosen:
        context.settings.last_folder = Path(chosen).parent
        context.window.preview_labels(Path(chosen))


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
    from poseapp.project.formats.coco.exporter import seen_frames  # with the exporter: not needed to show the window

    unseen = session.store.frame_count() - len(seen_frames(session.store))
    suggested = _suggested(session.store.path)
    dialog = ExportCocoDialog(session.store.summary(), suggested, context.window.widget(), unseen)
    dialog.accepted_wish.connect(lambda wish: write_coco(context, wish))
    dialog.open()


def write_coco(context: Context, wish: ExportWish) -> int:
    """Start the export and return the job's id."""
    assert context.session.path is not None

    def done(results: list[Any]) -> None:
        for result in results:
            images = f"{result.images:,} {'image' if result.images == 1 else 'images'}"
            poses = result.annotations - result.kept
            all_of_it = f"{images} with {poses:,} {'pose' if poses == 1 else 'poses'}"
            untouched = f" (and {result.kept:,} records without points, as they came)" if result.kept else ""
            summary = f"Exported {all_of_it} to {result.path}{untouched}"
            if result.left_out:
                summary += f"; {result.left_out:,} images without labels were left out"
            if result.problems:
                context.window.report(Report(f"Export of {result.path.name}", f"{summary}.", result.problems))
            else:
                context.window.tell(summary, "good")

    def ended(outcome: Outcome) -> None:
        if outcome.error is not None:
            context.window.tell(f"Not exported: {outcome.error}", "error")

    job = ExportCocoJob(
        context.session.path,
        wish.path,
        include_predicted=wish.include_predicted,
        only_labelled_frames=wish.only_labelled_frames,
        unseen_frames=wish.unseen_frames,
    )
    return context.runner.submit(job, on_results=done, on_finished=ended)


def _suggested(project: Path) -> Path:
    return project.with_name(f"{project.stem}-labels.json")


def close_project(context: Context) -> None:
    context.session.close()


def quit(context: Context) -> None:
    context.window.close_window()
