"""One way for long work to show progress, to be cancelled, and to say what it had to do about odd records.

    context = Context(on_progress=bar.update)
    labels = find_format(path).read(path, context)
    for sentence in context.findings.sentences(): ...

Work that takes a context calls ``context.progress(done, total)`` now and then, and ``context.report(record, what,
action)`` for each record it could not take as it is. Another thread may call ``context.cancel()`` at any time; the next
``progress`` or ``check_cancelled`` then raises :class:`engine.errors.Cancelled`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TypeAlias

from engine.errors import Cancelled, shortened

INFO, WARNING, ERROR = "info", "warning", "error"
"""Severities of a finding: good to know; worth a look; something was left out or lost."""

ProgressCallback: TypeAlias = Callable[[int, int], None]
"""Called with units done and units in all (0 = unknown). Whatever it raises stops the work."""

_MAX_LISTED_RECORDS = 500
_MAX_EXAMPLES = 20
_MAX_WORDS = 8
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r"[a-z]+")


class Remark(str):
    """A finding as a sentence that keeps its parts, so that a table can show them in columns.

    Attributes:
        kind: what happened, without the record.
        where: the first record it happened to, or all that were to be listed; "" if it concerns the whole.
        occurrences: number of records it happened to.
        severity: INFO, WARNING or ERROR.
        action: what was done about it, the end of ``kind``; "" if that does not say.
        records: the first records it happened to.
    """

    kind: str
    where: str
    occurrences: int
    severity: str
    action: str
    records: tuple[str, ...]

    def __new__(
        cls,
        kind: str,
        where: str = "",
        count: int = 1,
        severity: str = WARNING,
        action: str = "",
        records: tuple[str, ...] = (),
    ) -> Remark:
        kind, where = shortened(kind), shortened(where)  # a damaged file may hold megabytes in a name
        more = f" and {count - 1} more" if count > 1 else ""
        remark = super().__new__(cls, f"{kind}: {where}{more}" if where else kind)
        remark.kind, remark.where, remark.occurrences, remark.severity = kind, where, count, severity
        remark.action, remark.records = action, records
        return remark

    def __getnewargs__(self) -> tuple[str, str, int, str, str, tuple[str, ...]]:  # type: ignore[override]
        return self.kind, self.where, self.occurrences, self.severity, self.action, self.records

    @property
    def id(self) -> str:
        """What happened as an identifier for scripts: "Image not found, left out" is ``image_not_found``."""
        what = self.kind.removesuffix(f", {self.action}") if self.action else self.kind
        words = _WORD.findall(_QUOTED.sub(" ", what.split(":")[0]).lower())
        return "_".join(words[:_MAX_WORDS]) or "remark"


class Findings:
    """What was odd about the records of a file. Records with the same finding are counted together."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._records: dict[str, list[str]] = {}
        self._severities: dict[str, str] = {}
        self._actions: dict[str, str] = {}
        self._examples: dict[str, list[str]] = {}

    def add(
        self,
        kind: str,
        where: str = "",
        count: int = 1,
        *,
        severity: str = WARNING,
        listed: bool = False,
        action: str = "",
    ) -> None:
        """Add a finding.

        Args:
            kind: what was found and what was done about it; findings of one kind become one remark.
            where: the record.
            count: number of records, where several are added at once.
            listed: name every record in the remark, not only the first.
            action: what was done about it, the end of ``kind``.
        """
        self._counts[kind] = self._counts.get(kind, 0) + count
        records = self._records.setdefault(kind, [])
        if not records or (listed and len(records) < _MAX_LISTED_RECORDS):
            records.append(where)
        examples = self._examples.setdefault(kind, [])
        if where and len(examples) < _MAX_EXAMPLES:
            examples.append(shortened(where))
        self._severities.setdefault(kind, severity)
        self._actions.setdefault(kind, action)

    def __len__(self) -> int:
        return len(self._counts)

    def sentences(self) -> list[str]:
        """One :class:`Remark` for each kind, in the order in which the kinds were first met."""
        return list(self.remarks())

    def remarks(self) -> list[Remark]:
        """As :meth:`sentences`."""
        return [
            Remark(
                kind,
                "; ".join(records),
                self._counts[kind] - len(records) + 1,
                self._severities[kind],
                self._actions[kind],
                tuple(self._examples[kind]),
            )
            for kind, records in self._records.items()
        ]


class Context:
    """Progress, cancellation and findings of one piece of work.

    Args:
        on_progress: called with units done, units in all (0 = unknown) and a text ("" = as before).
        is_cancelled: asked at every step; an alternative to :meth:`cancel`.
        findings: collects what is reported.
    """

    def __init__(
        self,
        on_progress: Callable[[int, int, str], object] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        findings: Findings | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self._cancelled = threading.Event()
        self.findings = Findings() if findings is None else findings

    @classmethod
    def from_callback(cls, callback: ProgressCallback | None, findings: Findings | None = None) -> Context:
        """A context for callers that have a function of two numbers; what it raises stops the work."""
        if callback is None:
            return cls(findings=findings)
        return cls(lambda done, total, _text: callback(done, total), findings=findings)

    def progress(self, done: int, total: int = 0, text: str = "") -> None:
        """Show progress.

        Raises:
            Cancelled: the work was cancelled.
        """
        self.check_cancelled()
        if self._on_progress is not None:
            self._on_progress(done, total, text)

    def cancel(self) -> None:
        """Ask the work to stop at its next step. May be called from any thread."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether the work was cancelled; for work that can be stopped, but not by an exception."""
        return self._cancelled.is_set() or (self._is_cancelled is not None and self._is_cancelled())

    def check_cancelled(self) -> None:
        """Raises: Cancelled, if the work was cancelled."""
        if self.is_cancelled:
            raise Cancelled("was cancelled")

    def report(
        self, record: str, what: str, action: str = "", *, count: int = 1, severity: str = WARNING, listed: bool = False
    ) -> None:
        """Say what was odd about a record and what was done about it.

        Args:
            record: which one ("annotation 17").
            what: the oddity ("Annotation of an image that is not in the file").
            action: what was done ("left out"); "" = it was taken as it is.
            count, severity, listed: see :meth:`Findings.add`.
        """
        kind = f"{what}, {action}" if action else what
        self.findings.add(kind, record, count, severity=severity, listed=listed, action=action)
