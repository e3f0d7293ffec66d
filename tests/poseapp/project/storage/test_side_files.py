"""Files beside a project that SQLite would believe: only the project's own log is used, and nothing else is harmed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from poseapp.project import edits
from poseapp.project.model import FrameKey
from poseapp.project.storage import side_files
from poseapp.project.store import ProjectStore

ROOT = Path(__file__).resolve().parents[4]
MAGIC = bytes([0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7])

# Makes as many edits as asked, tells that they are acknowledged, and waits to be killed. The log is not emptied
# meanwhile, as when the kill comes at once.
KILLED = """
import sys
import numpy as np
from poseapp.project import edits
from poseapp.project.storage import wal_keeper
from poseapp.project.store import ProjectStore

wal_keeper.WalKeeper.committed = lambda self: None
store = ProjectStore.open(sys.argv[1])
category, frame = store.categories()[0], store.frame_keys()[0]
for n in range(int(sys.argv[2])):
    store.apply(edits.add_instance(frame, edits.make_instance(store.new_ids(1)[0], category, np.full((4, 2), n))))
print("done", flush=True)
sys.stdin.read()
"""


def add_and_kill(path: Path, count: int) -> None:
    """Another process adds poses, each acknowledged, and is killed: they are in the log alone."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), str(count)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))


def count_poses(path: Path, read_only: bool = False) -> int:
    with ProjectStore.open(path, read_only=read_only) as store:
        store.database.check()
        return store.summary().labelled


def other_project(folder: Path, store: ProjectStore, make, poses: int) -> Path:
    """A project of the same shape that is not the same project."""
    path = folder / "other.pose"
    with ProjectStore.create(path) as other:
        media = other.add_media("images", folder / "images")
        key = other.add_frames(media.id, [("a.png", 100, 80)])[0]
        other.add_category("mouse", store.categories()[0].schema)
        for seed in range(poses):
            other.apply(edits.add_instance(key, make(seed)))
    return path


def hot_journal(database: Path, victim: Path) -> bytes:
    """A rollback journal that names ``victim`` as the super-journal of a transaction of several files."""
    page = 4096
    name = str(victim).encode()
    header = MAGIC + struct.pack(">IIIII", 0, 1234, database.stat().st_size // page, 512, page)
    checksum = sum(b if b < 128 else b - 256 for b in name) & 0xFFFFFFFF
    record = struct.pack(">I", 0x40000000 // page + 1) + name + struct.pack(">II", len(name), checksum) + MAGIC
    return header.ljust(512, b"\0") + record


@pytest.mark.parametrize("read_only", [True, False])
def test_a_journal_from_a_stranger_deletes_nothing(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path, read_only: bool
) -> None:
    store.apply(edits.add_instance(frame, make()))
    store.close()
    victim = tmp_path / "thesis.txt"
    victim.write_text("precious")
    journal = store.path.with_name("test.pose-journal")
    journal.write_bytes(hot_journal(store.path, victim))
    assert count_poses(store.path, read_only) == 1
    assert victim.read_text() == "precious"
    if not read_only:
        with ProjectStore.open(store.path) as again:
            assert again.database.remarks == []  # told once: it has another name now
        assert [p.read_bytes() for p in tmp_path.glob("test.pose-journal.not-used-*")] == [
            hot_journal(store.path, victim)
        ]


def test_the_journal_of_a_lock_file_or_of_a_kept_version_is_not_used_either(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path
) -> None:
    store.apply(edits.add_instance(frame, make()))
    store.close()
    victim = tmp_path / "thesis.txt"
    victim.write_text("precious")
    for name in (".test.pose.lock", "test.pose.v4"):
        with sqlite3.connect(tmp_path / name) as connection:
            connection.execute("CREATE TABLE t (a)")
        connection.close()
        (tmp_path / f"{name}-journal").write_bytes(hot_journal(tmp_path / name, victim))
    assert count_poses(store.path) == 1
    assert victim.read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_a_log_that_is_a_link_to_another_file_is_not_written_to(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path
) -> None:
    store.close()
    victim = tmp_path / "profile"
    for make_link in (os.symlink, os.link):
        victim.write_bytes(b"precious" * 1000)
        make_link(victim, side_files.wal_of(store.path))
        with ProjectStore.open(store.path) as again:
            again.apply(edits.add_instance(frame, make()))
            assert "not used" in again.database.remarks[0]
        assert victim.read_bytes() == b"precious" * 1000


def test_what_a_killed_program_had_acknowledged_is_there(store: ProjectStore) -> None:
    store.close()
    add_and_kill(store.path, 20)
    assert side_files.holds_pages(side_files.wal_of(store.path))
    assert count_poses(store.path, read_only=True) == 20
    assert count_poses(store.path) == 20
    assert sorted(os.listdir(store.path.parent)) == ["test.pose"]


@pytest.mark.parametrize("read_only", [True, False])
def test_killed_then_renamed_loses_nothing(store: ProjectStore, read_only: bool) -> None:
    store.close()
    add_and_kill(store.path, 20)
    renamed = store.path.rename(store.path.with_name("mice.pose"))
    assert count_poses(renamed, read_only) == 20
    if not read_only:
        assert sorted(os.listdir(renamed.parent)) == ["mice.pose"]


def test_another_project_under_the_old_name_keeps_its_own_labels(store: ProjectStore, make, tmp_path: Path) -> None:
    other = other_project(tmp_path, store, make, 3)
    store.close()
    add_and_kill(store.path, 20)
    mine = store.path.rename(tmp_path / "mice.pose")
    moved = other.rename(store.path)
    assert count_poses(moved, read_only=True) == 3
    assert count_poses(moved) == 3
    assert count_poses(mine, read_only=True) == 20
    assert count_poses(mine) == 20
    assert count_poses(moved) == 3


def test_two_new_projects_do_not_share_a_log(store: ProjectStore, make, tmp_path: Path) -> None:
    """Both have just been made: nothing in the files differs but what makes them two."""
    (tmp_path / "twin").mkdir()
    twin = other_project(tmp_path / "twin", store, make, 0)
    store.close()
    add_and_kill(store.path, 5)
    shutil.copyfile(side_files.wal_of(store.path), side_files.wal_of(twin))
    assert count_poses(twin) == 0


@pytest.mark.parametrize("read_only", [True, False])
def test_a_backup_over_a_killed_project_is_the_backup(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path, read_only: bool
) -> None:
    for seed in range(4):
        store.apply(edits.add_instance(frame, make(seed)))
    store.close()
    backup = tmp_path / "backup"
    shutil.copyfile(store.path, backup)
    with ProjectStore.open(store.path) as again:
        again.apply(edits.add_instance(frame, make(9)))
    add_and_kill(store.path, 20)
    shutil.copyfile(backup, store.path)
    assert count_poses(store.path, read_only) == 4
    if not read_only:  # and the edits of the log are not gone either
        assert len(list(tmp_path.glob("test.pose-wal.not-used-*"))) == 1


def test_a_log_of_its_own_project_that_was_put_aside_is_found_again(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path
) -> None:
    store.close()
    shutil.copyfile(store.path, tmp_path / "backup")
    with ProjectStore.open(store.path) as again:
        again.apply(edits.add_instance(frame, make(9)))
    add_and_kill(store.path, 20)
    shutil.copyfile(store.path, tmp_path / "killed")
    shutil.copyfile(tmp_path / "backup", store.path)
    assert count_poses(store.path) == 0
    shutil.copyfile(tmp_path / "killed", store.path)
    assert count_poses(store.path) == 21


def test_a_copy_made_while_the_project_is_open_does_not_take_its_log(
    store: ProjectStore, frame: FrameKey, make, tmp_path: Path
) -> None:
    store.apply(edits.add_instance(frame, make(1)))
    store.close()
    with ProjectStore.open(store.path) as again:
        shutil.copyfile(store.path, tmp_path / "copy.pose")
        again.apply(edits.add_instance(frame, make(2)))
        assert count_poses(tmp_path / "copy.pose") in (1, 2)
        again.apply(edits.add_instance(frame, make(3)))
    assert count_poses(store.path) == 3


def test_a_log_without_marks_is_used_when_it_goes_on_from_the_project(
    store: ProjectStore, make, tmp_path: Path
) -> None:
    """As left by a version that wrote no marks."""
    other = other_project(tmp_path, store, make, 3)
    store.close()
    for path in (store.path, other):
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM meta WHERE key LIKE 'commit%'")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode = WAL')\n"
        "c.execute(\"INSERT INTO step VALUES (1, 'Old edit', 5.0, '')\")\n"
        "c.execute(\"INSERT INTO meta VALUES ('position', 1) ON CONFLICT DO UPDATE SET value = 1\")\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(store.path)], check=False, timeout=240)
    foreign = tmp_path / "elsewhere" / "other.pose"
    foreign.parent.mkdir()
    shutil.copyfile(other, foreign)
    shutil.copyfile(side_files.wal_of(store.path), side_files.wal_of(foreign))
    with ProjectStore.open(store.path) as mine:
        assert [s.text for s in mine.history()] == ["Old edit"]
    with ProjectStore.open(foreign) as theirs:
        assert len(theirs.history()) == 3
        assert "not used" in theirs.database.remarks[0]


@pytest.mark.parametrize("content", [b"", b"x" * 40, os.urandom(20_000)])
def test_nonsense_in_the_place_of_the_log_is_left_out(store: ProjectStore, make, content: bytes) -> None:
    store.apply(edits.add_instance(FrameKey(1, 0), make()))
    store.close()
    side_files.wal_of(store.path).write_bytes(content)
    assert count_poses(store.path, read_only=True) == 1
    assert count_poses(store.path) == 1
