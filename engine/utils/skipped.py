"""What a command left out because it could not be read: collected during the work and listed once at its end.

One bad item among many does not end a run. The command finishes the rest, prints a short list on standard error, writes
the whole list into its output or as a JSON event, and leaves with status 0; with ``--strict`` it leaves with status 2.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

import msgspec

from engine.errors import PoseError

OK = 0
SOMETHING_SKIPPED = 2  # the status with --strict, as for bad input
SHOWN = 10  # items printed on standard error; the whole list goes into the output
KEY = "skipped"
"""Top-level key of a COCO file, a report or a JSON event that holds the list."""


class SkippedItem(msgspec.Struct, frozen=True):
    """One item that was left out.

    Attributes:
        where: the file, and the record in it ("labels.json: annotation 17").
        reason: why, as one sentence without a subject ("does not exist").
    """

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


class Skipped:
    """The list of skipped items of one command. Items may be added from several threads; each ``where`` counts once.

    Args:
        what: the items in the plural, for messages ("images", "annotations"). one: the singular; "" = without the s.
    """

    def __init__(self, what: str = "items", one: str = "") -> None:
        self.what = what
        self._one = one or what.removesuffix("s")
        self._items: dict[str, SkippedItem] = {}
        self._lock = threading.Lock()

    def add(self, where: object, reason: str) -> bool:
        """Add an item; False when one with the same ``where`` is in the list already."""
        item = SkippedItem(str(where), reason)
        with self._lock:
            return self._items.setdefault(item.where, item) is item

    def add_error(self, error: Exception, where: object = None) -> bool:
        """Add an item whose reading raised ``error``.

        Args:
            where: what the error is about; by default the file or record that the error names.
        """
        if isinstance(error, PoseError):
            return self.add(where if error.where is None else error.where, error.message)
        if isinstance(error, OSError):
            return self.add(where if error.filename is None else error.filename, f"cannot be read ({error.strerror})")
        return self.add(where, str(error) or type(error).__name__)

    def add_record(self, position: int, error: Exception) -> None:
        """Add a record that a reader cannot understand, as readers of COCO files report it."""
        self.add_error(error, f"record {position}")

    def extend(self, items: Iterable[SkippedItem]) -> None:
        """Add the items of another list."""
        for item in items:
            self.add(item.where, item.reason)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[SkippedItem]:
        return iter(list(self._items.values()))

    def __contains__(self, where: object) -> bool:
        return str(where) in self._items

    def records(self) -> list[dict[str, str]]:
        """The list as plain data, for an output file: ``[{"where": ..., "reason": ...}, ...]``."""
        return [{"where": item.where, "reason": item.reason} for item in self]

    def event(self) -> Mapping[str, Any]:
        """The list as a JSON event: ``{"event": "skipped", "what", "count", "items"}``."""
        return {"event": KEY, "what": self.what, "count": len(self), "items": self.records()}

    def lines(self, shown: int = SHOWN) -> list[str]:
        """For people: how many were skipped, the first ``shown`` of them, and how many more there are. Empty when
        nothing was skipped."""
        if not len(self):
            return []
        items = list(self)
        lines = [f"warning: skipped {len(items)} {self._one if len(items) == 1 else self.what}:"]
        lines += ["  " + " ".join(str(item).split()) for item in items[:shown]]
        if len(items) > shown:
            lines.append(f"  ... and {len(items) - shown} more")
        return lines

    def report(self, stream: TextIO | None = None, shown: int = SHOWN) -> None:
        """Print the short list (:meth:`lines`) on standard error; nothing when nothing was skipped."""
        target = sys.stderr if stream is None else stream
        for line in self.lines(shown):
            # A file name need not be text; what the stream cannot show is written as an escape.
            target.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
        target.flush()

    def status(self, strict: bool) -> int:
        """The exit status: 0, or 2 when something was skipped and ``strict`` is set."""
        return SOMETHING_SKIPPED if strict and len(self) else OK


def add_strict_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--strict``: status 2 when something was skipped. Use it as ``return skipped.status(options.strict)``."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 2 when something had to be skipped (the rest is still done and written; default: 0)",
    )
