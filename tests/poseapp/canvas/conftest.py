"""A canvas in a real window, with the least session around it: edits are applied, selections are taken over."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine.schema.builtin import find_schema
from engine.schema.schema import Schema
from poseapp.canvas.view import CanvasView
from poseapp.project.model import Edit, FrameKey, Instance, State

WIDTH, HEIGHT = 400, 300
NO_KEYS = Qt.KeyboardModifier.NoModifier


def make_instance(
    instance_id: int,
    points: list[tuple[float, float]] | np.ndarray,
    visibility: list[int] | int = 2,
    *,
    predicted: bool = False,
    category: int = 1,
    box: tuple[float, float, float, float] | None = None,
    scores: list[float] | None = None,
) -> Instance:
    keypoints = np.array(points, dtype=np.float64).reshape(-1, 2)
    k = len(keypoints)
    return Instance(
        id=instance_id,
        category=category,
        keypoints=keypoints,
        visibility=np.broadcast_to(np.array(visibility, dtype=np.uint8), k).copy(),
        by_human=np.full(k, not predicted),
        scores=None if scores is None else np.array(scores, dtype=np.float64),
        box=None if box is None else np.array(box, dtype=np.float64),
        source="model" if predicted else "human",
        state=State.PREDICTED if predicted else State.LABELLED,
    )


def standing(instance_id: int, x: float, y: float, height: float = 160.0, **kwargs: object) -> Instance:
    """A COCO person whose nose is near the top; x is the middle."""
    rows = [
        (0, 0.05), (0.03, 0.03), (-0.03, 0.03), (0.06, 0.05), (-0.06, 0.05),
        (0.15, 0.2), (-0.15, 0.2), (0.22, 0.35), (-0.22, 0.35), (0.25, 0.5), (-0.25, 0.5),
        (0.1, 0.52), (-0.1, 0.52), (0.12, 0.75), (-0.12, 0.75), (0.13, 0.97), (-0.13, 0.97),
    ]  # fmt: skip
    return make_instance(instance_id, np.array(rows) * height + (x, y), **kwargs)  # type: ignore[arg-type]


class Desk:
    """The canvas and what it asked for."""

    def __init__(self, view: CanvasView) -> None:
        self.view = view
        self.schemas: dict[int, Schema] = {1: find_schema("coco")}
        self.instances: list[Instance] = []
        self.edits: list[Edit] = []
        self.selections: list[tuple[frozenset[int], frozenset[tuple[int, int]]]] = []
        self.boxes: list[tuple[float, ...]] = []
        self.visibility: list[tuple[frozenset[tuple[int, int]], int | None]] = []
        self.accepted: list[int] = []
        self.placed: list[object] = []
        view.edit_requested.connect(self._apply)
        view.selection_requested.connect(self._select)
        view.box_drawn.connect(lambda *box: self.boxes.append(box))
        view.visibility_requested.connect(lambda points, value: self.visibility.append((points, value)))
        view.accept_requested.connect(self.accepted.append)
        view.pose_placed.connect(self.placed.append)

    def show(self, *instances: Instance) -> None:
        self.instances = list(instances)
        self.view.set_instances(self.instances, self.schemas)
        QApplication.processEvents()

    def instance(self, instance_id: int) -> Instance:
        return next(i for i in self.instances if i.id == instance_id)

    def _apply(self, edit: Edit) -> None:
        self.edits.append(edit)
        after = {i.id: i for frame in edit.frames for i in frame.after}
        self.show(*(after.get(i.id, i) for i in self.instances))

    def _select(self, instances: frozenset[int], points: frozenset[tuple[int, int]]) -> None:
        self.selections.append((instances, points))
        self.view.set_selection(instances, points)

    # The hand

    def at(self, x: float, y: float) -> QPoint:
        return self.view.to_view(x, y).toPoint()

    def of(self, instance_id: int, index: int) -> tuple[float, float]:
        x, y = self.instance(instance_id).keypoints[index]
        return float(x), float(y)

    def press(
        self,
        position: tuple[float, float],
        keys: Qt.KeyboardModifier = NO_KEYS,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    ) -> None:
        QTest.mousePress(self.view.viewport(), button, keys, self.at(*position))

    def move(self, position: tuple[float, float]) -> None:
        # A move to where the pointer was left (by an earlier test, too) would be no event at all.
        QTest.mouseMove(self.view.viewport(), self.at(*position) + QPoint(0, 1))
        QTest.mouseMove(self.view.viewport(), self.at(*position))
        QApplication.processEvents()

    def release(
        self,
        position: tuple[float, float],
        keys: Qt.KeyboardModifier = NO_KEYS,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    ) -> None:
        QTest.mouseRelease(self.view.viewport(), button, keys, self.at(*position))

    def drag(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        keys: Qt.KeyboardModifier = NO_KEYS,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    ) -> None:
        self.press(start, keys, button)
        self.move(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
        self.move(end)
        self.release(end, keys, button)

    def click(
        self,
        position: tuple[float, float],
        keys: Qt.KeyboardModifier = NO_KEYS,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    ) -> None:
        self.press(position, keys, button)
        self.release(position, keys, button)

    def wheel(self, location: tuple[float, float], notches: float, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        position = QPointF(self.at(*location))
        viewport = self.view.viewport()
        event = QWheelEvent(
            position,
            QPointF(viewport.mapToGlobal(position.toPoint())),
            QPoint(0, 0),
            QPoint(0, round(120 * notches)),
            Qt.MouseButton.NoButton,
            keys,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(viewport, event)

    def key(self, key: Qt.Key, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
        QTest.keyClick(self.view, key, keys)

    def pixels(self) -> np.ndarray:
        """(h, w, 3) uint8 of what is on the screen."""
        QApplication.processEvents()
        image = self.view.viewport().grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()

    def color_at(self, x: float, y: float) -> tuple[int, int, int]:
        """The pixel on the screen at an image position."""
        column, row = self.device(x, y)
        red, green, blue = self.pixels()[row, column]
        return int(red), int(green), int(blue)

    def device(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of ``pixels`` at an image position."""
        position, ratio = self.view.to_view(x, y), self.view.devicePixelRatioF()
        return math.floor(position.x() * ratio), math.floor(position.y() * ratio)


@pytest.fixture
def desk(qtbot) -> Desk:  # type: ignore[no-untyped-def]
    """A 400 x 300 grey picture at 200 % in an 800 x 600 view, empty."""
    view = CanvasView()
    qtbot.addWidget(view)
    view.resize(800, 600)
    view.set_frame(FrameKey(1, 0), (WIDTH, HEIGHT))
    view.set_image(np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8))
    with qtbot.waitExposed(view):
        view.show()
    view.activateWindow()
    view.setFocus()
    view.zoom_at(2.0)
    QApplication.processEvents()
    return Desk(view)


@pytest.fixture
def person() -> Callable[..., Instance]:
    return standing


@pytest.fixture
def instance() -> Callable[..., Instance]:
    return make_instance
