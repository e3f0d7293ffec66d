"""The writer lock: on the file and not on its name, and not lost when somebody closes a descriptor of the file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.errors import ProjectError
from poseapp.project import edits
from poseapp.project.model import FrameKey
from poseapp.project.storage import connections, side_files, writer_lock
from poseapp.project.storage.writer_lock import FileLock, Part
from poseapp.project.store import ProjectStore

ROOT = Path(__file__).resolve().parents[4]
OPENER = """
import sys
from engine.errors import ProjectError
from poseapp.project.store import ProjectStore
try:
    with ProjectStore.open(sys.argv[1], read_only=sys.argv[2] == "read") as store:
        store.database.check()
        print(store.summary().labelled)
except ProjectError as error:
    print(error.message)
"""


def open_elsewhere(path: Path, how: str = "write") -> str:
    """What another process meets: the number of labels, or why the project cannot be opened."""
    command = [sys.executable, "-c", OPENER, str(path), how]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True).stdout.strip()


def look_at_every_file(folder: Path) -> None:
    """What a file dialog does to tell the type of each file."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                file.read(64)


@pytest.fixture(params=["own", "flock"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The lock of this system, and the one for systems that have none of the others."""
    if request.param == "flock":
        if sys.platform == "win32":
            pytest.skip("no flock")
        monkeypatch.setattr(writer_lock, "_KIND", "flock")
    return request.param


@pytest.mark.slow
def test_a_file_dialog_does_not_let_a_second_writer_in(store: ProjectStore, frame: FrameKey, make) -> None:
    for seed in range(3):
        store.apply(edits.add_instance(frame, make(seed)))
        look_at_every_file(store.path.parent)
        assert "another window" in open_elsewhere(store.path)
        assert open_elsewhere(store.path, "read") == str(seed + 1)
    store.close()
    assert open_elsewhere(store.path) == "3"


def test_a_reader_elsewhere_changes_nothing_of_the_writer(store: ProjectStore, frame: FrameKey, make) -> None:
    """Not its log either: as the last one to close it, SQLite would empty and delete it."""
    store.apply(edits.add_instance(frame, make(0)))
    look_at_every_file(store.path.parent)
    log_before = os.stat(side_files.wal_of(store.path)).st_ino
    assert open_elsewhere(store.path, "read") == "1"
    assert os.stat(side_files.wal_of(store.path)).st_ino == log_before
    store.apply(edits.add_instance(frame, make(1)))
    store.close()
    assert open_elsewhere(store.path, "read") == "2"


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
@pytest.mark.parametrize("make_link", [os.symlink, os.link])
def test_a_link_to_an_open_project_is_the_open_project(store: ProjectStore, tmp_path: Path, make_link) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.pose"
    make_link(store.path, link)
    with pytest.raises(ProjectError, match="another window"):
        ProjectStore.open(link)
    assert "another window" in open_elsewhere(link)
    store.close()
    with ProjectStore.open(link) as through_link:
        assert "another window" in open_elsewhere(store.path)
        assert through_link.path == (store.path if make_link is os.symlink else link)


def test_one_holder_at_a_time_in_one_process_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p.pose"
    path.write_bytes(b"x")
    first = FileLock.take(path, Part.WRITER)
    assert first is not None
    path.read_bytes()  # opens and closes it
    assert FileLock.take(path, Part.WRITER) is None
    pages = FileLock.take(path, Part.PAGES)
    assert pages is not None
    pages.release()
    first.release()
    first.release()
    again = FileLock.take(path, Part.WRITER)
    assert again is not None
    again.release()
    assert os.listdir(tmp_path) == ["p.pose"]


@pytest.mark.skipif(sys.platform == "win32", reason="every lock is exclusive there")
def test_readers_share_and_keep_the_writer_of_pages_out(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p.pose"
    path.write_bytes(b"x")
    with writer_lock.pages_locked(path, shared=True) as one, writer_lock.pages_locked(path, shared=True) as two:
        assert one
        assert two
        with writer_lock.pages_locked(path) as alone:
            assert not alone
    with writer_lock.pages_locked(path) as alone:
        assert alone


@pytest.mark.skipif(sys.platform != "linux", reason="locks of records are asked for there")
def test_an_earlier_poseapp_that_has_the_project_open_is_seen(store: ProjectStore) -> None:
    """It holds an SQLite lock on a file of its own beside the project."""
    store.close()
    name = store.path.with_name(".test.pose.lock")
    code = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode = OFF')\nc.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ProjectError, match="another window"):
            ProjectStore.open(store.path)
        holder.kill()
    ProjectStore.open(store.path).close()


def test_a_worker_that_still_reads_keeps_other_processes_out(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make()))
    reader = ProjectStore.open(store.path, read_only=True)
    store.close()
    assert "another window" in open_elsewhere(store.path)
    with ProjectStore.open(store.path) as again:  # this process may: it knows its reader
        again.apply(edits.add_instance(frame, make(1)))
        assert reader.summary().labelled == 2
    reader.close()
    assert open_elsewhere(store.path) == "2"
    assert os.listdir(store.path.parent) == ["test.pose"]


def test_a_copy_does_not_count_when_the_log_is_begun_anew_meanwhile(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The begin of an old log over a newer file would take pages back."""
    store.apply(edits.add_instance(frame, make()))
    log = side_files.wal_of(store.path)
    begun_anew = [True, False]

    def copy(source: Path, target: Path) -> None:
        shutil.copyfile(source, target)
        if source == log and begun_anew.pop(0):
            header = bytearray(log.read_bytes()[:32])
            header[16] ^= 1  # SQLite gives each log other salts
            with log.open("r+b") as file:
                file.write(header)

    path, log_copy = tmp_path / "still.pose", tmp_path / "still.pose-wal"
    shutil.copyfile(store.path, path)
    shutil.copyfile(log, log_copy)  # not the log of the open project
    log = log_copy
    monkeypatch.setattr(connections, "shutil", SimpleNamespace(copyfile=copy))
    target = tmp_path / "copy.pose"
    assert not connections._copied_unchanged(path, log, target)
    assert connections._copied_unchanged(path, log, target)
