"""A large change of the project in small pieces, so that whoever must answer meanwhile can."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from typing import TypeVar

from poseapp.project.model import Change
from poseapp.project.storage.database import Database

T = TypeVar("T")
Pieces = Generator[int, None, T]
"""Work that stops every few milliseconds, telling how many instances are done; it returns its result."""


def run_through(pieces: Pieces[T]) -> T:
    """All of it at once."""
    while True:
        try:
            next(pieces)
        except StopIteration as stop:
            result: T = stop.value
            return result


class ChunkedWrite:
    """One transaction that is written piece by piece in one thread: all of it or, when it raises, nothing.

    It is on the disk once :attr:`done`. Whatever else writes to the database, or closes it, finishes it first; so
    between the pieces nothing can be mixed into it. What is read meanwhile through the same database may be half done.
    """

    def __init__(self, database: Database, pieces: Pieces[Change]) -> None:
        self._database, self._pieces = database, pieces
        self._transaction = database.write()
        self._transaction.__enter__()
        self._database.before_write = self.finish
        self._made: Change | None = None
        self.change: Change | None = None
        self.failed: BaseException | None = None
        self.count = 0

    @property
    def done(self) -> bool:
        return self.change is not None or self.failed is not None

    def advance(self, seconds: float) -> bool:
        """Go on for about so long, at least by one piece; True once it is done.

        Raises:
            ProjectError: it cannot be done; nothing was changed.
        """
        end = time.perf_counter() + seconds
        self._database.before_write = None
        try:
            while not self.done:
                self._piece()
                if time.perf_counter() >= end:
                    break
        finally:
            if not self.done:
                self._database.before_write = self.finish
        return self.done

    def finish(self) -> None:
        """All that is left, at once. Harmless when it is done.

        Raises:
            ProjectError: it cannot be done; nothing was changed.
        """
        while not self.advance(1.0):
            pass

    def _piece(self) -> None:
        if self._made is not None:  # bringing it to the disk is a piece of its own
            self._keep(self._made)
            return
        try:
            self.count = next(self._pieces)
        except StopIteration as stop:
            self._made = stop.value
            if self._made is not None and self._made.media:  # frames may be gone that are still shown
                self._keep(self._made)
        except BaseException as error:
            self._close(error)
            raise

    def _keep(self, change: Change) -> None:
        self._close(None)
        self.change = change

    def _close(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self._transaction.__exit__(None, None, None)
            else:
                self._transaction.__exit__(type(error), error, sys.exc_info()[2])
        except BaseException as fault:
            self.failed = fault
            raise
        finally:
            if error is not None:
                self.failed = error
