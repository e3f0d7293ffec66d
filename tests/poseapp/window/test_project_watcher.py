"""The window and its project file: renamed, deleted, replaced, written by another process, made writable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from poseapp.commands import project as commands
from poseapp.dialogs.prompt import AskDialog
from poseapp.project import edits
from poseapp.project.storage.database import Database
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE

ROOT = Path(__file__).resolve().parents[3]
windows_keeps_open_files = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be renamed there")


def add_pose(window: MainWindow) -> bool:
    session = window.session
    assert session.store is not None
    assert session.frame is not None
    pose = edits.make_instance(session.store.new_ids(1)[0], session.categories()[0], POSE)
    return session.apply(edits.add_instance(session.frame, pose))


def count_labels(path: Path) -> int:
    with ProjectStore.open(path, read_only=True) as store:
        return store.summary().labelled


@windows_keeps_open_files
def test_the_window_follows_a_renamed_project(opened: MainWindow, project: Path) -> None:
    renamed = project.rename(project.with_name("mice.pose"))
    assert add_pose(opened)
    assert opened.session.path == renamed
    assert opened.windowTitle() == "mice - poseapp"
    assert "mice.pose" in opened.toasts.messages()[-1]
    assert str(renamed) in opened.settings.recent
    opened.close()
    assert count_labels(renamed) == 3
    assert not project.exists()


@windows_keeps_open_files
def test_a_rename_is_seen_when_the_program_comes_to_the_front(opened: MainWindow, project: Path) -> None:
    renamed = project.rename(project.with_name("mice.pose"))
    opened.project_watcher.check()
    assert opened.session.path == renamed


@windows_keeps_open_files
def test_a_deleted_project_is_saved_again_where_it_was(opened: MainWindow, project: Path, qtbot: QtBot) -> None:
    assert add_pose(opened)
    project.unlink()
    assert not add_pose(opened)
    dialog = opened.findChild(AskDialog)
    assert dialog is not None
    assert dialog.chosen() == "again"
    qtbot.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: opened.session.path == project and not opened.runner.active(), timeout=5000)
    assert add_pose(opened)
    opened.close()
    assert count_labels(project) == 4


@windows_keeps_open_files
def test_a_replaced_project_is_saved_under_another_name_only(
    opened: MainWindow, project: Path, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pose"
    ProjectStore.create(other).close()
    os.replace(other, project)
    opened.project_watcher.check()
    opened.project_watcher.check()
    dialogs = opened.findChildren(AskDialog)
    assert len(dialogs) == 1  # asked once
    assert [dialogs[0].choice.itemData(n) for n in range(dialogs[0].choice.count())] == ["copy"]
    target = tmp_path / "mine.pose"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(target), ""))
    qtbot.mouseClick(dialogs[0].do, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: opened.session.path == target and not opened.runner.active(), timeout=5000)
    opened.close()
    assert count_labels(target) == 2
    assert count_labels(project) == 0


def test_a_copy_is_not_written_over_a_file_that_was_not_named(
    opened: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dialog asked about "mine"; the suffix makes it another file."""
    (tmp_path / "mine.pose").write_bytes(b"something else")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "mine"), ""))
    commands.save_copy(opened.context)
    assert "exists already" in opened.toasts.messages()[-1]
    assert (tmp_path / "mine.pose").read_bytes() == b"something else"


def test_a_file_that_is_made_writable_can_be_edited(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    project.chmod(0o444)
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    assert window.session.read_only
    assert window.banner.isVisible()
    qtbot.mouseClick(window.banner.retry, Qt.MouseButton.LeftButton)
    assert window.session.read_only
    project.chmod(0o644)
    qtbot.mouseClick(window.banner.retry, Qt.MouseButton.LeftButton)
    assert not window.session.read_only
    assert not window.banner.isVisible()
    assert add_pose(window)


WRITER = """
import sys
import threading
import numpy as np
from poseapp.project import edits
from poseapp.project.storage.database import Database
from poseapp.project.store import ProjectStore
with ProjectStore.open(sys.argv[1]) as store:
    print("open", flush=True)
    sys.stdin.readline()
    pose = edits.make_instance(store.new_ids(1)[0], store.categories()[0], np.full((4, 2), 50.0))
    store.apply(edits.add_instance(store.frame_keys()[0], pose))
    print("done", flush=True)
    sys.stdin.readline()
"""


def test_a_window_that_only_reads_shows_what_another_process_has_written(
    window: MainWindow, project: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying: list[str] = []
    newer_copy = Database.newer_copy

    def noted(database: Database) -> Any:
        copying.append(threading.current_thread().name)
        return newer_copy(database)

    monkeypatch.setattr(Database, "newer_copy", noted)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(project)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        window.open_paths([project])
        qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
        assert window.session.read_only
        assert len(window.session.instances) == 2
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "done\n"
        window.project_watcher.check()
        window.project_watcher.check()  # again while the first is under way: one copy is enough
        qtbot.waitUntil(lambda: len(window.session.instances) == 3 and not window.runner.active(), timeout=10000)
        assert copying == ["poseapp-io"]
        writer.stdin.write("\n")
        writer.stdin.flush()
    qtbot.mouseClick(window.banner.retry, Qt.MouseButton.LeftButton)
    assert not window.session.read_only
    assert len(window.session.instances) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_a_link_to_the_open_project_opens_nothing_else(opened: MainWindow, project: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pose"
    link.symlink_to(project)
    store = opened.session.store
    opened.open_paths([link])
    assert opened.session.store is store
    assert not opened.runner.active()


def test_a_side_file_that_was_not_used_is_reported(window: MainWindow, project: Path, qtbot: QtBot) -> None:
    shutil.copyfile(project, project.with_name("small.pose-journal"))
    window.open_paths([project])
    qtbot.waitUntil(lambda: window.session.store is not None and not window.runner.active(), timeout=5000)
    assert not window.session.read_only
    assert "small.pose-journal" in window.reports.all[0].remarks[0]
