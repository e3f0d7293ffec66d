"""Files that are no project, newer, cut off or damaged; two writers; media that cannot be written."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ProjectError
from poseapp.project import edits
from poseapp.project.model import FrameKey
from poseapp.project.storage import database
from poseapp.project.store import ProjectStore


def test_closing_leaves_one_file(store: ProjectStore) -> None:
    store.close()
    store.close()
    assert [name for name in os.listdir(store.path.parent) if "test.pose" in name] == ["test.pose"]


def test_what_exists_is_not_made_anew(store: ProjectStore) -> None:
    with pytest.raises(ProjectError, match="exists already"):
        ProjectStore.create(store.path)


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0", b"\0" * 5000, os.urandom(9000)])
def test_foreign_files_are_refused_and_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pose"
    path.write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(ProjectError, match="not a project"):
            ProjectStore.open(path, read_only=read_only)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["x.pose"]


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.pose")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(ProjectError, match="another program"):
        ProjectStore.open(tmp_path / "x.pose")


def test_missing_files_and_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be opened"):
        ProjectStore.open(tmp_path / "none.pose")
    with pytest.raises(ProjectError, match="cannot be made"):
        ProjectStore.create(tmp_path / "none" / "x.pose")
    with pytest.raises(ProjectError, match="cannot be opened"):
        ProjectStore.open(tmp_path)


def _set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()


def test_a_newer_version_is_refused(store: ProjectStore) -> None:
    store.close()
    _set_version(store.path, database.VERSION + 1)
    for read_only in (True, False):
        with pytest.raises(ProjectError, match="newer poseapp"):
            ProjectStore.open(store.path, read_only=read_only)


def test_an_older_version_is_brought_up_to_date_and_a_copy_kept(
    store: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    new = database.VERSION + 1
    monkeypatch.setattr(database, "VERSION", new)
    with pytest.raises(ProjectError, match="older poseapp"):
        ProjectStore.open(store.path, read_only=True)
    with pytest.raises(ProjectError, match="cannot read"):
        ProjectStore.open(store.path)
    monkeypatch.setitem(database.MIGRATIONS, new - 1, lambda c: c.execute("ALTER TABLE media ADD COLUMN note TEXT"))
    with ProjectStore.open(store.path) as opened:
        assert opened.database.row("SELECT note FROM media") == (None,)
        assert opened.database.row("PRAGMA user_version") == (new,)
    assert store.path.with_name(f"test.pose.v{new - 1}").exists()


def _fill(store: ProjectStore, make) -> None:
    for n in range(60):
        store.apply(edits.add_instance(FrameKey(1, 0), make(n)))
    store.close()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_file_that_is_cut_off_is_told(store: ProjectStore, make, share: float) -> None:
    _fill(store, make)
    data = store.path.read_bytes()
    store.path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ProjectError, match=r"cut off|damaged"):
        ProjectStore.open(store.path)


def test_a_damaged_file_is_told_and_untouched(store: ProjectStore, make) -> None:
    _fill(store, make)
    data = bytearray(store.path.read_bytes())
    data[8192:20480] = os.urandom(12288)
    store.path.write_bytes(data)
    with pytest.raises(ProjectError, match="damaged"):
        ProjectStore.open(store.path)
    assert store.path.read_bytes() == bytes(data)


def test_damage_met_later_is_told_as_such(store: ProjectStore, make, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(store, make)
    monkeypatch.setattr(database, "_CHECK_WHOLE_BELOW", 0)
    with ProjectStore.open(store.path) as good:
        root = good.database.row("SELECT rootpage FROM sqlite_master WHERE name = 'instance'")
        size = good.database.row("PRAGMA page_size")
        assert root is not None
        assert size is not None
    data = bytearray(store.path.read_bytes())
    start = (root[0] - 1) * size[0]
    data[start : start + size[0]] = os.urandom(size[0])
    store.path.write_bytes(data)
    with ProjectStore.open(store.path) as opened:
        with pytest.raises(ProjectError, match="damaged"):
            opened.instances(FrameKey(1, 0))
        with pytest.raises(ProjectError, match="damaged"):
            opened.database.check()


def test_one_writer_in_this_process_and_any_other(store: ProjectStore) -> None:
    with pytest.raises(ProjectError, match="another window"):
        ProjectStore.open(store.path)
    code = (
        "import sys\nfrom poseapp.project.store import ProjectStore\n"
        "from engine.errors import ProjectError\n"
        "try:\n    ProjectStore.open(sys.argv[1]).close()\n"
        "except ProjectError as error:\n    sys.exit(str(error))\n"
    )
    root = Path(__file__).resolve().parents[4]
    command = [sys.executable, "-c", code, str(store.path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert "another window" in done.stderr
    store.close()
    assert subprocess.run(command, cwd=root, timeout=240).returncode == 0


def test_a_lock_file_left_behind_locks_nothing(store: ProjectStore) -> None:
    store.close()
    store.path.with_name(f".{store.path.name}.lock").write_bytes(b"")
    ProjectStore.open(store.path).close()


def test_readers_need_no_lock_and_leave_the_file_alone(store: ProjectStore, make) -> None:
    _fill(store, make)
    before = store.path.read_bytes()
    with (
        ProjectStore.open(store.path, read_only=True) as one,
        ProjectStore.open(store.path, read_only=True) as two,
        ProjectStore.open(store.path) as writer,
    ):
        assert one.summary() == two.summary() == writer.summary()
        assert one.read_only
    assert store.path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="folder permissions do not bind this user")
def test_a_folder_that_cannot_be_written_can_be_read(store: ProjectStore, make) -> None:
    _fill(store, make)
    folder = store.path.parent
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with ProjectStore.open(store.path, read_only=True) as opened:
            assert opened.summary().labelled == 60
        with pytest.raises(ProjectError, match="not writable"):
            ProjectStore.open(store.path)
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_medium_without_writing_is_opened_as_it_stands(
    store: ProjectStore, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(store, make)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with ProjectStore.open(store.path, read_only=True) as opened:
        assert opened.summary().labelled == 60
        assert sorted(os.listdir(store.path.parent)) == ["test.pose"]


def test_a_full_disk_is_told_and_nothing_is_half_done(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make()))
    pages = store.database.row("PRAGMA page_count")
    assert pages is not None
    store.database.run(f"PRAGMA max_page_count = {pages[0]}")

    def fill() -> None:
        for n in range(1000):
            store.apply(edits.add_instance(frame, make(n)))

    with pytest.raises(ProjectError, match="disk is full"):
        fill()
    remaining = len(store.instances(frame))
    assert remaining == len(store.history())
    store.close()
    with ProjectStore.open(store.path) as again:
        assert len(again.instances(frame)) == remaining


def test_a_writer_that_fails_to_open_leaves_no_lock(store: ProjectStore) -> None:
    store.close()
    _set_version(store.path, database.VERSION + 1)
    with pytest.raises(ProjectError):
        ProjectStore.open(store.path)
    _set_version(store.path, database.VERSION)
    ProjectStore.open(store.path).close()
