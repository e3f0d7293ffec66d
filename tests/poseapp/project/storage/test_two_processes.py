"""Some of the random stories of two processes on one project; ``POSEAPP_STORIES=200`` runs that many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "two_processes.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL")
def test_never_two_writers_never_damaged_and_no_acknowledged_edit_lost() -> None:
    # A process of its own: it forks, which a test session with its threads must not.
    command = [sys.executable, str(SCRIPT), "--count", os.environ.get("POSEAPP_STORIES", "8")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
