"""Notices when the file of the open project is renamed, deleted or written by another process."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QApplication

from poseapp.jobs.opening import CopyJob
from poseapp.jobs.runner import JobRunner
from poseapp.project.storage.connections import Connection
from poseapp.project.store import ProjectStore
from poseapp.session.session import Session


class ProjectWatcher(QObject):
    """Checks the file when the program comes to the front, after each edit and after an error.

    Signals:
        renamed(Path): the file has another name now; edits go to it.
        gone(Path): it was deleted or replaced. Edits are refused until the project is saved again. Emitted once.
    """

    renamed = Signal(object)
    gone = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._runner = session, runner
        self._copying: ProjectStore | None = None
        self._path: Path | None = None
        self._reported_gone: ProjectStore | None = None
        session.project_changed.connect(self._begin)
        session.changed.connect(lambda _change: self._after_edit())
        session.message.connect(lambda _text, kind: self.check() if kind == "error" else None)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.applicationStateChanged.connect(self._on_state)

    @Slot(Qt.ApplicationState)
    def _on_state(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self.check()

    def check(self) -> None:
        """Follow the file to its new name; in a window that only reads, read what another window has written since."""
        session, store = self._session, self._session.store
        if store is None or session.chunked_edits.busy:
            return
        if store.read_only:
            if store.database.is_outdated and self._copying is not store and not self._runner.is_shut_down:
                self._copying = store
                self._runner.submit(
                    CopyJob(store.database),
                    on_results=lambda copies: self._use(store, copies),
                    on_finished=lambda _outcome: self._end_copying(store),
                )
            return
        if store.database.is_gone:
            if self._reported_gone is not store:
                self._reported_gone = store
                self.gone.emit(store.path)
            return
        if not store.database.is_in_place:  # its own reader has the file open under the old name
            session.queries.use(None)
            session.review.stop_checking()
            store.database.follow()
            session.queries.use(store, len(session.frames))
        self._tell_rename(store)

    def _use(self, store: ProjectStore, copies: list[Connection]) -> None:
        """Show what the new copy holds; one that comes too late is closed."""
        session = self._session
        for copy in copies:
            if session.store is not store or self._runner.is_shut_down:
                copy.close()
                continue
            session.queries.use(None)  # its reader has the old state
            session.review.stop_checking()
            store.database.use_copy(copy)
            store.imported()
            session.structure_changed()

    def _end_copying(self, store: ProjectStore) -> None:
        if self._copying is store:
            self._copying = None

    def _begin(self) -> None:
        self._path, self._reported_gone = self._session.path, None

    def _after_edit(self) -> None:
        store = self._session.store
        if store is not None and not store.read_only and store.path != self._path:
            self.check()

    def _tell_rename(self, store: ProjectStore) -> None:
        if store.path != self._path:
            self._path = store.path
            self.renamed.emit(store.path)
