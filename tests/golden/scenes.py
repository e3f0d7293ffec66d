"""Draws the scenes of the golden pictures: ``python tests/golden/scenes.py FOLDER SCENE ...``.

The real window on real photographs, drawn into pictures as a screen would show it. A process shows one kind of screen:
``QT_SCALE_FACTOR=2`` makes 2560x1440 of the scenes whose names end in ``2x``.
"""

from __future__ import annotations

import os
import shutil
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

import numpy as np  # noqa: E402
from PySide6.QtCore import QPoint, QSettings, Qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

from engine.schema.builtin import find_schema  # noqa: E402
from poseapp.app.application import make_application  # noqa: E402
from poseapp.app.settings import Settings  # noqa: E402
from poseapp.canvas.template_pose import template_pose  # noqa: E402
from poseapp.project import edits  # noqa: E402
from poseapp.project.model import Edit, FrameEdit, Instance, State  # noqa: E402
from poseapp.project.opening import open_any  # noqa: E402
from poseapp.project.queries.tracks import INTERPOLATED  # noqa: E402
from poseapp.project.store import ProjectStore  # noqa: E402
from poseapp.tour.video_steps import make_clip  # noqa: E402
from poseapp.window.main_window import MainWindow  # noqa: E402

PHOTOGRAPHS = {"astronaut.jpg": (512, 512), "camera.png": (512, 512), "grace_hopper.jpg": (512, 600)}
PHOTOGRAPHER = np.array(
    [(249, 163), (249, 152), (236, 150), (222, 148), (196, 146), (222, 190), (150, 178), (246, 280), (112, 262),
     (268, 236), (187, 241), (170, 330), (128, 326), (196, 408), (112, 414), (240, 486), (80, 490)], float,
)  # fmt: skip
ASTRONAUT = np.array(
    [(223, 125), (247, 101), (201, 99), (274, 116), (173, 112), (325, 268), (93, 258), (372, 441), (65, 429),
     (310, 484), (149, 500), (268, 510), (125, 505), (328, 508), (139, 509), (153, 510), (210, 510)], float,
)  # fmt: skip


def make_project(folder: Path, schema_name: str) -> Path:
    """Three photographs: a label and a prediction on the first two, a crowd on the third."""
    schema = find_schema(schema_name)
    for name in PHOTOGRAPHS:
        shutil.copy(ROOT / "resources" / "sample" / name, folder / name)
    path = folder / f"{schema_name}.pose"
    with ProjectStore.create(path) as store:
        category = store.add_category("person", schema)
        media = store.add_media("images", folder)
        frames = store.add_frames(media.id, [(name, *size) for name, size in PHOTOGRAPHS.items()])
        ids = iter(store.new_ids(64))
        dense = schema.num_keypoints > 17
        form = template_pose(schema)
        form = (form - form.min(axis=0)) / np.ptp(form, axis=0)

        def fitted(box: tuple[float, float, float, float]) -> np.ndarray:
            x1, y1, x2, y2 = box
            return np.asarray(form * (x2 - x1, y2 - y1) + (x1, y1))

        def guess(points: np.ndarray, score: float) -> Instance:
            count = len(points)
            scores = np.linspace(0.95, 0.35, count) * score
            box = np.array([*(points.min(axis=0) - 8), *(points.max(axis=0) + 8)])
            return Instance(
                next(ids), category.id, points, np.full(count, 2, np.uint8), np.zeros(count, bool),
                scores=scores, score=score, box=box, source="movenet_thunder", state=State.PREDICTED,
            )  # fmt: skip

        def label(points: np.ndarray) -> Instance:
            seen = np.full(len(points), 2, np.uint8)
            seen[-3:-1] = 1
            seen[-1] = 0
            return edits.make_instance(
                next(ids), category, points, seen, box=[*(points.min(axis=0) - 8), *(points.max(axis=0) + 8)]
            )

        first = fitted((120, 20, 400, 505)) if dense else ASTRONAUT
        second = fitted((90, 120, 290, 500)) if dense else PHOTOGRAPHER
        store.apply(edits.add_instance(frames[0], label(first)))
        store.apply(edits.add_instance(frames[1], label(second), guess(np.add(second, (150, 6)), 0.62)))
        crowd = [
            fitted((20 + 118 * column, 20 + 190 * row, 110 + 118 * column, 190 + 190 * row))
            for row in range(3)
            for column in range(4)
        ]
        items = [guess(points, 0.9 - 0.05 * k) if k % 3 else label(points) for k, points in enumerate(crowd)]
        store.apply(edits.add_instance(frames[2], *items))
    return path


def make_film_project(folder: Path) -> None:
    """A person who is labelled twice and filled in between, another whom the model has seen, a flag."""
    schema = find_schema("coco")
    with open_any(make_clip(folder / "film.mp4")) as store:
        category = next((c for c in store.categories()), None) or store.add_category("person", schema)
        items = []
        for key in store.frame_keys():
            moved = np.add(ASTRONAUT, (2 * key.index - 40, 0))
            for track, present in ((1, 10 <= key.index <= 70), (2, 30 <= key.index < 45 or 55 <= key.index < 80)):
                if not present:
                    continue
                labelled = track == 1 and key.index in (10, 70)
                pose = edits.make_instance(store.new_ids(1)[0], category, np.add(moved, (150 * (track - 1), 0)))
                source = pose.source if labelled else INTERPOLATED if track == 1 else "movenet_thunder"
                state = State.LABELLED if labelled else State.PREDICTED
                items.append(edits.add_instance(key, replace(pose, track=track, state=state, source=source)))
        store.apply(edits.combined("Poses", items))
        flagged = list(store.frame_keys())[50]
        store.apply(edits.set_frame_state(flagged, store.frame(flagged).state, flagged=True))


class Stage:
    """One window; scenes happen in it one after the other."""

    def __init__(self, folder: Path) -> None:
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder / "config"))
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "POSEAPP_MODELS"):
            os.environ[name] = str(folder / name.lower())
        Settings().language = "en"
        self.folder = folder
        self.application = make_application()
        self.window = MainWindow()
        ratio = self.window.devicePixelRatioF()
        self.window.resize(*((1280, 720) if ratio > 1 else (1280, 800)))
        self.window.show()
        self.breathe()

    def breathe(self, seconds: float = 0.12) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.002)

    def open(self, schema: str, frame: int) -> None:
        path = self.folder / schema / f"{schema}.pose"
        if not path.exists():
            path.parent.mkdir()
            make_project(path.parent, schema)
        if self.window.session.path != path:
            self.window.open_paths([path])
            self.until(lambda: self.window.session.path == path)
        session = self.window.session
        session.go_to(session.frames[frame])
        size = list(PHOTOGRAPHS.values())[frame]
        self.until(lambda: self.window.canvas.image_size == size and not self.window.runner.active())
        session.select()
        self.window.run("tool_edit")
        self.window.run("fit")
        self.until(lambda: not self.window.toasts.messages() or self.window.toasts.clear() is None)
        self.breathe(0.3)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 120
        while not condition():
            self.breathe(0.01)
            if time.monotonic() > end:
                raise TimeoutError("the scene is not ready")

    def theme(self, dark: bool) -> None:
        self.window.run("theme_dark" if dark else "theme_light")

    # --- scenes

    def empty(self) -> None:
        self.window.run("close_project")
        self.breathe()

    def people(self) -> None:
        self.open("coco", 1)
        self.window.docks[1].raise_()
        pose = self.window.session.instances[0]
        self.window.session.select(instances=[pose.id], points=[(pose.id, 9)])
        self.breathe()

    def dense(self) -> None:
        self.open("coco_wholebody", 1)
        self.window.docks[1].raise_()
        pose = self.window.session.instances[0]
        self.window.session.select(instances=[pose.id])
        self.breathe()

    def dense_close(self) -> None:
        """A face near by, with the names of its points."""
        self.open("coco_wholebody", 0)
        self.window.docks[0].raise_()
        pose = self.window.session.instances[0]
        face = pose.keypoints[23:91]
        self.window.session.select(instances=[pose.id], points=[(pose.id, k) for k in range(23, 91)])
        self.window.canvas.zoom_to((*face.min(axis=0), *face.max(axis=0)))
        self.breathe()

    def crowded(self) -> None:
        self.open("coco", 2)
        self.window.docks[0].raise_()
        self.breathe()

    def crowded_dense(self) -> None:
        self.open("coco_wholebody", 2)
        self.window.docks[0].raise_()
        self.breathe()

    def placement(self) -> None:
        self.open("coco", 0)
        self.window.docks[0].raise_()
        self.window.run("tool_place")
        view = self.window.canvas.viewport()
        for x, y in np.add(ASTRONAUT[:6], (60, 20)):
            QTest.mouseClick(
                view,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
                self.window.canvas.to_view(x, y).toPoint(),
            )
        QTest.mouseMove(view, self.window.canvas.to_view(160, 290).toPoint() + QPoint(1, 1))
        self.breathe()
        self.window.toasts.clear()
        self.breathe()

    def ghosts(self) -> None:
        self.open("coco", 0)
        self.window.docks[0].raise_()
        pose = self.window.session.instances[0]
        moved = pose.keypoints + np.linspace((-30, 10), (25, -30), len(pose.keypoints))
        self.window.canvas.set_ghosts([Instance(0, pose.category, moved, pose.visibility, pose.by_human)])
        self.window.session.select(instances=[pose.id], points=[(pose.id, 5)])
        self.breathe()

    def missing(self) -> None:
        """A selected prediction that lacks some points."""
        self.open("coco", 1)
        self.window.docks[1].raise_()
        session = self.window.session
        pose = session.predicted()[0]
        if (pose.visibility > 0).all():
            seen = pose.visibility.copy()
            seen[[9, 10, 15, 16]] = 0
            lacking = replace(pose, visibility=seen)
            session.apply(Edit("Leave out", (FrameEdit(session.frame, (pose,), (lacking,)),)))
        session.select(instances=[pose.id])
        self.breathe()

    def video(self) -> None:
        path = self.folder / "video" / "film.pose"
        if not path.exists():
            path.parent.mkdir()
            make_film_project(path.parent)
        self.window.open_paths([path])
        session = self.window.session
        self.until(lambda: session.path == path)
        session.go_to(session.frames[25])
        self.window.run("mark_in")
        session.go_to(session.frames[62])
        self.window.run("mark_out")
        session.go_to(session.frames[40])
        self.window.docks[1].raise_()
        session.select(instances=[session.instances[0].id])
        self.window.run("fit")
        self.until(lambda: self.window.canvas.image_size == (640, 480) and len(self.window.timeline.data.lanes) == 2)
        self.until(lambda: self.window.timeline.data.times is not None and not self.window.runner.active())
        self.breathe(0.3)

    def broken(self) -> None:
        self.open("coco", 1)
        self.window.docks[0].raise_()
        (self.folder / "coco" / "astronaut.jpg").write_bytes(b"no picture")
        self.window.loader.clear()
        self.window.session.step(-1)
        self.until(lambda: self.window.notice.isVisible())
        self.breathe()

    def draw(self, name: str) -> None:
        scene, theme, *_ = name.split("-")
        self.theme(theme == "dark")
        getattr(self, scene)()
        self.window.canvas.set_ghosts(()) if scene != "ghosts" else None
        self.breathe()


def main() -> int:
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="poseapp-golden-"))
    try:
        stage = Stage(folder)
        for name in sys.argv[2:]:
            stage.draw(name)
            picture = stage.window.grab()
            if not picture.save(str(target / f"{name}.png")):
                raise OSError(f"{target / name}.png was not written")
        stage.window.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
