"""The whole product in one go: what ``poseapp --tour`` checks, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.formats.coco.dataset import CocoDataset
from engine.models.metadata import read_info

SECONDS = 280


def tour(folder: Path, *options: str, steps: int = 48) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "POSEAPP_TOUR_STEPS": str(steps)}
    command = [sys.executable, "-m", "poseapp", "--tour", str(folder), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 10)
def test_the_tour_goes_from_photographs_to_a_model_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "tour"
    done = tour(folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["passed"]
    pictures = [name for step in summary["steps"] for name in step["pictures"]]
    assert pictures == sorted(p.name for p in folder.glob("*.png"))
    assert all(step["checked"] and step["pictures"] for step in summary["steps"])
    assert "All steps passed" in (folder / "summary.md").read_text(encoding="utf-8")
    data = CocoDataset.read(folder / "labels.json")
    assert len(data.images) == 3
    assert len(data.annotations) >= 3
    info = read_info(folder / "trained.safetensors")
    assert (info.task, info.provenance["title"]) == ("pose", "tour-person")


@pytest.mark.parametrize("size", ["wide", "12", "1x2x3"])
def test_a_size_that_cannot_be_read_is_refused(size: str, tmp_path: Path) -> None:
    done = tour(tmp_path / "tour", "--tour-size", size)
    assert done.returncode == 2
    assert done.stderr == f"poseapp: --tour-size wants WIDTHxHEIGHT, not {size!r}\n"
    assert not (tmp_path / "tour").exists()
