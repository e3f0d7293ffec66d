"""Size and orientation of an image from the first bytes of its file, without decoding it.

Formats: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC by :mod:`engine.media.isobmff`, and those of
:mod:`engine.media.more_image_headers`. Layouts follow ITU-T T.81, the
PNG, WebP, GIF89a and TIFF 6.0 specifications and EXIF 2.3 (orientation = TIFF tag 0x0112, 1..8). Anything unexpected
gives None, and such a file is not decoded: nothing would bound the memory that it takes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.media import isobmff, more_image_headers
from engine.utils.files import open_regular

ORIENTATION_TAG = 0x0112
MAX_EXIF_BYTES = 1 << 20


@dataclass(frozen=True)
class ImageHeader:
    """What a header says.

    Attributes:
        format: "jpeg", "png", "webp", "gif", "bmp", "tiff", "pnm", "jpeg 2000", "avif" or "heic".
        width, height: pixels as stored, before the orientation is applied.
        orientation: EXIF value 1..8; 1 where there is none.
        bytes_per_pixel: of the decoder's buffer.
        tile_pixels: of the largest part that is decoded at once, where the file chooses its size.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    bytes_per_pixel: int = 3
    tile_pixels: int = 0

    @property
    def decoded_bytes(self) -> int:
        """What decoding takes at most, but for constant amounts."""
        return max(self.width * self.height, self.tile_pixels) * self.bytes_per_pixel

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as the image is shown: orientations 5 to 8 lie on their side."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(file: BinaryIO) -> ImageHeader | None:
    """The header of an open image file, or None when it is of another format or faulty."""
    try:
        file.seek(0)
        start = file.read(32)
        for matches, read in _READERS:
            if matches(start):
                header = read(file, start)
                return header if header.width > 0 and header.height > 0 else None
    except (struct.error, IndexError, KeyError, ValueError, OverflowError, OSError, _Faulty):
        pass
    return None


def read_header_of(path: Path | str) -> ImageHeader | None:
    """The header of an image file; None where the file cannot be read, is no regular file, or has no known header."""
    try:
        with open_regular(path) as file:
            return read_header(file)
    except (OSError, ValueError):
        return None


class _Faulty(Exception):
    """The header contradicts its format."""


def _take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise _Faulty
    return data


def _jpeg(file: BinaryIO, start: bytes) -> ImageHeader:
    file.seek(2)
    orientation = 1
    while True:
        if _take(file, 1) != b"\xff":
            raise _Faulty
        marker = 0xFF
        while marker == 0xFF:  # fill bytes
            marker = _take(file, 1)[0]
        if marker in (0x01, *range(0xD0, 0xD9)):  # markers without a body
            continue
        length = struct.unpack(">H", _take(file, 2))[0] - 2
        if length < 0 or marker in (0xD9, 0xDA):
            raise _Faulty  # the picture data begin before any frame header
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">xHH", _take(file, 5))
            return ImageHeader("jpeg", width, height, orientation)
        if marker == 0xE1:
            body = _take(file, length)
            if body[:6] == b"Exif\0\0":
                orientation = exif_orientation(body[6:])
        else:
            file.seek(length, 1)


def _png(file: BinaryIO, start: bytes) -> ImageHeader:
    if start[12:16] != b"IHDR":
        raise _Faulty
    width, height = struct.unpack(">II", start[16:24])
    depth, kind = start[24], start[25]
    size = max(3, {0: 1, 4: 2, 6: 4}.get(kind, 3) * (2 if depth == 16 else 1))
    file.seek(8)
    orientation = 1
    while True:  # eXIf may stand before or after the picture data
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return ImageHeader("png", width, height, orientation, size)
        length = struct.unpack(">I", head[:4])[0]
        if head[4:] == b"eXIf" and length <= MAX_EXIF_BYTES:
            orientation = exif_orientation(_take(file, length))
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def png_is_intact(data: bytes) -> bool:
    """Whether every chunk that the picture needs is there with the right checksum, up to IEND.

    The PNG decoder reports damage by writing to standard error, where no program can catch it; this finds it before.
    """
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        stop = at + 8 + length
        if stop + 4 > len(data):
            return False
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(memoryview(data)[at + 4 : stop]) != int.from_bytes(data[stop : stop + 4], "big"):
            return False
        if kind == b"IEND":
            return True
        at = stop + 4
    return False


def _webp(file: BinaryIO, start: bytes) -> ImageHeader:
    kind = start[12:16]
    if kind == b"VP8 ":
        if start[23:26] != b"\x9d\x01\x2a":
            raise _Faulty
        width, height = struct.unpack("<HH", start[26:30])
        return ImageHeader("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        bits = struct.unpack("<I", start[21:25])[0]
        return ImageHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind != b"VP8X":
        raise _Faulty
    width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
    return ImageHeader("webp", width, height, _webp_orientation(file) if start[20] & 0x08 else 1)


def _webp_orientation(file: BinaryIO) -> int:
    file.seek(12)
    while True:
        head = file.read(8)
        if len(head) < 8:
            return 1
        length = struct.unpack("<I", head[4:])[0]
        if head[:4] == b"EXIF" and length <= MAX_EXIF_BYTES:
            body = _take(file, length)
            return exif_orientation(body[6:] if body[:6] == b"Exif\0\0" else body)
        file.seek(length + (length & 1), 1)


def _gif(file: BinaryIO, start: bytes) -> ImageHeader:
    width, height = struct.unpack("<HH", start[6:10])
    file.seek(13 + (3 << (start[10] & 7) + 1 if start[10] & 0x80 else 0))
    while True:  # the first picture must lie on the screen that the header announces
        kind = _take(file, 1)
        if kind == b",":
            left, top, right, bottom = struct.unpack("<4H", _take(file, 8))
            if left + right > width or top + bottom > height:
                raise _Faulty
            return ImageHeader("gif", width, height, bytes_per_pixel=8)
        if kind != b"!":
            raise _Faulty
        file.seek(1, 1)
        while length := _take(file, 1)[0]:
            file.seek(length, 1)


def _bmp(file: BinaryIO, start: bytes) -> ImageHeader:
    if struct.unpack("<I", start[14:18])[0] == 12:
        width, height = struct.unpack("<HH", start[18:22])
    else:
        width, height = struct.unpack("<ii", start[18:26])
    return ImageHeader("bmp", width, abs(height))  # a negative height means top row first


def _tiff(file: BinaryIO, start: bytes) -> ImageHeader:
    order = "<" if start[:2] == b"II" else ">"
    if start[2:4] in (b"+\0", b"\0+"):
        tags = more_image_headers.big_tiff_tags(file, order)
    else:
        file.seek(struct.unpack(order + "I", start[4:8])[0])
        count = _take(file, 2)
        entries = file.read(12 * 65535)
        tags = _tags(order, count, entries)
        tags.setdefault(258, _first_bits(file, order, count, entries))
    samples, bits = tags.get(277, 1), max(8, tags.get(258, 1))
    size = max(3, samples * -(-bits // 8))
    tile = tags.get(322, 0) * tags.get(323, 0)
    return ImageHeader("tiff", tags[256], tags[257], _valid_orientation(tags.get(ORIENTATION_TAG, 1)), size, tile)


def _first_bits(file: BinaryIO, order: str, count: bytes, entries: bytes) -> int:
    """BitsPerSample where it is a list: its first."""
    for at in range(0, 12 * min(struct.unpack(order + "H", count)[0], len(entries) // 12), 12):
        tag, kind, values_count = struct.unpack(order + "HHI", entries[at : at + 8])
        if (tag, kind) == (258, 3) and values_count > 2:
            file.seek(struct.unpack(order + "I", entries[at + 8 : at + 12])[0])
            return int(struct.unpack(order + "H", _take(file, 2))[0])
        if (tag, kind) == (258, 3):
            return int(struct.unpack(order + "H", entries[at + 8 : at + 10])[0])
    return 1


def _tags(order: str, count: bytes, entries: bytes) -> dict[int, int]:
    """The tags of one TIFF directory that hold a single short or long."""
    values = {}
    for at in range(0, 12 * min(struct.unpack(order + "H", count)[0], len(entries) // 12), 12):
        tag, kind, values_count = struct.unpack(order + "HHI", entries[at : at + 8])
        if values_count == 1 and kind in (3, 4):
            values[tag] = struct.unpack(order + "HI"[kind - 3], entries[at + 8 : at + (10 if kind == 3 else 12)])[0]
    return values


def exif_orientation(exif: bytes) -> int:
    """Orientation 1..8 of an EXIF block (a TIFF structure); 1 when it says nothing sensible."""
    try:
        order = {b"II*\0": "<", b"MM\0*": ">"}[exif[:4]]
        at = struct.unpack(order + "I", exif[4:8])[0]
        tags = _tags(order, exif[at : at + 2], exif[at + 2 : at + 2 + 12 * 65535])
    except (KeyError, struct.error):
        return 1
    return _valid_orientation(tags.get(ORIENTATION_TAG, 1))


def _pnm(file: BinaryIO, start: bytes) -> ImageHeader:
    width, height, largest = more_image_headers.pnm(file)
    return ImageHeader("pnm", width, height, bytes_per_pixel=6 if largest > 255 else 3)


def _jpeg_2000(file: BinaryIO, start: bytes) -> ImageHeader:
    width, height, components = more_image_headers.jpeg_2000(file, start)
    # The decoder keeps four bytes a component beside the picture that it gives.
    return ImageHeader("jpeg 2000", width, height, bytes_per_pixel=4 * components + 3)


def _bmff(file: BinaryIO, start: bytes) -> ImageHeader:
    width, height, orientation = isobmff.read_properties(file)
    return ImageHeader(isobmff.kind_of(start) or "", width, height, orientation)


def _valid_orientation(value: int) -> int:
    return value if 1 <= value <= 8 else 1


_READERS = (
    (lambda start: start[:2] == b"\xff\xd8", _jpeg),
    (lambda start: start[:8] == b"\x89PNG\r\n\x1a\n", _png),
    (lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _webp),
    (lambda start: start[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (lambda start: start[:2] == b"BM", _bmp),
    (lambda start: start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (lambda start: start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace(), _pnm),
    (lambda start: start[4:8] == b"jP  " or start[:4] == b"\xff\x4f\xff\x51", _jpeg_2000),
    (lambda start: isobmff.kind_of(start) is not None, _bmff),
)
