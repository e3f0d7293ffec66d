"""The embedded networks on the sample photographs, through the jobs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.errors import ModelError
from engine.media.images import read_image
from engine.models.catalog import user_models_dir
from engine.utils.context import Context
from poseapp.jobs.base import Ending, Outcome, Progress
from poseapp.jobs.frames.cache import FrameCache
from poseapp.jobs.inference import BoxPredictJob, FrameResult, ModelChoice, ModelHost, PredictJob, WarmUpJob
from poseapp.jobs.runner import JobRunner
from poseapp.project.model import FrameKey
from resources import resource_path
from tests.engine.media.video_clips import X264, Clip, make

CHOICE = ModelChoice("movenet_lightning", device="cpu", title="MoveNet Lightning")
PHOTO = resource_path("sample/astronaut.jpg")
PHOTOS = [(FrameKey(1, i), resource_path(f"sample/{n}")) for i, n in enumerate(("astronaut.jpg", "grace_hopper.jpg"))]


@pytest.fixture(scope="module")
def host() -> Iterator[ModelHost]:
    created = ModelHost()
    yield created
    created.clear()


def results(job: PredictJob | BoxPredictJob) -> list[FrameResult]:
    return [step.result for step in job.run(Context()) if step.result is not None]


def test_poses_are_found_on_photographs(host: ModelHost) -> None:
    match = results(PredictJob(host, PHOTOS, CHOICE, score_threshold=0.2))
    assert [r.key for r in match] == [key for key, _ in PHOTOS]
    assert match[0].size == (512, 512)
    for result in match:
        assert len(result.predictions) >= 1
        points = result.predictions[0].keypoints
        assert points.shape == (17, 3)
        nose, shoulders = points[0], points[5:7]
        assert nose[2] > 0.4
        assert nose[1] < shoulders[:, 1].min()  # upright people
    assert "CPU" in host.description


@pytest.mark.slow
def test_the_second_run_needs_no_loading(host: ModelHost) -> None:
    results(PredictJob(host, PHOTOS[:1], CHOICE))
    texts = [step.text for step in PredictJob(host, PHOTOS[:1], CHOICE).run(Context())]
    assert not any(text.startswith("Loading") for text in texts)
    assert host.holds(CHOICE)


def test_an_unreadable_picture_is_told_and_the_others_go_on(host: ModelHost, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    items = [PHOTOS[0], (FrameKey(1, 7), bad), (FrameKey(1, 8), tmp_path / "gone.jpg"), (FrameKey(1, 9), PHOTO)]
    result = results(PredictJob(host, items, CHOICE))
    assert [r.key.index for r in result] == [0, 7, 8, 9]
    assert [r.problem is None for r in result] == [True, False, False, True]
    assert "bad.jpg" in str(result[1].problem)
    assert result[0].predictions[0].score == pytest.approx(result[3].predictions[0].score)


def test_a_high_threshold_leaves_weak_poses_out(host: ModelHost) -> None:
    assert results(PredictJob(host, PHOTOS[:1], CHOICE, score_threshold=0.99))[0].predictions == ()


def test_given_boxes_are_all_answered_in_their_order(host: ModelHost) -> None:
    boxes = {PHOTOS[0][0]: np.array([[0.0, 0, 300, 500], [5, 5, 20, 20]])}
    with_boxes, detected = results(PredictJob(host, PHOTOS, CHOICE, boxes=boxes, score_threshold=0.99))
    np.testing.assert_allclose([p.box for p in with_boxes.predictions], boxes[PHOTOS[0][0]])
    assert detected.predictions == ()


def test_a_drawn_box_is_filled(host: ModelHost) -> None:
    box = (30.0, 10.0, 480.0, 500.0)
    from_file = results(BoxPredictJob(host, FrameKey(1, 0), PHOTO, box, CHOICE))
    from_pixels = results(BoxPredictJob(host, FrameKey(1, 0), read_image(PHOTO), box, CHOICE))
    (pose,) = from_file[0].predictions
    np.testing.assert_allclose(pose.box, box)
    np.testing.assert_allclose(pose.keypoints, from_pixels[0].predictions[0].keypoints)


def test_cached_frames_are_not_read_again(host: ModelHost, tmp_path: Path) -> None:
    cache = FrameCache()
    gone = (FrameKey(1, 0), tmp_path / "gone.jpg")
    cache.put(gone, read_image(PHOTO))
    assert results(PredictJob(host, [gone], CHOICE, cache=cache))[0].problem is None


def test_a_model_trained_again_under_its_name_is_loaded_again() -> None:
    host = ModelHost()
    folder = user_models_dir()
    folder.mkdir(parents=True)
    file = folder / "mine.safetensors"
    shutil.copyfile(resource_path("models/movenet_lightning.safetensors"), file)
    choice = ModelChoice("mine", detector="none", device="cpu")
    first = host.get(choice)
    assert host.get(choice) is first
    os.utime(file, ns=(1, 1))
    assert host.get(choice) is not first


def test_the_host_keeps_only_the_models_used_last() -> None:
    host = ModelHost()
    choices = [ModelChoice("movenet_lightning", detector, "cpu") for detector in ("none", None, "efficientdet_lite0")]
    for choice in choices:
        host.get(choice)
    assert [host.holds(choice) for choice in choices] == [False, True, True]


def test_an_unknown_model_is_told_with_those_that_exist(host: ModelHost) -> None:
    with pytest.raises(ModelError, match="movenet_thunder"):
        results(PredictJob(host, PHOTOS, ModelChoice("nothing")))


def test_closing_a_job_half_way_leaves_no_thread(host: ModelHost) -> None:
    steps = PredictJob(host, PHOTOS * 20, CHOICE).run(Context())
    for step in steps:
        if step.result is not None:
            break
    steps.close()  # type: ignore[attr-defined]


def test_a_cancelled_run_keeps_its_results_and_a_box_need_not_wait(host: ModelHost, qtbot: QtBot) -> None:
    runner = JobRunner()
    try:
        got: list[FrameResult] = []
        filled: list[FrameResult] = []
        ended: list[Outcome] = []
        seen: list[Progress] = []
        runner.progress.connect(lambda _, step: seen.append(step))
        job = runner.submit(PredictJob(host, PHOTOS * 500, CHOICE), on_results=got.extend, on_finished=ended.append)
        qtbot.waitUntil(lambda: bool(got), timeout=20_000)
        box = BoxPredictJob(host, FrameKey(1, 0), PHOTO, (30, 10, 480, 500), CHOICE)
        runner.submit(box, urgent=True, on_results=filled.extend)
        qtbot.waitUntil(lambda: bool(filled), timeout=20_000)
        assert not ended
        runner.cancel(job)
        qtbot.waitUntil(lambda: bool(ended), timeout=20_000)
        assert ended[0].ending is Ending.CANCELLED
        assert 0 < len(got) < 1000
        assert ended[0].done == len(got)
    finally:
        runner.shutdown()


def test_warming_up_loads_the_model() -> None:
    host = ModelHost()
    list(WarmUpJob(host, CHOICE).run(Context()))
    assert host.holds(CHOICE)


@pytest.mark.slow
def test_importing_the_jobs_loads_no_torch() -> None:
    code = "import sys, poseapp.jobs.inference, poseapp.jobs.training.run, poseapp.dialogs.training.fine_tune; "
    code += "print([m for m in ('torch', 'pyqtgraph') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_slow_model_lets_a_cancel_be_heard_while_it_works(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    model = host.get(CHOICE)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*arguments: object) -> list[object]:
        begun.set()
        go_on.wait(30)
        return [[]]

    monkeypatch.setattr(model, "poses", slow)
    steps = PredictJob(host, PHOTOS, CHOICE).run(Context())
    assert next(steps).done == 0
    assert next(steps).result is None  # nothing is ready, and yet the job comes back
    begun.wait(30)
    assert next(steps).result is None
    go_on.set()
    steps.close()  # type: ignore[attr-defined]


def test_frames_of_a_video_are_read_by_their_number(host: ModelHost, tmp_path: Path) -> None:
    path = make(Clip("film.mp4", "libx264", X264, frames=6), tmp_path)
    items = [(FrameKey(2, index), path) for index in (0, 1, 4, 99)]
    result = results(PredictJob(host, items, CHOICE))
    assert [each.key.index for each in result] == [0, 1, 4, 99]
    assert [each.problem is None for each in result] == [True, True, True, False]
    assert "has 6 frames" in str(result[3].problem)
