"""Icons are drawn once for each theme, in the colors of their states."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QIcon, QPixmap

from poseapp.app.theme import DARK, LIGHT, Tokens
from poseapp.widgets.icons import icon


def colors_in(picture: QPixmap) -> set[str]:
    """Colors of the pixels that are wholly covered."""
    image = picture.toImage()
    pixels = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    return {pixel.name() for pixel in pixels if pixel.alpha() == 255}


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
def test_each_state_has_its_color(qapp: object, colors: Tokens) -> None:
    created = icon("export", colors)
    for mode, state, color in (
        (QIcon.Mode.Normal, QIcon.State.Off, colors.text_soft),
        (QIcon.Mode.Active, QIcon.State.Off, colors.text),
        (QIcon.Mode.Normal, QIcon.State.On, colors.accent),
        (QIcon.Mode.Active, QIcon.State.On, colors.accent),
        (QIcon.Mode.Disabled, QIcon.State.Off, colors.line_strong),
    ):
        assert colors_in(created.pixmap(60, mode, state)) == {QColor(color).name()}


def test_the_same_icon_is_not_drawn_again(qapp: object) -> None:
    assert icon("export", DARK).cacheKey() == icon("export", DARK).cacheKey()
    assert icon("export", DARK).cacheKey() != icon("export", LIGHT).cacheKey()
