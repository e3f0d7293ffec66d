"""File names as text that any database, JSON file and screen can hold.

A file name on Linux is bytes, and not always UTF-8. Python gives the other bytes as lone surrogates (``os.fsdecode``),
which SQLite refuses. In the project each such byte is two characters that Unicode sets aside for use inside a program
and that no file name holds: one of U+FDE8 to U+FDEF and one of U+FDD0 to U+FDDF.
"""

from __future__ import annotations

import re

_HIGH, _LOW = 0xFDE0, 0xFDD0
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile("([\ufde8-\ufdef])([\ufdd0-\ufddf])")


def to_stored(name: str) -> str:
    """A name as the project stores it. A lone surrogate that stands for no byte becomes a question mark."""
    return name if name.isascii() else _SURROGATE.sub(_escaped, name)


def from_stored(text: str) -> str:
    """The inverse of :func:`to_stored`: a name that opens the file."""
    return text if text.isascii() else _ESCAPE.sub(_surrogate, text)


def readable(name: str) -> str:
    """A name for tables and messages, always valid text: bytes that are not UTF-8 as ``\\udce9``, as in JSON files."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(match: re.Match[str]) -> str:
    byte = ord(match.group()) - 0xDC00
    return chr(_HIGH + (byte >> 4)) + chr(_LOW + (byte & 15)) if 0x80 <= byte <= 0xFF else "?"


def _surrogate(match: re.Match[str]) -> str:
    high, low = match.groups()
    return chr(0xDC00 + ((ord(high) - _HIGH) << 4) + ord(low) - _LOW)
