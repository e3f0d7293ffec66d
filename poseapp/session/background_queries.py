"""Questions to a large project, answered in a thread with a read-only connection of its own.

A small project answers at once: then nothing flickers, and the thread is never started.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from engine.errors import PoseError
from poseapp.project.store import ProjectStore

log = logging.getLogger(__name__)

AT_ONCE_BELOW = 5000
"""Frames of a project up to which no question takes longer than a few milliseconds."""

AGAIN_MS = 400
"""A run of edits makes no more than so many questions."""

Work = Callable[[ProjectStore], Any]
Take = Callable[[Any], None]


@dataclass(eq=False)
class _Question:
    name: str
    work: Work
    take: Take
    edits: int
    once: bool


class Queries(QObject):
    """All methods and signals belong to the UI thread. Of questions with one name only the newest is answered.

    An answer is what the project held when the question was asked, or later. Where something was edited while it was
    on its way it is taken nevertheless, and the question is put again: once the edits pause, what is shown is exact.

    Signals:
        failed(text): a question could not be answered, and why.
    """

    failed = Signal(str)
    _arrived = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None, *, at_once_below: int = AT_ONCE_BELOW) -> None:
        super().__init__(parent)
        self.at_once_below = at_once_below
        self._store: ProjectStore | None = None
        self._frames = 0
        self._edits = 0
        self._newest: dict[str, _Question] = {}
        self._wake = threading.Condition()
        self._waiting: dict[str, _Question] = {}
        self._running: _Question | None = None
        self._reader: ProjectStore | None = None
        self._thread: threading.Thread | None = None
        self._ending = False
        self._again: dict[str, _Question] = {}
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(AGAIN_MS)
        self._pause.timeout.connect(self._ask_again)
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)

    def use(self, store: ProjectStore | None, frames: int = 0) -> None:
        """Ask this project from now on; None for none. What was asked of another is dropped, and its file let go of:
        the writer, who closes last, brings everything into the one file.

        Args:
            frames: how many it has.
        """
        if store is not self._store:
            self._end()
            self._newest.clear()
            self._again.clear()
            self._pause.stop()
            self._store = store
        elif frames != self._frames:
            for question in list(self._newest.values()):  # their answers may name frames that are gone
                self.forget(question.name)
                self._put(replace(question, edits=self._edits))
        self._frames = frames

    def edited(self) -> None:
        """The project holds something else now: what is on its way may be out of date."""
        self._edits += 1

    def waits(self, name: str) -> bool:
        """Whether a question of this name is on its way."""
        return name in self._newest

    def forget(self, name: str) -> None:
        """An answer to this question is not wanted any more."""
        self._newest.pop(name, None)
        self._again.pop(name, None)
        with self._wake:
            self._waiting.pop(name, None)
            if self._running is not None and self._running.name == name:
                self._interrupt()

    def ask(self, name: str, work: Work, take: Take, *, once: bool = False) -> None:
        """Do ``work`` with the project and give its answer to ``take``: at once in a small project, else later, in
        this thread. An older question of the same name is dropped, also where it is being answered.

        Args:
            work: only reads, and only the store that it is given; runs in another thread.
            once: it is not put again when something was edited meanwhile; ``take`` must find that out itself.
        """
        store = self._store
        if store is None:
            return
        self.forget(name)
        if self._frames < self.at_once_below:
            try:
                answer = work(store)
            except PoseError as error:
                self.failed.emit(str(error))
                return
            take(answer)
            return
        self._put(_Question(name, work, take, self._edits, once))

    def _put(self, question: _Question) -> None:
        self._newest[question.name] = question
        with self._wake:
            self._waiting[question.name] = question
            if self._thread is None and self._store is not None:
                path = self._store.path
                self._thread = threading.Thread(target=lambda: self._run(path), name="poseapp-queries", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _interrupt(self) -> None:
        """The lock is held."""
        if self._reader is not None:
            self._reader.database.interrupt()

    def _end(self) -> None:
        with self._wake:
            self._ending = True
            self._waiting.clear()
            self._wake.notify()
        while self._thread is not None and self._thread.is_alive():
            with self._wake:
                self._interrupt()  # each time: a question may ask the file more than once
            self._thread.join(0.05)
        self._thread, self._ending = None, False

    def _run(self, path: Any) -> None:
        with contextlib.ExitStack() as open_files:
            while True:
                with self._wake:
                    self._running = None
                    while not (self._ending or self._waiting):
                        self._wake.wait()
                    if self._ending:
                        self._reader = None
                        return
                    question = self._waiting.pop(next(iter(self._waiting)))
                    self._running = question
                answer: Any = None
                problem: PoseError | None = None
                try:
                    if self._reader is None:
                        reader = open_files.enter_context(ProjectStore.open(path, read_only=True))
                        with self._wake:
                            self._reader = reader
                    answer = question.work(self._reader)
                except PoseError as error:
                    problem = error
                except Exception as error:  # a mistake of the program: told, and the thread goes on
                    log.exception("a question to the project failed")
                    problem = PoseError(f"could not be answered ({error})", where=path)
                self._arrived.emit(question, answer, problem)

    @Slot(object, object, object)
    def _on_arrived(self, question: _Question, answer: Any, problem: PoseError | None) -> None:
        if self._newest.get(question.name) is not question:
            return  # interrupted, out of date, or of another project
        del self._newest[question.name]
        if problem is not None:
            self.failed.emit(str(problem))
            return
        if question.edits != self._edits and not question.once:
            self._again[question.name] = question
            self._pause.start()
        question.take(answer)

    @Slot()
    def _ask_again(self) -> None:
        for name, question in self._again.items():
            if name not in self._newest:
                self._put(_Question(name, question.work, question.take, self._edits, False))
        self._again.clear()
