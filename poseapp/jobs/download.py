"""Fetching published weights in the background. No Qt, no torch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from engine.models.catalog import ModelEntry
from engine.models.catalog_download import download_of
from engine.models.download import fetch
from poseapp.jobs.base import Lane, Progress

INTERVAL = 0.1


class DownloadJob:
    """Brings the weights of a published model into the models folder. Yields their path; cancelled, it keeps what came
    and goes on from there the next time."""

    lane = Lane.IO

    def __init__(self, entry: ModelEntry) -> None:
        self.title = f"Downloading {entry.title}"
        self._entry = entry

    def run(self) -> Iterator[Progress]:
        item = download_of(self._entry)
        state = {"done": 0, "total": 0}
        ended: list[BaseException] = []
        stop = threading.Event()

        def report(done: int, total: int | None) -> None:
            state.update(done=done, total=total or 0)

        def work() -> None:
            try:
                fetch(item, report=report, stop=stop.is_set)
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=work, name="download", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                yield Progress(state["done"], state["total"], self.title)
                time.sleep(INTERVAL)
        finally:
            stop.set()
            thread.join()
        if ended:
            raise ended[0]
        yield Progress(1, 1, self.title, item.target)
