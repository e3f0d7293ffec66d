"""Headers of rarer formats, and pictures whose header lies: refused before memory is taken."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.image_headers import read_header
from engine.media.images import image_size, read_image

SIDE = 32_000


def _encoded(suffix: str, depth: type = np.uint8, channels: int = 3) -> bytes:
    picture = (np.arange(64 * 48 * channels) % 200).astype(depth).reshape(48, 64, channels)
    done, data = cv2.imencode(suffix, picture[..., 0] if channels == 1 else picture)
    assert done
    return data.tobytes()


def _big_tiff(width: int, height: int, bits: tuple[int, ...] = (8, 8, 8)) -> bytes:
    """One strip of zeros, packed."""
    data = zlib.compress(bytes(min(width * height * len(bits), 4096)))
    entries = []
    for tag, kind, values in (
        (256, 4, (width,)), (257, 4, (height,)), (258, 3, bits), (259, 3, (8,)), (262, 3, (2,)),
        (273, 16, (16,)), (277, 3, (len(bits),)), (278, 4, (height,)), (279, 16, (len(data),)),
    ):  # fmt: skip
        packed = struct.pack("<" + {3: "H", 4: "I", 16: "Q"}[kind] * len(values), *values)
        entries.append(struct.pack("<HHQ", tag, kind, len(values)) + packed.ljust(8, b"\0"))
    head = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16 + len(data))
    return head + data + struct.pack("<Q", len(entries)) + b"".join(entries) + bytes(8)


def _jp2(width: int, height: int) -> bytes:
    data = bytearray(_encoded(".jp2"))
    at = data.find(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", width, height)
    return bytes(data)


def _png(width: int, height: int, depth: int, kind: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def _gif(screen: int, frame: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\x02\x02\x4c\x01\x00;"


@pytest.mark.parametrize(
    ("suffix", "channels", "depth", "form"),
    [
        (".ppm", 3, np.uint8, "pnm"), (".pgm", 1, np.uint8, "pnm"), (".pgm", 1, np.uint16, "pnm"),
        (".jp2", 3, np.uint8, "jpeg 2000"), (".tif", 3, np.uint16, "tiff"), (".gif", 3, np.uint8, "gif"),
    ],
)  # fmt: skip
def test_headers_agree_with_the_decoder(tmp_path: Path, suffix: str, channels: int, depth: type, form: str) -> None:
    if suffix == ".gif" and not cv2.haveImageWriter("a.gif"):
        pytest.skip("this OpenCV writes no GIF")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(_encoded(suffix, depth, channels))
    header = read_header(io.BytesIO(path.read_bytes()))
    assert header is not None
    assert header.format == form
    assert header.size == (64, 48) == image_size(path) == read_image(path).shape[1::-1]
    assert header.bytes_per_pixel >= 3


def test_comments_and_big_tiff_are_read() -> None:
    header = read_header(io.BytesIO(b"P5 # made by hand\n# and more\n 7\t9 # x\n65535\n" + bytes(126)))
    assert header is not None
    assert (header.size, header.bytes_per_pixel) == ((7, 9), 6)
    header = read_header(io.BytesIO(_big_tiff(7, 9, (16, 16, 16, 16))))
    assert header is not None
    assert (header.size, header.bytes_per_pixel) == ((7, 9), 8)


BOMBS = {
    "big.tif": _big_tiff(SIDE, SIDE),
    "deep.tif": _big_tiff(16_000, 16_000, (32, 32, 32)),
    "a.ppm": f"P6\n{SIDE} {SIDE}\n255\n".encode() + bytes(100),
    "a.pbm": f"P4\n# c\n{SIDE} {SIDE}\n".encode() + bytes(100),
    "text.ppm": f"P3\n{SIDE} {SIDE}\n255\n0 0 0 ".encode(),
    "a.jp2": _jp2(SIDE, SIDE),
    "half.jp2": _jp2(16_000, 16_000),
    "stream.jp2": _jp2(SIDE, SIDE)[_encoded(".jp2").find(b"\xff\x4f\xff\x51") :],
    "deep.png": _png(16_383, 16_383, 16, 6),
    "screen.gif": _gif(60_000, 10),
    "frame.gif": _gif(10, 60_000),
    "hdr.png": f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {SIDE} +X {SIDE}\n".encode() + bytes(50),
    "pfm.png": f"PF\n{SIDE} {SIDE}\n-1.0\n".encode() + bytes(50),
    "pam.pnm": f"P7\nWIDTH {SIDE}\nHEIGHT {SIDE}\nDEPTH 4\nMAXVAL 255\nENDHDR\n".encode() + bytes(50),
    "sun.png": struct.pack(">8I", 0x59A66A95, SIDE, SIDE, 24, 0, 1, 0, 0) + bytes(50),
    "a.bmp": b"BM"
    + struct.pack("<IHHI", 100, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
    "a.jpg": b"\xff\xd8\xff\xc2\x00\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\x00",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_announces_a_huge_picture_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    for read in (read_image, image_size):
        with pytest.raises(MediaError, match=r"is too large|is not an image of a known format"):
            read(path)


@pytest.mark.skipif(os.name == "nt", reason="special files of Unix")
def test_pipes_devices_and_sparse_files_are_no_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(30 << 30)
    for name, reason in (("pipe", "named pipe"), ("zero", "device"), ("sparse", "too large")):
        for read in (read_image, image_size):
            with pytest.raises(MediaError, match=reason):
                read(tmp_path / f"{name}.jpg")
