"""The tools of the canvas. One is added as a file of its own here and a line in TOOLS: docs/extending/tool.md."""

from __future__ import annotations

from poseapp.canvas.tools.base import Tool
from poseapp.canvas.tools.box import BoxTool
from poseapp.canvas.tools.edit import EditTool
from poseapp.canvas.tools.place import PlacementTool

TOOLS: tuple[type[Tool], ...] = (EditTool, BoxTool, PlacementTool)
"""In the order of menu and tool bar; the first is the one that is active when a project opens and that Esc goes back
to."""
