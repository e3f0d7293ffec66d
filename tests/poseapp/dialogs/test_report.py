"""Every remark of an import, an export or a run can be read, copied and saved."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from poseapp.app.reports import Report
from poseapp.dialogs.report import ReportDialog
from poseapp.project.formats.report import ERROR, Problems, Remark
from poseapp.window.main_window import MainWindow


def dialog_of(window: MainWindow) -> ReportDialog:
    (dialog,) = [d for d in window.findChildren(ReportDialog) if d.isVisible()]
    return dialog


def rows(dialog: ReportDialog) -> list[tuple[str, ...]]:
    model = dialog.model
    return [
        tuple(str(model.data(model.index(row, column))) for column in range(model.columnCount()))
        for row in range(model.rowCount())
    ]


def labels_with_two_faults(folder: Path) -> Path:
    """A COCO file with one good pose, an image that is missing and an annotation of an unknown image."""
    assert cv2.imwrite(str(folder / "a.png"), np.full((60, 80, 3), 90, np.uint8))
    pose = {"category_id": 1, "keypoints": [5, 6, 2, 7, 8, 1], "num_keypoints": 2, "bbox": [4, 5, 5, 5], "area": 25}
    data = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 80, "height": 60},
            {"id": 2, "file_name": "gone.png", "width": 80, "height": 60},
        ],
        "categories": [{"id": 1, "name": "thing", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}],
        "annotations": [{"id": 1, "image_id": 1, **pose}, {"id": 2, "image_id": 77, **pose}],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_all_remarks_of_an_import_are_shown_from_the_message_and_from_the_menu(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    window.open_paths([labels_with_two_faults(tmp_path)])
    qtbot.waitUntil(lambda: bool(window.reports.all) and not window.runner.active(), timeout=8000)
    report = window.reports.all[0]
    assert report.title == "Import of labels.json"
    assert len(report.remarks) >= 2
    (toast,) = [t for t in window.toasts._toasts if t.button is not None]
    assert f"{len(report.remarks)} remarks" in toast.text
    QTest.mouseClick(toast.button, Qt.MouseButton.LeftButton)
    dialog = dialog_of(window)
    assert [row[0] for row in rows(dialog)] == [getattr(r, "kind", r) for r in report.remarks]
    assert not [t for t in window.toasts._toasts if t.button is not None]
    dialog.close()
    window.run("report")
    assert dialog_of(window).report is report
    dialog_of(window).close()


def test_a_single_remark_is_told_whole(window: MainWindow) -> None:
    window.report(Report("Export of a.csv", "3 poses written to a.csv.", ("Times are left out: no video",)))
    assert window.toasts.messages() == ["3 poses written to a.csv. Times are left out: no video"]


def test_problems_keep_their_parts_for_the_list(window: MainWindow) -> None:
    problems = Problems()
    for name in ("a.png", "b.png", "c.png"):
        problems.add("Image not found, its labels are left out", name, severity=ERROR)
    assert problems.sentences() == ["Image not found, its labels are left out: a.png and 2 more"]
    window.report(Report("Import of x", "x is open.", tuple(problems.sentences())))
    window.show_report()
    dialog = dialog_of(window)
    assert rows(dialog) == [("Image not found, its labels are left out", "3", "a.png")]
    model = dialog.model
    assert "Left out" in model.data(model.index(0, 0), Qt.ItemDataRole.AccessibleTextRole)
    assert dialog.details.toPlainText() == problems.sentences()[0]
    dialog.close()


def test_remarks_are_copied_and_saved_whole(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remarks = (Remark("A line\nbreak stays one row", "first"), "a name that is not UTF-8: \udce9", "third")
    window.report(Report("Import of x", "x is open.", remarks))
    window.show_report()
    dialog = dialog_of(window)
    assert len(rows(dialog)) == 3
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    assert "third" in QGuiApplication.clipboard().text()
    dialog.table.selectRow(2)
    dialog.table.setFocus()
    QTest.keyClick(dialog.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "third"
    target = tmp_path / "report.txt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    QTest.mouseClick(dialog.save_button, Qt.MouseButton.LeftButton)
    text = target.read_text("utf-8")
    assert "third" in text
    assert "\\udce9" in text
    dialog.save(tmp_path / "none" / "report.txt")
    assert "cannot be written" in dialog.said.text()
    dialog.close()


def test_earlier_reports_of_the_session_can_be_chosen(window: MainWindow) -> None:
    window.report(Report("Import of x", "x is open.", ("old one", "old two")))
    window.report(Report("Export of y", "written.", ("new one", "new two", "new three")))
    window.show_report()
    dialog = dialog_of(window)
    assert len(rows(dialog)) == 3
    dialog.which.setCurrentIndex(1)
    assert [row[0] for row in rows(dialog)] == ["old one", "old two"]
    dialog.close()


def test_without_remarks_the_menu_says_so(window: MainWindow) -> None:
    window.run("report")
    assert not [d for d in window.findChildren(ReportDialog) if d.isVisible()]
    assert "No import, export or run" in window.toasts.messages()[-1]
