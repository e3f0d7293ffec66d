"""How long the window's thread is held up while a model loads and runs, and how fast both go.

    python tests/benchmarks/bench_jobs.py

Loading torch is the worst of it: the system's loader keeps the interpreter's lock while it maps the libraries.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import QCoreApplication, Qt, QTimer

from poseapp.jobs.base import Job
from poseapp.jobs.inference import BoxPredictJob, ModelChoice, ModelHost, PredictJob, WarmUpJob
from poseapp.jobs.runner import JobRunner
from poseapp.project.model import FrameKey
from resources import resource_path

PHOTO = resource_path("sample/astronaut.jpg")
KEY = FrameKey(1, 0)
CHOICE = ModelChoice("movenet_thunder")


def watch(runner: JobRunner, job: Job) -> tuple[float, float]:
    """Seconds that the job took, and the longest time in ms that the event loop stood still."""
    gaps = [0.0]
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat)
    timer.start(2)
    ended: list[object] = []
    start = time.perf_counter()
    runner.submit(job, on_finished=ended.append)
    while not ended:
        QCoreApplication.processEvents()
        time.sleep(0.001)
    timer.stop()
    return time.perf_counter() - start, max(gaps) * 1000


def main() -> None:
    application = QCoreApplication([])
    runner, host = JobRunner(), ModelHost()
    images = 40
    cases: list[tuple[str, Callable[[], Job], int]] = [
        ("load torch and the model", lambda: WarmUpJob(host, CHOICE), 1),
        ("first image (detector loads)", lambda: PredictJob(host, [(KEY, PHOTO)], CHOICE), 1),
        (f"{images} images of 512x512", lambda: PredictJob(host, [(KEY, PHOTO)] * images, CHOICE), images),
        ("a drawn box, with mirrored pass", lambda: BoxPredictJob(host, KEY, PHOTO, (30, 10, 480, 500), CHOICE), 1),
    ]  # fmt: skip
    print("| work | seconds | images/s | longest stall of the window's thread, ms |\n|---|---|---|---|")
    for name, make, count in cases:
        seconds, stall = watch(runner, make())
        print(f"| {name} | {seconds:.2f} | {count / seconds:.1f} | {stall:.0f} |")
    print(f"\ndevice: {host.description}")
    runner.shutdown()
    del application


if __name__ == "__main__":
    main()
