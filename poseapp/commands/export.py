"""Verbs that write tracks, frames and videos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QFileDialog

from poseapp.app.i18n import tr
from poseapp.app.reports import Report
from poseapp.canvas.render.export_colors import pose_colors
from poseapp.commands.context import Context
from poseapp.jobs.exporting import StepsJob, frames_job, table_job, video_job
from poseapp.project.exports.files import FilesReport

KINDS = {
    "Table, one row per pose (*.csv)": ("csv", ".csv"),
    "Table for large projects (*.parquet)": ("parquet", ".parquet"),
    "DeepLabCut table (*.csv)": ("dlc", ".csv"),
}


def export_tracks(context: Context) -> None:
    """Ask where and as what, then write the poses of all frames as a table."""
    session = context.session
    if session.path is None or session.frame is None:
        return
    suggested = session.path.with_name(f"{session.path.stem}-tracks.csv")
    kinds = {tr(name): how for name, how in KINDS.items()}
    chosen, kind = QFileDialog.getSaveFileName(
        context.window.widget(), tr("Export poses as a table"), str(suggested), ";;".join(kinds)
    )
    if chosen:
        name, suffix = kinds.get(kind, ("csv", ".csv"))
        target = Path(chosen)
        if target.suffix.lower() == ".parquet":
            name = "parquet"
        elif name == "parquet" or not target.suffix:  # the name that was suggested ends in .csv
            bare = target.with_suffix("") if target.suffix.lower() == ".csv" else target
            target = bare.with_name(bare.name + suffix)
            if os.path.exists(target):  # nobody was asked whether it may go
                context.window.tell(f"{target.name} exists already; choose another name", "warning")
                return
        start_export(context, table_job(session.path, target, name, session.frame.media, True), "poses")


def export_frames(context: Context) -> None:
    """Ask for a folder, then write the labelled frames with a COCO file."""
    session = context.session
    if session.path is None:
        return
    chosen = QFileDialog.getExistingDirectory(
        context.window.widget(), tr("A folder for the labelled frames"), str(session.path.parent)
    )
    if chosen:
        start_export(context, frames_job(session.path, Path(chosen), False, "png"), "frames")


def export_video(context: Context) -> None:
    """Ask where, then write the frames in sight as a video with the poses drawn."""
    session = context.session
    if session.path is None or session.frame is None:
        return
    suggested = session.path.with_name(f"{session.path.stem}-labelled.mp4")
    chosen, _ = QFileDialog.getSaveFileName(
        context.window.widget(), tr("Export a video with the poses drawn"), str(suggested), tr("Videos (*.mp4)")
    )
    if chosen:
        target = Path(chosen).with_suffix(".mp4")
        media, colors = session.frame.media, pose_colors(context.canvas.style_now)
        job = video_job(session.path, target, media, True, _marked(context, media), colors)
        start_export(context, job, "frames")


def _marked(context: Context, media: int) -> tuple[int, int] | None:
    """First and last frame of the range that is marked in a media."""
    frames = context.session.frames
    places = context.session.in_out.places(frames)
    if places is None or context.session.in_out.media != media:
        return None
    return frames[places[0]].index, frames[places[1]].index


def start_export(context: Context, job: StepsJob, what: str) -> int:
    """Run an export and say how it ended; the job's id."""

    def take(results: list[Any]) -> None:
        for report in results:
            if isinstance(report, FilesReport):
                summary = f"{report.count:,} {what} written to {report.path.name}"
                if report.problems:
                    title = f"Export of {report.path.name}"
                    context.window.report(Report(title, f"{summary}.", tuple(report.problems)))
                else:
                    context.window.tell(summary, "good")

    return context.runner.submit(job, on_results=take)
