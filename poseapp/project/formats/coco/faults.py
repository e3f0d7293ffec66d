"""Records of a COCO file that cannot be understood: kept aside where they are, and reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from engine.errors import CocoError
from poseapp.project.formats.report import Problems

T = TypeVar("T")


class Faulty:
    """Takes the records of one section that cannot be understood, and reports them.

    Attributes:
        positions: of these records in the file.
    """

    def __init__(self, what: str, problems: Problems) -> None:
        self._what, self._problems = what, problems
        self.positions: set[int] = set()

    def __call__(self, position: int, error: CocoError) -> None:
        self.positions.add(position)
        self._problems.add(f"Unreadable {self._what}, kept aside: it {error.message}", f"number {position + 1}")


def in_place(parsed: Sequence[T], faulty: Faulty, positions: range) -> list[T | None]:
    """The records at their positions, None for those that cannot be understood."""
    remaining = iter(parsed)
    return [None if position in faulty.positions else next(remaining) for position in positions]
