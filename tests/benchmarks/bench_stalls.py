"""No call on the UI thread above 50 ms: ``python tests/benchmarks/bench_stalls.py [--dense] [--json FILE]``.

Prints Markdown, or writes every call as JSON. ``--dense``: the journeys with 133 points only.

The real window goes through its journeys by mouse and keys on drawn pictures: 17 points, then 133. Needs no model.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from PySide6.QtCore import QPoint, QPointF, QSettings, Qt  # noqa: E402
from PySide6.QtGui import QWheelEvent  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402
from PySide6.QtWidgets import QDialog  # noqa: E402

from tests.benchmarks.ui_watch import WatchedApplication, table  # noqa: E402

AIM = 0.05
FRAMES, PEOPLE, SIZE = 60, 6, (1280, 960)
NONE = Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def make_project(folder: Path, schema_name: str) -> Path:
    """FRAMES pictures with PEOPLE poses each."""
    from engine.schema.builtin import find_schema
    from poseapp.project import edits
    from poseapp.project.store import ProjectStore

    rng = np.random.default_rng(0)
    schema = find_schema(schema_name)
    names = [f"{index:03}.jpg" for index in range(FRAMES)]
    noise = cv2.GaussianBlur(rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8), (0, 0), 4)
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.roll(noise, index * 17, axis=1))
    path = folder / f"{schema_name}.pose"
    with ProjectStore.create(path) as store:
        category = store.add_category("person", schema)
        media = store.add_media("images", folder)
        for frame in store.add_frames(media.id, [(name, *SIZE) for name in names]):
            items = []
            for index in store.new_ids(PEOPLE):
                middle = rng.uniform((150, 150), (SIZE[0] - 150, SIZE[1] - 150))
                points = middle + rng.normal(0, 60, (schema.num_keypoints, 2))
                pose = edits.make_instance(index, category, points, box=[*(middle - 140), *(middle + 140)])
                if frame.index % 3 == 2:
                    pose = predicted(pose, rng)
                items.append(pose)
            store.apply(edits.add_instance(frame, *items))
    return path


def predicted(pose: Any, rng: np.random.Generator) -> Any:
    """The pose as a model might have found it."""
    from poseapp.project.model import State

    k = pose.num_keypoints
    return replace(
        pose, state=State.PREDICTED, by_human=np.zeros(k, np.bool_), scores=rng.random(k), score=float(rng.random())
    )


class Journeys:
    """The hands of a person on the window."""

    def __init__(self, application: WatchedApplication, window: Any) -> None:
        self.application, self.window = application, window

    def wait(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            self.application.processEvents()
            time.sleep(0.001)  # the threads want to run too
            if time.monotonic() > end:
                raise TimeoutError("the window did not get there")

    def breathe(self, seconds: float = 0.02) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.001)

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
        QTest.keyClick(self.window.canvas, key, modifier)
        self.breathe()

    def at(self, x: float, y: float) -> QPoint:
        return self.window.canvas.to_view(x, y).toPoint()

    def drag(self, start: QPoint, end: QPoint) -> None:
        view = self.window.canvas.viewport()
        QTest.mouseMove(view, start)
        QTest.mousePress(view, Qt.MouseButton.LeftButton, NONE, start)
        for share in np.linspace(0, 1, 12):
            QTest.mouseMove(view, start + (end - start) * float(share))
            self.application.processEvents()
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, NONE, end)
        self.breathe()

    def open(self, project: Path) -> None:
        self.window.open_paths([project])
        self.wait(lambda: self.window.session.path == project and self.idle())

    def idle(self) -> bool:
        return self.window.canvas.image_size == SIZE and not self.window.runner.active()

    def step(self) -> None:
        for _ in range(20):
            self.key(Qt.Key.Key_D)
        for _ in range(10):
            self.key(Qt.Key.Key_A)
        self.wait(self.idle)

    def correct(self) -> None:
        canvas = self.window.canvas
        for pose in self.window.session.instances[:3]:
            x, y = pose.keypoints[0]
            self.drag(self.at(x, y), self.at(x + 12, y + 8))
            self.key(Qt.Key.Key_Q)
        self.key(Qt.Key.Key_A, CONTROL)
        for key, modifier in ((Qt.Key.Key_X, NONE), (Qt.Key.Key_X, SHIFT), (Qt.Key.Key_Right, SHIFT)):
            self.key(key, modifier)
        for _ in range(8):
            self.key(Qt.Key.Key_Z, CONTROL)
        for _ in range(8):
            self.key(Qt.Key.Key_Y, CONTROL)
        self.key(Qt.Key.Key_P)
        schema = self.window.session.categories()[0].schema
        for index in range(min(schema.num_keypoints, 17)):
            QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, NONE, self.at(300 + 20 * index, 400))
            self.breathe(0.005)
        self.key(Qt.Key.Key_Escape)
        self.key(Qt.Key.Key_V)

    def look(self) -> None:
        for _ in range(8):
            self.key(Qt.Key.Key_Equal, CONTROL)
        for shift in range(6):
            self.drag(QPoint(400, 300), QPoint(300 - 10 * shift, 260))
        self.key(Qt.Key.Key_F)
        for dock in self.window.docks:
            dock.raise_()
            self.breathe()
        for theme in ("theme_light", "theme_dark"):
            self.window.run(theme)
            self.breathe()

    def filter(self) -> None:
        self.window.docks[0].raise_()
        QTest.keyClicks(self.window.media.search, "01")
        self.breathe(0.4)
        self.window.media.filter.search.clear()
        self.breathe(0.4)

    def filter_large(self) -> None:
        """As in a large project: looked for beside the window."""
        queries = self.window.session.queries
        before, queries.at_once_below = queries.at_once_below, 0
        self.filter()
        self.wait(lambda: not queries.is_pending("images listed"))
        queries.at_once_below = before

    def review(self) -> None:
        self.window.docks[2].raise_()
        self.breathe(0.3)
        for _ in range(6):
            self.key(Qt.Key.Key_Space)
        self.window.docks[0].raise_()
        self.wait(self.idle)

    def everything(self) -> None:
        """All predictions of the project accepted, undone, redone, undone."""
        steps = self.window.session.chunked_edits
        for verb in ("accept_everywhere", "undo", "redo", "undo"):
            self.window.run(verb)
            self.wait(lambda: not steps.busy)
            self.breathe(0.1)

    def timeline(self) -> None:
        line = self.window.timeline
        for turn in (120,) * 8 + (-120,) * 8:
            position = QPointF(line.width() / 2, line.height() / 2)
            event = QWheelEvent(
                position, line.mapToGlobal(position), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton, CONTROL,
                Qt.ScrollPhase.NoScrollPhase, False,
            )  # fmt: skip
            self.application.sendEvent(line, event)
            self.breathe(0.01)

    def dialogs(self) -> None:
        for verb in ("palette", "keys", "settings", "models", "run_range", "export_coco", "choose_kind", "edit_points",
                     "snapshots", "fine_tune"):  # fmt: skip
            self.window.run(verb)
            self.breathe(0.1)
            for dialog in self.window.findChildren(QDialog):
                dialog.close()
            self.window.palette_box.hide()
        self.wait(self.idle)


def go(folder: Path) -> WatchedApplication:
    """All journeys with 17 and with 133 points; the application with its watch."""
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder / "config"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "POSEAPP_MODELS"):
        os.environ[name] = str(folder / name.lower())
    application = WatchedApplication(["bench"])
    from poseapp.app.application import make_application
    from poseapp.window.main_window import MainWindow

    make_application()
    with application.journey("first window"):
        window = MainWindow()
        window.resize(1280, 800)
        window.show()
        hands = Journeys(application, window)
        hands.breathe(0.3)
    for points in ("coco_wholebody",) if "--dense" in sys.argv else ("coco", "coco_wholebody"):
        position = folder / points
        position.mkdir()
        project = make_project(position, points)
        index = "17" if points == "coco" else "133"
        with application.journey(f"open, {index} points"):
            hands.open(project)
        for name in (
            "step",
            "correct",
            "look",
            "filter",
            "filter_large",
            "review",
            "everything",
            "timeline",
            "dialogs",
        ):
            with application.journey(f"{name}, {index} points"):
                getattr(hands, name)()
    with application.journey("close"):
        window.close()
    application.stop_watching()
    return application


def main() -> int:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        application = go(Path(folder))
    watch = application.watch
    if "--json" in sys.argv:
        target = Path(sys.argv[sys.argv.index("--json") + 1])
        target.write_text(json.dumps([asdict(call) for call in watch.calls]), encoding="utf-8")
        return 0
    print(table(watch))
    long = sorted((call for call in watch.calls if call.wall > AIM), key=lambda call: -call.wall)
    print(f"\n{len(watch.calls)} calls, {len(long)} above {AIM * 1e3:.0f} ms")
    for call in long[:20]:
        took = f"{call.wall * 1e3:.0f} ms ({call.cpu * 1e3:.0f} CPU)"
        print(f"- {took} {call.journey}: {call.event} to {call.receiver} {call.stack}")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
