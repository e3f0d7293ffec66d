"""Rough painting while something moves, fine painting once it rests."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from poseapp.app.canvas_style import PictureStyle
from poseapp.canvas.render import adaptive_quality
from poseapp.canvas.render.adaptive_quality import AdaptiveQuality
from poseapp.canvas.render.image_pyramid import Picture
from poseapp.canvas.view import CanvasView
from poseapp.project.model import FrameKey


def test_a_single_step_is_fine_and_a_movement_rough_where_fine_is_slow(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptive_quality, "AFTER_ANOTHER_SECONDS", 1000.0)
    monkeypatch.setattr(adaptive_quality, "FINE_BUDGET_SECONDS", -1.0)
    settled: list[bool] = []
    hurry = AdaptiveQuality(lambda: settled.append(hurry.draft))
    hurry.step()
    assert not hurry.draft
    with hurry.painting(draft=False):
        pass
    hurry.step()
    assert hurry.draft
    with hurry.painting(draft=True):
        pass
    qtbot.waitUntil(lambda: settled == [False], timeout=2000)


def test_where_fine_is_quick_a_movement_is_fine_too(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_quality, "AFTER_ANOTHER_SECONDS", 1000.0)
    monkeypatch.setattr(adaptive_quality, "FINE_BUDGET_SECONDS", 1000.0)
    hurry = AdaptiveQuality(lambda: None)
    for _ in range(3):
        hurry.step()
        assert not hurry.draft
        with hurry.painting(draft=False):
            pass


def test_after_a_turn_of_the_wheel_the_picture_is_as_if_zoomed_at_once(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptive_quality, "AFTER_ANOTHER_SECONDS", 1000.0)
    monkeypatch.setattr(adaptive_quality, "FINE_BUDGET_SECONDS", -1.0)
    view = CanvasView()
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.set_frame(FrameKey(1, 0), (400, 300))
    view.set_image(np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8))
    view.show()
    qtbot.waitExposed(view)
    position = QPointF(150, 100)
    for _ in range(2):
        turn = QWheelEvent(
            position, position, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view.viewport(), turn)
        view.viewport().repaint()
    moving = view.grab().toImage()
    qtbot.waitUntil(lambda: not view._quality._is_draft, timeout=2000)
    rested = view.grab().toImage()
    assert moving != rested
    view.repaint_ground()
    assert view.grab().toImage() == rested


def test_a_picture_in_the_memory_of_another_is_the_same(qtbot: QtBot) -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.integers(0, 255, (300, 500, 3), dtype=np.uint8) for _ in range(2))
    old = Picture(first)
    old._at(2)
    memory = [pixels for pixels, _ in old._levels]
    new, alone = Picture(second, None, old), Picture(second)
    for level in range(3):
        assert new._at(level) == alone._at(level)
    assert all(np.shares_memory(a, b) for a, (b, _) in zip(memory, new._levels))
    larger = Picture(np.zeros((600, 500, 3), np.uint8), PictureStyle(), new)
    assert larger.height == 600
    assert not np.shares_memory(memory[0], larger._levels[0][0])


def test_a_hidden_canvas_waits_for_no_fine_painting(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_quality, "PAUSE_MS", 3_600_000)
    view = CanvasView()
    qtbot.addWidget(view)
    view.show()
    with view._quality.painting(draft=True):
        pass
    assert view._quality._pause.isActive()
    view.hide()
    assert not view._quality._pause.isActive()
