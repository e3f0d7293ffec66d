"""The language of the window.

English texts stand in the code as they are read. :func:`tr` gives them in the language in use, and is called where a
text reaches a widget. It also takes texts that are composed already ("3 of 12", a message of the engine, a step of the
history): the catalogue holds these with their variable parts in braces, and what stands there is put into the
translation. So the rooms without Qt need not know which language the window speaks, and what a project keeps (names of
steps) stays the same in every language.

A catalogue is ``resources/languages/LANGUAGE.toml``::

    [texts]
    "Open folder..." = "打开文件夹..."
    "{count:d} of {total:d}" = "{count} / {total}"     # :d stands for a number
    "Delete {what}" = "删除{what}"

    [plurals.count."{count:d} tracks"]     # where a language tells numbers apart: forms by this part
    one = "..."
    other = "..."
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.utils.plain_text import visible
from resources import resource_path

log = logging.getLogger(__name__)

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "zh_CN": "简体中文"}
"""Languages there are, each by its own name."""


def _other(_count: int) -> str:
    return "other"


PLURAL_RULES: Mapping[str, Callable[[int], str]] = {"zh_CN": _other}
"""Per language the form that a count asks for, by the names of the Unicode CLDR ("one", "few", "many", "other")."""

_FIELD = re.compile(r"\{(\w+)(?::d)?\}")
_PART = re.compile(r"\{(\w+(?::d)?)\}")
_WHERE = re.compile(r"((?:[A-Za-z]:[\\/])?[^:\n]*(?:[\\/][^:\n]*|\.\w{1,11})): (.+)", re.DOTALL)
"""A message of the engine behind the file that it is about."""
_LETTER = re.compile(r"[A-Za-z]")
_DOT = " · "
_LISTS = tuple(
    (re.compile(between), joined)
    for between, joined in (
        ("\n", "\n"),
        (";;", ";;"),
        ("  +", "  "),
        (r"(?<=[.!?:]) ", " "),
        (_DOT, _DOT),
        (", ", ", "),
    )
)


@dataclass(frozen=True)
class Template:
    """A text with variable parts.

    Attributes:
        pattern: what it looks like when it is filled, with a named group for every part.
        pieces: the fixed pieces, which a filled text must have in it: quicker to ask for than the pattern.
        target: the translation with the same names in braces, or one for each form of ``counted``.
        counted: the part that decides about the form; "" for none.
    """

    pattern: re.Pattern[str]
    pieces: tuple[str, ...]
    target: str | Mapping[str, str]
    counted: str = ""

    @staticmethod
    def of(source: str, target: str | Mapping[str, str], counted: str = "") -> Template:
        parts = _PART.split(source)
        written, seen = "", set()
        for index, part in enumerate(parts):
            if index % 2 == 0:
                written += re.escape(part)
            else:
                name, _, is_number = part.partition(":")
                pattern = r"[\d.,]+" if is_number else ".+?"
                written += f"(?P={name})" if name in seen else f"(?P<{name}>{pattern})"
                seen.add(name)
        return Template(re.compile(written, re.DOTALL), tuple(p for p in parts[::2] if p), target, counted)


class Catalogue:
    """The texts of one language."""

    def __init__(self, language: str, texts: Mapping[str, str], plurals: Mapping[str, object] | None = None) -> None:
        self.language = language
        self.exact = {source: target for source, target in texts.items() if not _FIELD.search(source)}
        templates = [(source, Template.of(source, target)) for source, target in texts.items() if _FIELD.search(source)]
        for counted, forms in (plurals or {}).items():
            assert isinstance(forms, Mapping)
            templates += [(source, Template.of(source, target, counted)) for source, target in forms.items()]
        # What says most by itself is asked first: "{a} of {b}" fits much that is none. Then what wants a number.
        templates.sort(key=lambda pair: (-len(_FIELD.sub("", pair[0])), ":d}" not in pair[0]))
        self.templates = [template for _, template in templates]
        self.colon = texts.get("{where}: {what}", "{where}: {what}").removeprefix("{where}").removesuffix("{what}")

    @staticmethod
    def read(language: str) -> Catalogue:
        """Raises: FileNotFoundError, tomllib.TOMLDecodeError for a catalogue that is not there or damaged."""
        data = tomllib.loads(resource_path(f"languages/{language}.toml").read_text(encoding="utf-8"))
        return Catalogue(language, data["texts"], data.get("plurals"))

    def find(self, text: str) -> str | None:
        """The translation, or None when there is none."""
        translation = self.exact.get(text)
        if translation is not None:
            return translation
        translation = self.exact.get(f"{text}...")  # the verb whose button announces a dialog
        if translation is not None:
            return translation.removesuffix("...")
        if ";;" in text:  # kinds of files, which a template would take for one
            return ";;".join(self.find(part) or part for part in text.split(";;"))
        about = _WHERE.fullmatch(text)
        if about is not None:  # before templates that begin with a part, which would take the file for it
            message = self.find(about[2])
            if message is not None:
                return f"{about[1]}{self.colon}{message}"
        if _DOT not in text:
            return self._by_template(text, self.templates) or self._in_parts(text)
        # A list of things: a template for one of them ("{time} left") would take the others for its part.
        of_lists = [template for template in self.templates if any(_DOT in piece for piece in template.pieces)]
        return self._by_template(text, of_lists) or self._in_parts(text) or self._by_template(text, self.templates)

    def _by_template(self, text: str, templates: Sequence[Template]) -> str | None:
        for template in templates:
            if all(piece in text for piece in template.pieces):
                match = template.pattern.fullmatch(text)
                if match is not None:
                    return self._filled(template, match.groupdict())
        return None

    def _in_parts(self, text: str) -> str | None:
        """A list or several sentences; a name among them stays as it is."""
        for between, joined in _LISTS:
            parts = between.split(text)
            if len(parts) > 1:
                translated = [self.find(part) if _LETTER.search(part) else None for part in parts]
                if any(translated):
                    return joined.join(one or part for one, part in zip(translated, parts, strict=True))
        return None

    def _filled(self, template: Template, parts: Mapping[str, str]) -> str:
        target = template.target
        if not isinstance(target, str):
            rule = PLURAL_RULES.get(self.language, _other)
            digits = re.sub(r"\D", "", parts[template.counted])
            target = target.get(rule(int(digits or 0)), target["other"])
        inner = {name: (self.find(part) or part) if _LETTER.search(part) else part for name, part in parts.items()}
        return _FIELD.sub(lambda field: inner[field[1]], target)


_catalogue: Catalogue | None = None


def set_language(language: str) -> str:
    """Choose the language of :func:`tr`; English when there is no catalogue of the one asked for.

    Widgets keep the texts they have: call this before any is made.

    Returns:
        The language in use, a key of LANGUAGES.
    """
    global _catalogue
    _catalogue = None
    if language in LANGUAGES and language != ENGLISH:
        try:
            _catalogue = Catalogue.read(language)
        except (OSError, ValueError, KeyError) as error:
            log.warning("no texts in %s: %s", language, error)
    _translated.cache_clear()
    return language_in_use()


def language_in_use() -> str:
    return ENGLISH if _catalogue is None else _catalogue.language


def best_language(wished: Iterable[str]) -> str:
    """The first of a person's languages ("zh-Hans-CN", "de_AT", "en") that there is; English when there is none.

    Traditional Chinese (Hant, TW, HK, MO) is not Simplified Chinese.
    """
    for name in wished:
        parts = name.replace("_", "-").split("-")
        if parts[0] == ENGLISH:
            return ENGLISH
        if parts[0] == "zh" and not {"Hant", "TW", "HK", "MO"} & set(parts[1:]):
            return "zh_CN"
    return ENGLISH


def tr(text: str) -> str:
    """A text of the window in the language in use; one that the catalogue does not have as it is.

    Control characters, which a file name or a category may hold, become visible escapes.
    """
    if _catalogue is None or not text:
        return visible(text)
    return _translated(text)


@lru_cache(maxsize=4096)
def _translated(text: str) -> str:
    translation = None if _catalogue is None else _catalogue.find(text)
    return visible(text if translation is None else translation)
