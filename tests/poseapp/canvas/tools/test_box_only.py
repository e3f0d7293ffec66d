"""A labelled box without any point is seen and can be selected, whether boxes are shown or not."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from poseapp.canvas.view import CanvasView
from poseapp.project import edits
from poseapp.project.model import Category, FrameKey


def test_a_box_without_points_is_drawn_and_picked(qtbot: QtBot) -> None:
    view = CanvasView()
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    category = Category(1, "person", find_schema("coco"))
    frame = FrameKey(1, 0)
    view.set_frame(frame, (200, 150))
    view.set_image(np.full((150, 200, 3), 90, np.uint8))
    view.set_instances([], {1: category.schema})
    empty = view.grab().toImage()
    view.set_instances([edits.make_instance(7, category, box=[40, 30, 120, 100])], {1: category.schema})
    assert not view.style_now.show_boxes
    assert view.grab().toImage() != empty
    position = view.to_view(40, 60).toPoint()
    with qtbot.waitSignal(view.selection_requested) as messages:
        QTest.mouseMove(view.viewport(), position)
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, position)
    assert messages.args[0] == frozenset({7})
