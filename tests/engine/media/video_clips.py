"""Little videos whose frames carry their number: 12 blocks, white for 1, most significant first."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 160, 96
COLUMNS, ROWS = 4, 3
Image = npt.NDArray[np.uint8]


def picture(index: int) -> Image:
    """RGB (96, 160, 3) uint8 that carries ``index`` (0..4095)."""
    bits = [(index >> (11 - position)) & 1 for position in range(12)]
    blocks = np.array(bits, np.uint8).reshape(ROWS, COLUMNS) * 220 + 16
    gray = blocks.repeat(HEIGHT // ROWS, 0).repeat(WIDTH // COLUMNS, 1)
    return np.repeat(gray[:, :, None], 3, 2)


def number_in(image: Image) -> int:
    """The number that an upright picture of any size carries.

    Raises:
        AssertionError: a block is neither black nor white.
    """
    height, width = image.shape[:2]
    index = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = int((row + 0.5) * height / ROWS), int((column + 0.5) * width / COLUMNS)
            level = float(image[y - 3 : y + 4, x - 3 : x + 4].mean())
            assert level < 70 or level > 185, f"block {row},{column} is grey ({level:.0f})"
            index = index << 1 | (level > 128)
    return index


@dataclass(frozen=True)
class Clip:
    """How to make one video.

    Attributes:
        times: presentation times of the frames in ``time_base``; None = 0, 1, 2, ...
        shift: added to the times of the coded packets (negative: the start is cut away by an edit list).
    """

    name: str
    codec: str
    options: Mapping[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    frames: int = 150
    times: Sequence[int] | None = None
    time_base: Fraction = Fraction(1, 30)
    shift: int = 0
    aspect: Fraction | None = None
    turn: int = 0
    flip: bool = False
    format: str | None = None
    container_options: Mapping[str, str] = field(default_factory=dict)
    drop: Callable[[int, av.Packet], bool] | None = None


TRIES = 8
"""FFmpeg's MP4 writer refuses HEVC headers now and then, and takes the very same ones the next time."""


def make(clip: Clip, folder: Path) -> Path:
    """Write the video and return its path."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return _write(clip, folder / clip.name)
        except av.error.FFmpegError:
            if not left:
                raise
    raise AssertionError


def _write(clip: Clip, path: Path) -> Path:
    times = clip.times if clip.times is not None else range(clip.frames)
    rate = Fraction(1) / clip.time_base if clip.times is None else Fraction(30)
    with av.open(str(path), "w", format=clip.format, options=dict(clip.container_options)) as container:
        stream = container.add_stream(clip.codec, rate=rate, options=dict(clip.options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, clip.pix_fmt
        stream.codec_context.time_base = clip.time_base
        stream.codec_context.thread_count = 1
        if clip.aspect is not None:
            stream.codec_context.sample_aspect_ratio = clip.aspect
        if clip.turn or clip.flip:
            stream.set_display_rotation(clip.turn, hflip=clip.flip)
        packets = 0
        for index, time in enumerate([*times, None]):
            frame = None
            if time is not None:
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(format=clip.pix_fmt)
                frame.pts, frame.time_base = time, clip.time_base
            for packet in stream.encode(frame):
                if packet.pts is not None:
                    packet.pts += round(clip.shift * clip.time_base / packet.time_base)
                if packet.dts is not None:
                    packet.dts += round(clip.shift * clip.time_base / packet.time_base)
                packets += 1
                if clip.drop is None or not clip.drop(packets - 1, packet):
                    container.mux(packet)
    return path


def _vfr(count: int) -> list[int]:
    steps = np.random.default_rng(5).integers(1, 9, count)
    return np.cumsum(steps).tolist()


X264 = {"preset": "veryfast", "g": "48", "bf": "3", "x264-params": "b-pyramid=normal:threads=1:scenecut=0"}
OPEN = {**X264, "g": "24", "x264-params": "open-gop=1:b-pyramid=normal:threads=1:scenecut=0:keyint=24"}
# No key frames but the first: the picture is made anew column by column.
REFRESH = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=30:threads=1:bframes=0"}
INTERLACED = {"preset": "veryfast", "x264-params": "interlaced=1:open-gop=1:keyint=24:threads=1"}
X265 = {
    "preset": "ultrafast",
    "g": "32",
    "x265-params": "log-level=none:info=0:open-gop=1:bframes=3:keyint=32:pools=none",
}
VP = {"g": "40", "deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}

CLIPS = [
    Clip("bframes.mp4", "libx264", X264),
    Clip("opengop.mp4", "libx264", OPEN),
    Clip("plain.mkv", "libx264", X264),
    Clip("stream.ts", "libx264", X264),
    Clip("opengop.ts", "libx264", OPEN),
    Clip("hevc.mp4", "libx265", X265),
    Clip("hevc.mkv", "libx265", X265),
    Clip("mjpeg.avi", "mjpeg", pix_fmt="yuvj420p"),
    Clip("mpeg4.mp4", "mpeg4", {"g": "12", "bf": "2"}),
    Clip("mpeg4.avi", "mpeg4", {"g": "12", "bf": "2"}),
    Clip("mpeg2.mpg", "mpeg2video", {"g": "15", "bf": "2", "b": "2M"}),
    Clip("vp9.webm", "libvpx-vp9", VP),
    Clip("vp8.webm", "libvpx", {**VP, "deadline": "good", "b": "500k"}),
    Clip("av1.mp4", "libsvtav1", {"g": "40", "preset": "10", "crf": "20"}),
    Clip("tenbit.mp4", "libx264", X264, pix_fmt="yuv420p10le"),
    Clip("vfr.mp4", "libx264", X264, times=_vfr(150), time_base=Fraction(1, 600)),
    Clip("vfr.mkv", "libx264", X264, times=_vfr(150), time_base=Fraction(1, 600)),
    Clip("cut.mp4", "libx264", X264, shift=-45, container_options={"use_editlist": "1"}),
    Clip("late.mp4", "libx264", X264, shift=45, container_options={"use_editlist": "1"}),
    Clip("turned.mp4", "libx264", X264, turn=90),
    Clip("mirrored.mp4", "libx264", X264, flip=True),
    Clip("wide.mp4", "libx264", X264, aspect=Fraction(4, 3)),
    Clip("fragments.mp4", "libx264", X264, container_options={"movflags": "frag_keyframe+empty_moov"}),
    Clip("raw.h264", "libx264", X264, format="h264"),
    Clip("headless.ts", "libx264", OPEN, drop=lambda n, p: n < 30),
    Clip("leading.mp4", "libx264", OPEN, drop=lambda n, p: n < 24),
    Clip("refresh.mp4", "libx264", REFRESH),
    Clip("interlaced.ts", "libx264", INTERLACED),
    Clip("hevc.ts", "libx265", X265),
    Clip("raw.hevc", "libx265", X265, format="hevc"),
    Clip("missing.ts", "libx264", X264, drop=lambda n, p: 60 <= n < 70),
    Clip("prores.mov", "prores_ks", pix_fmt="yuv422p10le"),
]  # fmt: skip


def set_edits(path: Path, edits: Sequence[tuple[int, int | None]]) -> None:
    """Give an MP4 of 30 frames a second another edit list.

    Args:
        edits: number of frames shown, and the first of them; None = a pause of that length.
    """
    data = bytearray(path.read_bytes())
    track, movie = 15360, 1000  # units a second, as the muxer writes them
    delay = 2 * track // 30  # of the first frame, for B-frames

    def find(start: int, end: int, kind: bytes) -> tuple[int, int]:
        while start < end:
            size = int.from_bytes(data[start : start + 4], "big")
            if data[start + 4 : start + 8] == kind:
                return start, size
            start += size
        raise AssertionError(f"no {kind!r}")

    moov, moov_size = find(0, len(data), b"moov")
    trak, trak_size = find(moov + 8, moov + moov_size, b"trak")
    old, old_size = find(trak + 8, trak + trak_size, b"edts")
    body = b"".join(
        struct.pack(">IiI", count * movie // 30, -1 if first is None else delay + first * track // 30, 1 << 16)
        for count, first in edits
    )
    table = struct.pack(">I4sII", 16 + len(body), b"elst", 0, len(edits)) + body
    data[old : old + old_size] = struct.pack(">I4s", 8 + len(table), b"edts") + table
    grown = 8 + len(table) - old_size
    for position, size in ((moov, moov_size), (trak, trak_size)):
        data[position : position + 4] = (size + grown).to_bytes(4, "big")
    path.write_bytes(data)
