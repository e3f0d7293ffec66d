"""Imports are checked; what is found stays in the project, is shown with its records, and is fixed as one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.dialogs.report import ReportDialog
from poseapp.project.import_reports import ImportReports
from poseapp.window.main_window import MainWindow

SIZE = (80, 60)


def labels(folder: Path, frames: int = 6) -> Path:
    """A COCO file in which nothing is ever visible, with a keypoint outside the image and a missing image."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for n in range(frames):
        assert cv2.imwrite(str(folder / f"{n}.png"), np.full((SIZE[1], SIZE[0], 3), 90 + n, np.uint8))
        images.append({"id": n, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]})
        points = [5 + n, 6, 1, 30, 40, 1] if n else [5, 6, 1, 300, 40, 1]
        annotations.append({
            "id": n, "image_id": n, "category_id": 1, "keypoints": points, "num_keypoints": 2, "iscrowd": 0,
            "bbox": [4, 5, 40, 41], "area": 400,
        })  # fmt: skip
    images.append({"id": 99, "file_name": "gone.png", "width": SIZE[0], "height": SIZE[1]})
    category = {"id": 1, "name": "thing", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}
    data = {"images": images, "annotations": annotations, "categories": [category]}
    path = folder / "labels.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def dialog_of(window: MainWindow) -> ReportDialog:
    (dialog,) = [d for d in window.findChildren(ReportDialog) if d.isVisible()]
    return dialog


def open_and_check(window: MainWindow, path: Path, qtbot: QtBot) -> None:
    window.open_paths([path])
    qtbot.waitUntil(
        lambda: window.session.store is not None and not window.runner.active() and not window.checker.is_busy,
        timeout=10_000,
    )


def choose(dialog: ReportDialog, kind: str) -> None:
    row = [remark.kind for remark in dialog.model.remarks].index(kind)
    flags = QItemSelectionModel.SelectionFlag  # not selectRow, which heeds the keys that an earlier test left pressed
    dialog.table.selectionModel().select(dialog.model.index(row, 0), flags.ClearAndSelect | flags.Rows)


@pytest.fixture
def imported(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    open_and_check(window, labels(tmp_path), qtbot)
    return window


def test_an_import_is_checked_and_its_report_stays_in_the_project(imported: MainWindow, qtbot: QtBot) -> None:
    assert any("can be fixed" in text for text in imported.toasts.messages())
    path = imported.session.path
    assert path is not None
    imported.session.close()
    open_and_check(imported, path, qtbot)
    imported.run("import_report")
    dialog = dialog_of(imported)
    assert dialog.report.title == "Import of labels.json"
    kinds = [remark.kind for remark in dialog.model.remarks]
    assert kinds[0] == "Image not found"
    assert {"All keypoints are marked as occluded", "Keypoint outside the image"} <= set(kinds)
    assert "gone.png" in dialog.report.text()
    assert "0.png, instance 1: b lies outside the image (80 x 60 pixels)" in dialog.report.text()
    dialog.close()


def test_a_fix_is_one_undoable_step_that_says_how_many_poses_it_changed(imported: MainWindow, qtbot: QtBot) -> None:
    session = imported.session
    assert session.store is not None
    steps = len(session.store.history())
    imported.run("import_report")
    dialog = dialog_of(imported)
    choose(dialog, "All keypoints are marked as occluded")
    assert dialog.fix_button.text() == "Mark as visible (6)"
    QTest.mouseClick(dialog.fix_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not imported.checker.is_busy, timeout=5000)
    assert imported.toasts.messages()[-1] == "6 poses changed. Ctrl+Z reverts it."
    assert len(session.store.history()) == steps + 1
    assert all((i.visibility == 2).all() for _, i in session.store.all_instances())
    QTest.mouseClick(dialog.fix_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not imported.checker.is_busy, timeout=5000)
    assert imported.toasts.messages()[-1] == "Nothing is left to fix"
    imported.run("undo")
    assert all((i.visibility == 1).all() for _, i in session.store.all_instances())
    dialog.close()


def test_a_record_is_shown_by_a_double_click(imported: MainWindow, qtbot: QtBot) -> None:
    session = imported.session
    session.go_to(session.frames[3])
    imported.run("check_labels")
    qtbot.waitUntil(lambda: not imported.runner.active(), timeout=10_000)
    dialog = dialog_of(imported)
    choose(dialog, "Keypoint outside the image")
    assert dialog.records.count() == 1
    box = dialog.records.visualItemRect(dialog.records.item(0))
    viewport = dialog.records.viewport()
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=box.center())
    QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=box.center())
    assert session.frame == session.frames[0]
    (pose,) = session.instances
    assert session.selected_points == {(pose.id, 1)}
    dialog.close()


def test_locked_poses_are_left_as_they_are(imported: MainWindow, qtbot: QtBot) -> None:
    session = imported.session
    assert session.store is not None
    (pose,) = session.instances
    session.hide_and_lock((), {pose.id})
    imported.checker.fix("all_occluded")
    qtbot.waitUntil(lambda: not imported.checker.is_busy, timeout=5000)
    assert imported.toasts.messages()[-1] == "5 poses changed. Ctrl+Z reverts it."
    assert (session.store.instance(pose.id).visibility == 1).all()


def test_a_project_without_imports_says_so(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    open_and_check(window, project, qtbot)
    window.run("import_report")
    assert window.toasts.messages()[-1] == "Nothing was imported into this project"


def test_good_labels_are_called_good(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    open_and_check(window, project, qtbot)
    window.run("check_labels")
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=10_000)
    assert window.toasts.messages()[-1] == "No problems found"


def test_closing_during_the_check_keeps_the_project_whole(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    path = labels(tmp_path, 40)
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=10_000)
    project = window.session.path
    assert project is not None
    window.session.close()
    open_and_check(window, project, qtbot)
    assert window.session.store is not None
    assert len(ImportReports(window.session.store).all()) == 1


def test_a_fix_belongs_to_the_project_of_its_report(imported: MainWindow, project: Path, qtbot: QtBot) -> None:
    report = next(report for report in imported.reports.all if report.project is not None)
    open_and_check(imported, project, qtbot)
    imported.show_report()
    dialog = dialog_of(imported)
    assert dialog.report is report or report in imported.reports.all
    choose(dialog, dialog.model.remarks[0].kind)
    assert not dialog.fix_button.isVisible()
    dialog.close()
