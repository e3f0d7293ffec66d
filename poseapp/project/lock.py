"""One writer a project: a lock that the operating system lets go when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from engine.contract.errors import ProjectError

_ATTEMPTS = 5


class WriterLock:
    """An exclusive lock beside the project file, held until :meth:`release`.

    The lock is an open exclusive transaction on a tiny database of its own. SQLite already knows how to lock files on
    every system that it runs on, and within one process too, where plain POSIX locks do not exclude each other.

    Raises:
        ProjectError: another window or program holds it, or the folder cannot be written.
    """

    def __init__(self, project: Path) -> None:
        self.path = project.with_name(f".{project.name}.lock")
        self._project = project
        for _ in range(_ATTEMPTS):
            connection = self._take()
            if connection is not None:
                self._connection = connection
                return
        raise ProjectError("cannot be locked for writing; try again", where=project)

    def release(self) -> None:
        """Let go; harmless when called twice."""
        # The file goes first: once the lock is free another opener may hold this very file.
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self._connection.close()

    def _take(self) -> sqlite3.Connection | None:
        """The connection that holds the lock; None if a leaving writer took the file away in between."""
        try:
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError:
            raise self._not_writable() from None
        try:
            before = os.stat(self.path).st_ino
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("BEGIN EXCLUSIVE")
            if os.stat(self.path).st_ino == before:
                return connection
        except FileNotFoundError:
            pass
        except sqlite3.OperationalError as error:
            connection.close()
            if "locked" in str(error):
                raise ProjectError(
                    "is open in another window; close it there, or open it here for reading only", where=self._project
                ) from None
            raise self._not_writable() from None
        except sqlite3.DatabaseError:
            connection.close()
            raise ProjectError(
                f"cannot be locked: {self.path.name} is not a lock; remove it", where=self._project
            ) from None
        connection.close()
        return None

    def _not_writable(self) -> ProjectError:
        return ProjectError(
            "cannot be changed: its folder is not writable; open it for reading only", where=self._project
        )
