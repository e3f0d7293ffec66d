"""Frames in some order, as numbers: two hundred thousand keys in two megabytes instead of forty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from poseapp.project.model import FrameKey

Packed = npt.NDArray[np.int64]
_SHIFT = 32
_LOW = (1 << _SHIFT) - 1


def pack_key(key: FrameKey) -> int:
    """``media << 32 | index``: the order of the numbers is that of the frames."""
    return key[0] << _SHIFT | key[1]


def unpack_key(packed: int) -> FrameKey:
    return FrameKey(packed >> _SHIFT, packed & _LOW)


class FrameKeys(Sequence[FrameKey]):
    """An immutable sequence of different frames that makes a :class:`FrameKey` when one is asked for.

    Args:
        packed: (N,) int64 of :func:`pack_key`; kept, not copied.
    """

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self._sorted = bool(len(packed) < 2 or (packed[1:] > packed[:-1]).all())

    @classmethod
    def of(cls, keys: Iterable[FrameKey]) -> FrameKeys:
        return cls(np.fromiter((pack_key(key) for key in keys), np.int64))

    def __len__(self) -> int:
        return len(self.packed)

    @overload
    def __getitem__(self, position: int) -> FrameKey: ...

    @overload
    def __getitem__(self, place: slice) -> FrameKeys: ...

    def __getitem__(self, place: int | slice) -> FrameKey | FrameKeys:
        if isinstance(place, slice):
            return FrameKeys(self.packed[place])
        return unpack_key(int(self.packed[place]))

    def __iter__(self) -> Iterator[FrameKey]:
        for start in range(0, len(self.packed), 4096):
            yield from map(unpack_key, self.packed[start : start + 4096].tolist())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and self.position(FrameKey(*key)) >= 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrameKeys):
            return np.array_equal(self.packed, other.packed)
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FrameKeys({len(self)} frames)"

    def position(self, key: FrameKey | None) -> int:
        """Where a frame stands, -1 when it is not among them."""
        if key is None:
            return -1
        index = pack_key(key)
        if self._sorted:
            location = int(np.searchsorted(self.packed, index))
            return location if location < len(self.packed) and int(self.packed[location]) == index else -1
        result = np.flatnonzero(self.packed == index)
        return int(result[0]) if len(result) else -1

    def place_for(self, key: FrameKey) -> int:
        """Where a frame that is not among them would stand by its number: so many of them have a lower one."""
        return int((self.packed < pack_key(key)).sum())

    def nearest(self, key: FrameKey) -> FrameKey | None:
        """A frame that is not among them gives the last one before it, else the first; None where there are none."""
        if key in self or not len(self):
            return key if len(self) else None
        before = self.packed[self.packed < pack_key(key)]
        return unpack_key(int(before.max() if len(before) else self.packed.min()))

    def index(self, key: FrameKey, start: int = 0, stop: int | None = None) -> int:
        """As of a list: ValueError when the frame is not among them."""
        position = self.position(key)
        if position < start or (stop is not None and position >= stop):
            raise ValueError(f"{key} is not among these frames")
        return position


NO_FRAMES = FrameKeys(np.zeros(0, np.int64))
