"""The review panel shows what checks find in the labels of the project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.labels.checks import Check, CheckedFrame, Finding, register_check, unregister_check
from poseapp.app.application import make_application
from poseapp.project import edits
from poseapp.project.checks import ALL_CHECKS, check_project
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore
from poseapp.session.review_queue import PREDICTIONS
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE


@pytest.fixture
def toy_check() -> Iterator[type[Check]]:
    @register_check
    class ThreePoints(Check):
        id = "three_points"
        title = "Three keypoints"
        help = "Every figure has four."

        def check_frame(self, frame: CheckedFrame) -> Iterator[Finding]:
            for instance in frame.instances:
                if instance.is_labelled.sum() == 3:
                    yield self.finding(frame, "has three keypoints", instance)

    yield ThreePoints
    unregister_check("three_points")


@pytest.fixture
def checked(toy_check: type[Check], project: Path, qtbot: QtBot) -> Iterator[MainWindow]:
    """A window, made when the toy check exists, with the review panel in front; a wrist of the first label of b.png
    lies outside the image."""
    with ProjectStore.open(project) as store:
        outside = edits.make_instance(store.new_ids(1)[0], store.categories()[0], POSE + np.array([200, 0]))
        store.apply(edits.add_instance(store.frame_keys()[1], outside))
    make_application()
    window = MainWindow()
    window.resize(1200, 800)
    window.show()
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    window.docks[2].raise_()
    qtbot.waitUntil(lambda: window.review.isVisible(), timeout=3000)
    yield window
    window.close()
    window.deleteLater()


def choose(window: MainWindow, text: str, qtbot: QtBot) -> None:
    """Choose an entry of the box, as a person does, and wait for the check."""
    box = window.review.source
    index = box.findText(text)
    assert index >= 0
    box.setCurrentIndex(index)
    box.activated.emit(index)  # the offscreen platform has no popups to click in
    assert window.session.review.check == box.currentData()
    qtbot.waitUntil(lambda: not window.session.review.is_checking, timeout=10000)


def cell(window: MainWindow, row: int, column: int) -> str:
    return str(window.review.model.index(row, column).data())


def test_a_check_defined_anywhere_is_reviewed_in_the_window(checked: MainWindow, qtbot: QtBot) -> None:
    review, session = checked.review, checked.session
    assert review.source.currentText() == "Predictions"
    assert review.source.itemData(review.source.findText("Three keypoints"), Qt.ItemDataRole.ToolTipRole) == (
        "Every figure has four."
    )
    choose(checked, "Three keypoints", qtbot)
    assert [key.index for key in review.model.keys] == [0]
    assert (cell(checked, 0, 0), cell(checked, 0, 1)) == ("a.png", "has three keypoints")
    choose(checked, "Keypoint outside the image", qtbot)
    assert [cell(checked, row, 0) for row in range(review.model.rowCount())] == ["b.png"]
    assert cell(checked, 0, 1) == "left_hand lies outside the image (320 x 240 pixels)"
    checked.run("next_review")
    assert session.frame is not None
    assert session.frame.index == 1
    assert [instance.keypoints[1, 0] for instance in session.selected] == [350]
    choose(checked, "Predictions", qtbot)
    qtbot.waitUntil(lambda: [key.index for key in review.model.keys] == [1], timeout=3000)
    assert session.review.check == PREDICTIONS
    assert review.model.columnCount() == 3


def test_an_edited_instance_leaves_the_queue_until_the_check_is_repeated(checked: MainWindow, qtbot: QtBot) -> None:
    review, session = checked.review, checked.session
    choose(checked, "All checks", qtbot)
    assert sorted({finding.check for group in session.review.findings.values() for finding in group}) == [
        "outside_image",
        "three_points",
    ]
    checked.run("next_review")  # the first frame is on show, and the next is the second
    (pose,) = session.selected
    assert session.frame is not None
    session.apply(edits.move_keypoints(session.frame, pose, {3: (300.0, 200.0)}, session.schema_of(pose)))
    assert [key.index for key in review.model.keys] == [0]
    assert not review.sort_again.isHidden()
    assert review.sort_again.text() == "Check again"
    QTest.mouseClick(review.sort_again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not session.review.is_checking, timeout=10000)
    assert [key.index for key in review.model.keys] == [0, 1]  # the wrist is still outside


def test_a_click_on_a_finding_selects_its_instance(checked: MainWindow, qtbot: QtBot) -> None:
    choose(checked, "Keypoint outside the image", qtbot)
    view = checked.review.view
    QTest.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(checked.review.model.index(0, 1)).center()
    )
    assert checked.session.frame is not None
    assert checked.session.frame.index == 1
    assert len(checked.session.selected) == 1


def test_labels_without_problems_say_so(checked: MainWindow, qtbot: QtBot) -> None:
    choose(checked, "Box without an area", qtbot)
    assert checked.review.model.rowCount() == 0
    assert checked.review.hint.text() == "No problems found"
    checked.run("next_review")
    assert checked.session.review.check == "empty_box"


def test_closing_the_project_ends_a_check(checked: MainWindow, qtbot: QtBot) -> None:
    checked.session.review.choose(ALL_CHECKS)
    assert checked.session.review.is_checking
    checked.session.close()
    assert not checked.session.review.is_checking
    assert checked.review.model.rowCount() == 0


def test_a_project_is_checked_without_a_window(toy_check: type[Check], project: Path) -> None:
    with ProjectStore.open(project, read_only=True) as store:
        (project.parent / "c.png").unlink()
        findings = check_project(store)
    assert [(finding.check, finding.frame.index) for finding in findings] == [("three_points", 0), ("missing_image", 2)]
    assert findings[0].instance is not None
    assert findings[1].instance is None
    assert findings[0].frame == FrameKey(findings[1].frame.media, 0)
