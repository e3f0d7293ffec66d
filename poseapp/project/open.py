"""Opening whatever a person points at: a project, a folder, images, a video, COCO, DeepLabCut or SLEAP labels."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_data_dir

from engine.contract.errors import ProjectError
from engine.media.images import is_image
from engine.media.source import is_video, open_media
from poseapp.project.importers.coco import import_coco
from poseapp.project.importers.datasets import import_dataset, is_dataset
from poseapp.project.importers.dlc import import_dlc, is_dlc_folder
from poseapp.project.importers.images import import_folder, import_images
from poseapp.project.importers.report import ImportReport, ProgressCallback
from poseapp.project.importers.sleap import import_sleap
from poseapp.project.importers.videos import find_video, import_video
from poseapp.project.store import ProjectStore
from poseapp.project.video_cache import project_cache

SUFFIX = ".pose"


def open_any(paths: Path | str | Sequence[Path | str], *, progress: ProgressCallback | None = None) -> ProjectStore:
    """Open the project of these paths, or make one beside them and import them; see :func:`open_with_report`."""
    return open_with_report(paths, progress=progress)[0]


def open_with_report(
    paths: Path | str | Sequence[Path | str], *, progress: ProgressCallback | None = None
) -> tuple[ProjectStore, ImportReport]:
    """Open the project of these paths, or make one beside them and import them.

    A folder that was opened before is looked through for new images. A label file that was imported before is not read
    again: the project has taken its place.

    Raises:
        PoseError: nothing there, nothing that can be opened, or an import that failed (then no project is left behind).
    """
    listed = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    if not listed:
        raise ProjectError("nothing to open")
    for path in listed:
        if not path.exists():
            raise ProjectError("does not exist", where=path)
    projects = [path for path in listed if path.suffix.lower() == SUFFIX and path.is_file()]
    if len(projects) > 1:
        raise ProjectError("one project at a time can be opened in a window", where=projects[1])
    home = projects[0] if projects else project_path(listed)
    is_new = not home.exists()
    store = ProjectStore.create(home) if is_new else ProjectStore.open(home)
    try:
        # A project without media is what is left where the power went in the middle of an import.
        fresh = is_new or not store.media()
        report = _import_all(store, [p for p in listed if p not in projects], fresh or bool(projects), progress)
    except BaseException:
        store.close()
        if is_new:
            _remove(home)
        raise
    return store, report


def project_path(paths: Sequence[Path]) -> Path:
    """Where the project of these paths lies, or is to be made.

    Inside a folder, under its name; beside a label file, under its name; for images in their folder. Where that cannot
    be written, among the user's own data.
    """
    first = Path(os.path.abspath(paths[0]))
    folder = first if first.is_dir() else first.parent
    stem = first.stem if first.is_file() and not is_image(first) else folder.name or "project"
    home = folder / f"{stem}{SUFFIX}"
    if home.exists() or os.access(folder, os.W_OK):
        return home
    own = Path(user_data_dir("poseapp")) / "projects"
    own.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return own / f"{stem}-{mark}{SUFFIX}"


def _import_all(
    store: ProjectStore, paths: Sequence[Path], labels: bool, progress: ProgressCallback | None
) -> ImportReport:
    """Import each path; label files only with ``labels``."""
    report = ImportReport()
    images = [path for path in paths if path.is_file() and is_image(path)]
    if images:
        _join(report, import_images(store, images))
    for path in paths:
        if path in images:
            continue
        if is_dataset(path):
            if labels:
                _join(report, import_dataset(store, path, progress=progress))
        elif path.is_dir() and not is_dlc_folder(path):
            _join(report, import_folder(store, path))
        elif path.is_dir() or path.suffix.lower() in (".csv", ".h5"):
            if labels:
                _join(report, import_dlc(store, path, cache=project_cache(store.path)))
        elif path.suffix.lower() == ".json":
            if labels:
                _join(report, import_coco(store, path, progress=progress, cache=project_cache(store.path)))
        elif path.suffix.lower() == ".slp":
            if labels:
                _join(report, import_sleap(store, path, cache=project_cache(store.path), progress=progress))
        elif is_video(path):
            _join(report, _import_video(store, path))
        else:
            raise ProjectError(
                "cannot be opened: give images, a folder, a video, a COCO .json, a DeepLabCut .csv or .h5, a SLEAP "
                ".slp or a .pose project",
                where=path,
            )
    return report


def _import_video(store: ProjectStore, path: Path) -> ImportReport:
    """A video with its frames, and what is wrong with it."""
    report = ImportReport()
    if find_video(store, path) is None:
        with open_media(path, cache=project_cache(store.path)) as video:
            report.images = video.frame_count
            report.problems = [f"{path.name} {problem}" for problem in video.problems]
        import_video(store, path, cache=project_cache(store.path))
    return report


def _join(report: ImportReport, other: ImportReport) -> None:
    report.images += other.images
    report.annotations += other.annotations
    report.problems += other.problems


def _remove(home: Path) -> None:
    for name in (home.name, f"{home.name}-wal", f"{home.name}-shm"):
        with contextlib.suppress(OSError):
            os.unlink(home.with_name(name))
