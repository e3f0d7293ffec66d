"""Icons are drawn once for each theme, in the colours of their states."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QIcon, QPixmap

from poseapp.app.theme import DARK, LIGHT, Tokens
from poseapp.widgets.icons import icon


def colours_in(picture: QPixmap) -> set[str]:
    """Colours of the pixels that are wholly covered."""
    image = picture.toImage()
    pixels = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    return {pixel.name() for pixel in pixels if pixel.alpha() == 255}


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_each_state_has_its_colour(qapp: object, colours: Tokens) -> None:
    made = icon("export", colours)
    for mode, state, colour in (
        (QIcon.Mode.Normal, QIcon.State.Off, colours.text_soft),
        (QIcon.Mode.Active, QIcon.State.Off, colours.text),
        (QIcon.Mode.Normal, QIcon.State.On, colours.accent),
        (QIcon.Mode.Active, QIcon.State.On, colours.accent),
        (QIcon.Mode.Disabled, QIcon.State.Off, colours.line_strong),
    ):
        assert colours_in(made.pixmap(60, mode, state)) == {QColor(colour).name()}


def test_the_same_icon_is_not_drawn_again(qapp: object) -> None:
    assert icon("export", DARK).cacheKey() == icon("export", DARK).cacheKey()
    assert icon("export", DARK).cacheKey() != icon("export", LIGHT).cacheKey()
