"""Pictures with more than 8 bits a sample, as 8 bits.

Cameras with 10 or 12 bits write files of 16 bits whose upper bits are empty: taken as 16 bits such a picture is black.
PNG, TIFF and PNM do not tell how many bits are in use, so the largest sample decides: 8, 10, 12, 14 or 16. Nothing is
cut off, and a picture that uses all 16 bits comes out as before.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_DEPTHS = (8, 10, 12, 14, 16)
# The orientation is the caller's to apply.
_COLOR = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
# In the order B, G, R: OpenCV mixes the channels up when it is asked for RGB of a TIFF with 16 bits.
_DEEP = cv2.IMREAD_COLOR_BGR | cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH


def decode_rgb(data: bytes | memoryview, least_bits: int = 8) -> Image | None:
    """RGB uint8 (H, W, 3) of a picture that OpenCV reads; None for others.

    Args:
        least_bits: bits that are in use at least, as other pictures of the same file tell.

    Raises:
        cv2.error: OpenCV fails.
    """
    buffer = np.frombuffer(data, np.uint8)
    if _may_be_deep(bytes(data[:32])):
        deep: npt.NDArray[Any] | None = cv2.imdecode(buffer, _DEEP)
        if deep is not None and deep.dtype == np.uint16:
            depth = max(used_bits(deep), least_bits)
            if depth < 16:
                return np.ascontiguousarray((deep >> (depth - 8)).astype(np.uint8)[..., ::-1])
    image = cv2.imdecode(buffer, _COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def bits_in_use(data: bytes | memoryview) -> int:
    """How many bits a sample of a picture has, if it is one with 16 bits; else 8.

    Raises:
        cv2.error: OpenCV fails.
    """
    if not _may_be_deep(bytes(data[:32])):
        return 8
    deep: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), _DEEP)
    return used_bits(deep) if deep is not None and deep.dtype == np.uint16 else 8


def used_bits(image: npt.NDArray[np.uint16]) -> int:
    """How many bits a sample has, as the largest one tells: 8, 10, 12, 14 or 16."""
    largest = int(image.max()) if image.size else 0
    return next(depth for depth in _DEPTHS if largest < 1 << depth)


def _may_be_deep(data: bytes) -> bool:
    """Whether it is a file of a format, and as far as the start tells of a kind, with 16 bits a sample."""
    if data.startswith(b"\x89PNG"):
        return data[24:25] == b"\x10"
    return data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"P2", b"P3", b"P5", b"P6"))
