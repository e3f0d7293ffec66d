"""Very large pictures look as others do, and are there at once."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtGui import QImage, QPainter
from pytestqt.qtbot import QtBot

from poseapp.app.canvas_style import PictureStyle
from poseapp.canvas.render import image_pyramid
from poseapp.canvas.render.image_pyramid import LargePicture, Picture
from poseapp.canvas.render.viewport import ViewPort
from poseapp.canvas.view import CanvasView
from poseapp.project.model import FrameKey


def scene() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (600, 900, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)


def painted(picture: Picture, scale: float) -> np.ndarray:
    image = QImage(320, 240, QImage.Format.Format_RGB32)
    image.fill(0)
    painter = QPainter(image)
    picture.paint(painter, ViewPort(scale, -20.3 * scale, -30.7 * scale, (0.0, 0.0, 320.0, 240.0)))
    painter.end()
    return np.array(image.constBits()).reshape(240, 320, 4)[:, :, :3].astype(int)


@pytest.mark.parametrize("scale", [0.3, 0.55, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("style", [PictureStyle(), PictureStyle(contrast=1.4, gamma=0.8)])
def test_it_looks_as_a_small_one(qtbot: QtBot, scale: float, style: PictureStyle) -> None:
    large = LargePicture(scene(), style, lambda: None)
    large._thread.join()
    difference = np.abs(painted(large, scale) - painted(Picture(scene(), style), scale))
    assert difference.max() <= 3  # tones before or after halving


def test_the_canvas_shows_it_at_once_and_finer_soon(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_pyramid, "LARGE", 1000)
    halve, has_been_seen = LargePicture._halve, threading.Event()

    def halve_once_seen(self: LargePicture) -> None:
        has_been_seen.wait()
        halve(self)

    monkeypatch.setattr(LargePicture, "_halve", halve_once_seen)
    view = CanvasView()
    qtbot.addWidget(view)
    view.resize(200, 150)
    view.set_frame(FrameKey(1, 0), (900, 600))
    view.show()
    qtbot.waitExposed(view)
    view.set_image(scene())
    assert isinstance(view._picture, LargePicture)
    first = view.grab().toImage()
    has_been_seen.set()
    qtbot.waitUntil(lambda: view.grab().toImage() != first, timeout=60_000)
    view.set_image(None)


def test_a_picture_that_is_replaced_is_halved_no_further(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_pyramid, "LARGE", 1000)
    halving, go_on = threading.Event(), threading.Event()
    resize = cv2.resize

    def resize_in_steps(*arguments: Any, **options: Any) -> np.ndarray:
        halving.set()
        go_on.wait()
        return resize(*arguments, **options)

    monkeypatch.setattr(cv2, "resize", resize_in_steps)
    first = image_pyramid.make_picture(scene(), PictureStyle(), None, lambda: None)
    assert isinstance(first, LargePicture)
    halving.wait()
    assert image_pyramid.make_picture(None, PictureStyle(), first, lambda: None) is None
    go_on.set()
    first._thread.join()
    assert len(first._copies) == 2  # the one at hand was ended, the three smaller ones were not begun
