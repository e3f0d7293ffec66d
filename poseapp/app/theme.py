"""One design language for both themes: colors as tokens, a style sheet made from them, the bundled font."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from resources import resource_path

FONT_FAMILY = "Inter"
FONT_FILES = ("Inter-Regular.otf", "Inter-Medium.otf", "Inter-SemiBold.otf")
FONTS_ADDED = "poseappFontsAdded"
"""Property of the application: it has the bundled fonts."""
FONT_POINTS = 10.0
ICON_SIZE = QSize(20, 20)


@dataclass(frozen=True)
class Tokens:
    """Colors of a theme, ``#rrggbb``. Text on its ground keeps a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""

    ground: str
    panel: str
    raised: str
    field: str
    line: str
    line_strong: str
    text: str
    text_soft: str
    text_faint: str
    hover: str
    pressed: str
    accent: str
    accent_hover: str
    accent_soft: str
    on_accent: str
    good: str
    warning: str
    error: str
    predicted: str


DARK = Tokens(
    ground="#17191d",
    panel="#1d2025",
    raised="#262a31",
    field="#14161a",
    line="#2e333b",
    line_strong="#434a55",
    text="#eceff3",
    text_soft="#b4bcc7",
    text_faint="#8b95a3",
    hover="#2b3038",
    pressed="#343a44",
    accent="#4c9dff",
    accent_hover="#6bb0ff",
    accent_soft="#213a58",
    on_accent="#06182b",
    good="#3ccf91",
    warning="#f5b83d",
    error="#ff7a7a",
    predicted="#d98cf0",
)
LIGHT = Tokens(
    ground="#e9ecf0",
    panel="#f6f7f9",
    raised="#ffffff",
    field="#ffffff",
    line="#d6dbe2",
    line_strong="#aab3bf",
    text="#1a1f27",
    text_soft="#47515f",
    text_faint="#5f6a79",
    hover="#e8ecf1",
    pressed="#dbe1e8",
    accent="#1769d1",
    accent_hover="#0f58b5",
    accent_soft="#d8e7fb",
    on_accent="#ffffff",
    good="#10754c",
    warning="#8a5a00",
    error="#b3261e",
    predicted="#8b2fb0",
)


def tokens(*, dark: bool) -> Tokens:
    return DARK if dark else LIGHT


def system_is_dark() -> bool:
    """What the desktop asks for; dark where it says nothing (pictures read better on it)."""
    scheme = QGuiApplication.styleHints().colorScheme()
    return scheme != Qt.ColorScheme.Light


def is_dark(theme: str) -> bool:
    """Whether a theme setting ("system", "dark", "light") means dark now."""
    return system_is_dark() if theme == "system" else theme == "dark"


def load_font(application: QApplication, beside: str = "") -> None:
    """The bundled font, so that every machine shows the same metrics; ``beside``, else the system's choice, serves
    scripts it lacks."""
    if not application.property(FONTS_ADDED):
        for name in FONT_FILES:
            QFontDatabase.addApplicationFont(str(resource_path(f"fonts/{name}")))
        application.setProperty(FONTS_ADDED, True)
    font = QFont([FONT_FAMILY, beside] if beside else [FONT_FAMILY])
    font.setPointSizeF(FONT_POINTS)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if application.font() != font:
        application.setFont(font)


def apply_theme(application: QApplication, *, dark: bool) -> None:
    """Palette and style sheet of a theme, on top of Fusion (which looks the same everywhere)."""
    colors = tokens(dark=dark)
    sheet = style_sheet(colors)
    if application.styleSheet() == sheet:  # setting the same one again would style every widget anew
        return
    if not application.styleSheet():
        application.setStyle("Fusion")
    application.setPalette(palette(colors))
    application.setStyleSheet(sheet)


def style_sheet(colors: Tokens) -> str:
    """``resources/themes/base.qss`` with ``@token`` replaced.

    Longer names go first, so that ``@text`` does not eat the beginning of ``@text_soft``.
    """
    text = resource_path("themes/base.qss").read_text(encoding="utf-8")
    values = asdict(colors)
    values["themes"] = resource_path("themes").as_posix()
    values["mode"] = "dark" if colors == DARK else "light"
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"@{name}", values[name])
    return text


def palette(colors: Tokens) -> QPalette:
    """The same colors for what a style sheet does not reach (plots, native parts, placeholder text)."""
    palette = QPalette()
    role = QPalette.ColorRole
    pairs = {
        role.Window: colors.panel,
        role.WindowText: colors.text,
        role.Base: colors.field,
        role.AlternateBase: colors.panel,
        role.Text: colors.text,
        role.Button: colors.raised,
        role.ButtonText: colors.text,
        role.BrightText: colors.error,
        role.Highlight: colors.accent,
        role.HighlightedText: colors.on_accent,
        role.ToolTipBase: colors.raised,
        role.ToolTipText: colors.text,
        role.PlaceholderText: colors.text_faint,
        role.Link: colors.accent,
        role.Light: colors.raised,
        role.Midlight: colors.hover,
        role.Mid: colors.line,
        role.Dark: colors.line_strong,
        role.Shadow: colors.ground,
    }
    for which, color in pairs.items():
        palette.setColor(which, QColor(color))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(colors.text_faint))
    return palette
