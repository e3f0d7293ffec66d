"""What a run finds goes into the project in few transactions, and an interrupted run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.pose import Prediction
from poseapp.commands import model
from poseapp.commands.model import RunResults, run_on
from poseapp.dialogs.run_model import GO_ON, RunModelDialog
from poseapp.jobs.inference import FrameResult, ModelChoice
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore
from poseapp.project.tables.sources import frames_of_model
from poseapp.window.main_window import MainWindow

CHOICE = ModelChoice("movenet_lightning", device="cpu")
FRAMES = 6


def result(index: int) -> FrameResult:
    return FrameResult(FrameKey(1, index))


@pytest.fixture
def written() -> list[list[int]]:
    return []


@pytest.fixture
def results(written: list[list[int]], qtbot: QtBot) -> RunResults:
    def write(match: Sequence[FrameResult]) -> None:
        written.append([each.key.index for each in match])

    return RunResults(write)


def test_the_first_results_go_in_at_once_and_the_next_together(results: RunResults, written: list[list[int]]) -> None:
    results.take([result(0)])
    assert written == [[0]]
    results.take([result(1)])
    results.take([result(2), result(3)])
    assert written == [[0]]
    results.flush()
    results.flush()
    assert written == [[0], [1, 2, 3]]


def test_results_do_not_wait_for_others_to_come(
    results: RunResults, written: list[list[int]], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "RUN_RESULTS_SECONDS", 0.05)
    results.take([result(0)])
    results.take([result(1)])
    qtbot.waitUntil(lambda: written == [[0], [1]], timeout=5000)


@pytest.fixture
def film(resources_dir: Path, tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    picture = cv2.cvtColor(cv2.imread(str(resources_dir / "sample/astronaut.jpg")), cv2.COLOR_BGR2RGB)
    picture = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 4 * index, axis=1), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def test_a_run_goes_on_with_the_frames_that_it_has_not_done(film: Path, window: MainWindow, qtbot: QtBot) -> None:
    window.open_paths([film])
    qtbot.waitUntil(lambda: len(window.session.frames) == FRAMES and not window.runner.active(), timeout=10_000)
    context = window.context
    path = window.session.path
    assert path is not None
    assert run_on(context, list(window.session.frames)[:4], CHOICE, 0.1) is not None
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=60_000)
    store = window.session.store
    assert store is not None
    with ProjectStore.open(path, read_only=True) as on_disk:
        assert {key.index for key in frames_of_model(on_disk, CHOICE.model)} == set(range(4))
    assert len(store.history()) == 1  # the whole run is one step
    dialog = RunModelDialog(window.session, CHOICE.model, window)
    qtbot.addWidget(dialog)
    dialog.which.setCurrentIndex(dialog.which.findData(GO_ON))
    assert [key.index for key in dialog.plan().frames] == [4, 5]
    dialog.close()


def test_points_outside_the_picture_lose_their_score_and_those_on_its_edge_keep_it() -> None:
    points = np.array([[-0.5, 0, 0.9], [-0.6, 5, 0.9], [99.5, 79.5, 0.8], [99.6, 5, 0.8], [5, 80, 0.7], [5, 5, 0.6]])
    match = Prediction(points.astype(np.float32), np.array([0, 0, 100, 80], np.float32), 0.5)
    (remaining,) = model.within_picture(FrameResult(FrameKey(1, 0), (match,), (100, 80)))
    assert np.allclose(remaining.keypoints[:, 2], [0.9, 0, 0.8, 0, 0, 0.6])
    assert match.keypoints[1, 2] == np.float32(0.9)


def test_what_a_run_finds_is_not_written_into_another_project(
    window: MainWindow, resources_dir: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        shutil.copyfile(resources_dir / "sample/astronaut.jpg", tmp_path / name / "a.jpg")
    window.open_paths([tmp_path / "other"])
    qtbot.waitUntil(lambda: window.canvas.pixels is not None and not window.runner.active(), timeout=10_000)
    other = window.session.path
    window.open_paths([tmp_path / "one"])
    qtbot.waitUntil(lambda: window.session.path not in (None, other) and not window.runner.active(), timeout=10_000)
    assert other is not None
    frame = window.session.frame
    assert frame is not None
    choice = ModelChoice("movenet_lightning", device="cpu")
    assert model.run_on(window.context, [frame], choice, 0.2) is not None
    window.session.set_store(ProjectStore.open(other))
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=60_000)
    assert window.session.path == other
    assert window.session.instances == ()
    assert window.session.categories() == []
    assert window.session.store is not None
    assert window.session.store.undo_text() is None
