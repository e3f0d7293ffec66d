"""What an import did, and what a person should know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import shortened

_MOST_LISTED = 500

ProgressCallback = Callable[[int, int], None]
"""Called with units done and units in all."""

INFO, WARNING, ERROR = "info", "warning", "error"
"""Severities of a remark: good to know; worth a look; something was left out or lost."""


class Remark(str):
    """One remark as a sentence that also carries its parts, so that a list can show them in columns.

    Attributes:
        kind: what happened, without the record.
        where: the first file or record it happened to; "" when it concerns the whole.
        occurrences: how many records it happened to.
        severity: INFO, WARNING or ERROR.
    """

    kind: str
    where: str
    occurrences: int
    severity: str

    def __new__(cls, kind: str, where: str = "", count: int = 1, severity: str = WARNING) -> Remark:
        kind, where = shortened(kind), shortened(where)  # a damaged file may hold megabytes in a name
        more = f" and {count - 1} more" if count > 1 else ""
        remark = super().__new__(cls, f"{kind}: {where}{more}" if where else kind)
        remark.kind, remark.where, remark.occurrences, remark.severity = kind, where, count, severity
        return remark

    def __getnewargs__(self) -> tuple[str, str, int, str]:  # type: ignore[override]
        return self.kind, self.where, self.occurrences, self.severity


@dataclass(frozen=True)
class LabelOffer:
    """Label files that are not taken in before a person has said so.

    Attributes:
        paths: the label files, or folders of them, as they would be opened.
        text: what is new in them, as a sentence.
        digest: content of a file that changed; for :meth:`SourceTable.decline`.
    """

    paths: tuple[Path, ...]
    text: str
    digest: bytes = b""


@dataclass
class ImportReport:
    """What an import brought in.

    Attributes:
        images, annotations: how many came in.
        problems: what was odd about them, as sentences.
        notes: what is good to know, as sentences: a file that is unchanged since its last import.
        left_out: labels that wait for an image or a video that is missing.
        records: key of the record in the file, and instance, of each pose; by label file.
        tracks: number of each track, by its name in the file.
        offers: label files of which a person must say whether they are taken in.
    """

    images: int = 0
    annotations: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0
    records: dict[Path, list[tuple[str, int]]] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)
    offers: list[LabelOffer] = field(default_factory=list)

    def join(self, other: ImportReport) -> None:
        """Add what another import brought in to the same project."""
        self.images += other.images
        self.annotations += other.annotations
        self.problems += other.problems
        self.notes += other.notes
        self.left_out += other.left_out
        self.offers += other.offers


class Problems:
    """Collects oddities: each kind is told once, with how often it was met and where first (or everywhere)."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}
        self._severities: dict[str, str] = {}

    def add(self, kind: str, where: str, count: int = 1, *, severity: str = WARNING, listed: bool = False) -> None:
        """Add one or several of a kind. ``listed``: tell where each of them is, and not only the first."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        places = self._places.setdefault(kind, [])
        if not places or (listed and len(places) < _MOST_LISTED):
            places.append(where)
        self._severities.setdefault(kind, severity)

    def sentences(self) -> list[str]:
        return [
            Remark(kind, "; ".join(places), self._counts[kind] - len(places) + 1, self._severities[kind])
            for kind, places in self._places.items()
        ]
