"""Videos whose later packets need headers that stand in earlier ones only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.engine.media.video_clips import HEIGHT, WIDTH, Image, picture

FRAMES = 60
_TEXTURE = np.random.default_rng(3).integers(0, 60, (HEIGHT + FRAMES, WIDTH, 3), np.uint8)


def textured(index: int) -> Image:
    """A picture with its number and a texture that moves: wrong tables and parameters show in it."""
    moving = _TEXTURE[index % FRAMES : index % FRAMES + HEIGHT]
    return np.clip(picture(index).astype(np.int16) // 2 + moving, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Source:
    """How one part of a video is encoded."""

    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    frames: int = FRAMES
    size: tuple[int, int] = (WIDTH, HEIGHT)


Rewrite = Callable[[int, bytes], bytes]


def encoded(source: Source) -> list[tuple[bytes, int, int, bool]]:
    """Packets (data, pts, dts, is key), times in frames."""
    context = av.CodecContext.create(source.codec, "w")
    context.width, context.height = source.size
    context.pix_fmt, context.time_base, context.framerate = source.pix_fmt, Fraction(1, 25), Fraction(25)
    context.options = dict(source.options)
    context.thread_count = 1
    packets: list[tuple[bytes, int, int, bool]] = []
    for index in [*range(source.frames), None]:
        frame = None
        if index is not None:
            image = textured(index)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(source.size[0], source.size[1], source.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += [(bytes(p), p.pts or 0, p.dts or 0, p.is_keyframe) for p in context.encode(frame) if p.size]
    return packets


def write(path: Path, sources: list[Source], rewrite: Rewrite | None = None, format: str | None = None) -> Path:
    """Write parts one after another as one stream.

    Args:
        rewrite: makes the packet that is stored from the number of a packet within its part, and its bytes.
    """
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(sources[0].codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, sources[0].pix_fmt
        stream.time_base = Fraction(1, 25)
        begin = 0
        for source in sources:
            for index, (data, pts, dts, is_key) in enumerate(encoded(source)):
                stored = rewrite(index, data) if rewrite is not None else data
                packet = av.Packet(stored)
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts, packet.dts, packet.is_keyframe = pts + begin, dts + begin, is_key
                container.mux(packet)
            begin += source.frames
    return path


def nal_parts(data: bytes) -> Iterator[bytes]:
    """NAL units of a packet with start codes, without these."""
    for part in data.split(b"\0\0\1")[1:]:
        yield part.rstrip(b"\0") if part else part


def without_nal(kinds: set[int], shift: int, mask: int) -> Rewrite:
    """Drop NAL units of some kinds from all packets but the first."""

    def rewrite(index: int, data: bytes) -> bytes:
        if index == 0:
            return data
        remaining = [unit for unit in nal_parts(data) if unit and unit[0] >> shift & mask not in kinds]
        return b"".join(b"\0\0\0\1" + unit for unit in remaining)

    return rewrite


def only_first(codes: set[int], until: int) -> Rewrite:
    """Drop parts of an MPEG packet with some start codes from all packets but the first."""

    def rewrite(index: int, data: bytes) -> bytes:
        if index == 0:
            return data
        parts = data.split(b"\0\0\1")
        remaining, before_picture = [parts[0]], True
        for part in parts[1:]:
            before_picture = before_picture and part[0] != until
            if not (before_picture and part[0] in codes):
                remaining.append(part)
        return b"\0\0\1".join(remaining)

    return rewrite


def jpeg_tables_once(index: int, data: bytes) -> bytes:
    """Drop the tables from all packets but the first."""
    if index == 0:
        return data
    at, out = 2, data[:2]
    while data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] not in (0xC4, 0xDB):
            out += data[at : at + size]
        at += size
    return out + data[at:]


def av1_sequence_once(index: int, data: bytes) -> bytes:
    """Drop the sequence header from all packets but the first."""
    at, out = 0, b""
    while at < len(data):
        begin, kind = at, data[at] >> 3 & 15
        at += 1 + (data[at] >> 2 & 1)
        size = shift = 0
        while True:
            byte = data[at]
            size, at, shift = size | (byte & 127) << shift, at + 1, shift + 7
            if byte < 128:
                break
        at += size
        if index == 0 or kind != 1:
            out += data[begin:at]
    return out


def join_flv(first: Path, second: Path, target: Path, milliseconds: int) -> Path:
    """The tags of one FLV file behind those of another: the container then gives new headers along with a packet."""
    later = bytearray(second.read_bytes())
    at = 13
    while at + 11 <= len(later):
        size = int.from_bytes(later[at + 1 : at + 4], "big")
        time = int.from_bytes(later[at + 4 : at + 7], "big") + milliseconds
        later[at + 4 : at + 7] = time.to_bytes(3, "big")
        at += 11 + size + 4
    target.write_bytes(first.read_bytes() + later[13:])
    return target


def old_x264(path: Path) -> Path:
    """A 4:4:4 film that says to be of x264 core 148: decoders that know read it in another way than those that do not.

    The encoder writes the way of today, so most such pictures are damaged when they are read in the old way; pictures
    are tried until all of a film can be read in both.
    """
    for seed in range(64):
        packets = _tiny_film(seed)
        old = [re.sub(rb"x264 - core \d+", b"x264 - core 148", packets[0]), *packets[1:]]
        today, before = _decoded(packets), _decoded(old)
        if today is None or before is None or len(today) != len(before):
            continue
        if any((a != b).any() for a, b in zip(today[5:], before[5:])):
            break
    else:
        raise AssertionError("no film can be read in both ways")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv444p"
        for index, data in enumerate(old):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.is_keyframe = index % 5 == 0
            container.mux(packet)
    return path


def _tiny_film(seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    context = av.CodecContext.create("libx264", "w")
    context.width = context.height = 32
    context.pix_fmt, context.time_base = "yuv444p", Fraction(1, 25)
    context.options = {
        "preset": "veryfast",
        "x264-params": "threads=1:keyint=5:min-keyint=5:bframes=0:8x8dct=1:qp=40:scenecut=0",
    }
    packets = []
    for index in [*range(10), None]:
        frame = None
        if index is not None:
            blocks = rng.integers(0, 255, (2, 2, 3)).repeat(16, 0).repeat(16, 1)
            image = np.clip(blocks + rng.integers(-20, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv444p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += [bytes(packet) for packet in context.encode(frame) if packet.size]
    return packets


def _decoded(packets: list[bytes]) -> list[Image] | None:
    """All pictures, or None when one is damaged."""
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    frames = []
    try:
        for packet in packets:
            frames += context.decode(av.Packet(packet))
        frames += context.decode(None)
    except av.error.FFmpegError:
        return None
    return None if any(frame.is_corrupt for frame in frames) else [frame.to_ndarray() for frame in frames]
