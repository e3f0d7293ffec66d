"""Temporary files of killed processes are removed, those of running ones and of other programs are not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.utils import temporary_files
from engine.utils.files import replacing
from engine.utils.temporary_files import is_left_behind, own_temporary_name, remove_left_behind

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from engine.utils.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_write_that_was_killed_leaves_nothing_once_somebody_writes_there_again(tmp_path: Path) -> None:
    target = tmp_path / "labels.json"
    target.write_text("whole")
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(target)], check=False)
    (left,) = (path for path in tmp_path.iterdir() if path != target)
    assert is_left_behind(left)
    assert target.read_text() == "whole"
    minutes_ago = time.time() - 120
    os.utime(left, (minutes_ago, minutes_ago))
    with replacing(tmp_path / "other.json") as temporary:
        temporary.write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.json", "other.json"]


def test_files_of_running_processes_and_of_other_programs_stay(tmp_path: Path) -> None:
    own = tmp_path / (own_temporary_name(".labels.json") + "x.tmp")
    other = tmp_path / ".labels.json.swp"
    elsewhere = tmp_path / f".labels.json.{'0' * 6}-1.x.tmp"
    minutes_ago = time.time() - 120
    for path in (own, other, elsewhere):
        path.touch()
        os.utime(path, (minutes_ago, minutes_ago))
    temporary_files.sweep_once(tmp_path)
    assert all(path.exists() for path in (own, other, elsewhere))


def test_a_file_of_another_computer_is_removed_after_a_week(tmp_path: Path) -> None:
    elsewhere = tmp_path / f".p.pose.{'0' * 6}-1.x.tmp"
    elsewhere.touch()
    assert remove_left_behind(tmp_path, ".*.pose.*.tmp") == 0
    old = time.time() - 8 * 24 * 3600
    os.utime(elsewhere, (old, old))
    assert remove_left_behind(tmp_path, ".*.pose.*.tmp") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_was_written_a_moment_ago_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "labels.json")], check=False)
    (left,) = tmp_path.iterdir()
    temporary_files.sweep_once(tmp_path)
    assert left.exists()
