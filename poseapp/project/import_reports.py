"""What imports had to remark, kept in the project: readable also after it was opened again.

Each report is one row of the table ``coco_block``, which holds what comes with imports, under a section of its own and
the report_id of no file, so that earlier versions of the program open the project and leave the row alone.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Sequence

import msgspec

from engine.labels.checks import Problem
from engine.utils.context import ERROR, INFO, WARNING, Remark
from poseapp.project.checks import CheckReport, ProjectFinding
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore

NO_FILE = 1 << 61
"""In place of the number of a COCO file."""
SECTION = "import_report"
KEPT = 100
"""Reports that are kept, the newest."""
MOST_RECORDS = 200
"""Records of one problem that are kept with their frames."""

_MAX_BYTES = 1 << 26
_SEVERITIES = frozenset({INFO, WARNING, ERROR})


class ProblemRemark(Remark):
    """What a check found, as a remark of a report.

    Attributes:
        problem: its kind. findings: the first records, with their frames.
    """

    problem: Problem
    findings: tuple[ProjectFinding, ...]

    @classmethod
    def of(cls, problem: Problem, findings: Iterable[ProjectFinding] = ()) -> ProblemRemark:
        """The remark about a problem."""
        where = problem.records[0] if problem.records else ""
        remark = cls(problem.title, where, problem.count, problem.severity, "", problem.records)
        remark.problem, remark.findings = problem, tuple(findings)
        return remark

    def __getnewargs__(self) -> tuple[str, str, int, str, str, tuple[str, ...]]:  # type: ignore[override]
        return self.kind, self.where, self.occurrences, self.severity, self.action, self.records


class _StoredRemark(msgspec.Struct):
    kind: str
    where: str = ""
    count: int = 1
    severity: str = WARNING
    action: str = ""
    records: list[str] = []


class _StoredFinding(msgspec.Struct, array_like=True):
    message: str
    where: str
    frame: tuple[int, int] | None = None
    instance: int | None = None
    keypoints: list[int] = []


class _StoredProblem(msgspec.Struct):
    problem: Problem
    findings: list[_StoredFinding] = []


class _Stored(msgspec.Struct):
    title: str
    summary: str
    time: float
    remarks: list[_StoredRemark] = []
    problems: list[_StoredProblem] = []


class ImportReport(msgspec.Struct, frozen=True):
    """A report that is kept.

    Attributes:
        id: in the project.
        title: what was imported ("Import of labels.json"). summary: how it ended.
        time: seconds since 1970.
        remarks: of the import, then what the checks found (as :class:`ProblemRemark`).
    """

    id: int
    title: str
    summary: str
    time: float
    remarks: tuple[Remark, ...]


class ImportReports:
    """The reports of one project."""

    def __init__(self, store: ProjectStore) -> None:
        self._db = store.database

    def all(self) -> list[ImportReport]:
        """The newest first; one that is damaged is left out."""
        sql = "SELECT id, records FROM coco_block WHERE file = ? AND section = ? ORDER BY id DESC"
        reports = []
        for report_id, data in self._db.rows(sql, (NO_FILE, SECTION)):
            stored = _unpacked(data)
            if stored is not None:
                remarks = (*map(_remark, stored.remarks), *map(_problem_remark, stored.problems))
                reports.append(ImportReport(int(report_id), stored.title, stored.summary, stored.time, remarks))
        return reports

    def add(self, title: str, summary: str, remarks: Iterable[str]) -> int:
        """Keep a report; the oldest goes where there are too many. Returns its id."""
        stored = _Stored(title, summary, time.time(), [_stored_remark(remark) for remark in remarks])
        with self._db.write():
            report_id = self._db.run(
                "INSERT INTO coco_block (file, section, owners, records) VALUES (?, ?, ?, ?)",
                (NO_FILE, SECTION, b"", _packed(stored)),
            )
            self._db.run(
                "DELETE FROM coco_block WHERE file = ? AND section = ? AND id NOT IN "
                "(SELECT id FROM coco_block WHERE file = ? AND section = ? ORDER BY id DESC LIMIT ?)",
                (NO_FILE, SECTION, NO_FILE, SECTION, KEPT),
            )
        return report_id

    def set_problems(self, report_id: int, report: CheckReport) -> None:
        """Add what the checks found after an import to its report."""
        sql = "SELECT records FROM coco_block WHERE id = ? AND file = ? AND section = ?"
        row = self._db.row(sql, (report_id, NO_FILE, SECTION))
        stored = None if row is None else _unpacked(row[0])
        if stored is None:
            return
        stored.problems = [
            _StoredProblem(problem, [_stored_finding(f) for f in report.findings.get(problem.id, ())[:MOST_RECORDS]])
            for problem in report.problems
        ]
        with self._db.write():
            self._db.run("UPDATE coco_block SET records = ? WHERE id = ?", (_packed(stored), report_id))


def problem_remarks(report: CheckReport) -> list[ProblemRemark]:
    """What checks found as remarks."""
    return [ProblemRemark.of(problem, report.findings.get(problem.id, ())) for problem in report.problems]


def _packed(stored: _Stored) -> bytes:
    return zlib.compress(msgspec.json.encode(stored), 1)


def _unpacked(data: object) -> _Stored | None:
    if not isinstance(data, bytes):
        return None
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(data, _MAX_BYTES)
        return msgspec.json.decode(plain, type=_Stored) if unpacker.eof else None
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _stored_remark(text: str) -> _StoredRemark:
    if not isinstance(text, Remark):
        return _StoredRemark(_plain(text))
    return _StoredRemark(
        _plain(text.kind),
        _plain(text.where),
        text.occurrences,
        text.severity,
        _plain(text.action),
        [_plain(record) for record in text.records],
    )


def _plain(text: str) -> str:
    """Text that JSON can hold: file names of any bytes have lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _remark(stored: _StoredRemark) -> Remark:
    severity = stored.severity if stored.severity in _SEVERITIES else WARNING
    return Remark(stored.kind, stored.where, stored.count, severity, stored.action, tuple(stored.records))


def _stored_finding(finding: ProjectFinding) -> _StoredFinding:
    frame = None if finding.frame is None else (finding.frame.media, finding.frame.index)
    return _StoredFinding(
        _plain(finding.message), _plain(finding.where), frame, finding.instance, list(finding.keypoints)
    )


def _problem_remark(stored: _StoredProblem) -> ProblemRemark:
    problem = stored.problem
    if problem.severity not in _SEVERITIES:
        problem = msgspec.structs.replace(problem, severity=WARNING)
    findings: Sequence[ProjectFinding] = [
        ProjectFinding(
            problem.id,
            f.message,
            None if f.frame is None else FrameKey(*f.frame),
            f.instance,
            tuple(f.keypoints),
            f.where,
        )
        for f in stored.findings
    ]
    return ProblemRemark.of(problem, findings)
