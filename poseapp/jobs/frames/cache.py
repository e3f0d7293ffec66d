"""Decoded frames by key, the longest unused dropped first, bounded by bytes. No Qt; made for several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

DEFAULT_BYTES = 128 * 1024 * 1024


class FrameCache:
    """A bounded map of read-only arrays.

    Args:
        max_bytes: sum of the arrays' bytes that is never exceeded. An array above a half of it is not kept at all.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._frames: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        with self._lock:
            return self._bytes

    def __len__(self) -> int:
        with self._lock:
            return len(self._frames)

    def __contains__(self, key: Hashable) -> bool:
        """Whether a frame is there; does not count as use."""
        with self._lock:
            return key in self._frames

    def get(self, key: Hashable) -> Pixels | None:
        """The frame, now the most recently used one; None when it is not there."""
        with self._lock:
            frame = self._frames.get(key)
            if frame is not None:
                self._frames.move_to_end(key)
            return frame

    def put(self, key: Hashable, pixels: Pixels) -> Pixels:
        """Keep a frame, set read-only because it is shared between threads; returns it."""
        pixels.flags.writeable = False
        if pixels.nbytes > self._max // 2:
            return pixels
        with self._lock:
            old = self._frames.pop(key, None)
            self._bytes += pixels.nbytes - (0 if old is None else old.nbytes)
            self._frames[key] = pixels
            while self._bytes > self._max:
                _, dropped = self._frames.popitem(last=False)
                self._bytes -= dropped.nbytes
        return pixels

    def drop(self, key: Hashable) -> None:
        with self._lock:
            old = self._frames.pop(key, None)
            if old is not None:
                self._bytes -= old.nbytes

    def clear(self) -> None:
        with self._lock:
            self._frames.clear()
            self._bytes = 0
