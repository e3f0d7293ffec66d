"""The project file is renamed, moved, copied, deleted or replaced while it is open."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from engine.errors import ProjectError
from poseapp.project import edits
from poseapp.project.model import FrameKey
from poseapp.project.storage import side_files
from poseapp.project.storage.save_copy import save_copy
from poseapp.project.store import ProjectStore
from tests.poseapp.project.storage.test_writer_lock import open_elsewhere

pytestmark = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be renamed there")


def add(store: ProjectStore, frame: FrameKey, make, count: int) -> None:
    for seed in range(count):
        store.apply(edits.add_instance(frame, make(seed)))


def count_in_file(path: Path) -> int:
    """Labels in the project file alone, as in a copy of it on another computer."""
    alone = path.parent / "alone"
    alone.mkdir(exist_ok=True)
    shutil.copyfile(path, alone / "p.pose")
    with ProjectStore.open(alone / "p.pose") as store:
        store.database.check()
        count = store.summary().labelled
    shutil.rmtree(alone)
    return count


def wait_for_empty_log(path: Path) -> None:
    end = time.monotonic() + 120
    while side_files.holds_pages(side_files.wal_of(path)) and time.monotonic() < end:
        threading.Event().wait(0.02)
    assert not side_files.holds_pages(side_files.wal_of(path))


def test_the_file_alone_holds_every_edit_after_a_moment(store: ProjectStore, frame: FrameKey, make) -> None:
    add(store, frame, make, 30)
    wait_for_empty_log(store.path)
    assert count_in_file(store.path) == 30
    add(store, frame, make, 1)
    wait_for_empty_log(store.path)
    assert count_in_file(store.path) == 31


def test_edits_after_a_rename_are_in_the_renamed_file(store: ProjectStore, frame: FrameKey, make) -> None:
    add(store, frame, make, 10)
    old, new = store.path, store.path.with_name("mice.pose")
    old.rename(new)
    add(store, frame, make, 5)
    assert store.path == new
    assert "another window" in open_elsewhere(new)
    store.close()
    assert open_elsewhere(new) == "15"
    assert sorted(os.listdir(new.parent)) == ["mice.pose"]


def test_a_rename_while_a_worker_reads_loses_nothing(store: ProjectStore, frame: FrameKey, make) -> None:
    add(store, frame, make, 10)
    reader = ProjectStore.open(store.path, read_only=True)
    new = store.path.rename(store.path.with_name("mice.pose"))
    add(store, frame, make, 3)
    assert store.path == new
    assert count_in_file(new) == 13
    with ProjectStore.open(new, read_only=True) as later:
        assert later.summary().labelled == 13
    assert reader.summary().labelled == 13
    reader.close()
    add(store, frame, make, 1)
    assert side_files.wal_of(new).exists()
    store.close()
    assert open_elsewhere(new) == "14"
    assert sorted(os.listdir(new.parent)) == ["mice.pose"]


def test_a_folder_that_is_renamed_takes_the_open_project_along(tmp_path: Path, store: ProjectStore, make) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    with ProjectStore.create(folder / "p.pose") as other:
        media = other.add_media("images", folder / "images")
        key = other.add_frames(media.id, [("a.png", 10, 10)])[0]
        other.add_category("mouse", store.categories()[0].schema)
        folder.rename(tmp_path / "second")
        other.apply(edits.add_instance(key, make()))
        assert other.path == tmp_path / "second" / "p.pose"
        assert other.frame_path(key) == tmp_path / "second" / "images" / "a.png"
    assert open_elsewhere(tmp_path / "second" / "p.pose") == "1"


def test_another_project_that_takes_the_old_name_is_not_touched(store: ProjectStore, frame: FrameKey, make) -> None:
    add(store, frame, make, 4)
    shutil.copyfile(store.path, store.path.with_name("backup"))
    new = store.path.rename(store.path.with_name("mice.pose"))
    shutil.copyfile(new.with_name("backup"), new.with_name("test.pose"))
    before = new.with_name("test.pose").read_bytes()
    add(store, frame, make, 2)
    assert store.path == new
    store.close()
    assert new.with_name("test.pose").read_bytes() == before
    assert open_elsewhere(new) == "6"


@pytest.mark.parametrize("how", ["deleted", "trash", "replaced"])
def test_edits_after_a_deletion_are_refused_and_all_can_be_saved(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path, how: str
) -> None:
    add(store, frame, make, 10)
    if how == "deleted":
        store.path.unlink()
    elif how == "trash":
        (tmp_path / "Trash" / "files").mkdir(parents=True)
        store.path.rename(tmp_path / "Trash" / "files" / "test.pose")
    else:
        other = tmp_path / "other.pose"
        ProjectStore.create(other).close()
        os.replace(other, store.path)
    with pytest.raises(ProjectError, match="Save a copy"):
        add(store, frame, make, 1)
    assert store.database.is_gone
    assert len(store.instances(frame)) == 10
    remaining = tmp_path / "kept.pose"
    save_copy(store.path, remaining, store.database.connection)
    store.close()
    assert open_elsewhere(remaining) == "10"


def test_a_log_that_is_deleted_while_the_project_is_open_costs_nothing(
    store: ProjectStore, frame: FrameKey, make
) -> None:
    add(store, frame, make, 5)
    side_files.wal_of(store.path).unlink()
    add(store, frame, make, 5)
    assert side_files.wal_of(store.path).exists()
    wait_for_empty_log(store.path)
    assert count_in_file(store.path) == 10
    store.close()
    assert open_elsewhere(store.path) == "10"


def test_a_copy_has_everything_and_finds_its_pictures(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path
) -> None:
    add(store, frame, make, 10)
    (tmp_path / "stick").mkdir()
    copy = tmp_path / "stick" / "copy.pose"
    save_copy(store.path, copy)
    with ProjectStore.open(copy) as opened:
        assert opened.summary() == store.summary()
        assert opened.history() == store.history()
        assert opened.frame_path(frame) == store.frame_path(frame)
    assert sorted(os.listdir(copy.parent)) == ["copy.pose"]


def test_a_copy_over_an_open_project_is_refused(store: ProjectStore, frame: FrameKey, make, tmp_path: Path) -> None:
    add(store, frame, make, 2)
    with pytest.raises(ProjectError, match="the project itself"):
        save_copy(store.path, store.path)
    with ProjectStore.create(tmp_path / "other.pose") as other:
        with pytest.raises(ProjectError, match="open in a window"):
            save_copy(store.path, other.path)
        assert other.summary().labelled == 0
    assert len(store.instances(frame)) == 2


def test_a_copy_that_cannot_be_written_leaves_nothing(store: ProjectStore, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not saved"):
        save_copy(store.path, tmp_path / "none" / "copy.pose")
    (tmp_path / "folder.pose").mkdir()
    with pytest.raises(ProjectError, match="not saved"):
        save_copy(store.path, tmp_path / "folder.pose")


def test_a_new_name_that_cannot_be_opened_refuses_edits_and_keeps_the_labels(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path
) -> None:
    """The path is longer than SQLite opens."""
    add(store, frame, make, 3)
    folder = tmp_path
    while len(os.fsencode(folder)) < 500:
        folder /= "x" * 40
    folder.mkdir(parents=True)
    old = store.path
    new = old.rename(folder / old.name)
    for _ in range(2):
        with pytest.raises(ProjectError, match="too long"):
            add(store, frame, make, 1)
    assert store.summary().labelled == 3
    save_copy(store.path, tmp_path / "saved.pose", store.database.connection)
    assert count_in_file(tmp_path / "saved.pose") == 3
    new.rename(old)
    add(store, frame, make, 1)
    assert store.summary().labelled == 4
