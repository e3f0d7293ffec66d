"""Queries of a large project, run in a thread with a read-only connection of its own.

A small project answers at once: then nothing flickers, and the thread is never started.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.errors import PoseError
from poseapp.jobs.latest_request import LatestRequestWorker
from poseapp.project.store import ProjectStore

AT_ONCE_BELOW = 5000
"""Frames of a project up to which no query takes longer than a few milliseconds."""

REPEAT_MS = 400
"""Edits in quick succession repeat the queries no more often than this."""

Work = Callable[[ProjectStore], Any]


@dataclass(frozen=True, eq=False)
class _Query:
    name: str
    work: Work
    on_result: Callable[[Any], None]
    edits: int
    once: bool


class Queries(QObject):
    """All methods and signals belong to the UI thread. Of queries with one name only the newest is answered.

    A result is what the project held when the query was made, or later. If something was edited while it ran, its
    result is used nevertheless and the query is repeated: once the edits pause, what is shown is exact.

    Signals:
        failed(text): a query failed, and why.
    """

    failed = Signal(str)

    def __init__(self, parent: QObject | None = None, *, at_once_below: int = AT_ONCE_BELOW) -> None:
        super().__init__(parent)
        self.at_once_below = at_once_below
        self._store: ProjectStore | None = None
        self._frames = 0
        self._edits = 0
        self._pending: dict[str, _Query] = {}
        self._outdated: dict[str, _Query] = {}
        self._worker = LatestRequestWorker[ProjectStore](
            "queries",
            self._open_reader,
            self,
            interrupt=lambda reader: reader.database.interrupt(),
        )
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(REPEAT_MS)
        self._pause.timeout.connect(self._repeat)

    def use(self, store: ProjectStore | None, frames: int = 0) -> None:
        """Query this project from now on; None for none. Queries of another one are dropped and its file is closed: the
        writer, who closes last, brings everything into the one file.

        Args:
            frames: how many it has.
        """
        if store is not self._store:
            self._worker.stop()
            self._pending.clear()
            self._outdated.clear()
            self._pause.stop()
            self._store = store
        elif frames != self._frames:
            for query in list(self._pending.values()):  # their results may name frames that are gone
                self._submit(replace(query, edits=self._edits))
        self._frames = frames

    def edited(self) -> None:
        """The project has changed: results of queries that run may be outdated."""
        self._edits += 1

    def is_pending(self, name: str) -> bool:
        """Whether a query of this name has no result yet."""
        return name in self._pending

    def forget(self, name: str) -> None:
        """The result of this query is of no interest any more."""
        self._pending.pop(name, None)
        self._outdated.pop(name, None)
        self._worker.forget(name)

    def ask(self, name: str, work: Work, on_result: Callable[[Any], None], *, once: bool = False) -> None:
        """Run ``work`` on the project and give its result to ``on_result``: at once in a small project, else later, in
        this thread. It replaces an older query of the same name, also one that runs.

        Args:
            work: only reads, and only the store that it is given; runs in another thread.
            once: it is not repeated after edits; ``on_result`` must find out by itself whether the result still fits.
        """
        store = self._store
        if store is None:
            return
        self.forget(name)
        if self._frames < self.at_once_below:
            try:
                result = work(store)
            except PoseError as error:
                self.failed.emit(str(error))
                return
            on_result(result)
            return
        self._submit(_Query(name, work, on_result, self._edits, once))

    def _submit(self, query: _Query) -> None:
        self._pending[query.name] = query
        self._worker.request(
            query.name,
            lambda reader, _request: query.work(reader),
            lambda result: self._on_result(query, result),
            on_error=lambda error: self._on_error(query, error),
        )

    def _on_result(self, query: _Query, result: Any) -> None:
        self._pending.pop(query.name, None)
        if query.edits != self._edits and not query.once:
            self._outdated[query.name] = query
            self._pause.start()
        query.on_result(result)

    def _on_error(self, query: _Query, error: Exception) -> None:
        self._pending.pop(query.name, None)
        is_known = isinstance(error, PoseError)
        self.failed.emit(
            str(error if is_known else PoseError(f"could not be answered ({error})", where=self._project()))
        )

    def _project(self) -> Path:
        assert self._store is not None
        return self._store.path  # the file may be renamed while it is open

    def _open_reader(self) -> ProjectStore:
        """In the worker's thread."""
        return ProjectStore.open(self._project(), read_only=True)

    @Slot()
    def _repeat(self) -> None:
        outdated = list(self._outdated.values())
        self._outdated.clear()
        for query in outdated:
            if query.name not in self._pending:
                self._submit(replace(query, edits=self._edits))
