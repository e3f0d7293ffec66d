"""Both themes are complete and readable."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from poseapp.app.application import make_application
from poseapp.app.theme import DARK, LIGHT, Tokens, apply_theme, is_dark, style_sheet
from poseapp.canvas.render.colors import palette_for
from poseapp.dialogs.common import SIGN_COLORS
from poseapp.dialogs.settings.dialog import words_on


def luminance(color: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


TEXTS = ("text", "text_soft", "text_faint", "error", "warning", "good", "predicted")
ON = {
    "panel": TEXTS,
    "raised": TEXTS,
    "field": ("text", "text_faint"),
    "ground": ("text", "text_soft", "text_faint"),
    "hover": ("text", "text_soft"),
    "pressed": ("text", "text_soft"),
    "accent_soft": ("text", "text_soft"),
    "accent": ("on_accent",),
    "accent_hover": ("on_accent",),
}
"""What is written on which ground, as the style sheet and the panels do it."""
SIGNS = ("accent", "good", "warning", "error", "predicted", "text_faint")
"""What is told by a color: focus rings, lanes of the timeline, icons."""


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("ground", "text"), [(ground, text) for ground, texts in ON.items() for text in texts])
def test_text_stands_out_from_its_ground(colors: Tokens, text: str, ground: str) -> None:
    values = asdict(colors)
    assert contrast(values[text], values[ground]) >= 4.5


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("ground", ["panel", "raised", "field", "ground"])
@pytest.mark.parametrize("sign", SIGNS)
def test_signs_and_focus_rings_stand_out(colors: Tokens, sign: str, ground: str) -> None:
    values = asdict(colors)
    assert contrast(values[sign], values[ground]) >= 3.0


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
def test_a_focused_primary_button_shows_it(colors: Tokens) -> None:
    assert contrast(colors.text, colors.panel) >= 3.0
    assert contrast(colors.text, colors.accent) >= 2.0  # the ring stands between the two


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
def test_signs_of_findings_stand_out_from_a_card(dark: bool) -> None:
    colors = DARK if dark else LIGHT
    for pair in SIGN_COLORS.values():
        assert contrast(pair[dark], colors.raised) >= 3.0


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
def test_words_on_the_colors_of_the_settings_are_readable(dark: bool) -> None:
    for color in palette_for(dark=dark).sides:
        name = QColor.fromRgb(color).name()
        assert contrast(name, words_on(QColor(name))) >= 4.5


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
def test_every_token_of_the_style_sheet_is_known(colors: Tokens) -> None:
    sheet = style_sheet(colors)
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    assert "@" not in sheet


def test_widgets_are_styled_anew_only_for_another_theme(qtbot: QtBot) -> None:
    application = make_application()
    styled: list[QEvent.Type] = []

    class Watched(QWidget):
        def changeEvent(self, event: QEvent) -> None:
            styled.append(event.type())
            super().changeEvent(event)

    widget = Watched()
    qtbot.addWidget(widget)
    widget.show()
    apply_theme(application, dark=True)
    styled.clear()
    apply_theme(application, dark=True)
    make_application()
    assert styled == []
    apply_theme(application, dark=False)
    assert QEvent.Type.StyleChange in styled
    assert application.styleSheet() == style_sheet(LIGHT)
    apply_theme(application, dark=is_dark("system"))
