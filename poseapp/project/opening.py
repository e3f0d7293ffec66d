"""Opening whatever a person points at: a project, a folder, images, a video, or labels of any known format."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_data_dir

from engine.errors import PoseError, ProjectError
from engine.formats.archives.extraction import file_names, is_archive, unpack
from engine.formats.registry import formats
from engine.formats.yolo.layout import configuration_of
from engine.media.images import is_image
from engine.media.source import has_frames, open_media, prepare_index
from engine.utils.context import Context
from engine.utils.file_names import side_name
from poseapp.project.formats.coco.archive import CocoArchive
from poseapp.project.formats.coco.results import RESULTS, find_coco_file, import_results, is_results_file
from poseapp.project.formats.images import import_folder, import_images
from poseapp.project.formats.label_files import COCO, DATASET, LabelSet, kind_of, look_into
from poseapp.project.formats.label_import import LabelImport, stale_sources
from poseapp.project.formats.label_sizes import LabelSize
from poseapp.project.formats.report import ImportReport, LabelOffer
from poseapp.project.formats.videos import find_video, import_video
from poseapp.project.import_reports import ImportReports
from poseapp.project.label_update.sources import SourceTable
from poseapp.project.relink.video_cache import project_cache
from poseapp.project.storage.database import SUFFIX as SUFFIX
from poseapp.project.storage.database import project_name_room
from poseapp.project.store import ProjectStore

_MOST_FAULTS = 1000
_MOST_FOLDERS = 100
YOLO, COCO_RESULTS = "yolo", "coco_results"
_SHORTEST_ROOM_BYTES = 40  # for the name of a project; in folders with a longer path none is made


def open_any(
    paths: Path | str | Sequence[Path | str], *, context: Context | None = None, take_changes: bool = True
) -> ProjectStore:
    """Open the project of these paths, or make one beside them and import them; see :func:`open_with_report`."""
    return open_with_report(paths, context=context, take_changes=take_changes)[0]


def open_with_report(
    paths: Path | str | Sequence[Path | str],
    *,
    context: Context | None = None,
    take_changes: bool = True,
    label_size: LabelSize = LabelSize.KEEP,
    take_conflicts: bool = False,
) -> tuple[ProjectStore, ImportReport]:
    """Open the project of these paths, or make one beside them and import them.

    A folder that was opened before is looked through for new images, videos and labels. Labels that the project has
    already are not added again; of a label file that changed since, what is new is taken in as one step of the history,
    and what a person has changed meanwhile is kept and listed.

    Args:
        context: shows progress; cancelled, a new project is removed, and one that was there stays as it was.
        take_changes: take in what a changed label file has new; False: leave it, and offer it in the report.
        label_size: what is done with labels that were made on pictures of another size or orientation.
        take_conflicts: poses that a label file and a person have changed become as they are in the file.

    Raises:
        PoseError: nothing there, nothing that can be opened, or an import that failed (then no project is left behind).
        LabelSizesDiffer: with ``LabelSize.ASK``; nothing has been changed.
    """
    listed = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    if not listed:
        raise ProjectError("nothing to open")
    for path in listed:
        if not os.path.exists(path):  # False also for a name that is too long
            raise ProjectError("does not exist", where=path)
    projects = [path for path in listed if path.suffix.lower() == SUFFIX and path.is_file()]
    if len(projects) > 1:
        raise ProjectError("one project at a time can be opened in a window", where=projects[1])
    home = projects[0] if projects else project_path(listed)
    is_new = not home.exists()
    if is_new:
        home.parent.mkdir(parents=True, exist_ok=True)
    context = Context() if context is None else context
    store = ProjectStore.create(home) if is_new else ProjectStore.open(home, context=context)
    try:
        run = _Opening(store, context, take_changes, label_size, take_conflicts=take_conflicts)
        with store.database.write():  # all of it or nothing, also when it is cancelled
            report = run.everything([path for path in listed if path not in projects])
            _keep(store, report, next((path for path in listed if path not in projects), home))
        report.problems[:0] = store.database.remarks
        if is_new and not store.frame_count() and not SourceTable(store).all():
            raise ProjectError(run.nothing_found(), where=listed[0])
    except BaseException:
        store.close()
        if is_new:
            _remove(home)
        raise
    return store, report


def preview_labels(
    store: ProjectStore, path: Path, context: Context, label_size: LabelSize = LabelSize.KEEP
) -> ImportReport:
    """What importing labels into a project would do: one offer with counts, or notes where nothing is new.

    Raises:
        PoseError: they cannot be read. LabelSizesDiffer: with ``LabelSize.ASK``; a person is to say.
    """
    return _Opening(store, context, True, label_size, preview=True).previewed(path)


def _keep(store: ProjectStore, report: ImportReport, source: Path) -> None:
    """Keep what an import had to remark in the project."""
    if report.problems or report.annotations:
        poses = f"{report.annotations:,} {'pose' if report.annotations == 1 else 'poses'}"
        images = f"{report.images:,} {'image' if report.images == 1 else 'images'}"
        summary = f"{poses} and {images} came in."
        report.stored = ImportReports(store).add(f"Import of {source.name}", summary, report.problems)


def project_path(paths: Sequence[Path]) -> Path:
    """Where the project of these paths lies, or is to be made.

    Inside a folder, under its name; beside a label file, under its name; for images in their folder. Where that cannot
    be written, among the user's own data. A name that is too long for a project is shortened.
    """
    # A results list belongs to the COCO file that is opened with it.
    first = Path(os.path.abspath(next((p for p in paths if len(paths) > 1 and not is_results_file(p)), paths[0])))
    folder = first if first.is_dir() else first.parent
    is_own = first.is_file() and (not is_image(first) or has_frames(first))
    stem = first.stem if is_own else folder.name or "project"
    room = project_name_room(folder)
    if room >= _SHORTEST_ROOM_BYTES:
        home = folder / side_name(stem, SUFFIX, room)
        if home.exists() or os.access(folder, os.W_OK):
            return home
    own = Path(user_data_dir("poseapp")) / "projects"
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    return own / side_name(stem, f"-{mark}{SUFFIX}", project_name_room(own))


class _Opening:
    """Brings what a person points at into a project."""

    def __init__(
        self,
        store: ProjectStore,
        context: Context,
        take_changes: bool,
        label_size: LabelSize,
        *,
        take_conflicts: bool = False,
        preview: bool = False,
    ) -> None:
        self._label_size, self._take_conflicts, self._preview = label_size, take_conflicts, preview
        self._store, self._context, self._take_changes = store, context, take_changes
        self._report = ImportReport()

    def everything(self, paths: Sequence[Path]) -> ImportReport:
        """Import each path; without any, look whether the label files of the project have something new."""
        images = [path for path in paths if path.is_file() and is_image(path) and not has_frames(path)]
        if images:
            self._report.join(import_images(self._store, images))
        results = [path for path in paths if path not in images and kind_of(path) == RESULTS]
        for path in paths:
            if path not in images and path not in results:
                self._one(path)
        for path in results:
            self._results(path)
        if not paths:
            for source in stale_sources(self._store):
                self._labels(source.path, source.kind, asked_for=False, take_changes=False)
            self._report.notes.clear()
        return self._report

    def nothing_found(self) -> str:
        """Why a new project would be empty."""
        return "; ".join(["holds no images, videos or labels that can be opened", *self._report.problems])

    def _one(self, path: Path) -> None:
        path, kind = self._settled(path)
        if kind:
            self._labels(path, kind, asked_for=path.is_file() or kind == DATASET or self._take_changes)
        elif path.is_dir():
            self._folder(path)
        elif has_frames(path):
            self._video(path)
        else:
            raise ProjectError(
                f"cannot be opened: give images, a folder, a video, a .pose project, or labels: {_known_formats()}",
                where=path,
            )

    def _settled(self, path: Path) -> tuple[Path, str]:
        """What is opened in place of a path (the folder of an archive, of a data set), and the kind of its labels."""
        if is_archive(path):
            path = self._unpacked(path)
        kind = kind_of(path)
        if kind == YOLO and path.is_file() and configuration_of(path.absolute().parent) == path.absolute():
            path = path.absolute().parent  # a change of any of its label files is noticed
        return path, kind

    def previewed(self, path: Path) -> ImportReport:
        """What importing labels into the project would do; nothing is changed."""
        path, kind = self._settled(path)
        if not kind and path.is_dir():
            labels = look_into(path).labels
            if len(labels) == 1 and len(labels[0].paths) == 1:
                (path,), kind = labels[0].paths, labels[0].kind
        if kind == RESULTS:
            kind = COCO_RESULTS
        if not kind:
            raise ProjectError("holds no labels, or several label files of which one is to be named", where=path)
        self._labels(path, kind, asked_for=True)
        return self._report

    def _unpacked(self, path: Path) -> Path:
        """The folder with the content of an archive, beside it; it is unpacked only once."""
        names = [name for name in file_names(path) if _stays_below(name)]
        for attempt in range(1, _MOST_FOLDERS):
            folder = path.absolute().with_name(path.stem if attempt == 1 else f"{path.stem} {attempt}")
            if not os.path.lexists(folder):
                context = Context(lambda done, total, _text: self._progress(done, total))
                unpack(path, folder, context)
                self._report.problems += context.findings.sentences()
                self._report.notes.append(f"{path.name} was unpacked into the folder {folder.name}")
            elif not names or not all((folder / name).exists() for name in names):
                continue  # somebody else's folder
            content = list(folder.iterdir())
            return content[0] if len(content) == 1 and content[0].is_dir() else folder
        raise ProjectError("there are too many folders with its name to unpack it", where=path)

    def _results(self, path: Path) -> None:
        """Predictions for the images of a COCO file: one of the project, else one beside the list."""
        if not CocoArchive(self._store.database).files():
            labels = find_coco_file(path)
            self._labels(labels, COCO, asked_for=True)
            self._report.notes.append(f"{path.name} belongs to {labels.name}, which was opened with it")
        self._report.join(import_results(self._store, path))

    def _labels(self, path: Path, kind: str, *, asked_for: bool, take_changes: bool | None = None) -> None:
        self._context.progress(0, 0, f"Reading {path.name}")
        take = self._take_changes if take_changes is None else take_changes
        labels = LabelImport(
            self._store, take, asked_for, self._progress, self._label_size, self._preview, self._take_conflicts
        )
        self._report.join(labels.run(path, kind))

    def _folder(self, folder: Path) -> None:
        """Its images and videos, then the labels that lie there: where it is clear which they are."""
        contents = look_into(folder)
        self._report.join(import_folder(self._store, folder))
        for video in contents.videos:
            if len(self._report.problems) < _MOST_FAULTS:
                self._video_of_folder(video)
        self._report.problems += contents.unsupported
        known = {source.path for source in SourceTable(self._store).all()}
        new = [labels for labels in contents.labels if not known & set(labels.paths)]
        for labels in contents.labels:
            if labels not in new or (len(new) == 1 and len(contents.labels) == 1):
                for path in labels.paths:
                    self._labels(path, labels.kind, asked_for=False)
        if len(contents.labels) > 1 and new:
            self._choose(folder, new)

    def _choose(self, folder: Path, labels: Sequence[LabelSet]) -> None:
        """Several label files: which of them are wanted only a person can say."""
        names = "; ".join(item.title for item in labels)
        self._report.problems.append(
            f"{folder.name} holds several label files, and none of them was read. Open the one you want: {names}"
        )
        self._report.offers += [LabelOffer(item.paths, f"{item.title} is not in the project") for item in labels]

    def _video_of_folder(self, path: Path) -> None:
        """One of several: a video that cannot be read is told of, and the others come in."""
        try:
            self._video(path)
        except PoseError as error:
            self._report.problems.append(f"Video cannot be read: {error}")

    def _video(self, path: Path) -> None:
        """A video with its frames, and what is wrong with it."""
        self._context.progress(0, 0, f"Reading {path.name}")
        if find_video(self._store, path) is None:
            cache = project_cache(self._store.path)
            prepare_index(path, cache, lambda share: self._progress(round(1000 * share), 1000))
            with open_media(path, cache=cache) as video:
                self._report.images += video.frame_count
                self._report.problems += [f"{path.name} {problem}" for problem in video.problems]
            import_video(self._store, path, cache=cache)

    def _progress(self, done: int, total: int) -> None:
        self._context.progress(done, total)


def _stays_below(name: str) -> bool:
    """Whether the name of a file in an archive lies in the folder that it is unpacked into; others are left out."""
    return not name.startswith("/") and ":" not in name and ".." not in name.split("/")


def _known_formats() -> str:
    readable = (format for format in formats() if format.can_read)
    return "; ".join(f"{format.title} ({' '.join(format.suffixes)})" for format in readable if format.suffixes)


def _remove(home: Path) -> None:
    for name in (home.name, f"{home.name}-wal", f"{home.name}-shm"):
        with contextlib.suppress(OSError):
            os.unlink(home.with_name(name))
