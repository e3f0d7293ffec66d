"""DeepLabCut labels into a project; what the tables mean: :mod:`engine.formats.deeplabcut.reader`."""

from __future__ import annotations

from pathlib import Path

from engine.formats.deeplabcut.folder import video_beside
from engine.formats.deeplabcut.reader import DlcReader
from engine.utils.context import Context, ProgressCallback
from poseapp.project.formats.report import ImportReport
from poseapp.project.importing import import_labels
from poseapp.project.store import ProjectStore


def import_dlc(
    store: ProjectStore,
    path: Path | str,
    *,
    cache: Path | None = None,
    progress: ProgressCallback | None = None,
) -> ImportReport:
    """Add labels to a project; all of them or nothing.

    Args:
        path: a csv or h5 of labels or of an analysed video, or the folder of a DeepLabCut project, of which all labels
            are taken.
        cache: folder where indices of videos are kept.
        progress: called now and then with instances done and in all; what it raises stops the import.

    Raises:
        ProjectError: no labels there, a file that is not a label table, or an analysed video that is missing.
    """
    context = Context.from_callback(progress)
    with DlcReader(Path(path), context) as labels:
        for file in labels.video_files:
            video_beside(file)
        return import_labels(store, labels, cache=cache, context=context)
