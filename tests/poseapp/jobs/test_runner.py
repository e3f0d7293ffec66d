from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from engine.errors import MediaError, PoseError
from engine.utils.context import Context
from poseapp.jobs.base import Ending, Lane, Outcome, Progress, UnexpectedError
from poseapp.jobs.runner import JobRunner


class Work:
    """A job made of a function that returns the steps."""

    def __init__(self, steps: Callable[[], Iterator[Progress]], lane: Lane = Lane.IO, title: str = "work") -> None:
        self.title, self.lane, self._steps = title, lane, steps

    def run(self, context: Context) -> Iterator[Progress]:
        return self._steps()


def counting(n: int) -> Work:
    return Work(lambda: (Progress(i + 1, n, result=i) for i in range(n)))


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    created = JobRunner()
    yield created
    created.shutdown()


class Record:
    """What a job delivered."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.batches = 0
        self.outcome: Outcome | None = None

    def take(self, results: list[Any]) -> None:
        self.results += results
        self.batches += 1

    def end(self, outcome: Outcome) -> None:
        self.outcome = outcome


def submit(runner: JobRunner, job: Work, **options: Any) -> tuple[int, Record]:
    record = Record()
    return runner.submit(job, on_results=record.take, on_finished=record.end, **options), record


def test_every_result_arrives_in_order_and_in_batches(runner: JobRunner, qtbot: QtBot) -> None:
    _, record = submit(runner, counting(5000))
    qtbot.waitUntil(lambda: record.outcome is not None)
    assert record.results == list(range(5000))
    assert record.batches < 500
    assert record.outcome == Outcome(Ending.DONE, 5000, 5000, record.outcome.seconds)


def test_results_are_delivered_in_the_thread_of_the_window(runner: JobRunner, qtbot: QtBot) -> None:
    seen: list[threading.Thread] = []
    worked: list[threading.Thread] = []

    def steps() -> Iterator[Progress]:
        worked.append(threading.current_thread())
        yield Progress(1, 1, result=1)

    runner.submit(Work(steps), on_results=lambda _: seen.append(threading.current_thread()))
    with qtbot.waitSignal(runner.finished):
        pass
    assert seen == [threading.main_thread()]
    assert worked[0] is not threading.main_thread()


def test_cancel_returns_at_once_and_keeps_what_was_done(runner: JobRunner, qtbot: QtBot) -> None:
    closed = threading.Event()
    go_on = threading.Event()

    def steps() -> Iterator[Progress]:
        try:
            yield Progress(1, 3, result="a")
            go_on.wait(120)
            yield Progress(2, 3, result="b")
            yield Progress(3, 3, result="never")
        finally:
            closed.set()

    job_id, record = submit(runner, Work(steps))
    qtbot.waitUntil(lambda: record.results == ["a"])
    runner.cancel(job_id)
    assert runner.is_cancelling(job_id)
    assert record.outcome is None
    go_on.set()
    qtbot.waitUntil(lambda: record.outcome is not None)
    assert record.outcome is not None
    assert record.outcome.ending is Ending.CANCELLED
    assert record.results == ["a", "b"]
    assert closed.is_set()


def test_a_waiting_job_is_cancelled_without_being_started(runner: JobRunner, qtbot: QtBot) -> None:
    go_on = threading.Event()

    def slow() -> Iterator[Progress]:
        go_on.wait(120)
        yield Progress(1, 1)

    _, first = submit(runner, Work(slow))
    job_id, second = submit(runner, counting(3))
    runner.cancel(job_id)
    qtbot.waitUntil(lambda: second.outcome is not None)
    assert second.outcome is not None
    assert second.outcome.ending is Ending.CANCELLED
    assert second.results == []
    assert first.outcome is None
    go_on.set()
    qtbot.waitUntil(lambda: first.outcome is not None)


def test_an_urgent_job_runs_between_the_steps_of_a_long_one(runner: JobRunner, qtbot: QtBot) -> None:
    order: list[str] = []
    submitted = threading.Event()

    def long() -> Iterator[Progress]:
        for i in range(3):
            order.append(f"long {i}")
            yield Progress(i + 1, 3, result=i)
            submitted.wait(120)

    def box() -> Iterator[Progress]:
        order.append("box")
        yield Progress(1, 1, result="pose")

    _, slow = submit(runner, Work(long, Lane.ACCELERATOR))
    qtbot.waitUntil(lambda: slow.results == [0])
    _, quick = submit(runner, Work(box, Lane.ACCELERATOR), urgent=True)
    submitted.set()
    qtbot.waitUntil(lambda: slow.outcome is not None and quick.outcome is not None)
    assert order == ["long 0", "long 1", "box", "long 2"]
    assert quick.results == ["pose"]


def test_the_two_lanes_run_side_by_side(runner: JobRunner, qtbot: QtBot) -> None:
    meeting = threading.Barrier(2, timeout=120)

    def meet() -> Iterator[Progress]:
        meeting.wait()
        yield Progress(1, 1)

    _, a = submit(runner, Work(meet, Lane.ACCELERATOR))
    _, b = submit(runner, Work(meet, Lane.IO))
    qtbot.waitUntil(lambda: a.outcome is not None and b.outcome is not None)
    assert a.outcome is not None
    assert b.outcome is not None
    assert a.outcome.ok
    assert b.outcome.ok


def test_a_pose_error_ends_the_job_with_its_text_and_keeps_results(runner: JobRunner, qtbot: QtBot) -> None:
    def steps() -> Iterator[Progress]:
        yield Progress(1, 2, result=1)
        raise MediaError("is not an image", where="a.txt")

    messages: list[PoseError] = []
    runner.failed.connect(lambda _, error: messages.append(error))
    _, record = submit(runner, Work(steps))
    qtbot.waitUntil(lambda: record.outcome is not None)
    assert record.outcome is not None
    assert record.outcome.ending is Ending.FAILED
    assert record.results == [1]
    assert [str(e) for e in messages] == ["a.txt: is not an image"]


def test_other_errors_are_logged_and_told_as_unexpected(
    runner: JobRunner, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    def steps() -> Iterator[Progress]:
        raise ValueError("boom")
        yield

    _, record = submit(runner, Work(steps, title="Run the model"))
    qtbot.waitUntil(lambda: record.outcome is not None)
    assert record.outcome is not None
    assert isinstance(record.outcome.error, UnexpectedError)
    assert "Traceback" in caplog.text
    _, after = submit(runner, counting(2))
    qtbot.waitUntil(lambda: after.outcome is not None)
    assert after.results == [0, 1]


def test_shutdown_waits_leaves_no_thread_and_delivers_what_was_made(qtbot: QtBot) -> None:
    runner = JobRunner()
    before = threading.active_count()
    created = threading.Event()

    def steps() -> Iterator[Progress]:
        for i in range(10**9):
            yield Progress(i, 0, result=i)
            created.set()

    _, record = submit(runner, Work(steps))
    _, waiting = submit(runner, counting(3))
    assert created.wait(120)
    runner.shutdown()
    assert threading.active_count() == before - 1 or not any(
        t.name.startswith("poseapp-") for t in threading.enumerate()
    )
    assert record.results[:2] == [0, 1]
    assert record.outcome is not None
    assert record.outcome.ending is Ending.CANCELLED
    assert waiting.outcome is not None
    assert waiting.outcome.ending is Ending.CANCELLED
    assert runner.active() == []
    runner.shutdown()
    with pytest.raises(RuntimeError):
        runner.submit(counting(1))


def test_busy_is_told_once_for_overlapping_jobs(runner: JobRunner, qtbot: QtBot) -> None:
    messages: list[bool] = []
    runner.busy_changed.connect(messages.append)
    _, a = submit(runner, counting(3))
    _, b = submit(runner, counting(3))
    qtbot.waitUntil(lambda: a.outcome is not None and b.outcome is not None)
    assert messages == [True, False]


def test_progress_keeps_the_last_text_and_counts_time_left(runner: JobRunner, qtbot: QtBot) -> None:
    go_on = threading.Event()

    def steps() -> Iterator[Progress]:
        yield Progress(0, 4, "Loading")
        go_on.wait(120)
        yield Progress(1, 4, result=1)
        yield Progress(4, 4, "", result=2)

    seen: list[Progress] = []
    runner.progress.connect(lambda _, step: seen.append(step))
    _, record = submit(runner, Work(steps))
    qtbot.waitUntil(lambda: len(seen) == 1)
    go_on.set()
    qtbot.waitUntil(lambda: record.outcome is not None)
    assert seen[-1] == Progress(4, 4, "Loading")


def test_an_urgent_job_runs_between_two_steps_of_another_and_before_those_that_wait(
    runner: JobRunner, qtbot: QtBot
) -> None:
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def long() -> Iterator[Progress]:
        order.append("first half")
        begun.set()
        assert go_on.wait(120)
        yield Progress(1, 2)
        order.append("second half")
        yield Progress(2, 2)

    def short(name: str) -> Callable[[], Iterator[Progress]]:
        def steps() -> Iterator[Progress]:
            order.append(name)
            yield Progress(1, 1)

        return steps

    records = [submit(runner, Work(long))[1]]
    assert begun.wait(120)
    records.append(submit(runner, Work(short("waiting")))[1])
    records.append(submit(runner, Work(short("urgent")), urgent=True)[1])
    go_on.set()
    qtbot.waitUntil(lambda: all(record.outcome is not None for record in records))
    assert order == ["first half", "urgent", "second half", "waiting"]
