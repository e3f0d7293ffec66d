"""Bounds of frame numbers, for all sources of frames."""

from __future__ import annotations


def check_index(index: int, count: int) -> int:
    """The index of a frame as a plain integer.

    Raises:
        IndexError: unless 0 <= index < count.
    """
    if not 0 <= index < count:
        raise IndexError(f"frame {index} of {count}")
    return int(index)
