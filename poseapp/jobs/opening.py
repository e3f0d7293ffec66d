"""Work on project files that may take long: making a project of pictures or labels, exporting it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import Cancelled, PoseError
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.formats.report import LabelOffer
from poseapp.project.storage.database import Database, is_of_older_version
from poseapp.project.store import ProjectStore


@dataclass(frozen=True)
class Opened:
    """A project that is ready to be opened.

    Attributes:
        problems: remarks of the import, each a sentence.
        source: name of what was imported.
        notes: what is good to know (labels that are unchanged), as sentences.
        offers: label files of which a person must say whether they are taken in.
        report: id of the report of the import in the project; 0 if nothing was imported.
        poses: how many came in.
    """

    path: Path
    problems: tuple[str, ...] = field(default=())
    source: str = ""
    notes: tuple[str, ...] = field(default=())
    offers: tuple[LabelOffer, ...] = field(default=())
    report: int = 0
    poses: int = 0


class OpenJob:
    """Finds or makes the project of folders, pictures, a COCO file, DeepLabCut labels or a project file.

    Yields one :class:`Opened`. The file is closed again, for the window opens it in its own thread.

    Args:
        paths: what to open.
        current: the project that is open already; asking for it again is no mistake.
        take_changes: take in what changed label files have new, and do not offer it.
        label_size: what is done with labels that were made on pictures of another size or orientation.
        take_conflicts: poses that a label file and a person have changed become as they are in the file.

    Raises (from ``run``):
        LabelSizesDiffer: with ``LabelSize.ASK``; a person is to say, and the job to be run again with the answer.
    """

    lane = Lane.IO

    def __init__(
        self,
        paths: Sequence[Path],
        current: Path | None = None,
        *,
        take_changes: bool = False,
        label_size: LabelSize = LabelSize.ASK,
        take_conflicts: bool = False,
    ) -> None:
        self._take_conflicts = take_conflicts
        self._paths, self._current, self._take_changes = list(paths), current, take_changes
        self._label_size = label_size
        named = next((path for path in self._paths if path != current), self._paths[0])
        self._name = named.name or str(named)
        self.title = f"Opening {self._name}"

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.opening import SUFFIX, project_path

        yield Progress(0, 0, self.title)
        first = self._paths[0]
        home = first if first.suffix.lower() == SUFFIX else project_path(self._paths)
        # A project with pictures or videos beside it takes them in.
        if home == self._current or (home == first and home.suffix.lower() == SUFFIX and len(self._paths) == 1):
            if home != self._current:
                _prepare(home, context)
            if home == self._current or not _has_stale_labels(home):
                yield Progress(1, 1, self.title, Opened(home))
                return
        try:
            result = self._open(context)
        except LabelSizesDiffer:
            raise
        except PoseError as error:
            # A project opens also where its label files cannot be looked through.
            if (
                isinstance(error, Cancelled)
                or not home.exists()
                or (error.where != str(home) and self._paths != [home])
            ):
                raise
            yield Progress(1, 1, self.title, Opened(home))  # the window shows it for reading only, and says why
            return
        yield Progress(1, 1, self.title, result)

    def _open(self, context: Context) -> Opened:
        from poseapp.project.opening import open_with_report

        store, report = open_with_report(
            self._paths,
            context=context,
            take_changes=self._take_changes,
            label_size=self._label_size,
            take_conflicts=self._take_conflicts,
        )
        with store:
            return Opened(
                store.path,
                tuple(report.problems),
                self._name,
                tuple(report.notes),
                tuple(report.offers),
                report.stored,
                report.annotations,
            )


class PreviewLabelsJob:
    """Finds out what importing labels into a project would do; the project is only read.

    Yields one :class:`~poseapp.project.formats.report.ImportReport`, with an offer where there is something to import.

    Raises (from ``run``):
        LabelSizesDiffer: as :class:`OpenJob`.
    """

    lane = Lane.IO

    def __init__(self, project: Path, path: Path, label_size: LabelSize = LabelSize.ASK) -> None:
        self._project, self._path, self._label_size = project, path, label_size
        self.title = f"Comparing {path.name}"

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.opening import preview_labels

        yield Progress(0, 0, self.title)
        with ProjectStore.open(self._project, read_only=True, context=context) as store:
            yield Progress(1, 1, self.title, preview_labels(store, self._path, context, self._label_size))


def _has_stale_labels(project: Path) -> bool:
    """Whether a label file of a project may have something new; a look at sizes and times."""
    from poseapp.project.formats.label_import import stale_sources

    try:
        with ProjectStore.open(project, read_only=True) as store:
            return bool(stale_sources(store))
    except PoseError:  # the window tells, when it opens the file itself
        return False


def _prepare(project: Path, context: Context) -> None:
    """What takes long when a project opens: bring it up to date, check its rows, put the folder of indices in order.

    The window opens the file once more, which is quick then, and tells what is wrong with it.
    """
    from poseapp.project.relink.video_cache import tend_cache

    context.progress(0, 0, f"Checking {project.name}")
    try:
        if is_of_older_version(project):
            ProjectStore.open(project, context=context).close()
        with ProjectStore.open(project, read_only=True, context=context) as store:
            tend_cache(store)
    except Cancelled:
        raise
    except PoseError:
        return


class CopyJob:
    """Copies a project anew that another process has open and has written to. Yields the copy, for
    :meth:`~poseapp.project.storage.database.Database.use_copy`; nothing where none can be made."""

    lane = Lane.IO

    def __init__(self, database: Database) -> None:
        self._database = database
        self.title = f"Reading {database.path.name} again"

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 0, self.title)
        copy = self._database.newer_copy()
        if copy is not None:
            yield Progress(1, 1, self.title, copy)


@dataclass(frozen=True)
class Exported:
    """A COCO file that has been written, and how much stands in it."""

    path: Path
    images: int
    annotations: int
    kept: int = 0
    left_out: int = 0
    problems: tuple[str, ...] = ()


class ExportCocoJob:
    """Writes the COCO file of a project, as it stands on the disk. Yields one :class:`Exported`."""

    lane = Lane.IO

    def __init__(
        self,
        project: Path,
        target: Path,
        *,
        include_predicted: bool,
        only_labelled_frames: bool,
        unseen_frames: bool = False,
    ) -> None:
        self.title = f"Exporting {target.name}"
        self._project, self._target = project, target
        self._include_predicted, self._only_labelled = include_predicted, only_labelled_frames
        self._unseen = unseen_frames

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.formats.coco.exporter import export_coco

        yield Progress(0, 0, self.title)
        with ProjectStore.open(self._project, read_only=True, context=context) as store:
            report = export_coco(
                store,
                self._target,
                include_predicted=self._include_predicted,
                only_labelled_frames=self._only_labelled,
                unseen_frames=self._unseen,
                context=context,
            )
        problems = tuple(report.problems)
        counts = (report.images, report.annotations, report.kept, report.left_out)
        exported = Exported(self._target, *counts, problems)
        yield Progress(1, 1, self.title, exported)


class SaveCopyJob:
    """Writes a whole copy of a project. Yields its path."""

    lane = Lane.IO

    def __init__(self, project: Path, target: Path) -> None:
        self.title = f"Saving a copy as {target.name}"
        self._project, self._target = project, target

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.storage.save_copy import save_copy

        yield Progress(0, 0, self.title)
        save_copy(self._project, self._target, context=context)
        yield Progress(1, 1, self.title, self._target)


class SnapshotJob:
    """Copies a project under a name. Yields one :class:`~poseapp.project.storage.snapshots.Snapshot`."""

    lane = Lane.IO

    def __init__(self, project: Path, name: str) -> None:
        self.title = f"Snapshot {name}"
        self._project, self._name = project, name

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.storage.snapshots import take_snapshot

        yield Progress(0, 0, self.title)
        yield Progress(1, 1, self.title, take_snapshot(self._project, self._name, context))
