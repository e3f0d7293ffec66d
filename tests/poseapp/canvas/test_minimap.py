"""The small whole picture comes when one has zoomed in, shows where one is, and takes one elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from poseapp.canvas.minimap import Minimap


@pytest.fixture
def minimap(desk) -> Minimap:  # type: ignore[no-untyped-def]
    created = Minimap(desk.view)
    desk.view.resize(900, 700)
    desk.view.fit()
    return created


def test_it_comes_when_a_part_is_in_sight_and_goes_with_the_whole(desk, minimap: Minimap) -> None:  # type: ignore[no-untyped-def]
    assert not minimap.isVisible()
    desk.view.zoom_at(desk.view.scale_factor * 4)
    assert minimap.isVisible()
    desk.view.fit()
    assert not minimap.isVisible()


def test_it_can_be_switched_off(desk, minimap: Minimap) -> None:  # type: ignore[no-untyped-def]
    desk.view.zoom_at(desk.view.scale_factor * 4)
    desk.view.set_style(replace(desk.view.style_now, show_minimap=False))
    assert not minimap.isVisible()
    desk.view.zoom_in()
    assert not minimap.isVisible()
    desk.view.set_style(replace(desk.view.style_now, show_minimap=True))
    assert minimap.isVisible()


def test_a_click_brings_that_place_to_the_middle(desk, minimap: Minimap) -> None:  # type: ignore[no-untyped-def]
    width, height = desk.view.image_size
    desk.view.zoom_at(desk.view.scale_factor * 6)
    for across, down in ((0.25, 0.75), (0.8, 0.3)):
        position = QPoint(round(minimap.width() * across), round(minimap.height() * down))
        QTest.mouseClick(minimap, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, position)
        seen = minimap.in_sight()
        assert seen is not None
        assert seen.center().x() == pytest.approx(width * across, abs=width * 0.02)
        assert seen.center().y() == pytest.approx(height * down, abs=height * 0.02)


def test_it_shows_the_picture_and_dims_what_is_out_of_sight(desk, minimap: Minimap) -> None:  # type: ignore[no-untyped-def]
    width, height = desk.view.image_size
    desk.view.set_image(np.full((height, width, 3), 200, np.uint8))
    desk.view.zoom_at(desk.view.scale_factor * 5)
    picture = minimap.grab().toImage()
    middle = picture.pixelColor(picture.width() // 2, picture.height() // 2)
    corner = picture.pixelColor(4, 4)
    assert middle.red() == 200
    assert corner.red() < 150
