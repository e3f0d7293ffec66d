"""Checks of the labels of a project, beside the window. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.store import ProjectStore


class CheckLabelsJob:
    """Checks the labels of a project, with a connection of its own. Yields one
    :class:`~poseapp.project.checks.CheckReport`.

    Args:
        project: its file.
        after_import: only the checks that run on everything that is imported.
    """

    lane = Lane.IO

    def __init__(self, project: Path, *, after_import: bool) -> None:
        self.title = f"Checking labels of {project.stem}"
        self._project, self._after_import = project, after_import

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.checks import import_checks, project_checks, report_on_project

        yield Progress(0, 0, self.title)
        chosen = import_checks() if self._after_import else project_checks()
        with ProjectStore.open(self._project, read_only=True, context=context) as store:
            report = report_on_project(store, chosen, context)
        yield Progress(1, 1, self.title, report)
