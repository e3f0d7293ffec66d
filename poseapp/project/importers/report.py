"""What an import did, and what a person should know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

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
        more = f" and {count - 1} more" if count > 1 else ""
        remark = super().__new__(cls, f"{kind}: {where}{more}" if where else kind)
        remark.kind, remark.where, remark.occurrences, remark.severity = kind, where, count, severity
        return remark

    def __getnewargs__(self) -> tuple[str, str, int, str]:  # type: ignore[override]
        return self.kind, self.where, self.occurrences, self.severity


@dataclass
class ImportReport:
    """Attributes: images and annotations brought in, and what was odd about them, as sentences."""

    images: int = 0
    annotations: int = 0
    problems: list[str] = field(default_factory=list)


class Problems:
    """Collects oddities: each kind is told once, with how often it was met and where first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._severities: dict[str, str] = {}

    def add(self, kind: str, where: str, count: int = 1, *, severity: str = WARNING) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + count
        self._first.setdefault(kind, where)
        self._severities.setdefault(kind, severity)

    def sentences(self) -> list[str]:
        return [Remark(kind, self._first[kind], count, self._severities[kind]) for kind, count in self._counts.items()]
