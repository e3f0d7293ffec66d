"""Points of a kind read from a file; COCO files may take hundreds of megabytes, so not in the UI thread. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.schema.files import read_schemas


class SchemaFileJob:
    """Yields the list of schemas that a file describes. Raises SchemaError."""

    lane = Lane.IO

    def __init__(self, path: Path) -> None:
        self.title = f"Reading {path.name}"
        self._path = path

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 0, self.title)
        yield Progress(1, 1, self.title, read_schemas(self._path))
