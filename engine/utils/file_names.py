"""File names that fit: file systems take names of at most 255 bytes (Linux) or 255 characters (macOS, Windows)."""

from __future__ import annotations

import hashlib
import os

MAX_NAME_BYTES = 255


def byte_length(name: str) -> int:
    """Bytes of a name on the disk; UTF-8, with which the other systems' limits in characters hold too."""
    return len(os.fsencode(name))


def shortened(text: str, max_bytes: int) -> str:
    """The start of the text that has at most ``max_bytes`` bytes; no character is cut in two."""
    encoded = os.fsencode(text)
    if len(encoded) <= max_bytes:
        return text
    end = max(max_bytes, 0)
    while end > 0 and encoded[end] & 0xC0 == 0x80:  # inside of a character
        end -= 1
    return os.fsdecode(encoded[:end])


def side_name(name: str, suffix: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """``name + suffix``, or where that has more than ``max_bytes`` bytes, a shortened name that is as unique.

    The same arguments give the same name, so that it is found again.
    """
    if byte_length(name + suffix) <= max_bytes:
        return name + suffix
    mark = "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return shortened(name, max_bytes - byte_length(mark + suffix)) + mark + suffix
