"""Work on project files that may take long: making a project of pictures or labels, exporting it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.contract.errors import PoseError
from poseapp.jobs.job import Lane, Progress
from poseapp.project.database import is_of_older_version
from poseapp.project.store import ProjectStore


@dataclass(frozen=True)
class Opened:
    """A project that is ready to be opened.

    Attributes:
        problems: remarks of the import, each a sentence.
        source: name of what was imported.
    """

    path: Path
    problems: tuple[str, ...] = field(default=())
    source: str = ""


class OpenJob:
    """Finds or makes the project of folders, pictures, a COCO file, DeepLabCut labels or a project file.

    Yields one :class:`Opened`. The file is closed again, for the window opens it in its own thread.

    Args:
        paths: what to open.
        current: the project that is open already; asking for it again is no mistake.
    """

    lane = Lane.IO

    def __init__(self, paths: Sequence[Path], current: Path | None = None) -> None:
        self._paths, self._current = list(paths), current
        named = next((path for path in self._paths if path != current), self._paths[0])
        self._name = named.name or str(named)
        self.title = f"Opening {self._name}"

    def run(self) -> Iterator[Progress]:
        from poseapp.project.open import SUFFIX, open_with_report, project_path

        yield Progress(0, 0, self.title)
        first = self._paths[0]
        home = first if first.suffix.lower() == SUFFIX else project_path(self._paths)
        # A project with pictures or videos beside it takes them in.
        if home == self._current or (home == first and home.suffix.lower() == SUFFIX and len(self._paths) == 1):
            if home != self._current and is_of_older_version(home):
                with contextlib.suppress(PoseError):  # the window tells, when it opens the file itself
                    ProjectStore.open(home).close()
            if home != self._current:
                _tend(home)
            yield Progress(1, 1, self.title, Opened(home))
            return
        try:
            store, report = open_with_report(self._paths)
        except PoseError as error:
            if error.where != str(home) or not home.exists():
                raise
            yield Progress(1, 1, self.title, Opened(home))  # the window shows it for reading only, and says why
            return
        with store:
            result = Opened(store.path, tuple(report.problems), self._name)
        yield Progress(1, 1, self.title, result)


def _tend(project: Path) -> None:
    """Put the folder of indices in order before the window asks for frames."""
    from poseapp.project.video_cache import tend_cache

    with contextlib.suppress(PoseError), ProjectStore.open(project, read_only=True) as store:
        tend_cache(store)


@dataclass(frozen=True)
class Exported:
    """A COCO file that has been written, and how much stands in it."""

    path: Path
    images: int
    annotations: int
    kept: int = 0
    problems: tuple[str, ...] = ()


class ExportCocoJob:
    """Writes the COCO file of a project, as it stands on the disk. Yields one :class:`Exported`."""

    lane = Lane.IO

    def __init__(self, project: Path, target: Path, *, include_predicted: bool, only_labelled_frames: bool) -> None:
        self.title = f"Exporting {target.name}"
        self._project, self._target = project, target
        self._include_predicted, self._only_labelled = include_predicted, only_labelled_frames

    def run(self) -> Iterator[Progress]:
        from poseapp.project.exporters.coco import export_coco

        yield Progress(0, 0, self.title)
        with ProjectStore.open(self._project, read_only=True) as store:
            report = export_coco(
                store, self._target, include_predicted=self._include_predicted, only_labelled_frames=self._only_labelled
            )
        problems = tuple(report.problems)
        exported = Exported(self._target, report.images, report.annotations, report.kept, problems)
        yield Progress(1, 1, self.title, exported)


class SnapshotJob:
    """Copies a project under a name. Yields one :class:`~poseapp.project.snapshots.Snapshot`."""

    lane = Lane.IO

    def __init__(self, project: Path, name: str) -> None:
        self.title = f"Snapshot {name}"
        self._project, self._name = project, name

    def run(self) -> Iterator[Progress]:
        from poseapp.project.snapshots import take_snapshot

        yield Progress(0, 0, self.title)
        yield Progress(1, 1, self.title, take_snapshot(self._project, self._name))
