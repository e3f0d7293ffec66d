"""Decoded frames of a video that are kept, up to a number of bytes."""

from __future__ import annotations

from bisect import bisect_left, insort

import av


class Kept:
    """Decoded frames by number; those farthest from where the reader is are dropped first.

    Args:
        limit: bytes; one frame is kept in any case.

    Attributes:
        focus: the frame that was read last.
        backwards: the reader steps back: then what lies behind it is dropped before what it comes to.
        bytes: of all frames that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: dict[int, tuple[av.VideoFrame, int]] = {}
        self._numbers: list[int] = []
        self.focus, self.backwards, self.bytes = 0, False, 0

    def __contains__(self, frame_index: int) -> bool:
        return frame_index in self._frames

    def get(self, frame_index: int) -> av.VideoFrame | None:
        frame = self._frames.get(frame_index)
        return None if frame is None else frame[0]

    def put(self, frame_index: int, frame: av.VideoFrame) -> None:
        size = sum(plane.buffer_size for plane in frame.planes)
        before = self._frames.get(frame_index)
        if before is None:
            insort(self._numbers, frame_index)
        self.bytes += size - (before[1] if before else 0)
        self._frames[frame_index] = (frame, size)
        while self.bytes > self._limit and len(self._frames) > 1:
            self._drop()

    def capacity(self) -> int:
        """How many frames of the size of those here there is room for."""
        return max(1, self._limit * len(self._frames) // self.bytes) if self.bytes else 1

    def lowest_before(self, previous_index: int) -> int:
        """The first of the frames that are kept without a gap up to this one; the number itself if it is not kept."""
        at = bisect_left(self._numbers, previous_index)
        while at > 0 and self._numbers[at - 1] == previous_index - 1:
            at, previous_index = at - 1, previous_index - 1
        return previous_index

    def clear(self) -> None:
        self._frames.clear()
        self._numbers.clear()
        self.bytes = 0

    def _drop(self) -> None:
        low, high = self._numbers[0], self._numbers[-1]
        if self.backwards:
            at = -1 if high > self.focus + 1 else 0
        else:
            at = 0 if self.focus - low >= high - self.focus else -1
        self.bytes -= self._frames.pop(self._numbers.pop(at))[1]
