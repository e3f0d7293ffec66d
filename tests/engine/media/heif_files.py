"""Writes small HEIC files box by box, as ISO/IEC 23008-12 lays them out, from a picture that PyAV codes as HEVC."""

from __future__ import annotations

import io
import struct

import av
import numpy as np


def can_write() -> bool:
    return "libx265" in av.codecs_available


def heic_bytes(picture: np.ndarray, turns: int = 0, mirror: int | None = None) -> bytes:
    """A file with one item.

    Args:
        picture: (H, W, 3) uint8 RGB, even sides, as stored.
        turns: quarter turns against the clock in which it is to be shown.
        mirror: 0 top and bottom exchanged, 1 left and right exchanged.
    """
    config, coded = _hevc(picture)
    height, width = picture.shape[:2]
    properties = [_full(b"ispe", struct.pack(">II", width, height)), _box(b"hvcC", config)]
    if turns:
        properties.append(_box(b"irot", bytes([turns])))
    if mirror is not None:
        properties.append(_box(b"imir", bytes([mirror])))
    used = bytes([len(properties), *(index | (0x80 if index > 1 else 0) for index in range(1, len(properties) + 1))])
    start = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    size = len(start) + len(_meta(properties, used, 0, 0))
    return start + _meta(properties, used, size + 8, len(coded)) + _box(b"mdat", coded)


def _meta(properties: list[bytes], used: bytes, offset: int, length: int) -> bytes:
    return _full(
        b"meta",
        _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
        + _full(b"pitm", struct.pack(">H", 1))
        + _full(b"iloc", struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, length))
        + _full(b"iinf", struct.pack(">H", 1) + _full(b"infe", struct.pack(">HH", 1, 0) + b"hvc1\0", 2))
        + _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full(b"ipma", struct.pack(">IH", 1, 1) + used)),
    )


def _hevc(picture: np.ndarray, tries: int = 8) -> tuple[bytes, bytes]:
    """The decoder's configuration and one coded picture with its lengths in front.

    FFmpeg's MP4 writer refuses HEVC headers now and then, and takes the very same ones the next time.
    """
    try:
        return _coded(picture)
    except av.error.FFmpegError:
        if tries == 1:
            raise
        return _hevc(picture, tries - 1)


def _coded(picture: np.ndarray) -> tuple[bytes, bytes]:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as created:
        stream = created.add_stream("libx265", rate=1, options={"crf": "8", "x265-params": "log-level=none:info=0"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        created.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    with av.open(file) as read:
        packet = next(read.demux(video=0))
        return bytes(read.streams.video[0].codec_context.extradata or b""), bytes(packet)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def _full(kind: bytes, body: bytes, version: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]) + body)
