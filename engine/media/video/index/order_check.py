"""Whether frames come out of the decoder in the order that is expected, at a few places of a video."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.errors import MediaError
from engine.media.video.decoder import FrameStream
from engine.media.video.index.frame_order import HEAD_PACKETS, is_unexplained
from engine.media.video.index.index import DISCARD, HIDDEN, KEY, Packets, Picture, VideoIndex
from engine.media.video.rgb import picture_of

# At the start so many frames must come out as the container promises before the rest is believed.
_TRUSTED_FRAMES = 8
_SEAM_PACKETS = 48


class Head(NamedTuple):
    """What the start of a video gives.

    Attributes:
        picture: how frames are to be shown.
        seen: packets of the frames that came out, in that order.
        broken: packets that are damaged.
    """

    picture: Picture
    seen: list[int]
    broken: set[int]


def decode_head(path: Path, packets: Packets, packet_count: int, aspect: Fraction | None, codec: str) -> Head:
    """How the first frames are to be shown, which packets come out as frames, and which are damaged.

    Args:
        packet_count: of the video stream in the file.
        aspect: width of a pixel divided by its height, as the container says.
        codec: name of the decoder.

    Raises:
        MediaError: none comes out.
    """
    seen: list[int] = []
    picture: Picture | None = None
    keys = np.flatnonzero(packets.flags & KEY)
    first = int(keys[0]) if len(keys) else 0
    stream = FrameStream(path, packets, packet_count, careful=True)
    try:
        stream.start(0)
        while not stream.ended:
            for packet, frame in stream.step():
                if picture is None:
                    picture = picture_of(frame, aspect)
                seen.append(packet)
            enough = len([n for n in seen[-2 * _TRUSTED_FRAMES :] if n >= first]) >= _TRUSTED_FRAMES
            if picture is not None and (enough or stream.position > HEAD_PACKETS):
                break
    finally:
        stream.close()
    if picture is None:
        raise MediaError("contains no frame that can be decoded", where=path)
    broken = stream.troubles | stream.alone
    shown_until = packets.pts[seen].max()
    for packet in set(range(max(seen))) - set(seen):
        is_due = packets.pts[packet] < shown_until and not packets.flags[packet] & (DISCARD | HIDDEN)
        if is_due and is_unexplained(codec, packets, packet):
            broken.add(packet)
    if not stream.begins_with_key:
        # A recording that begins between two keys: what lies before the first picture cannot be shown by any player.
        broken = {packet for packet in broken if packet > min(seen)}
    return Head(picture, seen, broken)


def is_so_at(path: Path, index: VideoIndex, positions: Iterable[int]) -> bool:
    """Whether frames come out in the order of the index around some packets."""
    stream = FrameStream(path, index.packets, index.stream, careful=True)
    try:
        for position in positions:
            group = max(0, int(np.searchsorted(index.keys, position, "left")) - 1)
            stream.start(int(index.keys[group]))
            ranks: list[int] = []
            while not stream.ended and stream.position < position + _SEAM_PACKETS:
                ranks += [int(index.rank[packet]) for packet, _ in stream.step()]
            first = index.first_from(group)
            ranks = [rank for rank in ranks if rank >= first]
            if not ranks or ranks != list(range(ranks[0], ranks[0] + len(ranks))):
                return False
    finally:
        stream.close()
    return True
