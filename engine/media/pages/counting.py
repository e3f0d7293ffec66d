"""How many pictures an image file holds: pages of a TIFF, frames of an animated GIF, WebP or PNG.

Read as an image, such a file is its first picture; opened as a media, all of its pictures are frames.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from engine.media.pages.tiff import MOST, is_tiff, tiff_pages
from engine.utils.files import open_regular

# Suffixes of files that may hold several pictures.
SUFFIXES = frozenset({".tif", ".tiff", ".gif", ".webp", ".png"})
CHECKED_IN_FOLDERS = SUFFIXES - {".png"}  # nearly all of these hold one picture, and folders hold many of them
READ_AS_PAGES = frozenset({".tif", ".tiff", ".webp"})
"""Suffixes of files whose pictures are read one by one; animated GIF and PNG are read as videos are."""
_MOST_BYTES = 1 << 40
# What is read of one file at most. Blocks may be empty, so that a small file can make a reader go on for hours;
# counting then stops with what has been seen.
_MOST_BLOCKS = 1_000_000


def page_count(path: Path | str) -> int:
    """Number of pictures in a file, at most MOST; 1 for one that cannot be read or is of another kind."""
    if os.path.splitext(path)[1].lower() not in SUFFIXES:
        return 1
    try:
        with open_regular(Path(path), _MOST_BYTES) as file:
            return count_pages(file)
    except OSError:
        return 1


def has_pages(path: Path | str) -> bool:
    """Whether a file holds more than one picture."""
    return page_count(path) > 1


def count_pages(file: BinaryIO) -> int:
    """As :func:`page_count`, of an open file."""
    start = file.read(16)
    if is_tiff(start):
        return max(1, len(tiff_pages(file)))
    if start[:4] == b"GIF8":
        return _gif(file)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(file)
    if start[:4] == b"\x89PNG":
        return _png(file)
    return 1


def _gif(file: BinaryIO) -> int:
    """Image descriptors among the blocks (GIF89a, 18 to 27)."""
    file.seek(10)
    flags = file.read(3)
    file.seek(_table_bytes(flags[0] if flags else 0), os.SEEK_CUR)
    frames = blocks = 0
    while frames < MOST:
        kind = file.read(1)
        if kind == b"\x21":
            file.read(1)
        elif kind == b"\x2c":
            frames += 1
            head = file.read(9)
            file.seek(_table_bytes(head[8] if len(head) == 9 else 0) + 1, os.SEEK_CUR)
        else:
            break
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], os.SEEK_CUR)
            blocks += 1
            if blocks > _MOST_BLOCKS:
                return max(1, frames)
        blocks += 1
        if length == b"" or blocks > _MOST_BLOCKS:
            break
    return max(1, frames)


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(file: BinaryIO) -> int:
    """ANMF chunks of the RIFF file."""
    frames, at = 0, 12
    for _ in range(_MOST_BLOCKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or frames >= MOST:
            break
        frames += head[:4] == b"ANMF"
        length = int.from_bytes(head[4:], "little")
        at += 8 + length + (length & 1)
    return max(1, frames)


def _png(file: BinaryIO) -> int:
    """The chunk acTL, which lies before the picture file."""
    at = 8
    for _ in range(_MOST_BLOCKS):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12 or head[4:8] in (b"IDAT", b"IEND"):
            return 1
        if head[4:8] == b"acTL":
            return min(MOST, max(1, int.from_bytes(head[8:12], "big")))
        at += 12 + int.from_bytes(head[:4], "big")
    return 1
