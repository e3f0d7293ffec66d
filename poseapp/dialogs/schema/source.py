"""Loads skeletons from files of several programs, in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from engine.errors import SchemaError
from poseapp.app.i18n import tr
from poseapp.jobs.base import Outcome
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.schema_files import SchemaFileJob
from poseapp.project.schema.files import read_schemas

FILES = (
    "Keypoint schemas, COCO files, MMPose data set configurations (*.toml *.json *.py)",
    "Keypoint schemas (*.toml)",
    "COCO files (*.json)",
    "MMPose data set configurations (*.py)",
)


class SchemaSource(QObject):
    """Reads files that describe skeletons.

    Signals:
        read(Path, list): the schemas of a file, at least one.
        failed(str): what is wrong with a file.

    Args:
        runner: reads in its io lane; without one the caller waits.
    """

    read = Signal(object, object)
    failed = Signal(str)

    def __init__(self, runner: JobRunner | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._job: int | None = None
        self._wanted: object = None

    def choose(self, parent: QWidget) -> Path | None:
        """Ask for a file."""
        chosen, _ = QFileDialog.getOpenFileName(parent, tr("Open skeleton"), "", tr(";;".join(FILES)))
        return Path(chosen) if chosen else None

    def open(self, path: Path) -> None:
        """Read a file; the result of an earlier request is dropped."""
        self.stop()
        if self._runner is None or path.suffix.lower() != ".json":
            try:
                schemas = read_schemas(path)
            except SchemaError as error:
                self.failed.emit(str(error))
            else:
                self.read.emit(path, schemas)
            return

        request = self._wanted = object()

        def take(results: list[Any]) -> None:
            if self._wanted is request:
                self.read.emit(path, results[-1])

        def end(outcome: Outcome) -> None:
            if self._wanted is request:
                self._job = self._wanted = None
                if outcome.error is not None:
                    self.failed.emit(str(outcome.error))

        self._job = self._runner.submit(SchemaFileJob(path), urgent=True, on_results=take, on_finished=end)

    @property
    def busy(self) -> bool:
        return self._job is not None

    def stop(self) -> None:
        """Drop the result of the file being read."""
        job, self._job, self._wanted = self._job, None, None
        if job is not None and self._runner is not None:
            self._runner.cancel(job)
