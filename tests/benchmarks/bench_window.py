"""Start and frame change of the window: `python tests/benchmarks/bench_window.py [instances]`. Prints Markdown.

Start is measured in processes of their own, from exec to the first painted window; memory is what the system counts as
resident. Frame change is from the key to the painted new picture, with small pictures, so that it shows the cost of the
labels and not of decoding.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

START = """
import time, os, sys
begin = float(sys.argv[1])
from poseapp.app.application import make_application
application = make_application()
from poseapp.window.main_window import MainWindow
window = MainWindow()
window.show()
application.processEvents()
window.grab()
shown = time.time() - begin
import psutil
print(shown, psutil.Process().memory_info().rss / 1e6, "torch" in sys.modules)
window.close()
"""


def start(times: int = 7) -> tuple[float, float, bool]:
    """Median seconds to the first painted window, megabytes, whether torch was loaded."""
    seconds, memory, torch = [], [], False
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-c", START, str(time.time())], capture_output=True, text=True, check=True
        )
        a, b, c = done.stdout.split()
        seconds.append(float(a))
        memory.append(float(b))
        torch |= c == "True"
    return statistics.median(seconds), max(memory), torch


def frame_change(instances: int, changes: int = 200) -> list[float]:
    """Milliseconds of single frame changes in a project with so many instances, pictures in the cache."""
    import cv2
    import numpy as np
    from PySide6.QtCore import QEventLoop, QTimer

    from engine.schema.builtin import find_schema
    from poseapp.app.application import make_application
    from poseapp.project import edits
    from poseapp.project.model import Edit
    from poseapp.project.store import ProjectStore
    from poseapp.window.main_window import MainWindow

    application = make_application()
    results: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = max(instances // 5, 1)
        rng = np.random.default_rng(0)
        for index in range(8):
            cv2.imwrite(str(folder / f"{index}.jpg"), rng.integers(0, 255, (480, 640, 3), dtype=np.uint8))
        with ProjectStore.create(folder / "big.pose") as store:
            media = store.add_media("images", folder)
            keys = store.add_frames(media.id, [(f"{n % 8}.jpg", 640, 480) for n in range(frames)])
            category = store.add_category("person", find_schema("coco"))
            items: list[Edit] = []
            for key in keys:
                poses = [
                    edits.make_instance(i, category, rng.uniform(20, 460, (17, 2)), box=[20, 20, 460, 460])
                    for i in store.new_ids(5)
                ]
                items.append(edits.add_instance(key, *poses))
            store.apply(edits.combined("all", items))
        begin = time.perf_counter()
        window = MainWindow()
        window.resize(1280, 800)
        window.show()
        window.session.set_store(ProjectStore.open(folder / "big.pose"))
        application.processEvents()
        opened = time.perf_counter() - begin

        def wait(milliseconds: int) -> None:
            loop = QEventLoop()
            QTimer.singleShot(milliseconds, loop.quit)
            loop.exec()

        wait(1500)
        painted: list[float] = []
        original = window.canvas.drawForeground

        def paint(painter: object, rect: object) -> None:
            original(painter, rect)  # type: ignore[arg-type]
            painted.append(time.perf_counter())

        window.canvas.drawForeground = paint  # type: ignore[method-assign]
        for _ in range(changes):
            painted.clear()
            begin = time.perf_counter()
            window.run("next_frame")
            while not painted:
                application.processEvents()
            results.append(1000 * (painted[-1] - begin))
            wait(25)
        window.close()
        print(f"| open a project with {instances:,} instances, window included | {opened:.2f} s |")
    return results


def main() -> None:
    instances = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print("| what | measured |\n|---|---|")
    seconds, memory, torch = start()
    print(f"| window visible and painted, median of 7 | {seconds:.2f} s |")
    print(f"| memory then | {memory:.0f} MB, torch {'loaded' if torch else 'not loaded'} |")
    times = sorted(frame_change(instances))
    print(
        f"| frame change with {instances:,} instances | median {statistics.median(times):.1f} ms, "
        f"p99 {times[int(0.99 * len(times)) - 1]:.1f} ms |"
    )


if __name__ == "__main__":
    main()
