from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.utils.context import Context
from poseapp.app.application import make_application
from poseapp.jobs.base import Lane, Progress
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training.export import TrainingPlan
from poseapp.jobs.training.run import RunState, TrainingRun
from poseapp.panels.job_tray import JobTray


class Gated:
    """Three steps, each of which waits to be let through."""

    title = "Long work"
    lane = Lane.IO

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 3, "Counting")
        for i in range(3):
            self.gate.acquire(timeout=240)
            yield Progress(i + 1, 3)


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    make_application()
    created = JobRunner()
    yield created
    created.shutdown()


@pytest.fixture
def tray(runner: JobRunner, qtbot: QtBot) -> JobTray:
    created = JobTray(runner)
    qtbot.addWidget(created)
    return created


def test_long_work_is_shown_with_how_far_it_is_and_goes_away(runner: JobRunner, tray: JobTray, qtbot: QtBot) -> None:
    job = Gated()
    runner.submit(job)
    assert not tray.isVisible()
    qtbot.waitUntil(tray.isVisible)
    job.gate.release()
    qtbot.waitUntil(lambda: tray.detail.text().startswith("1 of 3"))
    assert tray.text.text() == "Counting"
    assert tray.bar.value() == 333
    job.gate.release(2)
    qtbot.waitUntil(lambda: not tray.isVisible())


def test_short_work_is_not_shown(runner: JobRunner, tray: JobTray, qtbot: QtBot) -> None:
    job = Gated()
    job.gate.release(3)
    with qtbot.waitSignal(runner.finished):
        runner.submit(job)
    assert not tray.isVisible()
    assert not tray._delay.isActive()


def test_cancel_stops_the_work_and_says_so_meanwhile(runner: JobRunner, tray: JobTray, qtbot: QtBot) -> None:
    job = Gated()
    job_id = runner.submit(job)
    qtbot.waitUntil(tray.isVisible)
    QTest.mouseClick(tray.button, Qt.MouseButton.LeftButton)
    assert runner.is_cancelling(job_id)
    assert tray.detail.text() == "stopping…"
    assert not tray.button.isEnabled()
    job.gate.release()
    qtbot.waitUntil(lambda: not tray.isVisible())


def test_waiting_jobs_are_counted(runner: JobRunner, tray: JobTray, qtbot: QtBot) -> None:
    jobs = [Gated(), Gated()]
    for job in jobs:
        runner.submit(job)
    qtbot.waitUntil(tray.isVisible)
    assert [entry.detail for entry in tray.entries()] == ["waiting", "0 of 3"]
    assert "(+1 more)" in tray.text._full
    for job in jobs:
        job.gate.release(3)
    qtbot.waitUntil(lambda: not tray.isVisible())


def test_a_training_run_is_shown_and_opens_its_monitor(
    runner: JobRunner, tray: JobTray, project: Path, qtbot: QtBot
) -> None:
    run = TrainingRun(runner, project, TrainingPlan("tees", 1, "movenet_lightning"))
    tray.add_run(run)
    run._on_event({"event": "step", "step": 5, "total_steps": 20, "seconds_left": 60.0})
    qtbot.waitUntil(tray.isVisible)
    assert (tray.text.text(), tray.detail.text(), tray.bar.value()) == ("Training tees", "1 min left", 250)
    with qtbot.waitSignal(tray.open_requested) as messages:
        QTest.mouseClick(tray.text, Qt.MouseButton.LeftButton)
    assert messages.args == [run]
    run._end(RunState.FAILED, "x")
    assert not tray.isVisible()
