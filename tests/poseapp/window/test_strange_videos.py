"""The canvas shows the frame of the number, whatever the file is like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.errors import MediaError
from engine.media.video.reader import VideoReader
from poseapp.project.opening import open_any
from poseapp.window.main_window import MainWindow
from tests.engine.media.field_clips import make_fields
from tests.engine.media.video.test_damage_spread import hurt
from tests.engine.media.video_clips import X264, Clip, make

REFRESH = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=24:bframes=3:threads=1"}
OPEN = {"preset": "veryfast", "x264-params": "open-gop=1:keyint=15:min-keyint=1:bframes=5:threads=1:scenecut=0"}


def joined(folder: Path) -> Path:
    parts = [make(Clip(f"{n}.ts", "libx264", X264, frames=40, shift=600 - 15 * n), folder) for n in range(2)]
    path = folder / "film.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "two packets a picture": lambda folder: make_fields(folder / "film.ts", 60),
    "made anew bit by bit": lambda folder: make(Clip("film.mkv", "libx264", REFRESH, frames=80), folder),
    "one closed key": lambda folder: make(Clip("film.mp4", "libx264", OPEN, frames=80), folder),
    "joined, the clock set back": joined,
    "turned, pixels not square": lambda folder: make(
        Clip("film.mp4", "libx264", X264, frames=60, turn=90, flip=True), folder
    ),
    "damaged": lambda folder: hurt(make(Clip("film.mp4", "libx264", {**X264, "g": "20"}, frames=60), folder), 20),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_canvas_shows_what_is_read_without_the_window(
    window: MainWindow, tmp_path: Path, qtbot: QtBot, kind: str
) -> None:
    path = KINDS[kind](tmp_path)
    with open_any(path) as store:
        project = store.path
    window.open_paths([project])
    session = window.session
    qtbot.waitUntil(lambda: session.store is not None and not window.runner.active(), timeout=8000)
    with VideoReader(path) as reader:
        assert len(session.frames) == reader.frame_count
        last = reader.frame_count - 1
        for i in (last, 3, 31, 30, 29, 28, 47, 0, last):
            session.go_to(session.frames[i])
            try:
                expected = reader.read(i)
            except MediaError:
                qtbot.waitUntil(lambda i=i: window.loader.problem(session.frames[i], path) is not None, timeout=8000)
                continue

            def shown(expected: np.ndarray = expected) -> bool:
                pixels = window.canvas.pixels
                return pixels is not None and np.array_equal(pixels, expected)

            qtbot.waitUntil(shown, timeout=8000)
