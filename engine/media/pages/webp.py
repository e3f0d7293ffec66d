"""The frames of an animated WebP: when they are shown (WebP container specification, chunk ANMF)."""

from __future__ import annotations

from fractions import Fraction
from typing import BinaryIO

from engine.media.pages.tiff import MOST

_MOST_CHUNKS = 1_000_000
_SHORTEST = 11
"""Milliseconds. Browsers show frames with shorter times, most of them 0, for 100 ms."""
_USUAL = 100


def frame_durations(file: BinaryIO) -> list[Fraction]:
    """Seconds that each frame is shown; empty for a file without frames."""
    durations: list[Fraction] = []
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or len(durations) >= MOST:
            break
        if head[:4] == b"ANMF":
            frame = file.read(15)
            milliseconds = int.from_bytes(frame[12:15], "little") if len(frame) == 15 else 0
            durations.append(Fraction(_USUAL if milliseconds < _SHORTEST else milliseconds, 1000))
        length = int.from_bytes(head[4:], "little")
        at += 8 + length + (length & 1)
    return durations
