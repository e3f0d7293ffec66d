"""Brings edits from the log into the project file shortly after they are made, in a thread of its own.

An edit is safe once it is in the log. But people copy, send and synchronise the project file alone; so the file has
every edit as soon as nothing was changed for a moment, and in a long run of edits every few seconds.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

from engine.errors import ProjectError
from poseapp.project.storage.connections import Connection, OpenFile, move_into_file, open_extra

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.3
"""So long after the last edit."""
LONGEST_SECONDS = 3.0
"""So long after the first edit that is not in the file yet, however many follow."""


class WalKeeper:
    """Starts its thread with the first edit; :meth:`stop` ends it."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._wake = threading.Condition()
        self._edits = 0
        self._ending = False
        self._now = False
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """An edit is in the log."""
        with self._wake:
            self._edits += 1
            if self._thread is None and not self._ending:
                self._thread = threading.Thread(target=self._tend, name="poseapp-log", daemon=True)
                self._thread.start()
            self._wake.notify()

    def stop(self) -> None:
        """End the thread and let go of the file. What is left in the log is the caller's."""
        with self._wake:
            self._ending = True
            self._wake.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._ending = False

    def _wait(self, moved: int) -> int | None:
        """Until there are edits to move, and a good moment to do it; their number. None at the end."""
        with self._wake:
            while self._edits == moved and not self._ending:
                self._wake.wait()
            first = time.monotonic()
            while not self._ending:
                seen = self._edits
                left = min(QUIET_SECONDS, first + LONGEST_SECONDS - time.monotonic())
                if left > 0:
                    self._wake.wait(left)
                if left <= 0 or (self._edits == seen and not self._ending):
                    return seen
            return None

    def _tend(self) -> None:
        connection: Connection | None = None
        moved = 0
        try:
            connection = open_extra(self._file, timeout=0)
            while (edits := self._wait(moved)) is not None:
                try:
                    if move_into_file(self._file, connection.sqlite):
                        moved = edits
                except sqlite3.Error:  # a disk that is full, a medium that is gone: the log stays until the next edit
                    moved = edits
                    log.warning("edits stay in the log of %s for now", self._file.path, exc_info=True)
        except ProjectError:  # just renamed: the next edit follows the file
            log.info("the log of %s is left for the next edit", self._file.path)
        except sqlite3.Error:
            log.warning("the log of %s is left for the next edit", self._file.path, exc_info=True)
        finally:
            if connection is not None:
                connection.close()
            with self._wake:
                if self._thread is threading.current_thread():
                    self._thread = None
