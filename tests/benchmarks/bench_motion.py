"""Frame change, pan, zoom and drag in the real window: ``python tests/benchmarks/bench_motion.py [--profile]``.

50 poses of 17 points and 20 of 133 on 1080p pictures, the window at 1280x800, real mouse, wheel and key events. A step
begins with the event and ends when the canvas is painted; whatever the panels do before that is in it. Two figures
each: wall time, and the processor time of the UI thread alone, which other programs on the machine disturb less.
``--profile`` tells in which layer the time goes, ``--once`` measures the crowd of 17 points only.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from PySide6.QtCore import QEventLoop, QPoint, QPointF, QSettings, Qt, QTimer  # noqa: E402
from PySide6.QtGui import QWheelEvent  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

FRAMES, STEPS, SIZE, BEAT = 24, 100, (1920, 1080), 33
NONE, LEFT, MIDDLE = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton


def make_project(folder: Path, count: int, schema_name: str) -> Path:
    """FRAMES pictures with so many poses each, every second one predicted."""
    from engine.schema.builtin import find_schema
    from poseapp.project import edits
    from poseapp.project.store import ProjectStore
    from tests.benchmarks.bench_canvas import crowd

    rng = np.random.default_rng(0)
    schema = find_schema(schema_name)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8), (0, 0), 3)
    names = [f"{index:03}.jpg" for index in range(FRAMES)]
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.roll(noise, 31 * index, axis=1))
    path = folder / "motion.pose"
    with ProjectStore.create(path) as store:
        category = store.add_category("person", schema)
        media = store.add_media("images", folder)
        for frame in store.add_frames(media.id, [(name, *SIZE) for name in names]):
            ids = store.new_ids(count)
            poses = crowd(count, schema, rng)
            from dataclasses import replace

            store.apply(
                edits.add_instance(frame, *(replace(p, id=i, category=category.id) for p, i in zip(poses, ids)))
            )
    return path


class Clock:
    """Times of steps, and of the layers within them."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.painted = 0
        self.layers: dict[str, float] = defaultdict(float)
        self.pauses: list[float] = []
        self._gc_from = 0.0
        original = window.canvas.drawForeground

        def paint(painter: object, rect: object) -> None:
            original(painter, rect)
            self.painted += 1

        window.canvas.drawForeground = paint
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._gc_from = time.perf_counter()
        else:
            self.pauses.append(time.perf_counter() - self._gc_from)

    def layer(self, owner: Any, name: str, label: str) -> None:
        original = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return original(*args, **named)
            finally:
                self.layers[label] += time.perf_counter() - begin

        setattr(owner, name, timed)

    def steps(self, act: Callable[[int], None], times: int = STEPS) -> tuple[list[float], list[float]]:
        """Wall and processor milliseconds of each."""
        from PySide6.QtWidgets import QApplication

        wall, cpu = [], []
        self.layers.clear()
        for step in range(times):
            before = self.painted
            begin, busy = time.perf_counter(), time.thread_time()
            act(step)
            while self.painted == before and time.perf_counter() < begin + 5:
                QApplication.processEvents()
            wall.append((time.perf_counter() - begin) * 1e3)
            cpu.append((time.thread_time() - busy) * 1e3)
            rest(BEAT)
        return wall, cpu


def rest(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class Hands:
    """The hands of a person on the canvas."""

    def __init__(self, window: Any) -> None:
        self.window, self.canvas = window, window.canvas
        self.middle = QPoint(self.canvas.viewport().width() // 2, self.canvas.viewport().height() // 2)

    def frame(self, step: int) -> None:
        QTest.keyClick(self.canvas, Qt.Key.Key_D if step // (FRAMES - 2) % 2 == 0 else Qt.Key.Key_A)

    def wheel(self, step: int) -> None:
        turn = 40 if step % 30 < 15 else -40
        position = QPointF(self.middle)
        event = QWheelEvent(
            position, self.canvas.viewport().mapToGlobal(position), QPoint(), QPoint(0, turn),
            Qt.MouseButton.NoButton, NONE, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        from PySide6.QtWidgets import QApplication

        QApplication.sendEvent(self.canvas.viewport(), event)

    def pan(self, step: int) -> None:
        method = step % 40 if step % 40 < 20 else 40 - step % 40
        QTest.mouseMove(self.canvas.viewport(), self.middle + QPoint(6 * method, 3 * method))

    def drag(self, step: int) -> None:
        QTest.mouseMove(self.canvas.viewport(), self.start + QPoint(5 * (step % 7), 4 * (step % 5)))

    def take(self) -> None:
        pose = self.window.session.instances[0]
        self.window.session.select(instances=[pose.id])
        self.start = self.canvas.to_view(*(float(v) for v in pose.keypoints[0])).toPoint()
        QTest.mouseMove(self.canvas.viewport(), self.start)
        QTest.mousePress(self.canvas.viewport(), LEFT, NONE, self.start)
        QTest.mouseMove(self.canvas.viewport(), self.start + QPoint(20, 20))


def layers_of(clock: Clock) -> None:
    """The layers of a step: what is nested in another is counted in both."""
    from poseapp.canvas.render import image_pyramid, overlay_painter, pose_painter
    from poseapp.canvas.view import CanvasView
    from poseapp.project.store import ProjectStore

    painter = pose_painter.PosePainter
    for owner, name, label in (
        (image_pyramid.Picture, "paint", "picture, scaled"),
        (image_pyramid.Picture, "__init__", "picture, taken over"),
        (painter, "_paint_limbs", "lines of bones"),
        (painter, "_points", "points"),
        (painter, "_draw_list_of", "sizes, dashes, colours"),
        (overlay_painter.OverlayPainter, "paint", "marks and names"),
        (CanvasView, "set_instances", "poses made flat"),
        (ProjectStore, "instances", "poses read"),
        (type(clock.window.instances), "refresh", "tree of poses"),
        (type(clock.window.media), "_on_frame", "list of images"),
        (type(clock.window), "refresh_actions", "which verbs can be done"),
    ):
        clock.layer(owner, name, label)


def measure(count: int, schema: str, folder: Path, profile: bool) -> None:
    from PySide6.QtWidgets import QApplication

    from poseapp.app import gc_control
    from poseapp.project.store import ProjectStore
    from poseapp.window.main_window import MainWindow

    project = make_project(folder, count, schema)
    window = MainWindow()
    window.resize(1280, 800)
    gc_control.freeze_objects(collect=True)  # as the program does
    window.show()
    clock = Clock(window)
    if profile:
        layers_of(clock)
    window.session.set_store(ProjectStore.open(project))
    rest(600)
    hands = Hands(window)
    points = {"coco": 17, "coco_wholebody": 133}[schema]
    for zoom in ("fit", "100 %"):
        if zoom == "100 %":
            window.canvas.actual_size()
        cells, result = [], {}
        for name in ("frame", "wheel", "pan", "drag"):
            if name == "frame":
                window.session.go_to(window.session.frames[0])
            rest(200)
            if name == "pan":
                QTest.mousePress(window.canvas.viewport(), MIDDLE, NONE, hands.middle)
            if name == "drag":
                hands.take()
            wall, cpu = clock.steps(getattr(hands, name))
            result[name] = dict(clock.layers)
            if name == "pan":
                QTest.mouseRelease(window.canvas.viewport(), MIDDLE, NONE, hands.middle)
            if name == "drag":
                window.canvas.cancel()
                QTest.mouseRelease(window.canvas.viewport(), LEFT, NONE, hands.start)
            cells.append(f"{p50(wall):.1f} ({p99(wall):.1f}) / {p50(cpu):.1f} ({p99(cpu):.1f})")
            if name == "wheel":
                window.canvas.fit() if zoom == "fit" else window.canvas.actual_size()
        print(f"| {count} x {points} | {zoom} | {' | '.join(cells)} |", flush=True)
        if profile:
            for name, layers in result.items():
                messages = ", ".join(
                    f"{k} {v / STEPS * 1e3:.2f}" for k, v in sorted(layers.items(), key=lambda i: -i[1])
                )
                print(f"    {name}: {messages}", flush=True)
    pauses = [pause * 1e3 for pause in clock.pauses]
    gc.callbacks.clear()
    if profile:
        print(f"    {len(pauses)} garbage collections, the longest {max(pauses, default=0):.1f} ms")
    window.close()
    QApplication.processEvents()


def p50(values: list[float]) -> float:
    return statistics.median(values)


def p99(values: list[float]) -> float:
    return float(np.percentile(values, 99))


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder / "config"))
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        from poseapp.app.application import make_application

        application = make_application()
        print("| poses | zoom | frame change | wheel zoom | pan | drag |\n|---|---|---|---|---|---|")
        crowds = [(50, "coco")] if "--once" in sys.argv else [(50, "coco"), (20, "coco_wholebody")]
        for count, schema in crowds:
            position = folder / schema
            position.mkdir()
            measure(count, schema, position, "--profile" in sys.argv)
        print("\nmilliseconds, median (99th percentile): from the event to the painted canvas / of them processor time")
        del application


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
