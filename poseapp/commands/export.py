"""Commands that export labels, tables, frames and videos; the registry of exports says what there is to choose."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QFileDialog

from poseapp.app.i18n import tr
from poseapp.app.reports import Report
from poseapp.canvas.render.pose_colors import pose_colors
from poseapp.commands.context import Context
from poseapp.jobs.exporting import StepsJob, export_job
from poseapp.project.exports.files import FilesReport
from poseapp.project.exports.registry import ExportOptions, exports_of

if TYPE_CHECKING:
    from poseapp.project.exports.registry import Export


def export_labels(context: Context) -> None:
    """Ask where, in which format and how, then write the labels."""
    session = context.session
    store, path = session.store, session.path
    if store is None or path is None:
        return
    from poseapp.dialogs.export_labels import ExportLabelsDialog, LabelExport
    from poseapp.project.exports.label_format import features_of, label_exports  # with all formats

    exports = label_exports()
    dialog = ExportLabelsDialog(
        exports,
        store.summary(),
        path.with_name(f"{path.stem}-labels"),
        context.settings.export_choices_of(path),
        context.window.widget(),
    )

    def start(chosen: LabelExport) -> None:
        context.settings.keep_export_choices_of(path, chosen.choices())
        export = next(export for export in exports if export.name == chosen.format)
        options = replace(
            _options(context),
            include_predicted=chosen.include_predicted,
            labelled_only=chosen.labelled_only,
            images=chosen.images,
            splits=chosen.splits,
            split_by=chosen.split_by,
        )
        start_export(context, export_job(path, chosen.target, export, options), export.unit)

    dialog.accepted_export.connect(start)
    dialog.queries.use(store, len(session.frames))
    dialog.queries.ask("features", features_of, dialog.show_features, once=True)
    dialog.open()


def export_tracks(context: Context) -> None:
    """Ask where and as what, then write the poses of all frames as a table."""
    _export_file(context, exports_of("export_tracks"), "Export poses as a table", "tracks")


def export_video(context: Context) -> None:
    """Ask where, then write the frames in sight as a video with the poses drawn."""
    _export_file(context, exports_of("export_video"), "Export a video with the poses drawn", "labelled")


def export_frames(context: Context) -> None:
    """Ask for a folder, then write the labelled frames with a COCO file."""
    path = context.session.path
    if path is None:
        return
    folder = QFileDialog.getExistingDirectory(
        context.window.widget(), tr("A folder for the labelled frames"), str(path.parent)
    )
    if folder:
        (export,) = exports_of("export_frames")
        job = export_job(path, Path(folder), export, ExportOptions(include_predicted=False))
        start_export(context, job, export.unit)


def _export_file(context: Context, exports: Sequence[Export], title: str, ending: str) -> None:
    """Ask for a file and its type, then export.

    Args:
        ending: of the suggested name.
    """
    path = context.session.path
    if path is None:
        return
    suggested = path.with_name(f"{path.stem}-{ending}{exports[0].suffix}")
    by_filter = {file_filter(export): export for export in exports}
    chosen, chosen_filter = QFileDialog.getSaveFileName(
        context.window.widget(), tr(title), str(suggested), ";;".join(by_filter)
    )
    if not chosen:
        return
    export = by_filter.get(chosen_filter, exports[0])
    target = Path(chosen)
    suffix = target.suffix.lower()
    typed = next((other for other in exports if suffix and other.suffix == suffix), None)
    if suffix != export.suffix and typed is not None and suffix != suggested.suffix:
        export = typed
    elif suffix != export.suffix:
        stem = target.with_suffix("") if suffix == suggested.suffix else target
        target = stem.with_name(stem.name + export.suffix)
        if os.path.exists(target):  # the dialog has asked about another name
            context.window.tell(f"{target.name} exists already; choose another name", "warning")
            return
    start_export(context, export_job(path, target, export, _options(context)), export.unit)


def file_filter(export: Export) -> str:
    """An entry of the file types in a save dialog."""
    return tr(f"{export.title} (*{export.suffix})")


def _options(context: Context) -> ExportOptions:
    frame = context.session.frame
    if frame is None:
        return ExportOptions()
    colors = pose_colors(context.canvas.style_now)
    return ExportOptions(media=frame.media, frames=_marked_range(context, frame.media), colors=colors)


def _marked_range(context: Context, media: int) -> tuple[int, int] | None:
    """First and last frame index of the range that is marked in a media."""
    frames = context.session.frames
    positions = context.session.frame_range.places(frames)
    if positions is None or context.session.frame_range.media != media:
        return None
    return frames[positions[0]].index, frames[positions[1]].index


def start_export(context: Context, job: StepsJob, unit: str) -> int:
    """Run an export and say how it ended; the job's id."""

    def finish(results: list[Any]) -> None:
        for report in results:
            if isinstance(report, FilesReport):
                summary = f"{report.count:,} {unit} written to {report.path.name}"
                if report.problems:
                    title = f"Export of {report.path.name}"
                    context.window.report(Report(title, f"{summary}.", tuple(report.problems)))
                else:
                    context.window.tell(summary, "good")

    return context.runner.submit(job, on_results=finish)
