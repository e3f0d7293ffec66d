"""Frame times and track lanes of one media, read in the background and updated with each change."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from poseapp.jobs.frames.timeline_previews import TimelinePreviews, frame_times
from poseapp.panels.timeline.lanes import TrackLanes, read_lanes
from poseapp.project.model import FrameKey
from poseapp.project.store import ProjectStore

ONE_BY_ONE = 40
"""From more changed frames on, all lanes are read at once."""

Times = npt.NDArray[np.float64]


class MediaData(QObject):
    """What the timeline shows of a media, apart from the marks of its frames.

    Signals:
        changed(): lanes or times have changed.
    """

    changed = Signal()

    def __init__(self, previews: TimelinePreviews, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._previews = previews
        self._store: ProjectStore | None = None
        self.media = -1
        self.lanes = TrackLanes()
        self.times: Times | None = None
        self._video: Path | None = None
        self._edits = 0
        previews.answered.connect(self._on_answer)

    def show(self, store: ProjectStore | None, media: int, video: Path | None) -> None:
        """Read a media; ``video`` is its file where it is one."""
        if store is None or media != self.media or store is not self._store:
            self._set_lanes(TrackLanes())
        if video != self._video or video is None:
            self.times = None
        self._store, self.media = store, media
        if store is None:
            self._video = None
            return
        if video is not None and (video != self._video or self.times is None):
            self._previews.ask("times", partial(_times_of, video))
        self._video = video
        self.read()

    def read(self) -> None:
        """Read all lanes again."""
        if self._store is not None:
            self._previews.ask("lanes", partial(_lanes_of, self._store.path, self.media, self._edits))

    def frames_changed(self, keys: Iterable[FrameKey]) -> None:
        """Update the lanes of frames whose poses have changed."""
        indices = [key.index for key in keys if key.media == self.media]
        if self._store is None or not indices:
            return
        self._edits += 1
        if len(indices) > ONE_BY_ONE:
            self.read()
        else:
            position = [read_lanes(self._store, self.media, index) for index in indices]
            self._set_lanes(self.lanes.replaced(indices, np.concatenate(position)))

    def time(self, index: int) -> float | None:
        """Time of a frame in seconds; None if it is unknown, or if the media is not a video."""
        return float(self.times[index]) if self.times is not None and 0 <= index < len(self.times) else None

    def _on_answer(self, what: str, answer: Any) -> None:
        source, result = answer
        if what == "times" and source == self._video:
            self.times = result
            self.changed.emit()
        elif what == "lanes" and self._store is not None and source == (self._store.path, self.media):
            lanes, edits = result
            if edits == self._edits:
                self._set_lanes(TrackLanes(lanes))
            else:  # read before what has been done meanwhile
                self.read()

    def _set_lanes(self, lanes: TrackLanes) -> None:
        if lanes is not self.lanes:
            self.lanes = lanes
            self.changed.emit()


def _times_of(path: Path) -> tuple[Path, Times]:
    return path, frame_times(path)


def _lanes_of(project: Path, media: int, edits: int) -> tuple[tuple[Path, int], tuple[npt.NDArray[np.int64], int]]:
    with ProjectStore.open(project, read_only=True) as store:
        return (project, media), (read_lanes(store, media), edits)
