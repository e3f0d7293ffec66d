"""Both themes are complete and readable."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest

from poseapp.theme import DARK, LIGHT, Tokens, style_sheet


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("text", ["text", "text_soft", "text_faint", "error", "warning", "good"])
@pytest.mark.parametrize("ground", ["panel", "raised"])
def test_text_stands_out_from_its_ground(colours: Tokens, text: str, ground: str) -> None:
    values = asdict(colours)
    assert contrast(values[text], values[ground]) >= 4.5


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_text_on_the_accent_is_readable(colours: Tokens) -> None:
    assert contrast(colours.on_accent, colours.accent) >= 4.5
    assert contrast(colours.text, colours.accent_soft) >= 4.5


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_every_token_of_the_style_sheet_is_known(colours: Tokens) -> None:
    sheet = style_sheet(colours)
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    assert "@" not in sheet
