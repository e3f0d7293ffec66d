"""Published data sets in their own layouts into a project, by way of COCO records; see ``engine.formats.datasets``."""

from __future__ import annotations

from pathlib import Path

from engine.formats.datasets import is_coco_style, open_dataset, to_document
from poseapp.project.formats.coco.importer import import_coco
from poseapp.project.formats.report import ImportReport, ProgressCallback
from poseapp.project.store import ProjectStore


def is_dataset(path: Path | str) -> bool:
    """Whether a path is a data set that is not written as COCO: a list of AI Challenger, a landmark list or the folder
    of DeepFashion, a folder of DeepFashion2."""
    return not is_coco_style(path)


def import_dataset(
    store: ProjectStore,
    path: Path | str,
    images: Path | str = "",
    *,
    kind: str = "",
    split: str = "",
    progress: ProgressCallback | None = None,
) -> ImportReport:
    """Add a published data set to a project; all of it or nothing.

    Garments of DeepFashion2 get only the points of their own category. Export writes plain COCO, not the layout that
    was read.

    Args:
        images: folder of the images; "" = where the layout has them, else looked for around the annotations.
        kind, split: see :func:`engine.formats.datasets.open_dataset`.

    Raises:
        CocoError: the annotations cannot be understood. ProjectError: the project cannot be written.
    """
    data = open_dataset(kind, path, images, split=split)
    folder = Path(images) if str(images) else next((i.folder for i in data.images if i.path.is_file()), None)
    report = import_coco(store, path, folder, progress=progress, document=to_document(data, own_points=True))
    report.problems += [f"Left out: {count} records with {why}" for why, count in data.dropped.items()]
    return report
