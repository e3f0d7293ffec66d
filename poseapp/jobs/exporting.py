"""Exports in the background. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from engine.media.video.index.folder import index_home
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.exports.files import FilesReport, Steps
from poseapp.project.exports.registry import Export, ExportOptions
from poseapp.project.store import ProjectStore


class StepsJob:
    """Runs an export on the project as it stands on the disk. Yields one :class:`FilesReport`; cancelled, it leaves no
    file."""

    lane = Lane.IO

    def __init__(self, project: Path, title: str, start: Callable[[ProjectStore, Context], Steps[FilesReport]]) -> None:
        self.title = title
        self._project, self._start = project, start

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 0, self.title)
        with ProjectStore.open(self._project, read_only=True, context=context) as store:
            steps = self._start(store, context)
            done = total = 0
            try:
                while True:
                    done, total = next(steps)
                    yield Progress(done, total)
            except StopIteration as end:
                yield Progress(total, total, self.title, end.value)
            finally:
                steps.close()


def export_job(project: Path, target: Path, export: Export, options: ExportOptions) -> StepsJob:
    """Run an export of the registry."""

    def steps(store: ProjectStore, context: Context) -> Steps[FilesReport]:
        return export.write(store, target, replace(options, cache=index_home()), context)

    return StepsJob(project, f"Exporting {target.name}", steps)
