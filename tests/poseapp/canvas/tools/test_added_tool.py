"""A tool that is one file gets menu, tool bar, key and cursor, and works: the one of docs/extending/tool.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "extending" / "tool.md"


def test_the_tool_of_the_page_works_in_the_window(project: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    source = tmp_path / "occlude.py"
    source.write_text(next(block for block in blocks if "class OccludeTool" in block), encoding="utf-8")
    command = [sys.executable, "-m", "tests.poseapp.canvas.tools.added_tool_window", str(source), str(project)]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "menu": True,
        "text": "Mark occluded",
        "tool_bar": True,
        "key": "Y",
        "status_tip": "Click or drag over the points that are hidden",
        "has_icon": True,
        "in_palette": True,
        "mouse_help": True,
        "before": "edit",
        "tool": "occlude",
        "checked": True,
        "cursor": "PointingHandCursor",
        "visibility": [1, 1, 2, 2],
        "after_escape": "edit",
    }
