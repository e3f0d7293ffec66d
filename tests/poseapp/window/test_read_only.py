"""A second window on a project says that it only reads, refuses what would write, and can take over."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from poseapp.project.opening import open_any, project_path
from poseapp.project.store import ProjectStore
from poseapp.window.actions import ACTIONS
from poseapp.window.main_window import MainWindow
from tests.engine.media.video_clips import X264, Clip, make


@pytest.fixture
def writer(project: Path):
    with ProjectStore.open(project) as store:
        yield store


@pytest.fixture
def second(window: MainWindow, project: Path, writer: ProjectStore, qtbot: QtBot) -> MainWindow:
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    return window


def test_a_second_window_says_that_it_only_reads(second: MainWindow) -> None:
    assert second.session.read_only
    assert second.banner.isVisible()
    assert "another window" in second.banner.words.text()
    assert second.status.saved.text() == "Read only"


def test_verbs_that_write_are_off_and_do_nothing(second: MainWindow) -> None:
    second.session.select(instances=[second.session.instances[0].id])
    second.refresh_actions_now()
    for row in ACTIONS:
        if row.writes:
            assert not second.actions_by_id[row.id].isEnabled(), row.id
            second.run(row.id)
    assert second.actions_by_id["next_frame"].isEnabled()
    assert second.actions_by_id["export_coco"].isEnabled()
    store = second.session.store
    assert store is not None
    assert store.history_length() == (2, 2)


def test_a_drag_on_the_canvas_changes_nothing(second: MainWindow, qtbot: QtBot) -> None:
    before = second.session.instances[0].keypoints.copy()
    from poseapp.project import edits

    assert second.session.frame is not None
    edit = edits.move_keypoints(second.session.frame, second.session.instances[0], {0: (1.0, 1.0)})
    assert not second.session.apply(edit)
    assert (second.session.instances[0].keypoints == before).all()
    assert "reading only" in second.toasts.messages()[-1]


def test_it_can_be_edited_here_once_the_other_window_is_closed(
    second: MainWindow, writer: ProjectStore, qtbot: QtBot
) -> None:
    second.session.step(1)
    qtbot.mouseClick(second.banner.retry, Qt.MouseButton.LeftButton)
    assert second.session.read_only
    writer.close()
    qtbot.mouseClick(second.banner.retry, Qt.MouseButton.LeftButton)
    assert not second.session.read_only
    assert not second.banner.isVisible()
    assert second.session.position() == 1
    second.refresh_actions_now()
    assert second.actions_by_id["undo"].isEnabled()


def test_pictures_whose_project_is_open_elsewhere_are_shown_for_reading_only(
    window: MainWindow, project: Path, writer: ProjectStore, qtbot: QtBot
) -> None:
    home = project_path([project.parent])
    with open_any(project.parent) as store:
        assert store.path == home
        window.open_paths([project.parent])
        qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
        assert window.session.read_only
        assert window.session.path == home
        assert any("open in another window" in text for text in window.toasts.messages())
        window.close()


def test_a_project_opened_together_with_a_video_takes_it_in(
    window: MainWindow, project: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    video = make(Clip("film.mp4", "libx264", X264, frames=9), tmp_path)
    window.open_paths([project, video])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=8000)
    assert window.session.path == project
    assert len(window.session.frames) == 3 + 9
