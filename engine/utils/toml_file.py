"""TOML files of a user: settings, schemas, key maps. Size and depth are bounded before the parser sees the text."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from engine.errors import PoseError
from engine.utils.files import read_text

MAX_TOML_BYTES = 1 << 20
# The parser's time and memory grow with the square of the parts of a dotted key (a.b.c = 1) and of a table's name.
MAX_KEY_PARTS = 16
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_MORE = rf"(?:[ \t]*\.[ \t]*{_PART})"
# A line of a text may look like a long key, but for what follows it; one of a thousand parts is refused anyway.
_LONG = rf"{_PART}(?:{_MORE}{{1000}}|{_MORE}{{{MAX_KEY_PARTS},999}}[ \t]*[=\]])"
_LONG_KEY = re.compile(rf"(?:^[ \t]*\[{{0,2}}|[{{,])[ \t]*{_LONG}", re.MULTILINE)


def read_toml(path: Path | str, error: type[PoseError], limit: int = MAX_TOML_BYTES) -> dict[str, Any]:
    """The content of a TOML file in UTF-8, with or without a byte order mark.

    Args:
        error: the class of the error that is raised, with the file as ``where``.

    Raises:
        PoseError: of class ``error``: missing, not a regular file, too large, not UTF-8, not TOML, nested too deeply.
    """
    try:
        text = read_text(path, limit)
    except OSError as problem:
        raise error(f"cannot be read ({problem.strerror or problem})", where=path) from None
    except UnicodeDecodeError:
        raise error("is not UTF-8 text; save it as UTF-8", where=path) from None
    try:
        return parse_toml(text)
    except ValueError as problem:
        raise error(f"is not valid TOML: {problem}", where=path) from None


def parse_toml(text: str) -> dict[str, Any]:
    """As ``tomllib.loads``, within bounds.

    Raises:
        ValueError: not TOML (``tomllib.TOMLDecodeError``), nested too deeply, or a number of too many digits.
    """
    long_key = _LONG_KEY.search(text)
    if long_key is not None:
        line = text.count("\n", 0, long_key.start()) + 1
        raise ValueError(f"a key has more than {MAX_KEY_PARTS} parts (line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
