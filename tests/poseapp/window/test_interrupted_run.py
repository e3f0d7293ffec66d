"""A window that is killed in the middle of a run over a video: what it found is kept, and the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from engine.media.images import read_image
from poseapp.project.model import FrameKey
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore
from resources import resource_path

FRAMES = 48
# A result waits at most a second for its transaction; a machine that is busy with other things takes its time.
SLACK = 4.0


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """The project of a video of one person."""
    photo = read_image(resource_path("sample/astronaut.jpg"))
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30, options={"qscale": "4"})
        stream.width = stream.height = 448
        for index in range(FRAMES):
            shown = np.ascontiguousarray(photo[index % 12 : index % 12 + 448, 32:480])
            for packet in stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    with open_any(path) as store:
        return store.path


def start(project: Path, log: Path, killed_after: int = 0) -> subprocess.Popen[bytes]:
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    script = Path(__file__).with_name("run_window.py")
    command = [sys.executable, "-m", "tests.poseapp.window.run_window", str(project), str(log), str(killed_after)]
    return subprocess.Popen(command, env=env, cwd=script.parents[3], stderr=subprocess.PIPE)


def taken(log: Path) -> list[tuple[float, int]]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [(float(line.split()[0]), int(line.split()[1])) for line in lines if len(line.split()) == 2]


def poses(project: Path) -> Counter[int]:
    with ProjectStore.open(project, read_only=True) as store:
        return Counter(key.index for key, _ in store.all_instances())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_run_loses_a_second_at_most_and_goes_on(film: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    window = start(film, first, killed_after=FRAMES // 3)
    _, errors = window.communicate(timeout=240)
    killed = time.monotonic()
    assert window.returncode == -signal.SIGKILL, errors.decode()
    present = {index for _, index in taken(first)}
    assert len(present) < FRAMES
    remaining = poses(film)
    assert {index for when, index in taken(first) if when < killed - SLACK} <= set(remaining)
    assert set(remaining) <= present
    assert set(remaining.values()) == {1}
    window = start(film, second)
    _, errors = window.communicate(timeout=240)
    assert window.returncode == 0, errors.decode()
    assert poses(film) == Counter(range(FRAMES))
    assert not {index for _, index in taken(second)} & set(remaining)
    with ProjectStore.open(film) as store:
        assert store.history_length() == (2, 2)
        store.undo()
        assert {key.index for key, _ in store.all_instances()} == set(remaining)
        store.undo()
        assert store.instances(FrameKey(1, 0)) == ()
