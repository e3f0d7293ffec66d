"""Edits of a whole project in the window: ``python tests/benchmarks/bench_bulk.py [images]``. Prints Markdown.

100,000 predictions in 20,000 images: accepted all at once, undone, redone; how long it takes, and the longest single
call on the UI thread meanwhile (processor time, so that a busy machine does not count).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from PySide6.QtCore import QSettings  # noqa: E402

from tests.benchmarks.ui_watch import WatchedApplication  # noqa: E402

POSES = 5


def make(folder: Path, images: int) -> Path:
    import cv2
    import numpy as np

    from engine.schema.builtin import find_schema
    from poseapp.project import edits
    from poseapp.project.model import Edit, State
    from poseapp.project.store import ProjectStore

    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "0.jpg"), np.full((480, 640, 3), 90, np.uint8))
    path = folder / "bulk.pose"
    with ProjectStore.create(path) as store:
        category = store.add_category("person", find_schema("coco"))
        media = store.add_media("images", folder)
        keys = store.add_frames(media.id, [("0.jpg", 640, 480)] * images)
        items: list[Edit] = []
        for key in keys:
            poses = [
                replace(
                    edits.make_instance(i, category, rng.uniform(20, 460, (17, 2)), box=[20, 20, 460, 460]),
                    state=State.PREDICTED, scores=rng.random(17), score=float(rng.random()),
                    by_human=np.zeros(17, np.bool_),
                )
                for i in store.new_ids(POSES)
            ]  # fmt: skip
            items.append(edits.add_instance(key, *poses))
        store.apply(edits.combined("all", items))
    return path


def go(application: WatchedApplication, folder: Path, images: int) -> None:
    from poseapp.app import gc_control
    from poseapp.app.application import make_application
    from poseapp.window.main_window import MainWindow

    make_application()
    project = make(folder, images)
    window = MainWindow()
    window.resize(1280, 800)
    gc_control.freeze_objects(collect=True)
    window.show()
    session = window.session

    def wait(condition: Callable[[], bool]) -> float:
        begin = time.perf_counter()
        while not condition():
            application.processEvents()
            time.sleep(0.001)
        return time.perf_counter() - begin

    def idle() -> bool:
        return not (
            session.chunked_edits.busy or session.queries.is_pending("bulk edit") or session.queries.is_pending("marks")
        )

    print(f"| {POSES * images:,} poses | seconds | longest call, ms of processor time | where |\n|---|---|---|---|")
    window.open_paths([project])
    wait(lambda: session.store is not None and not window.runner.active() and idle())
    for name, verb in (("accept all", "accept_everywhere"), ("undo", "undo"), ("redo", "redo")):
        application.watch.calls.clear()
        begin = time.perf_counter()
        with application.journey(name):
            busy = time.thread_time()
            window.run(verb)
            first = time.thread_time() - busy
            wait(idle)
        took = time.perf_counter() - begin
        worst = max(application.watch.of(name), key=lambda call: call.cpu)
        longest = max(worst.cpu, first)
        where = "the verb" if first == longest else f"{worst.event} to {worst.receiver} {worst.stack}"
        print(f"| {name} | {took:.1f} | {longest * 1e3:.0f} | {where} |", flush=True)
    assert session.store is not None
    assert session.store.summary().predicted == 0
    window.close()


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        os.environ["XDG_CACHE_HOME"] = folder
        application = WatchedApplication(["bench"])
        go(application, Path(folder), images)
        application.stop_watching()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
