"""Checks of labels in the window: after an import and on demand, their list, and their fixes as undoable steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from engine.errors import PoseError
from engine.labels.checks import Problem
from engine.utils.context import INFO, Remark
from poseapp.app.reports import Report
from poseapp.jobs.base import Outcome
from poseapp.jobs.check_labels import CheckLabelsJob
from poseapp.jobs.runner import JobRunner
from poseapp.project.checks import (
    CheckReport,
    ProjectFinding,
    ProjectFix,
    fix_project,
    import_checks,
    report_on_project,
)
from poseapp.project.edits.locks import without_locked
from poseapp.project.import_reports import ImportReport, ImportReports, problem_remarks
from poseapp.project.model import Change
from poseapp.session.background_queries import Queries
from poseapp.session.session import Session


class LabelChecker(QObject):
    """Runs checks over the open project.

    After an import the checks of whole files run in a thread of their own, and what they find joins the report of the
    import in the project. On demand all checks run as a job, with progress.

    Signals:
        told(text, kind): what there is to say.
        reported(Report): what the checks of an import found.
    """

    told = Signal(str, str)
    reported = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._runner, self._window = session, runner, parent
        self._queries = Queries(self, at_once_below=0)
        self._queries.failed.connect(self._on_failed)
        session.closing.connect(self._stop)

    def check_import(self, report_id: int, title: str) -> None:
        """Check the labels that an import brought in.

        Args:
            report_id: of its report in the project. title: of the report.
        """
        store = self._session.store
        if store is None:
            return
        self._queries.use(store, len(self._session.frames))
        self._queries.ask(
            "import", partial(report_on_project, chosen=import_checks()), partial(self._take_import, report_id, title),
            once=True,
        )  # fmt: skip

    @property
    def is_busy(self) -> bool:
        """Whether a check after an import, or a fix, is under way."""
        return self._queries.is_pending("import") or self._queries.is_pending("fix")

    def check_all(self) -> None:
        """Run all checks, and show what they find."""
        path = self._session.path
        if path is None:
            return
        self._session.chunked_edits.finish()  # what is under way is not seen from the other thread

        def take(results: list[CheckReport]) -> None:
            if results and self._session.path == path:
                self._show_checks(path, results[-1])

        def ended(outcome: Outcome) -> None:
            if outcome.error is not None:
                self.told.emit(str(outcome.error), "error")

        self._runner.submit(CheckLabelsJob(path, after_import=False), on_results=take, on_finished=ended)

    def show_import_reports(self) -> None:
        """Show what imports into this project had to remark, the newest first."""
        store = self._session.store
        if store is None:
            return
        try:
            stored = ImportReports(store).all()
        except PoseError as error:
            self.told.emit(str(error), "error")
            return
        if not stored:
            self.told.emit("Nothing was imported into this project", "info")
            return
        self._show([_as_report(report, store.path) for report in stored])

    def show_reports(self, reports: Sequence[Report]) -> None:
        """Show reports, the newest first."""
        self._show(reports)

    def fix(self, check_id: str) -> None:
        """Do the fix of a check in the whole project, as one step of the history."""
        store = self._session.store
        if store is None or self._session.read_only:
            return
        self._session.chunked_edits.finish()
        self._queries.use(store, len(self._session.frames))
        self._queries.ask("fix", partial(fix_project, check_id=check_id), self._apply, once=True)

    def _apply(self, fix: ProjectFix) -> None:
        session, store = self._session, self._session.store
        self._rest()
        if store is None:
            return
        if fix.schemas:
            changes = {category_id: (None, schema) for category_id, schema in fix.schemas.items()}
            try:
                change = store.edit_categories(changes, fix.edit.text)
            except PoseError as error:
                self.told.emit(str(error), "error")
                return
            self._session.structure_changed()
            self._announce(change, _count(len(fix.schemas), "category", "categories"))
            return
        free = without_locked(fix.edit, session.locked, session.locked_points)
        if free is None:
            self.told.emit("Locked: cannot be changed. Ctrl+Shift+H unlocks all.", "info")
        elif not free.frames:
            self.told.emit("Nothing is left to fix", "info")
        else:
            poses = _count(sum(len(frame.before) for frame in free.frames), "pose", "poses")
            session.chunked_edits.start(
                lambda: store.apply_in_chunks(free), "Changing", lambda change: self._announce(change, poses)
            )

    def _announce(self, change: Change, what: str) -> None:
        if change != Change():
            self._session.announce(change)
            self.told.emit(f"{what} changed. Ctrl+Z reverts it.", "good")

    def go_to(self, finding: ProjectFinding) -> None:
        """Show the frame of a finding, with its pose and keypoints selected."""
        session = self._session
        if finding.frame is None or session.frames.position(finding.frame) < 0:
            self.told.emit("The frame of this record is not in the project any more", "info")
            return
        session.go_to(finding.frame)
        if session.frame == finding.frame and finding.instance is not None:
            points = [(finding.instance, keypoint) for keypoint in finding.keypoints]
            session.select(instances=[finding.instance], points=points)

    def _take_import(self, report_id: int, title: str, report: CheckReport) -> None:
        store = self._session.store
        self._rest()
        if store is None or not report.problems:
            return
        if not self._session.read_only:
            try:
                ImportReports(store).set_problems(report_id, report)
            except PoseError as error:  # the report is shown, if not kept
                self.told.emit(str(error), "warning")
        remarks = tuple(problem_remarks(report))
        worth_telling = any(problem.severity != INFO or problem.fix for problem in report.problems)
        if worth_telling:
            self.reported.emit(Report(title, _found(report.problems), remarks, project=store.path))

    def _show_checks(self, path: Path, report: CheckReport) -> None:
        if not report.problems:
            self.told.emit("No problems found", "good")
            return
        remarks: tuple[Remark, ...] = tuple(problem_remarks(report))
        self._show([Report(f"Check of {path.stem}", _found(report.problems), remarks, project=path)])

    def _show(self, reports: Sequence[Report]) -> None:
        from poseapp.dialogs.report import ReportDialog

        dialog = ReportDialog(reports, self._window, can_fix=self._can_fix)
        dialog.fix_requested.connect(self.fix)
        dialog.finding_chosen.connect(self.go_to)
        dialog.show()

    def _can_fix(self, report: Report) -> bool:
        """Whether the project of a report is open for writing."""
        return report.project is not None and report.project == self._session.path and not self._session.read_only

    def _on_failed(self, text: str) -> None:
        self._rest()
        self.told.emit(text, "error")

    def _rest(self) -> None:
        """Close the connection to the project, unless something else is asked."""
        if not self.is_busy:
            self._queries.use(None)

    def _stop(self) -> None:
        self._queries.use(None)


def _as_report(stored: ImportReport, project: Path) -> Report:
    time = datetime.fromtimestamp(stored.time)
    return Report(stored.title, stored.summary, stored.remarks, time=time, project=project)


def _found(problems: Sequence[Problem]) -> str:
    """What checks found, as a sentence: how many records, and how many of them can be fixed."""
    records = _count(sum(problem.count for problem in problems), "record", "records")
    fixable = sum(problem.fixable for problem in problems)
    more = f" {fixable:,} can be fixed with a button." if fixable else ""
    return f"The checks found something in {records}.{more}"


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
