"""The program's command line, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from poseapp import __version__


def poseapp(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "poseapp", *arguments], capture_output=True, text=True, timeout=240)


def test_version_needs_no_window() -> None:
    done = poseapp("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"poseapp {__version__}")


def test_a_missing_path_is_one_line_and_status_two(tmp_path: Path) -> None:
    done = poseapp(str(tmp_path / "nothing.json"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nothing.json" in done.stderr


def test_a_bad_tour_size_is_one_line() -> None:
    done = poseapp("--tour", "unused", "--tour-size", "wide")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "wide" in done.stderr


def test_the_frozen_door_reaches_the_engine() -> None:
    done = poseapp("--engine-zoo", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert {"movenet_thunder", "efficientdet_lite0"} <= {row["id"] for row in json.loads(done.stdout)}


def test_bad_input_at_the_frozen_door_is_one_line() -> None:
    done = poseapp("--engine-predict", "nothing.jpg", "--out", "unused.json")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nothing.jpg" in done.stderr
