"""How long the canvas takes to repaint. Run by hand: ``python tests/benchmarks/bench_canvas.py [--profile]``.

Offscreen raster painting into a 1280x800 view of a 1920x1080 picture, no GPU. Each step changes something and then
paints the whole view once (``repaint``); the times are of both together.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication

from engine.schema.builtin import find_schema
from engine.schema.schema import Schema
from poseapp.canvas.template_pose import template_pose
from poseapp.canvas.tools.base import Button, EventKind, PointerEvent
from poseapp.canvas.view import CanvasView
from poseapp.project.model import FrameKey, Instance, State

SIZE = (1920, 1080)


def crowd(count: int, schema: Schema, rng: np.random.Generator) -> list[Instance]:
    """People of 150 to 500 pixels all over the picture, every second one predicted."""
    template = template_pose(schema)
    results = []
    for index in range(count):
        height = rng.uniform(150, 500)
        center = rng.uniform((100, 100), (SIZE[0] - 100, SIZE[1] - 300))
        points = template * height + center + rng.normal(0, height * 0.01, template.shape)
        predicted = index % 2 == 0
        k = len(points)
        results.append(
            Instance(
                id=index + 1,
                category=1,
                keypoints=points,
                visibility=rng.choice([1, 2, 2, 2], k).astype(np.uint8),
                by_human=np.full(k, not predicted),
                scores=rng.uniform(0.1, 1, k) if predicted else None,
                state=State.PREDICTED if predicted else State.LABELLED,
            )
        )
    return results


class Bench:
    def __init__(self, count: int, schema: Schema, zoom: float | None) -> None:
        self.rng = np.random.default_rng(0)
        self.pictures = [self.rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8) for _ in range(2)]
        self.frames = [crowd(count, schema, self.rng) for _ in range(2)]
        self.schemas = {1: schema}
        self.view = CanvasView()
        self.view.resize(1280, 800)
        self.view.set_frame(FrameKey(1, 0), SIZE)
        self.view.set_image(self.pictures[0])
        self.view.set_instances(self.frames[0], self.schemas)
        self.view.set_selection({1}, {(1, 0)})
        self.view.show()
        QApplication.processEvents()
        if zoom is not None:
            self.view.zoom_at(zoom, QPointF(640, 400))
        self.paint()

    def paint(self) -> None:
        self.view.viewport().repaint()

    def pan(self, step: int) -> None:
        self.view.pan_by(7 if step % 40 < 20 else -7, 3 if step % 40 < 20 else -3)

    def zoom(self, step: int) -> None:
        self.view.zoom_at(self.view.scale_factor * (1.02 if step % 20 < 10 else 1 / 1.02))

    def new_frame(self, step: int) -> None:
        self.view.set_frame(FrameKey(1, step), SIZE)
        self.view.set_instances(self.frames[step % 2], self.schemas)
        self.view.set_image(self.pictures[step % 2])

    def drag(self, step: int) -> None:
        x, y = self.start
        self.send(EventKind.MOVE, x + 5 * (step % 7), y + 4 * (step % 5))

    def begin_drag(self) -> None:
        self.start = tuple(float(v) for v in self.view._state.arrays.points[0])
        self.send(EventKind.PRESS, *self.start)
        self.send(EventKind.MOVE, self.start[0] + 20, self.start[1] + 20)
        self.paint()

    def send(self, kind: EventKind, x: float, y: float) -> None:
        self.view._active.handle(PointerEvent(kind, x, y, Button.LEFT, scale=self.view.scale_factor))

    def hover(self, step: int) -> None:
        self.view._active.handle(
            PointerEvent(EventKind.MOVE, 50.0 * (step % 37), 30.0 * (step % 31), scale=self.view.scale_factor)
        )

    def timed(self, change: Callable[[int], None], steps: int = 120) -> tuple[float, float]:
        """Median and 99th percentile in milliseconds."""
        results = []
        for step in range(steps):
            began = time.perf_counter()
            change(step)
            self.paint()
            results.append((time.perf_counter() - began) * 1e3)
        return float(np.median(results)), float(np.percentile(results, 99))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    app = QApplication([])
    profile = cProfile.Profile()
    print("| poses | zoom | pan | drag | hover | wheel zoom | new frame |\n|---|---|---|---|---|---|---|")
    for count, name in ((50, "coco"), (20, "coco_wholebody")):
        schema = find_schema(name)
        for zoom in (None, 1.0, 2.5):
            bench = Bench(count, schema, zoom)
            if args.profile:
                profile.enable()
            cells = [bench.timed(bench.pan), (bench.begin_drag(), bench.timed(bench.drag))[1]]
            bench.view.cancel()
            cells += [bench.timed(bench.hover), bench.timed(bench.zoom), bench.timed(bench.new_frame)]
            profile.disable()
            row = " | ".join(f"{median:.1f} ({p99:.1f})" for median, p99 in cells)
            print(f"| {count} x {schema.num_keypoints} | {'fit' if zoom is None else f'{zoom:.0%}'} | {row} |")
            bench.view.close()
    print("\nmedian (99th percentile), milliseconds a step; a step is the change and one repaint of the whole view")
    if args.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    del app


if __name__ == "__main__":
    main()
