"""The page "add a label format", as a package of somebody else: found by its entry point in another process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "extending" / "label-format.md"
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """An environment in which a package with the code of the page is installed."""
    site = tmp_path / "site"
    info = site / "lines_of_poses-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "lines_of_poses.py").write_text(CODE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines-of-poses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[poseapp.label_formats]\nlines = lines_of_poses\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


def convert(plugin: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.convert", *map(str, arguments), "--progress", "none"]
    return subprocess.run(command, env=plugin, capture_output=True, text=True, check=False)


def test_it_converts_both_ways(plugin: dict[str, str], tmp_path: Path) -> None:
    lines, coco, again = tmp_path / "a.lines", tmp_path / "a.json", tmp_path / "again.lines"
    lines.write_text("# lines\na.png mouse 1.5 2.0 - -\nb.png mouse 3.0 4.0 5.0 6.0\nb.png mouse 1\n")
    done = convert(plugin, lines, coco)
    assert done.returncode == 0, done.stderr
    assert "x without y, left out: a.lines line 4" in done.stderr
    annotations = json.loads(coco.read_text())["annotations"]
    assert [annotation["keypoints"] for annotation in annotations] == [[1.5, 2, 2, 0, 0, 0], [3, 4, 2, 5, 6, 2]]
    done = convert(plugin, coco, again)
    assert done.returncode == 0, done.stderr
    assert again.read_text() == "# lines\na.png mouse 1.5 2.0 - -\nb.png mouse 3.0 4.0 5.0 6.0\n"


def test_a_broken_file_is_refused_in_one_line(plugin: dict[str, str], tmp_path: Path) -> None:
    lines = tmp_path / "a.lines"
    lines.write_text("# lines\n")
    done = convert(plugin, lines, tmp_path / "a.json")
    assert (done.returncode, "holds no poses" in done.stderr) == (2, True)
    assert not (tmp_path / "a.json").exists()
