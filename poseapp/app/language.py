"""Qt's side of the language: which one the person wants, a font that has its characters, Qt's own words."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication

from poseapp.app import i18n
from poseapp.app.settings import SYSTEM_LANGUAGE

log = logging.getLogger(__name__)

_WRITING = {"zh_CN": QFontDatabase.WritingSystem.SimplifiedChinese}
# Well drawn on screens, the system's own first; any other font with the characters comes after them.
_PREFERRED = (
    "PingFang SC", "Microsoft YaHei UI", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC",
    "Source Han Sans CN", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback",
)  # fmt: skip
_FONT_HINTS = {
    "zh_CN": "Chinese was chosen, but no installed font has its characters. Install one, such as Noto Sans CJK "
    "(package fonts-noto-cjk), and start again."
}
_translator: QTranslator | None = None


def apply_language(application: QApplication, wished: str) -> str:
    """Speak a language from now on; before any widget is made.

    Args:
        wished: a key of LANGUAGES, or "system".

    Returns:
        A font family with its characters to be used beside the program's own, "" when none is needed.
        Without any such font the window stays English; :func:`font_hint` says so.
    """
    language = resolve(wished)
    family = font_for(language)
    if language in _WRITING and not family:
        log.warning("%s", _FONT_HINTS[language])
        language = i18n.ENGLISH
    _speak_qt(application, i18n.set_language(language))
    return family


def resolve(wished: str) -> str:
    """The language that a setting means on this computer."""
    if wished == SYSTEM_LANGUAGE:
        return i18n.best_language(QLocale.system().uiLanguages())
    return wished if wished in i18n.LANGUAGES else i18n.ENGLISH


def font_for(language: str, families: Iterable[str] | None = None) -> str:
    """An installed font with the characters of a language; "" for one that needs none, or when none is there."""
    if language not in _WRITING:
        return ""
    available = list(QFontDatabase.families(_WRITING[language]) if families is None else families)
    return next((name for name in _PREFERRED if name in available), available[0] if available else "")


def font_hint(wished: str) -> str:
    """What to tell a person whose language cannot be shown, in English; "" when it can."""
    language = resolve(wished)
    return _FONT_HINTS.get(language, "") if language != i18n.language_in_use() else ""


def _speak_qt(application: QApplication, language: str) -> None:
    """Qt's own words: buttons of standard dialogs, menus of text fields."""
    global _translator
    if _translator is not None:
        application.removeTranslator(_translator)
        _translator = None
    if language == i18n.ENGLISH:
        return
    translator = QTranslator(application)
    if translator.load(f"qtbase_{language}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        application.installTranslator(translator)
        _translator = translator
