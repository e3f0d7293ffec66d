from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.media.video_clips import CLIPS, make


class Clips:
    """Videos by name, each made when it is first wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = {clip.name: clip for clip in CLIPS}
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            self._made[name] = make(self._known[name], self._folder)
        return self._made[name]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.mktemp("clips"))
