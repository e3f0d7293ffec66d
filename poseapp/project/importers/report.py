"""What an import did, and what a person should know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

ProgressCallback = Callable[[int, int], None]
"""Called with units done and units in all."""


@dataclass
class ImportReport:
    """Attributes: images and annotations brought in, and what was odd about them, as sentences."""

    images: int = 0
    annotations: int = 0
    problems: list[str] = field(default_factory=list)


class Problems:
    """Collects oddities: each kind is told once, with how often it was met and where first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, kind: str, where: str, count: int = 1) -> None:
        self._counts[kind] += count
        self._first.setdefault(kind, where)

    def sentences(self) -> list[str]:
        return [
            f"{kind}: {self._first[kind]}" + (f" and {count - 1} more" if count > 1 else "")
            for kind, count in self._counts.items()
        ]
