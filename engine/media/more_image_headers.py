"""Headers of the rarer formats: PNM (P1 to P6), JPEG 2000 (JP2 and bare code stream) and BigTIFF.

Layouts follow the Netpbm man pages, ITU-T T.800 annexes A and I, and the BigTIFF design of libtiff 4.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

MAX_PNM_HEADER = 1 << 16
_PNM = re.compile(rb"\s*(?:#[^\n\r]*[\n\r]\s*)*(\d{1,10})(?=[\s#])")
_CODE_STREAM = b"\xff\x4f\xff\x51"
_TIFF_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}


def pnm(file: BinaryIO) -> tuple[int, int, int]:
    """Width, height and the largest value of a sample.

    Raises:
        ValueError: not such a header.
    """
    file.seek(0)
    start = file.read(MAX_PNM_HEADER)
    values: list[int] = []
    position = 2
    for _ in range(2 if start[1:2] in b"14" else 3):
        match = _PNM.match(start, position)
        if match is None:
            raise ValueError("a number is missing")
        values.append(int(match.group(1)))
        position = match.end()
    return values[0], values[1], values[2] if len(values) == 3 else 1


def jpeg_2000(file: BinaryIO, start: bytes) -> tuple[int, int, int]:
    """Width, height and number of components, from the SIZ marker, which the decoder believes.

    Raises:
        ValueError, struct.error: there is none, or it contradicts itself.
    """
    file.seek(0 if start.startswith(_CODE_STREAM) else _code_stream(file))
    head = file.read(42)
    if head[:4] != _CODE_STREAM:
        raise ValueError("no code stream")
    x1, y1, x0, y0, tile_width, tile_height = struct.unpack(">6I", head[8:32])
    components = struct.unpack(">H", head[40:42])[0]
    if not (x1 > x0 and y1 > y0 and tile_width and tile_height and components):
        raise ValueError("an empty picture")
    return x1 - x0, y1 - y0, components


def _code_stream(file: BinaryIO) -> int:
    """Where the box ``jp2c`` has its content."""
    position = 0
    for _ in range(1000):
        file.seek(position)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        inner = 8
        if length == 1:
            length, inner = struct.unpack(">Q", head[8:16])[0], 16
        if kind == b"jp2c":
            return position + inner
        if length < inner:
            break
        position += length
    raise ValueError("no code stream")


def big_tiff_tags(file: BinaryIO, order: str) -> dict[int, int]:
    """The first value of each tag in the first directory that is a whole number.

    Raises:
        ValueError, struct.error: the header or the directory is damaged.
    """
    file.seek(4)
    size, zero, offset = struct.unpack(order + "HHQ", file.read(12))
    if size != 8 or zero:
        raise ValueError("no BigTIFF")
    file.seek(offset)
    count = struct.unpack(order + "Q", file.read(8))[0]
    tags: dict[int, int] = {}
    for _ in range(min(count, 4096)):
        entry = file.read(20)
        tag, kind, values_count = struct.unpack(order + "HHQ", entry[:12])
        if kind not in _TIFF_SIZES or not values_count:
            continue
        length, value = _TIFF_SIZES[kind], entry[12:20]
        if length * values_count > 8:
            here = file.tell()
            file.seek(struct.unpack(order + "Q", value)[0])
            value = file.read(length)
            file.seek(here)
        tags[tag] = int.from_bytes(value[:length], "little" if order == "<" else "big")
    return tags
