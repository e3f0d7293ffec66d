"""1,000,000 instances in 200,000 images: `python tests/benchmarks/bench_scale.py [images]`. Prints Markdown.

The pictures are eight small ones under many names, so that frame changes show the cost of the project and the labels.
Each part has a process of its own, so that memory is its own. Needs 1.5 GB in the temporary folder.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

IMAGES, POSES, STEPS = 200_000, 5, 100_000
Found = dict[str, str]


def make(folder: Path, images: int) -> Found:
    """Rows written straight into the tables, as an importer does."""
    import cv2
    import numpy as np

    from engine.schema.builtin import find_schema
    from poseapp.project.store import ProjectStore
    from poseapp.project.tables.instance_rows import INSERT

    rng = np.random.default_rng(0)
    for index in range(8):
        noise = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.jpg"), cv2.GaussianBlur(noise, (0, 0), 3))  # as easy as a photograph
    pool = []
    for _ in range(512):
        seen = rng.choice([0, 1, 2], 17, p=[0.1, 0.1, 0.8]).astype(np.uint8)
        points, scores = rng.uniform(20, 460, (17, 2)), rng.random(17)
        pool.append((points.tobytes(), seen.tobytes(), scores.tobytes(), int((seen > 0).sum()), float(scores.min())))
    box = np.array([20.0, 20, 460, 460]).tobytes()

    def rows(media: int) -> Iterator[tuple[Any, ...]]:
        index = 0
        for image in range(images):
            for pose in range(0 if image % 53 == 0 else POSES):
                index += 1
                points, seen, scores, count, lowest = pool[(image * 7 + pose * 13) % 512]
                labelled = image % 4 == 0 or (image % 4 == 1 and pose < 2)
                score = None if labelled else (image * 2654435761 + pose * 97) % 10007 / 10007
                category = 2 if image % 29 == 0 and pose == 0 else 1
                track = pose if image % 5 == 0 else None
                yield (index, media, image, category, int(labelled), score, None if labelled else lowest, track,
                       "human" if labelled else "model", count, points, seen, bytes([labelled]) * 17,
                       None if labelled else scores, box)  # fmt: skip

    with ProjectStore.create(folder / "big.pose") as store:
        media = store.add_media("images", folder)
        for name in ("person", "child"):
            store.add_category(name, find_schema("coco"))
        begin = time.perf_counter()
        with store.database.write():
            store.database.many(
                "INSERT INTO frame (media, idx, name, width, height, state) VALUES (?, ?, ?, 640, 480, ?)",
                (
                    (media.id, n, f"{n % 8}.jpg" if n < 8 else f"day_{n % 37:02d}/../{n % 8}.jpg",
                     (n % 11 == 0) | (n % 97 == 0) << 1 | (n % 53 == 0) << 2)
                    for n in range(images)
                ),
            )  # fmt: skip
            store.database.many(INSERT, rows(media.id))
            store.database.set_meta("next_instance", images * POSES + 1)
            steps = ((n, f"Move point {n}", 1.7e9 + n, "") for n in range(1, STEPS + 1))
            store.database.many("INSERT INTO step VALUES (?, ?, ?, ?)", steps)
            store.database.set_meta("position", STEPS)
    (folder / "day_00").mkdir()
    for n in range(37):
        (folder / f"day_{n:02d}").mkdir(exist_ok=True)
    return {"rows written straight into the tables": _s(time.perf_counter() - begin)}


def queries() -> dict[str, Any]:
    from poseapp.project.queries.frame_query import FrameQuery, Labels, Points, Sort

    return {
        "without poses": FrameQuery(labels=Labels.UNLABELLED),
        "labels and predictions": FrameQuery(labels=Labels.MIXED),
        "to review": FrameQuery(labels=Labels.ANY_PREDICTED),
        "category held by nearly all": FrameQuery(category=1),
        "category held by few": FrameQuery(category=2),
        "lowest score 0.2 to 0.4": FrameQuery(min_score=0.2, max_score=0.4),
        "track": FrameQuery(track=3),
        "flagged": FrameQuery(flagged=True),
        "not reviewed": FrameQuery(reviewed=False),
        "no objects": FrameQuery(negative=True),
        "with occluded points": FrameQuery(points=Points.OCCLUDED),
        "name, few fit": FrameQuery(text="day_03 5.jpg"),
        "name, all fit": FrameQuery(text="jpg"),
        "changed since": FrameQuery(changed_since=1.0),
        "sorted by name": FrameQuery(sort=Sort.NAME),
        "sorted by lowest score": FrameQuery(sort=Sort.SCORE),
        "sorted by last change": FrameQuery(sort=Sort.CHANGED, descending=True),
        "four conditions, sorted by score": FrameQuery(
            labels=Labels.ANY_PREDICTED, category=1, reviewed=False, text="day", sort=Sort.SCORE
        ),
    }


def store_part(folder: Path, _images: int) -> Found:
    from poseapp.project import edits
    from poseapp.project.store import ProjectStore

    begin = time.perf_counter()
    store = ProjectStore.open(folder / "big.pose")
    keys = store.frame_keys()
    results = {"open the file, all frame keys": _s(time.perf_counter() - begin)}
    for name, query in queries().items():
        times = [_timed(lambda query=query: store.find_frames(query)) for _ in range(3)]
        results[f"filter: {name} ({len(store.find_frames(query)):,} images)"] = _s(max(times))
    results["totals"] = _s(_timed(store.summary))
    results["next to review"] = _s(_timed(lambda: store.waits_for_review(keys[1])))
    results["marks of the timeline"] = _s(_timed(store.frame_marks))
    times = []
    for n in range(100):
        (pose, *_) = store.instances(keys[1])
        times.append(
            _timed(lambda n=n, pose=pose: store.apply(edits.move_keypoints(keys[1], pose, {0: (n % 7, n % 5)})))
        )
    results["edit, durable, median"] = _s(statistics.median(times))
    store.close()
    results["memory, peak"] = _memory()
    return results


def window_part(folder: Path, _images: int) -> Found:
    from PySide6.QtCore import QEventLoop, QTimer

    from poseapp.app import gc_control
    from poseapp.app.application import make_application
    from poseapp.project.store import ProjectStore
    from poseapp.window.main_window import MainWindow

    application = make_application()
    window = MainWindow()
    window.resize(1280, 800)
    gc_control.freeze_objects(collect=True)  # as the program does
    window.show()
    application.processEvents()
    before = _rss()
    begin, busy = time.perf_counter(), time.thread_time()
    window.session.set_store(ProjectStore.open(folder / "big.pose"))
    opened = time.thread_time() - busy
    application.processEvents()
    window.grab()
    results = {
        "open in the window, painted": _s(time.perf_counter() - begin),
        "longest call on the window's thread meanwhile": _s(opened),
    }

    def wait(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def settle() -> None:
        for _ in range(20):
            application.processEvents()

    wait(800)
    painted: list[float] = []
    original = window.canvas.drawForeground

    def paint(painter: object, rect: object) -> None:
        original(painter, rect)  # type: ignore[arg-type]
        painted.append(time.perf_counter())

    window.canvas.drawForeground = paint  # type: ignore[method-assign]

    busy_for: list[float] = []

    def change(command: str, times: int) -> list[float]:
        took = []
        for _ in range(times):
            painted.clear()
            begin, busy = time.perf_counter(), time.thread_time()
            window.run(command)
            while not painted:
                application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            took.append(1000 * (painted[0] - begin))
            busy_for.append(1000 * (time.thread_time() - busy))
            wait(33)  # a key that is held down
        return took

    for name, command in (("next frame", "next_frame"), ("next to review", "next_review")):
        busy_for.clear()
        took = sorted(change(command, 150))
        busy_for.sort()
        p99 = took[int(0.99 * len(took)) - 1]
        results[f"{name}: key to painted"] = f"median {statistics.median(took):.1f} ms, p99 {p99:.1f} ms"
        p99 = busy_for[int(0.99 * len(busy_for)) - 1]
        results[f"{name}: processor time"] = f"median {statistics.median(busy_for):.1f} ms, p99 {p99:.1f} ms"
    worst, worst_name, stall = 0.0, "", 0.0
    for name, query in queries().items():
        begin, longest = time.perf_counter(), 0.0
        longest = max(longest, _busy(lambda query=query: window.media.filter.set_query(query)))
        while window.session.queries.is_pending("images listed"):
            longest = max(longest, _busy(application.processEvents))
            time.sleep(0.001)
        longest = max(longest, _busy(settle))
        if (took_one := time.perf_counter() - begin) > worst:
            worst, worst_name = took_one, name
        stall = max(stall, longest)
    results[f"slowest filter in the window, list painted ({worst_name})"] = _s(worst)
    results["longest call on the window's thread meanwhile, processor time"] = _s(stall)
    window.media.filter.clear()
    window.docks[3].raise_()
    settle()
    results[f"history of {STEPS:,} steps shown"] = _s(_timed(lambda: (window.history.refresh(), window.history.grab())))
    window.docks[2].raise_()
    begin = time.perf_counter()
    stall = _busy(window.review.refresh)
    while window.session.queries.is_pending("review queue"):
        stall = max(stall, _busy(application.processEvents))
        time.sleep(0.001)
    window.review.grab()
    results["review queue shown"] = f"{_s(time.perf_counter() - begin)}, longest call {_s(stall)}"
    settle()
    steps = int(os.environ.get("POSEAPP_BENCH_STEPS", "0"))
    if steps:  # an hour of work
        start = _rss()
        for step in range(steps):
            window.run("next_frame" if step % 2000 < 1990 else "next_review")
            application.processEvents()
        wait(1000)
        results[f"memory after {steps:,} more frame changes"] = f"{_rss():.0f} MB ({start:.0f} MB before)"
    pictures = (window.loader.cache.num_bytes + window.loader._thumbnails.num_bytes) / 1e6
    results["memory of the window with the project"] = (
        f"{_rss():.0f} MB, of which {pictures:.0f} MB are pictures kept ready ({before:.0f} MB before opening)"
    )
    window.close()
    return results


def folder_part(folder: Path, images: int) -> Found:
    """A folder of so many (empty) files, opened as a person does; the longest time the window did not answer."""
    from PySide6.QtCore import QEventLoop, QTimer

    from poseapp.app.application import answer_quickly, make_application
    from poseapp.window.main_window import MainWindow

    answer_quickly()
    many = folder / "many"
    many.mkdir()
    for n in range(images):
        (many / f"image_{n:06d}.jpg").touch()
    application = make_application()
    window = MainWindow()
    window.show()
    application.processEvents()
    beats: list[float] = []
    timer = QTimer()
    timer.setInterval(4)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start()
    begin = time.perf_counter()
    window.open_paths([many])
    while not window.session.frames or window.runner.active():
        application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    window.grab()
    took = time.perf_counter() - begin
    for _ in range(50):
        application.processEvents()
    timer.stop()
    stall = max(b - a for a, b in zip([begin, *beats], [*beats, time.perf_counter()]))
    window.close()
    return {
        f"folder of {images:,} images listed": _s(took),
        "longest time the window did not answer meanwhile": _s(stall),
        "memory, peak": _memory(),
    }


PARTS: dict[str, Callable[[Path, int], Found]] = {
    "make": make, "store": store_part, "window": window_part, "folder": folder_part,
}  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _busy(work: Callable[[], object]) -> float:
    """Processor time of this thread: what other programs do does not count."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _rss() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss / 1e6)


def _memory() -> str:
    if sys.platform == "win32":
        return f"{_rss():.0f} MB"
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{peak / (1e6 if sys.platform == 'darwin' else 1e3):.0f} MB"


def main() -> None:
    if len(sys.argv) == 4:
        print(json.dumps(PARTS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
        return
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "XDG_CACHE_HOME": f"{name}/cache", "XDG_CONFIG_HOME": f"{name}/config"}
        print("| what | measured |\n|---|---|")
        for part in PARTS:
            command = [sys.executable, __file__, part, name, str(images)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
            if done.returncode:
                sys.exit(done.stderr)
            for what, value in json.loads(done.stdout.splitlines()[-1]).items():
                print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
