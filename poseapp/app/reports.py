"""What imports, exports and runs had to remark, kept while the window is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from poseapp.project.formats.report import WARNING, Remark

KEPT = 20
"""Reports that are kept, the newest."""


@dataclass(frozen=True)
class Report:
    """The remarks of one import, export or run.

    Attributes:
        title: what it was ("Import of labels.json").
        summary: how it ended, in a sentence.
        remarks: every remark, in the order they were met.
        kind: of the message that announces it: "info", "good", "warning" or "error".
        time: when it ended.
        project: that it is about, if it is about the labels of one.
    """

    title: str
    summary: str
    remarks: tuple[str, ...]
    kind: str = "warning"
    time: datetime = field(default_factory=datetime.now)
    project: Path | None = None

    def text(self) -> str:
        """Everything as plain text, a line a remark; below it the records that are known, if there are several."""
        lines = [f"{self.title}, {self.time:%Y-%m-%d %H:%M}", self.summary, ""]
        for remark in self.remarks:
            lines.append(remark)
            lines += [f"    {record}" for record in records_of(remark) if len(records_of(remark)) > 1]
        return "\n".join([*lines, ""])

    def headline(self) -> str:
        """The message in the corner of the window: one remark is told whole, of more their number."""
        if not self.remarks:
            return self.summary
        if len(self.remarks) == 1 and len(self.remarks[0]) <= 300:
            return f"{self.summary} {self.remarks[0]}"
        return f"{self.summary} {len(self.remarks):,} {'remark' if len(self.remarks) == 1 else 'remarks'}."


def as_remark(text: str) -> Remark:
    """A remark with its parts; a plain sentence is a warning about one record."""
    return text if isinstance(text, Remark) else Remark(text, severity=WARNING)


def records_of(text: str) -> Sequence[str]:
    """The records of a remark that are known, each with what was found there."""
    return text.records if isinstance(text, Remark) else ()


class Reports:
    """The newest reports, newest first."""

    def __init__(self) -> None:
        self.all: list[Report] = []

    def add(self, report: Report) -> None:
        self.all = [report, *self.all[: KEPT - 1]]
