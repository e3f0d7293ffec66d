"""What is odd about labels as one list: what their reader met, and what the checks found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from engine.labels.checks.base import Finding
from engine.labels.checks.registry import find_check
from engine.utils.context import ERROR, INFO, WARNING, Remark

SHOWN = 20
"""Records of one problem that are listed, unless all are asked for."""

_ORDER = {ERROR: 0, WARNING: 1, INFO: 2}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of oddity, with the records that it concerns.

    Attributes:
        id: of the check, or made of the reader's words; the same in every run and version.
        is_check: found by a check; else met while the labels were read.
        severity: INFO, WARNING or ERROR.
        title: what it is, for people.
        help: why it matters and what to do about it; "" for what the reader met.
        action: what was done about it ("left out"); "" = nothing, the records are as they came.
        count: number of records.
        records: the first of them, with what was found there.
        fix: what could be done about it ("Mark as absent"); "" for nothing.
        fixable: number of records for which it could be done.
    """

    id: str
    severity: str
    title: str
    count: int
    is_check: bool = False
    help: str = ""
    action: str = ""
    records: tuple[str, ...] = ()
    fix: str = ""
    fixable: int = 0


class Summary:
    """Counts findings; only some records of each kind are kept, so that a million of them fit.

    Args:
        shown: records of each kind that are kept; None = all.
    """

    def __init__(self, shown: int | None = SHOWN) -> None:
        self._shown = shown
        self._counts: dict[str, int] = {}
        self._fixable: dict[str, int] = {}
        self._severities: dict[str, str] = {}
        self._records: dict[str, list[str]] = {}

    def add(self, finding: Finding) -> None:
        """Count a finding of a check."""
        id = finding.check
        self._counts[id] = self._counts.get(id, 0) + 1
        self._severities.setdefault(id, finding.severity)
        self._fixable[id] = self._fixable.get(id, 0) + bool(finding.fix)
        records = self._records.setdefault(id, [])
        if self._shown is None or len(records) < self._shown:
            records.append(f"{finding.where}: {finding.message}" if finding.where else finding.message)

    def problems(self, remarks: Iterable[Remark] = ()) -> list[Problem]:
        """One list, errors first: what the reader met (``remarks``), and what the checks found."""
        problems = [problem_of(remark) for remark in remarks]
        for id, count in self._counts.items():
            check = find_check(id)
            problems.append(
                Problem(
                    id=id,
                    is_check=True,
                    severity=self._severities[id],
                    title=check.title,
                    help=check.help,
                    count=count,
                    records=tuple(self._records[id]),
                    fix=check.fix_title if self._fixable[id] else "",
                    fixable=self._fixable[id],
                )
            )
        return sorted(problems, key=lambda problem: _ORDER.get(problem.severity, 1))


def problem_of(remark: Remark) -> Problem:
    """A remark of a reader as an entry of the list."""
    title = remark.kind.removesuffix(f", {remark.action}") if remark.action else remark.kind
    records = remark.records or ((remark.where,) if remark.where else ())
    return Problem(
        id=remark.id,
        severity=remark.severity,
        title=title,
        action=remark.action,
        count=max(remark.occurrences, len(records)),
        records=records,
    )


def is_clean(problems: Sequence[Problem]) -> bool:
    """Whether there is nothing but information."""
    return all(problem.severity == INFO for problem in problems)
