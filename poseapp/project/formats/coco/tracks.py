"""Track identities of a file as the numbers that the project uses."""

from __future__ import annotations

from engine.formats.coco.dataset import Id
from poseapp.project.storage.database import Database

_LARGEST = 1 << 53


class Tracks:
    """Numbers are kept as they are; names get the next free number.

    Attributes:
        names: number of every name met.
    """

    def __init__(self, database: Database) -> None:
        row = database.row("SELECT max(track) FROM instance")
        # Far above what files number by themselves, so that a number met later is not taken by a name met before.
        self._next = max(1_000_000, 1 + int((row and row[0]) or 0))
        self.names: dict[str, int] = {}

    def number(self, track: Id) -> int:
        if isinstance(track, int) and 0 <= track < _LARGEST:
            self._next = max(self._next, track + 1) if track >= 1_000_000 else self._next
            return track
        name = str(track)
        if name not in self.names:
            self.names[name] = self._next
            self._next += 1
        return self.names[name]
