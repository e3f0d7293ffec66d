"""Text of strangers (file names, titles, messages of libraries) for a terminal or one line of a window."""

from __future__ import annotations

import logging
import re

# Control characters (with them the escapes that move the cursor or retitle a terminal), and the marks that turn the
# direction of writing, by which a name can look like another.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str, most: int = 0) -> str:
    """The text as one line: white space as single spaces, control characters as visible escapes (``\\x1b``).

    Args:
        most: cut in the middle to this many characters; 0 = never.
    """
    plain = _CONTROL.sub(_escaped, " ".join(text.split()))
    if most and len(plain) > most:
        half = (most - 5) // 2
        plain = f"{plain[:half]} ... {plain[-half:]}"
    return plain


def visible(text: str) -> str:
    """The text with its lines as they are, and control characters other than line feeds as visible escapes."""
    if text.isprintable():
        return text  # nearly every text
    return "\n".join(_CONTROL.sub(_escaped, line.replace("\t", " ")) for line in text.split("\n"))


class OneLineFormatter(logging.Formatter):
    """A record is one line of a log, whatever names its message holds; a traceback follows in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
