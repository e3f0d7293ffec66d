"""Where this process keeps the indices of videos: beside the project that is open, else among the user's caches."""

from __future__ import annotations

from pathlib import Path

from engine.media.video.index.index import index_folder

_home: Path | None = None


def use_index_home(folder: Path | None) -> None:
    """Keep indices in a folder from now on; None for the user's cache. For the whole process: one project is open."""
    global _home
    _home = folder


def index_home() -> Path:
    """The folder in use; it need not exist."""
    return _home or index_folder()
