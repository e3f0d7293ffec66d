"""H.264 whose pictures are coded as two fields each, written bit by bit: nothing at hand encodes such (PAFF).

Every macroblock is stored as it is (I_PCM, ITU-T H.264 7.3.5), so the pictures are those that went in.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.engine.media.video_clips import HEIGHT, WIDTH, picture


class Bits:
    def __init__(self) -> None:
        self.text: list[str] = []

    def put(self, value: int, count: int) -> Bits:
        self.text.append(f"{value:0{count}b}")
        return self

    def golomb(self, value: int) -> Bits:
        code = f"{value + 1:b}"
        self.text.append("0" * (len(code) - 1) + code)
        return self

    def align(self) -> Bits:
        self.text.append("0" * (-sum(map(len, self.text)) % 8))
        return self

    def bytes(self, stop: bool = True) -> bytes:
        text = "".join(self.text) + ("1" if stop else "")
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""


def unit(kind: int, importance: int, payload: bytes) -> bytes:
    """A NAL unit with its start code."""
    escaped = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([importance << 5 | kind]) + bytes(escaped)


def parameters() -> bytes:
    bits = Bits().put(77, 8).put(0, 8).put(30, 8)  # main profile, level 3
    bits.golomb(0).golomb(0).golomb(2).golomb(2).put(0, 1)  # frame_num of 4 bits, order of display = of decoding
    bits.golomb(WIDTH // 16 - 1).golomb(HEIGHT // 32 - 1).put(0, 1).put(0, 1)  # not frames only, no MBAFF
    bits.put(1, 1).put(0, 1).put(0, 1)
    sequence = unit(7, 3, bits.bytes())
    bits = Bits().golomb(0).golomb(0).put(0, 1).put(0, 1).golomb(0).golomb(0).golomb(0).put(0, 1).put(0, 2)
    for value in (0, 0, 0):  # quantisers, as signed numbers
        bits.golomb(value)
    return sequence + unit(8, 3, bits.put(0, 3).bytes())


def field_slice(luma: np.ndarray, index: int, bottom: bool, key: bool) -> bytes:
    """One field: (H/2, W) uint8."""
    bits = Bits().golomb(0).golomb(7).golomb(0).put(index % 16, 4).put(1, 1).put(int(bottom), 1)
    if key:
        bits.golomb(0).put(0, 1).put(0, 1)  # idr_pic_id, marking
    else:
        bits.put(0, 1)
    bits.put(1, 1)  # slice_qp_delta 0
    head = "".join(bits.text)
    body: list[str] = [head]
    length = len(head)
    gray = "10000000" * 128
    for row in range(0, luma.shape[0], 16):
        for column in range(0, luma.shape[1], 16):
            start = "000011010"  # I_PCM is macroblock type 25
            body.append(start)
            length += len(start)
            body.append("0" * (-length % 8))
            length += -length % 8
            block = luma[row : row + 16, column : column + 16]
            body.append("".join(f"{value:08b}" for value in block.ravel()))
            body.append(gray)
            length += 256 * 8 + 128 * 8
    text = "".join(body) + "1"
    text += "0" * (-len(text) % 8)
    return unit(5 if key else 1, 3, int(text, 2).to_bytes(len(text) // 8, "big"))


def fields(frames: int, key_every: int = 6) -> bytes:
    """A stream of pictures that carry their numbers, top field first."""
    stream = bytearray()
    for index in range(frames):
        luma = picture(index)[:, :, 0].clip(16, 235)
        key = index % key_every == 0
        if key:
            stream += parameters()
        for bottom in (False, True):
            # The second field of a key is no key itself: an I slice that belongs to it.
            stream += field_slice(luma[int(bottom) :: 2], index % key_every, bottom, key and not bottom)
    return bytes(stream)


def make_fields(path: Path, frames: int) -> Path:
    """The stream as a file of its own, or, of another suffix, in a container with a packet for each field."""
    raw = path.with_suffix(".h264")
    raw.write_bytes(fields(frames))
    if path == raw:
        return path
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for position, packet in enumerate(packet for packet in source.demux(stream) if packet.size):
            packet.stream, packet.time_base = copy, Fraction(1, 60)
            packet.pts = packet.dts = position
            packet.duration = 1
            target.mux(packet)
    return path
