"""Size and orientation of an AVIF or HEIC picture, from the boxes at the start of its file.

Layouts follow ISO/IEC 14496-12 (boxes) and 23008-12 (HEIF): the primary item of the ``meta`` box has properties, among
them its size as stored (``ispe``), a rotation in quarter turns against the clock (``irot``), a mirroring (``imir``) and
a clean aperture (``clap``). These tell how the picture is to be shown; EXIF's orientation has no say in these formats.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

MAX_META_BYTES = 1 << 24
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
# EXIF's names for a mirroring (None, left-right, top-bottom) after quarter turns against the clock.
_ORIENTATION = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, "x"): 2, (1, "x"): 7, (2, "x"): 4, (3, "x"): 5,
    (0, "y"): 4, (1, "y"): 5, (2, "y"): 2, (3, "y"): 7,
}  # fmt: skip


class Faulty(ValueError):
    """The boxes contradict the format."""


def kind_of(start: bytes) -> str | None:
    """ "avif" or "heic" from the first 32 bytes (or more) of a file; None for anything else."""
    if start[4:8] != b"ftyp" or len(start) < 16:
        return None
    length = struct.unpack(">I", start[:4])[0]
    brands = {start[8:12], *(start[at : at + 4] for at in range(16, min(length, len(start)) - 3, 4))}
    if brands & _AVIF:
        return "avif"
    return "heic" if brands & _HEIC else None


def read_properties(file: BinaryIO) -> tuple[int, int, int]:
    """Width and height as stored and EXIF's number 1..8 for how the picture is turned.

    Raises:
        Faulty: boxes are missing or damaged, or the picture is cut by a clean aperture.
    """
    try:
        meta = _meta(file)
        boxes = dict(_boxes(meta[4:]))
        primary = _primary(boxes[b"pitm"])
        inner = dict(_boxes(boxes[b"iprp"]))
        every = list(_boxes(inner[b"ipco"]))
        own = [every[index - 1] for index in _associated(inner[b"ipma"], primary) if 0 < index <= len(every)]
    except (KeyError, IndexError, struct.error) as error:
        raise Faulty from error
    return _shown(own)


def largest_size(data: bytes) -> tuple[int, int]:
    """The largest width and height that any size property (``ispe``) before the picture data announces; 0 for none."""
    width = height = offset = 0
    head = memoryview(data)[:MAX_META_BYTES].tobytes()
    while (offset := head.find(b"ispe", offset)) >= 0:
        if offset + 16 <= len(head):
            w, h = struct.unpack(">II", head[offset + 8 : offset + 16])
            width, height = max(width, w), max(height, h)
        offset += 4
    return width, height


def _shown(properties: list[tuple[bytes, bytes]]) -> tuple[int, int, int]:
    width = height = turns = 0
    mirror = None
    for kind, body in properties:
        if kind == b"ispe" and len(body) >= 12:
            width, height = struct.unpack(">II", body[4:12])
        elif kind == b"irot" and body:
            turns = body[0] & 3
        elif kind == b"imir" and body:
            mirror = "x" if body[0] & 1 else "y"
        elif kind == b"clap":
            raise Faulty
    return width, height, _ORIENTATION[turns, mirror]


def _meta(file: BinaryIO) -> bytes:
    file.seek(0)
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise Faulty
        length, taken = struct.unpack(">I", head[:4])[0], 8
        if length == 1:
            length, taken = struct.unpack(">Q", file.read(8))[0], 16
        if head[4:] == b"meta":
            return file.read(min(length - taken, MAX_META_BYTES)) if length > taken else b""
        if length < taken:  # 0: up to the end of the file
            raise Faulty
        file.seek(length - taken, 1)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        if length < 8 or at + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length


def _primary(body: bytes) -> int:
    return int(struct.unpack(">I", body[4:8])[0] if body[0] else struct.unpack(">H", body[4:6])[0])


def _associated(body: bytes, item: int) -> list[int]:
    """Numbers, counted from 1, of the properties of an item (``ipma``)."""
    version, wide = body[0], body[3] & 1
    count, at = struct.unpack(">I", body[4:8])[0], 8
    for _ in range(count):
        item_id = struct.unpack(">I", body[at : at + 4])[0] if version else struct.unpack(">H", body[at : at + 2])[0]
        at += 4 if version else 2
        entries, at = body[at], at + 1
        size = 2 if wide else 1
        properties = [int.from_bytes(body[at + n * size : at + n * size + size], "big") for n in range(entries)]
        at += entries * size
        if item_id == item:
            return [value & (0x7FFF if wide else 0x7F) for value in properties]
    return []
