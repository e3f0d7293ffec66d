"""The one place where decoded pixels become the picture that is shown: color, pixel aspect, turn."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from engine.media.video.index.index import Picture

# A pixel aspect that makes a picture larger than this is not believed.
_MOST_PIXELS = 1 << 28

Image = npt.NDArray[np.uint8]


class PictureMaker:
    """Turns decoded frames into RGB.

    Colors follow the matrix and range that the stream names; where it names none, BT.601 and the limited range, as
    swscale has it. Frames of another size than the first (a stream may change) are brought to the size of the first.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._reformatter = VideoReformatter()

    def rgb(self, frame: av.VideoFrame, max_side: int | None = None) -> Image:
        """RGB uint8 (H, W, 3), C-contiguous; with ``max_side`` made small enough for it."""
        width, height = self._picture.scaled
        if max_side is not None and max(width, height) > max_side:
            scale = max_side / max(width, height)
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
        shown = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        return turned(np.asarray(shown.to_ndarray(), np.uint8), self._picture.turn)


def turned(image: Image, turn: tuple[int, int, int, int]) -> Image:
    """Apply the turn of :class:`~engine.media.video.index.index.Picture`."""
    a, b, c, d = turn
    if a == 0:
        image, a, d = image.transpose(1, 0, 2), b, c
    return np.ascontiguousarray(image[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1])


def picture_of(frame: av.VideoFrame, aspect: Fraction | None) -> Picture:
    """How the frames of a stream are to be shown, from the first of them and the container's pixel aspect."""
    if aspect is None or not Fraction(1, 10) <= aspect <= 10:
        aspect = Fraction(1)
    if frame.width * frame.height * max(aspect, 1 / aspect) > _MOST_PIXELS:
        aspect = Fraction(1)
    return Picture((frame.width, frame.height), aspect.as_integer_ratio(), _turn_of(frame))


def _turn_of(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The display matrix [a b u; c d v; x y w] takes (x, y) to (a x + c y, b x + d y), in 16.16 fixed point."""
    try:
        data: Any = frame.side_data["DISPLAYMATRIX"]
    except KeyError:
        return (1, 0, 0, 1)
    a, b, _, c, d = struct.unpack("<5i", bytes(data)[:20])
    straight = abs(a) + abs(d) >= abs(b) + abs(c)
    if straight:
        return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
    return (0, -1 if c < 0 else 1, -1 if b < 0 else 1, 0)
