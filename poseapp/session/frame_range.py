"""Ranges of frames: the media around a frame, and the range between two marks that is played, run on and exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from poseapp.project.model import FrameKey, Media
from poseapp.project.queries.frame_keys import FrameKeys


class FrameRange(QObject):
    """Marks at a first and a last frame, of the window and not of the project. Belongs to the UI thread.

    Signals:
        changed(): a mark was set, moved or taken away.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.first: FrameKey | None = None
        self.last: FrameKey | None = None

    def set_first(self, key: FrameKey) -> None:
        """Mark the first frame. A last one before it, or in another media, goes."""
        keep = self.last is not None and self.last.media == key.media and self.last >= key
        self._set(key, self.last if keep else None)

    def set_last(self, key: FrameKey) -> None:
        """Mark the last frame. A first one behind it, or in another media, goes."""
        keep = self.first is not None and self.first.media == key.media and self.first <= key
        self._set(self.first if keep else None, key)

    def clear(self) -> None:
        self._set(None, None)

    @property
    def media(self) -> int | None:
        """The media that the marks are in; None without any."""
        mark = self.first or self.last
        return None if mark is None else mark.media

    def places(self, frames: FrameKeys) -> tuple[int, int] | None:
        """First and last place (included) in a list of frames; None without marks. Where one is missing, the range goes
        up to the end of the media."""
        media = self.media
        if media is None or not len(frames):
            return None
        low, high = self.first or FrameKey(media, 0), self.last or FrameKey(media, (1 << 32) - 1)
        first, stop = frames.packed.searchsorted([low[0] << 32 | low[1], (high[0] << 32 | high[1]) + 1]).tolist()
        return (int(first), int(stop) - 1) if first < stop else None

    def _set(self, first: FrameKey | None, last: FrameKey | None) -> None:
        if (first, last) != (self.first, self.last):
            self.first, self.last = first, last
            self.changed.emit()


@dataclass(frozen=True)
class Scope:
    """Which places of the list of frames the timeline shows.

    Attributes:
        first, stop: places, ``stop`` not included.
        media: the video they are of; None for pictures.
    """

    first: int = 0
    stop: int = 0
    media: int | None = None

    @property
    def count(self) -> int:
        return self.stop - self.first


def scope_of(frames: FrameKeys, media: Sequence[Media], position: int) -> Scope:
    """The video in which a frame is, or the pictures around it up to the next videos."""
    if position < 0:
        return Scope()
    of = int(frames.packed[position] >> 32)
    listed = sorted(media, key=lambda m: m.id)
    here = next((n for n, m in enumerate(listed) if m.id == of), None)
    if here is None:
        return Scope(0, len(frames))
    low = high = here
    if listed[here].kind != "video":
        while low > 0 and listed[low - 1].kind != "video":
            low -= 1
        while high + 1 < len(listed) and listed[high + 1].kind != "video":
            high += 1
    first = int(np.searchsorted(frames.packed, listed[low].id << 32))
    stop = int(np.searchsorted(frames.packed, (listed[high].id + 1) << 32))
    return Scope(first, stop, of if listed[here].kind == "video" else None)
