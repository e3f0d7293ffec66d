"""Reports of imports are kept in the project, and programs of earlier versions are not disturbed by them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.utils.context import ERROR, Remark
from poseapp.project.checks import report_on_project
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.import_reports import KEPT, NO_FILE, ImportReports, ProblemRemark
from poseapp.project.opening import open_any, open_with_report
from poseapp.project.store import ProjectStore
from tests.poseapp.dialogs.test_report import labels_with_two_faults


def test_every_remark_of_an_import_is_kept(tmp_path: Path) -> None:
    store, report = open_with_report(labels_with_two_faults(tmp_path))
    with store:
        assert report.stored
    with ProjectStore.open(tmp_path / "labels.pose") as store:
        (stored,) = ImportReports(store).all()
        assert stored.title == "Import of labels.json"
        assert stored.summary == "1 pose and 2 images came in."
        assert [str(remark) for remark in stored.remarks] == [str(problem) for problem in report.problems]


def test_parts_of_remarks_and_findings_of_checks_come_back(project: Path) -> None:
    remark = Remark("Row without a box, left out", "a.txt:3", 7, ERROR, "left out", ("a.txt:3", "a.txt:9"))
    with ProjectStore.open(project) as store:
        store.frame_keys()
        (store.path.parent / "c.png").unlink()
        checked = report_on_project(store)
        reports = ImportReports(store)
        reports.set_problems(reports.add("Import of a", "3 came.", [remark, "a name \udce9"]), checked)
    with ProjectStore.open(project, read_only=True) as store:
        (stored,) = ImportReports(store).all()
    first, second, problem = stored.remarks
    assert (first.kind, first.where, first.occurrences, first.severity, first.action, first.records) == (
        remark.kind, remark.where, 7, ERROR, "left out", remark.records,
    )  # fmt: skip
    assert str(second) == "a name ?"
    assert isinstance(problem, ProblemRemark)
    assert (problem.problem.id, problem.occurrences) == ("missing_image", 1)
    assert problem.findings == tuple(checked.findings["missing_image"])


def test_only_the_newest_reports_are_kept(project: Path) -> None:
    with ProjectStore.open(project) as store:
        reports = ImportReports(store)
        for n in range(KEPT + 3):
            reports.add(f"Import of {n}", "", [])
        assert [report.title for report in reports.all()][::KEPT] == [f"Import of {KEPT + 2}"]
        assert len(reports.all()) == KEPT


def test_opening_what_is_in_the_project_adds_no_report(tmp_path: Path) -> None:
    path = labels_with_two_faults(tmp_path)
    open_any(path).close()
    with open_any(path) as store:
        assert len(ImportReports(store).all()) == 1


@pytest.mark.parametrize("data", [b"", b"x\x9c", b"no zlib", json.dumps({"title": 3}).encode()])
def test_a_damaged_report_is_left_out(project: Path, data: bytes) -> None:
    with ProjectStore.open(project) as store:
        reports = ImportReports(store)
        reports.add("Import of a", "", [])
        reports.add("Import of b", "", [])
    with closing(sqlite3.connect(project)) as connection:
        connection.execute("UPDATE coco_block SET records = ? WHERE id = 1", (data,))
        connection.commit()
    with ProjectStore.open(project) as store:
        assert [report.title for report in ImportReports(store).all()] == ["Import of b"]


def test_a_report_is_nothing_to_an_export_and_to_earlier_versions(tmp_path: Path) -> None:
    """No new table, no new version; the row names a file that does not exist, so that no reader of records meets it."""
    path = labels_with_two_faults(tmp_path)
    with open_any(path) as store:
        assert ImportReports(store).all()
        export_coco(store, tmp_path / "again.json")
        assert store.database.rows("SELECT 1 FROM coco_file WHERE id = ?", (NO_FILE,)) == []
        (count,) = store.database.rows("SELECT count(*) FROM coco_block WHERE file = ?", (NO_FILE,))
        assert count == (1,)
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(path.read_text())
