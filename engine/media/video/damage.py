"""Which frames of a damaged video are not what was recorded.

A decoder fills the holes of a damaged picture with what the picture before shows, and all that refers to it inherits
that: up to the next key such a frame may look whole and show the content of another one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.media.video.index.index import CORRUPT, KEY, NO_TIME, VideoIndex

# Packets behind one that is marked as damaged among which a hole may lie.
_NEAR = 4


class Damage:
    """Packets of a video that are damaged as far as is known, and the frames that suffer.

    Args:
        index: its packets that are marked as damaged are known from the start.
    """

    def __init__(self, index: VideoIndex) -> None:
        self._index = index
        self._hurt: list[int] = _behind_holes(index)
        self._known = set(self._hurt)
        self._missing_before = frozenset(self._hurt)
        self._confirmed: list[tuple[int, int]] = []
        self._alone: set[int] = set()
        self._sure: npt.NDArray[np.bool_] | None = None

    def note(self, packets: Iterable[int], alone: Iterable[int] = ()) -> None:
        """Remember packets that are damaged; ``alone``: those to which no other picture refers."""
        for packet in packets:
            if packet not in self._known and not self._is_confirmed(packet):
                self._known.add(packet)
                insort(self._hurt, packet)
        self._alone.update(packet for packet in alone if not self._is_confirmed(packet))

    def replace(self, begin: int, end: int, packets: Iterable[int], alone: Iterable[int]) -> None:
        """What is damaged among the packets begin..end-1, after a decoding that began far before them: nothing else is,
        whatever comes out of a decoding that begins nearer."""
        self._known = {n for n in self._known if not begin <= n < end or n in self._missing_before}
        self._known.update(n for n in packets if begin <= n < end)
        self._hurt = sorted(self._known)
        self._alone = {n for n in self._alone if not begin <= n < end}
        self._alone.update(n for n in alone if begin <= n < end)
        self._confirmed.append((begin, end))

    def is_confirmed(self, frame: int) -> bool:
        """Whether :meth:`replace` was told of all packets that the frame is made of."""
        packet = int(self._index.order[frame])
        first = int(self._index.keys[self._index.start[frame]])
        return any(begin <= first and packet < end for begin, end in self._confirmed)

    def _is_confirmed(self, packet: int) -> bool:
        return any(begin <= packet < end for begin, end in self._confirmed)

    def spoils(self, frame: int) -> bool:
        """Whether anything is damaged that the frame is made of."""
        packet = int(self._index.order[frame])
        if packet in self._alone:
            return True
        begin = int(self._index.keys[self._index.start[frame]])
        at = bisect_left(self._hurt, begin)
        return at < len(self._hurt) and self._hurt[at] <= packet

    def ran(self, first: int, latest: int) -> None:
        """Frames first..latest came out of the decoder in one go, and what was wrong with them has been noted."""
        if self._sure is None:
            self._sure = np.zeros(self._index.frame_count, np.bool_)
        self._sure[first : latest + 1] |= self._needs[first : latest + 1] <= latest

    def is_sure(self, frame: int) -> bool:
        """Whether all is known of what a frame is made of."""
        return self._sure is not None and bool(self._sure[frame])

    def needs(self, frame: int) -> int:
        """The last frame that is decoded no later: once it is out, all is known of this one."""
        return int(self._needs[frame])

    @cached_property
    def _needs(self) -> npt.NDArray[np.int32]:
        needs: npt.NDArray[np.int32] = np.maximum.accumulate(self._index.rank)[self._index.order]
        return needs

    def extent(self, frame: int) -> tuple[int, int]:
        """The first and the last of the frames around this one that are spoiled."""
        first = last = frame
        while first > 0 and self.spoils(first - 1):
            first -= 1
        while last + 1 < self._index.frame_count and self.spoils(last + 1):
            last += 1
        return first, last


def _behind_holes(index: VideoIndex) -> list[int]:
    """Packets before which others are missing, as marks and times tell. A mark alone says little: where two recordings
    are joined nothing is missing, and of a picture that is damaged itself the decoder knows better.
    """
    packets = index.packets
    times = packets.dts
    marked = np.flatnonzero(packets.flags & CORRUPT)
    if not len(marked) or (times == NO_TIME).any() or len(times) < 3:
        return []
    steps = np.diff(times, prepend=times[:1])
    usual = float(np.median(steps[1:]))
    near = np.unique((marked[:, None] + np.arange(-1, _NEAR)).clip(0, len(times) - 1))
    holes = near[((steps[near] > 1.5 * usual) | (steps[near] < 0)) & (packets.flags[near] & KEY == 0)]
    affected: list[int] = holes.tolist()
    return affected
