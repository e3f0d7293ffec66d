"""Fetching published weights in the background. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Iterator

from engine.models.catalog import ModelEntry
from engine.models.catalog_download import download_of
from engine.models.download import fetch
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress


class DownloadJob:
    """Brings the weights of a published model into the models folder. Yields their path; cancelled, it keeps what came
    and goes on from there the next time."""

    lane = Lane.IO

    def __init__(self, entry: ModelEntry) -> None:
        self.title = f"Downloading {entry.title}"
        self._entry = entry

    def run(self, context: Context) -> Iterator[Progress]:
        item = download_of(self._entry)
        yield Progress(0, 0, self.title)
        fetch(
            item,
            report=lambda done, total: context.progress(done, total or 0),
            stop=lambda: context.is_cancelled,
        )
        yield Progress(1, 1, self.title, item.target)
