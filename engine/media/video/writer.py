"""Pictures into an mp4 that shows each of them at exactly the time given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.video.audio import AudioCopy, AudioSpan

Image = npt.NDArray[np.uint8]

QUALITY = 18
# An mp4 counts time in whole parts of a second, at most so many.
_MOST_TICKS = 1_000_000
_DEFAULT_TICKS = 90_000
_KEY_EVERY = 60
_BT709 = 1
_LIMITED_RANGE = 1
_SIDE_MOST = 16384


def write_mp4(
    path: Path | str,
    pictures: Iterable[Image],
    times: Iterable[Fraction],
    size: tuple[int, int],
    last_duration: Fraction = Fraction(1, 30),
    *,
    quality: int = QUALITY,
    audio: AudioSpan | None = None,
    problems: list[str] | None = None,
) -> Iterator[int]:
    """Write pictures as H.264, one after the other; the file is whole once the iterator is exhausted.

    The caller gives a temporary name and renames it. Pictures of another size are scaled; of an odd side one line of
    pixels is repeated, for the codec wants even ones.

    Args:
        pictures: RGB uint8 (H, W, 3).
        times: ascending seconds of each, from 0.
        size: (width, height).
        last_duration: how long the last one is shown, in seconds.
        quality: 0 (lossless) to 51; 18 looks the same as the original.
        audio: sound to copy as it is, from where the first picture is shown.
        problems: what is wrong with the sound is added to them, as sentences.

    Yields:
        How many pictures are written.

    Raises:
        MediaError: the file cannot be written, or the pictures are too large.
    """
    width, height = size
    if not (0 < width <= _SIDE_MOST and 0 < height <= _SIDE_MOST):
        raise MediaError(f"a frame of {width} x {height} cannot be written to a video", where=path)
    stamps = list(times)
    tick, timestamps = _places(stamps, last_duration)
    ends = [*timestamps[1:], timestamps[-1] + max(1, round(last_duration / tick))] if timestamps else []
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = _stream(container, width + width % 2, height + height % 2, tick, _rate(stamps), quality)
            lasts = dict(zip(timestamps, (end - start for start, end in zip(timestamps, ends))))
            with AudioCopy(audio, container) as sound:
                for done, (picture, start) in enumerate(zip(pictures, timestamps, strict=True), 1):
                    frame = _frame(picture, size)
                    frame.pts, frame.time_base = start, tick
                    _mux(container, stream.encode(frame), lasts)
                    sound.until(start * tick)
                    yield done
                _mux(container, stream.encode(None), lasts)
                sound.until(ends[-1] * tick if ends else Fraction(0))
            if sound.problem and problems is not None:
                problems.append(sound.problem)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"cannot be written ({getattr(error, 'strerror', None) or error})", where=path) from None


def _stream(
    container: av.container.OutputContainer, width: int, height: int, tick: Fraction, rate: Fraction, quality: int
) -> av.VideoStream:
    name = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    options = {"crf": str(quality), "preset": "veryfast", "bf": "0"} if name == "libx264" else {"qscale": "3"}
    stream = container.add_stream(name, rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = tick
    context = stream.codec_context
    context.time_base, context.gop_size, context.max_b_frames = tick, _KEY_EVERY, 0
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _mux(container: av.container.OutputContainer, packets: Iterable[av.Packet], lasts: Mapping[int, int]) -> None:
    """``lasts``: how long the frame of a time is shown; the codec would make the last one as short as can be."""
    for packet in packets:
        if packet.pts in lasts:
            packet.duration = lasts[packet.pts]
        container.mux(packet)


def _frame(picture: Image, size: tuple[int, int]) -> av.VideoFrame:
    width, height = size
    if picture.shape[:2] != (height, width):
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if width % 2 or height % 2:
        picture = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _places(times: list[Fraction], last_duration: Fraction) -> tuple[Fraction, list[int]]:
    """The unit of time in which all of these are whole numbers (or a small one where there is none), and the times in
    it. Times that do not ascend, of damaged files, are put off by a unit.
    """
    shared = math.lcm(*(time.denominator for time in [*times, last_duration]))
    ascending = all(before < after for before, after in pairwise(times))
    tick = Fraction(1, shared if shared <= _MOST_TICKS and ascending else _DEFAULT_TICKS)
    timestamps: list[int] = []
    for time in times:
        timestamps.append(max(round(time / tick), timestamps[-1] + 1 if timestamps else 0))
    return tick, timestamps


def _rate(times: list[Fraction]) -> Fraction:
    """Frames per second on average; only a hint in the file."""
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(30)
    return ((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1001)
