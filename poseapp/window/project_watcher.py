"""Sees when the project's file has been renamed, deleted or written to by others while it is open."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QApplication

from poseapp.project.store import ProjectStore
from poseapp.session.session import Session


class ProjectWatcher(QObject):
    """Looks when the program comes to the front, after each edit, and when something went wrong.

    Signals:
        renamed(Path): the file has another name now; edits go there.
        gone(Path): it has been deleted or replaced. Edits are refused until the project is saved again. Told once.
    """

    renamed = Signal(object)
    gone = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._path: Path | None = None
        self._told: ProjectStore | None = None
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
        """See where the file is now, and in a window that only reads, what another window has written to it."""
        session, store = self._session, self._session.store
        if store is None or session.chunked_edits.busy:
            return
        if store.read_only:
            if store.database.renew():
                session.queries.use(None)  # its reader has the old state
                session.review.stop_checking()
                store.imported()
                session.structure_changed()
            return
        if store.database.is_gone:
            if self._told is not store:
                self._told = store
                self.gone.emit(store.path)
            return
        if not store.database.is_in_place:  # its own reader has the file open under the old name
            session.queries.use(None)
            session.review.stop_checking()
            store.database.follow()
            session.queries.use(store, len(session.frames))
        self._tell_rename(store)

    def _begin(self) -> None:
        self._path, self._told = self._session.path, None

    def _after_edit(self) -> None:
        store = self._session.store
        if store is not None and not store.read_only and store.path != self._path:
            self.check()

    def _tell_rename(self, store: ProjectStore) -> None:
        if store.path != self._path:
            self._path = store.path
            self.renamed.emit(store.path)
