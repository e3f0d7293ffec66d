"""How many pictures an image file holds: pages of a TIFF, frames of an animated GIF, WebP or PNG.

Only the first of them is read as an image; whoever reads such files says so, with :func:`remark`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Literal

from engine.utils.files import open_regular

_Order = Literal["little", "big"]

# Suffixes of files that may hold several pictures.
SUFFIXES = frozenset({".tif", ".tiff", ".gif", ".webp", ".png"})
CHECKED_IN_FOLDERS = SUFFIXES - {".png"}  # nearly all of these hold one picture, and folders hold many of them
# Whoever wants to know is told no larger number; a file that says more is a mistake or a trap.
MOST = 100_000
_MOST_BYTES = 1 << 32
# What is read of one file at most. Directories of a TIFF may overlap and blocks may be empty, so that a small file can
# make a reader go on for hours; counting then stops with what has been seen.
_MOST_TABLE_BYTES = 32 << 20
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


def count_pages(file: BinaryIO) -> int:
    """As :func:`page_count`, of an open file."""
    start = file.read(16)
    if start[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(file, start, 2, 12, 4, 4)
    if start[:4] in (b"II+\0", b"MM\0+"):
        return _tiff(file, start, 8, 20, 8, 8)
    if start[:4] == b"GIF8":
        return _gif(file)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(file)
    if start[:4] == b"\x89PNG":
        return _png(file)
    return 1


def remark(path: Path | str) -> str | None:
    """A sentence without its subject for a file of several pictures; None for others."""
    count = page_count(path)
    if count <= 1:
        return None
    many = f"{count:,}" if count < MOST else f"{MOST:,} or more"
    return f"holds {many} pictures; only the first is read"


def _tiff(file: BinaryIO, start: bytes, count_size: int, entry: int, link: int, first: int) -> int:
    """Directories are linked, each with the place of the next one behind its entries (TIFF 6.0, section 2)."""
    order: _Order = "little" if start[:2] == b"II" else "big"
    at = int.from_bytes(start[first : first + link], order)
    seen: set[int] = set()
    pages = table_bytes = 0
    while 0 < at < _MOST_BYTES and at not in seen and len(seen) < MOST:
        seen.add(at)
        file.seek(at)
        head = file.read(count_size)
        if len(head) < count_size:
            break
        entries = int.from_bytes(head, order)
        table_bytes += entries * entry + link
        if entries > 1 << 16 or table_bytes > _MOST_TABLE_BYTES:
            break
        table = file.read(entries * entry + link)
        if len(table) < entries * entry + link:
            break
        pages += not _is_reduced(table[: entries * entry], entry, order)
        at = int.from_bytes(table[-link:], order)
    return max(1, pages)


def _is_reduced(table: bytes, entry: int, order: _Order) -> bool:
    """Whether a directory holds a smaller copy of another picture, or its mask (tag 254, bits 0 and 2)."""
    for at in range(0, len(table), entry):
        if int.from_bytes(table[at : at + 2], order) == 254:
            value = table[at + entry - (4 if entry == 12 else 8) : at + entry]
            return bool(int.from_bytes(value[:4], order) & 5)
    return False


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
