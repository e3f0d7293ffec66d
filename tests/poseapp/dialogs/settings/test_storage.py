"""Data of the program are measured, moved and emptied from the settings; one whole copy is always there."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.errors import ProjectError
from engine.media.video.index.index import index_folder
from engine.models.catalog import user_models_dir
from engine.utils.context import Context
from poseapp.app import data_folders, log_file
from poseapp.app.settings import Settings
from poseapp.dialogs.settings.dialog import SettingsDialog
from poseapp.dialogs.settings.storage import DataSettings
from poseapp.jobs.frames.thumbnails import ThumbnailStore
from poseapp.jobs.storage import ClearJob, Copied, CopyFolderJob, check_target
from poseapp.window.main_window import MainWindow


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing is set outside; what a test chooses is forgotten at its end."""
    for position in data_folders.DATA_FOLDERS:
        monkeypatch.setenv(position.variable, "x")
        monkeypatch.delenv(position.variable)
    yield
    for position in data_folders.DATA_FOLDERS:
        data_folders.use(position, None)


def _fill(folder: Path) -> dict[str, bytes]:
    data = {"a.safetensors": b"a" * 3000, "sub/b.json": b"{}", "sub/deep/c": b""}
    for name, content in data.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return data


def _read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def page(window: MainWindow, qtbot: QtBot) -> DataSettings:
    window.run("settings")
    (result,) = [d for d in window.findChildren(SettingsDialog) if d.isVisible()]
    result.tabs.setCurrentWidget(result.data)
    qtbot.waitUntil(lambda: not window.runner.active())
    return result.data


def test_each_place_tells_what_it_takes(window: MainWindow, qtbot: QtBot) -> None:
    _fill(user_models_dir())
    window.run("settings")
    (dialog,) = window.findChildren(SettingsDialog)
    rows = dialog.data.rows
    qtbot.waitUntil(lambda: "in 3 files" in rows["models"].taken.text())
    assert list(rows) == ["settings", "models", "runs", "cache", "logs"]
    assert rows["models"].path.text() == str(user_models_dir())
    assert rows["cache"].empty.isVisibleTo(dialog.data)
    assert not rows["models"].empty.isVisibleTo(dialog.data)
    assert not rows["settings"].change.isVisibleTo(dialog.data)
    dialog.close()


def test_models_move_and_are_found_at_the_new_place(
    page: DataSettings, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    old = user_models_dir()
    data = _fill(old)
    page.move_to("models", tmp_path / "big disk" / "models")
    qtbot.waitUntil(lambda: "Moved to" in page.note.text() and not window.runner.active())
    assert user_models_dir() == tmp_path / "big disk" / "models"
    assert _read(user_models_dir()) == data
    assert not old.exists()
    assert page.rows["models"].path.text() == str(user_models_dir())
    data_folders.use(data_folders.BY_ID["models"], None)
    data_folders.apply(Settings().places())  # as at the next start
    assert user_models_dir() == tmp_path / "big disk" / "models"


def test_a_folder_with_other_things_gets_one_of_its_own(
    page: DataSettings, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    _fill(user_models_dir())
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    page.move_to("models", tmp_path / "home")
    qtbot.waitUntil(lambda: "Moved to" in page.note.text() and not window.runner.active())
    assert user_models_dir() == tmp_path / "home" / "poseapp-models"
    assert (tmp_path / "home" / "letter").exists()


@pytest.mark.parametrize("method", ["inside", "itself", "file", "readonly"])
def test_a_place_that_cannot_be_used_is_refused_and_nothing_changes(
    page: DataSettings, window: MainWindow, tmp_path: Path, qtbot: QtBot, method: str
) -> None:
    if method == "readonly" and not sys.platform.startswith("linux"):
        pytest.skip("no folder that nobody can write")
    old = user_models_dir()
    data = _fill(old)
    (tmp_path / "file").write_text("x")
    target = {"inside": old / "more", "itself": old, "file": tmp_path / "file" / "x", "readonly": Path("/proc/poseapp")}
    page.move_to("models", target[method])
    qtbot.waitUntil(lambda: "Not moved." in page.note.text())
    assert user_models_dir() == old
    assert _read(old) == data
    assert Settings().places() == {}
    assert page.rows["models"].change.isEnabled()


def test_the_cache_is_emptied_and_nothing_else(page: DataSettings, window: MainWindow, qtbot: QtBot) -> None:
    cache = data_folders.cache_folder()
    for folder in (ThumbnailStore().folder / "ab", index_folder()):
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(b"x" * 100)
    (cache / "mine").write_text("of somebody else")
    page.measure()
    qtbot.waitUntil(lambda: "in 3 files" in page.rows["cache"].taken.text())
    qtbot.mouseClick(page.rows["cache"].empty, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "removed" in page.note.text() and not window.runner.active())
    assert list(_read(cache)) == ["mine"]


def test_what_the_environment_says_stands(window: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path / "given"))
    data_folders.apply({"models": str(tmp_path / "chosen")})
    assert user_models_dir() == tmp_path / "given"
    window.run("settings")
    (dialog,) = window.findChildren(SettingsDialog)
    assert not dialog.data.rows["models"].change.isEnabled()
    assert "POSEAPP_MODELS" in dialog.data.rows["models"].change.toolTip()
    dialog.close()


def test_the_log_is_written_and_moves_along(
    page: DataSettings, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    try:
        assert log_file.start_log(data_folders.log_folder())
        logging.getLogger("engine").warning("first")
        page.move_to("logs", tmp_path / "logs")
        qtbot.waitUntil(lambda: "Moved to" in page.note.text() and not window.runner.active())
        logging.getLogger("engine").warning("second")
        text = (tmp_path / "logs" / log_file.NAME).read_text()
        assert "first" in text
        assert "second" in text
        assert not log_file.start_log(tmp_path / "logs" / log_file.NAME / "no")
    finally:
        log_file.stop_log()


def test_a_move_that_is_stopped_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    data = _fill(tmp_path / "old")
    for target in (tmp_path / "new", tmp_path / "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        steps = CopyFolderJob(tmp_path / "old", target, "models").run(Context())
        next(steps)
        next(steps)
        steps.close()  # type: ignore[attr-defined]
        assert _read(tmp_path / "old") == data
        assert not target.exists() or not list(target.iterdir())
    assert (tmp_path / "there").is_dir()


def test_what_was_changed_meanwhile_stays_at_the_old_place(tmp_path: Path) -> None:
    _fill(tmp_path / "old")
    *_, last = CopyFolderJob(tmp_path / "old", tmp_path / "new", "models").run(Context())
    assert isinstance(last.result, Copied)
    (tmp_path / "old" / "sub" / "b.json").write_bytes(b"{...}")
    (tmp_path / "old" / "late").write_bytes(b"new")
    list(ClearJob((tmp_path / "old",), "", last.result.files).run(Context()))
    assert set(_read(tmp_path / "old")) == {"sub/b.json", "late"}


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="too little room"):
        check_target(tmp_path / "old", tmp_path / "new", 1 << 60)
    assert os.listdir(tmp_path) == []
