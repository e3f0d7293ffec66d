"""Looks over the boxes of an MP4 file before it is opened (ISO/IEC 14496-12): where the last whole one ends, and
whether its tables can be as long as they say. A few bytes may announce tables of gigabytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.errors import MediaError
from engine.utils.files import open_regular

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})
_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"})
# Bytes before the number of entries, and of each entry.
_TABLES = {
    b"stts": (4, 8), b"ctts": (4, 8), b"stss": (4, 4), b"stsc": (4, 12), b"stco": (4, 4), b"co64": (4, 8),
    b"stps": (4, 4), b"elst": (4, 12),
}  # fmt: skip
_TRUN_FIELDS = (0x100, 0x200, 0x400, 0x800)
# Fragments without any field of their own for a picture hold at most so many.
_MOST_ALIKE = 1 << 20
_MOST_BOXES = 1 << 20

Box = tuple[bytes, int, int]


def is_mp4(path: Path) -> bool:
    """Whether a file begins as MP4 and QuickTime files do. False for one that cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(8)[4:] in _FIRST
    except OSError:
        return False


def whole_boxes(path: Path) -> int | None:
    """Where the last box of an MP4 file begins that is cut off; None for other files.

    A recording that stopped in the middle of the table of its last fragment is refused as a whole, but not without it.
    """
    if not is_mp4(path):
        return None
    try:
        with open_regular(path) as file:
            length = os.fstat(file.fileno()).st_size
            begin = 0
            for count, (kind, _, end) in enumerate(boxes(file, 0, length)):
                if not kind.isalnum() or count > _MOST_BOXES:
                    return None
                if end > length:
                    return begin
                begin = end
            return begin if 0 < begin < length else None
    except (OSError, ValueError):
        return None


def check_tables(path: Path) -> bool:
    """Whether all tables of an MP4 file are there; False when the file ends in one of them. Other files pass.

    Raises:
        MediaError: a table is longer than the box that it is in.
    """
    if not is_mp4(path):
        return True
    try:
        with open_regular(path) as file:
            length = os.fstat(file.fileno()).st_size
            for kind, begin, end in _all_boxes(file, 0, length, 0):
                if _announced(file, kind, begin, min(end, length), length):
                    if end > length:
                        return False
                    raise MediaError(
                        f"is damaged: its {kind.decode('latin-1')} table claims more data than the file holds",
                        where=path,
                    )
    except (OSError, ValueError):
        pass  # what is wrong will be told by whoever opens it
    return True


def boxes(file: BinaryIO, begin: int, end: int) -> Iterator[Box]:
    """Kind, first byte of the content, and end of each; the end may lie behind that of the file.

    Raises:
        ValueError: these are no boxes.
    """
    while begin + 8 <= end:
        file.seek(begin)
        head = file.read(16)
        size, content = int.from_bytes(head[:4], "big"), begin + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), begin + 16
        elif size == 0:
            size = end - begin
        if size < content - begin:
            raise ValueError(head[4:8])
        yield head[4:8], content, begin + size
        begin += size


def _all_boxes(file: BinaryIO, begin: int, end: int, depth: int) -> Iterator[Box]:
    for count, box in enumerate(boxes(file, begin, end)):
        if count > _MOST_BOXES:
            return
        if box[0] in _CONTAINERS and depth < len(_CONTAINERS):
            yield from _all_boxes(file, box[1], min(box[2], end), depth + 1)
        else:
            yield box


def _announced(file: BinaryIO, kind: bytes, begin: int, end: int, length: int) -> bool:
    """Whether a table announces more entries than there is room for."""
    room = end - begin
    if kind in _TABLES:
        skip, entry = _TABLES[kind]
        return _number(file, begin + skip) * entry > room
    if kind == b"stsz":
        each, count = _number(file, begin + 4), _number(file, begin + 8)
        return each * count > length if each else count * 4 > room
    if kind == b"stz2":
        return _number(file, begin + 8) > 2 * room
    if kind == b"trun":
        flags, count = _number(file, begin), _number(file, begin + 4)
        entry = 4 * sum(flags & field > 0 for field in _TRUN_FIELDS)
        return count * entry > room if entry else count > _MOST_ALIKE
    return False


def _number(file: BinaryIO, at: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(4), "big")
