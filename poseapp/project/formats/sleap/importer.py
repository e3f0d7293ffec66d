"""SLEAP labels (``.slp``) into a project; what the file means: :mod:`engine.formats.sleap.reader`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.formats.sleap.reader import SOURCE, SleapReader
from engine.utils.context import Context, ProgressCallback
from poseapp.project.formats.report import ImportReport
from poseapp.project.importing import import_labels
from poseapp.project.store import ProjectStore


def import_sleap(
    store: ProjectStore,
    path: Path | str,
    *,
    videos: Mapping[str, Path] | None = None,
    cache: Path | None = None,
    progress: ProgressCallback | None = None,
    home: Path | None = None,
) -> ImportReport:
    """Add the labels of a SLEAP file, and its videos; all of it or nothing.

    Args:
        videos: where videos are now, by their path in the file; others are looked for around it.
        cache: folder where indices of videos are kept.
        progress: called now and then with instances done and in all; what it raises stops the import.
        home: folder for images that the file itself holds; None = that of the project.

    Raises:
        ProjectError: the file cannot be understood, or the project cannot be written.
    """
    context = Context.from_callback(progress)
    with SleapReader(Path(path), context, videos) as labels:
        return import_labels(store, labels, source=SOURCE, videos=videos, cache=cache, home=home, context=context)
