"""Runs jobs in two worker threads, one that owns the accelerator and one for files; results come to the UI thread.

The workers never touch Qt objects of the window. What they yield is collected under a lock and handed over in the UI
thread at most 30 times a second, so that a fast job cannot flood the event loop, nor a slow view slow the job down.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from engine.errors import Cancelled, PoseError
from engine.utils.context import Context
from poseapp.jobs.base import Ending, Job, Lane, Outcome, Progress, RateEstimator, as_pose_error

log = logging.getLogger(__name__)

TICK_MS = 33


@dataclass(eq=False)
class _Task:
    """One submitted job. Fields below the line are shared with the worker and guarded by the runner's lock."""

    id: int
    job: Job
    urgent: bool
    on_results: Callable[[list[Any]], None] | None
    on_finished: Callable[[Outcome], None] | None
    rate: RateEstimator = field(default_factory=RateEstimator)
    shown: Progress = field(default_factory=lambda: Progress(0, 0))
    # ---
    cancelled: bool = False
    started: float | None = None
    latest: Progress | None = None
    results: list[Any] = field(default_factory=list)
    outcome: Outcome | None = None


class _LaneWorker:
    """One thread that runs the tasks of a lane in turn; an urgent one goes first, between two yields of another."""

    def __init__(self, name: str, lock: threading.Lock, report: Callable[[], None]) -> None:
        self._report = report
        self._lock = threading.Condition(lock)
        self._waiting: deque[_Task] = deque()
        self._urgent: deque[_Task] = deque()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=f"poseapp-{name}", daemon=True)
        self._thread.start()

    def add(self, task: _Task) -> None:
        with self._lock:
            (self._urgent if task.urgent else self._waiting).append(task)
            self._lock.notify()

    def cancel(self, task: _Task) -> None:
        """Ask a task to stop. One that has not begun ends here and now."""
        with self._lock:
            task.cancelled = True
            for queue in (self._waiting, self._urgent):
                if task in queue:
                    queue.remove(task)
                    task.outcome = Outcome(Ending.CANCELLED)
        self._report()

    def stop(self) -> None:
        """End the thread after the present step; returns when it has ended."""
        with self._lock:
            self._ending = True
            self._lock.notify()
        self._thread.join()

    def _next(self) -> _Task | None:
        with self._lock:
            while not (self._ending or self._urgent or self._waiting):
                self._lock.wait()
            if self._ending:
                return None
            return (self._urgent or self._waiting).popleft()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            self._run(task)
            del task  # a job may hold images; an idle worker must not keep the last one alive

    def _run(self, task: _Task) -> None:
        start = time.monotonic()
        with self._lock:
            task.started = start
        ending, error = Ending.DONE, None
        try:
            steps = iter(task.job.run(self._context(task)))
            try:
                if not self._follow(task, steps):
                    ending = Ending.CANCELLED
            finally:
                close = getattr(steps, "close", None)
                if close is not None:
                    close()
        except Cancelled:
            ending = Ending.CANCELLED
        except Exception as problem:  # the worker must outlive any job
            if not isinstance(problem, PoseError):
                log.exception("job %r ended unexpectedly", task.job.title)
            ending, error = Ending.FAILED, as_pose_error(problem, task.job.title)
        with self._lock:
            last = task.latest or task.shown
            task.outcome = Outcome(ending, last.done, last.total, time.monotonic() - start, error)
        self._report()

    def _context(self, task: _Task) -> Context:
        def show(done: int, total: int, text: str) -> None:
            with self._lock:
                task.latest = Progress(done, total, text or (task.latest or task.shown).text)
            self._report()

        return Context(show, lambda: task.cancelled or self._ending)

    def _follow(self, task: _Task, steps: Iterator[Progress]) -> bool:
        """Take the steps of a job; False when it was cancelled on the way."""
        if task.cancelled:
            return False
        for step in steps:
            with self._lock:
                task.latest = step
                if step.result is not None:
                    task.results.append(step.result)
            self._report()
            if task.cancelled or self._ending:
                return False
            if not task.urgent:
                self._run_urgent()
        return True

    def _run_urgent(self) -> None:
        while True:
            with self._lock:
                if self._ending or not self._urgent:
                    return
                task = self._urgent.popleft()
            self._run(task)


class JobRunner(QObject):
    """Two lanes of work. All methods and signals belong to the UI thread.

    Signals:
        submitted(id): a job has been taken; ask :meth:`job` for it.
        progress(id, Progress): the newest step since the last tick, without its result.
        results(id, list): everything the job made since the last tick, in order.
        failed(id, PoseError): just before ``finished`` of a job that failed.
        finished(id, Outcome): always the last word on a job.
        busy_changed(bool): the first job came, or the last one went.
    """

    submitted = Signal(int)
    progress = Signal(int, object)
    results = Signal(int, object)
    failed = Signal(int, object)
    finished = Signal(int, object)
    busy_changed = Signal(bool)
    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.before_submit: Callable[[], None] = lambda: None
        """Called before a job is taken: jobs read files as they stand on the disk."""
        self._tasks: dict[int, _Task] = {}
        self._lanes: dict[Lane, _LaneWorker] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._closed = False
        self._wake_pending = threading.Event()
        self._last_tick = 0.0
        self._timer = QTimer(self)
        self._timer.setObjectName("job runner tick")
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._woken.connect(self._schedule, Qt.ConnectionType.QueuedConnection)

    def submit(
        self,
        job: Job,
        *,
        urgent: bool = False,
        on_results: Callable[[list[Any]], None] | None = None,
        on_finished: Callable[[Outcome], None] | None = None,
    ) -> int:
        """Queue a job in its lane and return its id.

        Args:
            job: work to do.
            urgent: run before waiting jobs and between two steps of a running one (a drawn box waits for no batch job).
            on_results: called in the UI thread with the results of a tick; before the signal of the same name.
            on_finished: called in the UI thread with the outcome; before the signal of the same name.
        """
        if self._closed:
            raise RuntimeError("the job runner has been shut down")
        self.before_submit()
        task = _Task(next(self._ids), job, urgent, on_results, on_finished)
        first = not self._tasks
        self._tasks[task.id] = task
        self._worker(Lane(job.lane)).add(task)
        self.submitted.emit(task.id)
        if first:
            self.busy_changed.emit(True)
        return task.id

    def cancel(self, job_id: int) -> None:
        """Ask a job to stop and return at once; it ends at its next step, and what it has made is delivered."""
        task = self._tasks.get(job_id)
        if task is not None:
            self._lanes[Lane(task.job.lane)].cancel(task)

    def cancel_all(self) -> None:
        for job_id in list(self._tasks):
            self.cancel(job_id)

    def job(self, job_id: int) -> Job | None:
        """The job of an id, None once it has finished."""
        task = self._tasks.get(job_id)
        return None if task is None else task.job

    def active(self) -> list[int]:
        """Ids of jobs that wait or run, oldest first."""
        return list(self._tasks)

    def is_running(self, job_id: int) -> bool:
        """True when the job has begun (and has not been reported as finished)."""
        task = self._tasks.get(job_id)
        return task is not None and task.started is not None

    def is_cancelling(self, job_id: int) -> bool:
        task = self._tasks.get(job_id)
        return task is not None and task.cancelled

    def rate(self, job_id: int) -> float | None:
        """Units a second of a job, smoothed; None while unknown."""
        task = self._tasks.get(job_id)
        return None if task is None else task.rate.rate

    def seconds_left(self, job_id: int) -> float | None:
        """Seconds a job still needs, None while unknown."""
        task = self._tasks.get(job_id)
        if task is None or not task.shown.total:
            return None
        return task.rate.seconds_left(task.shown.total, time.monotonic())

    @property
    def is_shut_down(self) -> bool:
        """Whether nothing can be submitted any more: the window is closing."""
        return self._closed

    def shutdown(self) -> None:
        """Cancel everything, wait for both threads to end, deliver what was made until then. May be called twice."""
        self._closed = True
        self.cancel_all()
        for worker in self._lanes.values():
            worker.stop()
        self._lanes.clear()
        for task in self._tasks.values():
            if task.outcome is None:
                task.outcome = Outcome(Ending.CANCELLED, task.shown.done, task.shown.total)
        self._timer.stop()
        self._deliver()

    def _worker(self, lane: Lane) -> _LaneWorker:
        if lane not in self._lanes:
            self._lanes[lane] = _LaneWorker(lane.value, self._lock, self._report)
        return self._lanes[lane]

    def _report(self) -> None:
        """Called by workers: something is there to deliver. Emits at most one queued signal until it is heard."""
        if not self._wake_pending.is_set():
            self._wake_pending.set()
            self._woken.emit()

    @Slot()
    def _schedule(self) -> None:
        if self._closed or self._timer.isActive():
            return
        since = (time.monotonic() - self._last_tick) * 1000
        self._timer.start(max(0, int(TICK_MS - since)))

    @Slot()
    def _tick(self) -> None:
        self._deliver()
        self._last_tick = time.monotonic()

    def _deliver(self) -> None:
        self._wake_pending.clear()
        for task in list(self._tasks.values()):
            with self._lock:
                latest, results, outcome = task.latest, task.results, task.outcome
                task.latest, task.results = None, []
            self._deliver_task(task, latest, results, outcome)

    def _deliver_task(self, task: _Task, latest: Progress | None, results: list[Any], outcome: Outcome | None) -> None:
        if latest is not None:
            text = latest.text or task.shown.text
            task.shown = Progress(latest.done, latest.total, text)
            task.rate.update(latest.done, time.monotonic())
        if results:
            if task.on_results is not None:
                self._guard(task.on_results, results)
            self.results.emit(task.id, results)
        if latest is not None:
            self.progress.emit(task.id, task.shown)
        if outcome is not None:
            self._finish(task, outcome)

    def _finish(self, task: _Task, outcome: Outcome) -> None:
        if self._tasks.pop(task.id, None) is None:
            return  # a view that ran an event loop of its own has been told already
        if task.on_finished is not None:
            self._guard(task.on_finished, outcome)
        if outcome.error is not None:
            self.failed.emit(task.id, outcome.error)
        self.finished.emit(task.id, outcome)
        if not self._tasks:
            self.busy_changed.emit(False)

    @staticmethod
    def _guard(callback: Callable[[Any], None], value: Any) -> None:
        """A view that fails is reported like any defect; the other jobs of this tick still deliver."""
        try:
            callback(value)
        except Exception:
            sys.excepthook(*sys.exc_info())
