"""Somebody who does verbs of the actions table in the real window, by their keys or by the command palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from engine.schema.schema import schema_from_dict, schema_from_names
from poseapp.app.canvas_style import CanvasStyle
from poseapp.project import edits
from poseapp.project.model import FrameState, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.window.actions import BY_ID
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE, SIZE, Hands

PALETTE = "palette"
FRAMES = 24
LABELLED, KEYFRAME, OTHER_TRACK, SURE, UNSURE, CROWD = 0, 8, 10, 12, 14, 20
"""Frames that hold something: two labels, the next keyframe of the first one's track, another track, predictions."""
FLAGGED = (5, 15)
KIND = schema_from_dict(
    {
        "name": "tee",
        "category": "figure",
        "keypoints": [
            {"name": "head", "color": "#00ff00", "part": "upper"},
            {"name": "left_hand", "swap": "right_hand", "color": "#ff00ff", "part": "upper"},
            {"name": "right_hand", "swap": "left_hand", "color": "#ff00ff", "part": "upper"},
            {"name": "foot", "color": "#ffff00", "part": "lower"},
        ],
        "limbs": [
            {"from": "head", "to": "foot", "color": "#112233"},
            {"from": "left_hand", "to": "head", "color": "#445566"},
            {"from": "right_hand", "to": "head", "color": "#778899"},
        ],
    }
)


def make_project(folder: Path) -> Path:
    """A project of 24 pictures with labels, tracks, predictions and flags where the constants above say."""
    noise = np.random.default_rng(5).integers(60, 200, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
    picture = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    names = [f"{index:02d}.png" for index in range(FRAMES)]
    for name in names:
        assert cv2.imwrite(str(folder / name), picture)
    path = folder / "verbs.pose"
    with ProjectStore.create(path) as store:
        keys = store.add_frames(store.add_media("images", folder).id, [(name, *SIZE) for name in names])
        kind = store.add_category("figure", KIND)
        store.add_category("stick", schema_from_names("stick", ["head", "end"], [(0, 1)], category="stick"))

        def pose(shift: tuple[float, float], seen: object = None, track: int | None = None) -> Instance:
            points = POSE + np.array(shift)
            box = [*(points.min(0) - 8), *(points.max(0) + 8)]
            return edits.make_instance(store.new_ids(1)[0], kind, points, seen, box=box, track=track)  # type: ignore[arg-type]

        def guess(score: float, shift: tuple[float, float], seen: object = None) -> Instance:
            created = pose(shift, seen)
            return replace(
                created, state=State.PREDICTED, source="a_model", score=score, scores=np.full(4, score),
                by_human=np.zeros(4, bool),
            )  # fmt: skip

        store.apply(edits.add_instance(keys[LABELLED], pose((0, 0), track=1), pose((140, 10), [2, 1, 2, 0])))
        store.apply(edits.add_instance(keys[KEYFRAME], pose((40, 0), track=1)))
        store.apply(edits.add_instance(keys[OTHER_TRACK], pose((20, 0), track=2)))
        store.apply(edits.add_instance(keys[SURE], guess(0.7, (60, 0), [2, 2, 2, 0])))
        store.apply(edits.add_instance(keys[UNSURE], guess(0.3, (0, 0)), guess(0.5, (140, 0))))
        small = [pose((30 * n - 40, 0)) for n in range(9)]
        store.apply(edits.add_instance(keys[CROWD], *small))
        for index in FLAGGED:
            store.apply(edits.set_frame_state(keys[index], FrameState(), flagged=True))
    return path


@dataclass
class Person:
    """Works in a window; ``verb`` is done with ``way``: one of its keys, or the palette."""

    window: MainWindow
    hands: Hands
    bot: QtBot
    folder: Path
    verb: str = ""
    way: str = PALETTE
    base: int = 0

    # Doing

    def do(self) -> None:
        """The verb under test, as a person does it."""
        self.press(self.verb, self.way)

    def press(self, verb: str, method: str | None = None) -> None:
        keys = BY_ID[verb].keys
        method = method or (keys[0] if keys else PALETTE)
        if method == PALETTE:
            QTest.keyClick(self.window.canvas, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
            line = self.window.palette_box.line
            QTest.keyClicks(line, BY_ID[verb].name)
            QTest.keyClick(line, Qt.Key.Key_Return)
        else:
            QTest.keySequence(self.window.canvas, QKeySequence(method))
        QApplication.processEvents()

    def go(self, position: int) -> None:
        self.window.session.go_to(self.window.session.frames[position])
        key = self.window.session.frame
        self.bot.waitUntil(lambda: self.window.canvas._host.frame == key and self.window.canvas.pixels is not None)

    def choose(self, pose: int, *points: int) -> None:
        """By its digit; points by clicks with Ctrl."""
        self.press(f"select_{pose + 1}")
        for point in points:
            view, position = self.window.canvas.viewport(), self.hands.at(*self.pose(pose).keypoints[point])
            keys = Qt.KeyboardModifier.ControlModifier
            QTest.mouseClick(view, Qt.MouseButton.LeftButton, keys, position)
        index = self.pose(pose).id
        assert self.window.session.selected_points == {(index, point) for point in points}

    def hover(self, pose: int, point: int) -> None:
        view, position = self.window.canvas.viewport(), self.hands.at(*self.pose(pose).keypoints[point])
        QTest.mouseMove(view, self.hands.at(2, 2))
        QTest.mouseMove(view, position)

    def idle(self) -> None:
        self.bot.waitUntil(lambda: not self.window.runner.active(), timeout=60000)

    # Seeing

    @property
    def session(self):  # type: ignore[no-untyped-def]
        return self.window.session

    @property
    def store(self) -> ProjectStore:
        store = self.window.session.store
        assert store is not None
        return store

    @property
    def place(self) -> int:
        return self.window.session.position()

    @property
    def style(self) -> CanvasStyle:
        return self.window.canvas.style_now

    def pose(self, index: int = 0) -> Instance:
        return self.window.session.instances[index]

    def at_frame(self, position: int) -> tuple[Instance, ...]:
        return self.store.instances(self.window.session.frames[position])

    def steps(self) -> int:
        return sum(step.done for step in self.store.history())

    def picture(self) -> bytes:
        """What the canvas shows."""
        QApplication.processEvents()
        image = self.window.canvas.viewport().grab().toImage()  # kept: its bytes are only lent
        return bytes(image.constBits())

    def dialog(self, kind: type[QDialog]) -> QDialog:
        """The one dialog of a kind that is open."""
        self.bot.waitUntil(lambda: any(d.isVisible() for d in self.window.findChildren(kind)), timeout=5000)
        return next(d for d in reversed(self.window.findChildren(kind)) if d.isVisible())

    def checked(self) -> bool:
        self.window.refresh_actions_now()
        return self.window.actions_by_id[self.verb].isChecked()

    def one_step_back(self, before: Instance, index: int = 0) -> None:
        """The verb was one step, and undo gives the pose back."""
        assert self.steps() == self.base + 1
        self.press("undo")
        assert self.pose(index).same_as(before)

    # Afterwards

    def back_to_the_window(self) -> None:
        """The offscreen platform does not hand the keys back when a dialog closes."""
        window = self.window
        window.activateWindow()
        self.bot.waitUntil(lambda: window.isActiveWindow() or not window.isVisible(), timeout=3000)
        window.canvas.setFocus()

    def clear(self, style: CanvasStyle) -> None:
        """As it was at the beginning: the first frame, nothing selected, nothing done."""
        window = self.window
        for dialog in window.findChildren(QDialog):
            dialog.close()
        window.palette_box.close_palette()
        window.playback.stop()
        window.canvas.cancel()
        window.canvas.set_tool("edit")
        window.session.propose(None)
        window.runner.cancel_all()
        self.idle()
        while self.steps() > self.base:
            window.session.undo()
        window.session.hide_and_lock((), ())
        window.session.hide_and_lock_points((), ())
        window.session.frame_range.clear()
        window.canvas.set_style(style)
        self.go(0)
        window.session.select()
        window.canvas.fit()
        window.toasts.clear()
        self.back_to_the_window()
        QTest.mouseMove(window.canvas.viewport(), self.hands.at(2, 2))
        QApplication.processEvents()


Exercise = Callable[[Person], None]
EXERCISES: dict[str, Exercise] = {}


def verb(*names: str) -> Callable[[Exercise], Exercise]:
    """This shows that the verbs do what they are for: it would fail if they did nothing."""

    def keep(exercise: Exercise) -> Exercise:
        for name in names:
            assert name not in EXERCISES, name
            EXERCISES[name] = exercise
        return exercise

    return keep
