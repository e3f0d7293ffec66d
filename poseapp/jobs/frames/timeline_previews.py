"""Small pictures of the frame that the pointer is at on the timeline, and other questions of the timeline.

One thread with a reader of its own, so that a preview never waits for, or holds up, the frame on the canvas.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from engine.media.images import read_image
from engine.media.reader import FrameReader
from engine.media.source import is_video
from poseapp.jobs.frames.cache import Pixels
from poseapp.jobs.frames.loader import FrameFile, make_thumbnail
from poseapp.jobs.latest_request import LatestRequestWorker, Request
from poseapp.project.model import FrameKey

PREVIEW_SIDE = 208
MAX_PREVIEWS = 300
"""Small pictures in memory: about 75 kB each."""
READER_BYTES = 48 << 20
_PREVIEW = "preview"


class TimelinePreviews(QObject):
    """All methods and signals belong to the UI thread.

    Signals:
        answered(str, object): the result of a question of :meth:`ask`.
        previewed(FrameKey, ndarray, bool): a small picture, (h, w, 3) uint8 RGB, of the newest frame requested; False
            for the key frame before it, which is there sooner.
    """

    answered = Signal(str, object)
    previewed = Signal(object, object, bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = LatestRequestWorker[FrameReader](
            "timeline", lambda: FrameReader(keep=1, cache_bytes=READER_BYTES), self
        )
        self._cache: OrderedDict[FrameFile, Pixels] = OrderedDict()

    def ask(self, name: str, work: Callable[[], Any]) -> None:
        """Do some work in the thread; ``answered`` follows unless it fails. It replaces a question of the same name."""
        self._worker.request(name, lambda _reader, _request: work(), lambda answer: self.answered.emit(name, answer))

    def request(self, key: FrameKey, path: Path) -> Pixels | None:
        """The small picture of a frame if it is there; else ``previewed`` follows, for the newest frame only."""
        frame = (key, Path(path))
        pixels = self._cache.get(frame)
        if pixels is not None:
            self._cache.move_to_end(frame)
            self._worker.forget(_PREVIEW)
            return pixels
        self._worker.request(
            _PREVIEW,
            lambda reader, request: _small(frame, reader, request),
            lambda small: self._on_read(frame, small),
            on_part=lambda near: self.previewed.emit(key, near, False),
        )
        return None

    def forget_request(self) -> None:
        """No frame is pointed at any more."""
        self._worker.forget(_PREVIEW)

    def shutdown(self) -> None:
        """End the thread and wait for it. Another project may be shown afterwards."""
        self._worker.stop()
        self._cache.clear()

    def _on_read(self, frame: FrameFile, pixels: Pixels) -> None:
        self._cache[frame] = pixels
        if len(self._cache) > MAX_PREVIEWS:
            self._cache.popitem(last=False)
        self.previewed.emit(frame[0], pixels, True)


def _small(frame: FrameFile, reader: FrameReader, request: Request[FrameReader]) -> Pixels:
    key, path = frame
    if not is_video(path):
        return make_thumbnail(read_image(path), PREVIEW_SIDE)
    near = reader.preview(path, key.index)
    if near is not None:
        request.send(make_thumbnail(near, PREVIEW_SIDE))
    return reader.read(path, key.index, PREVIEW_SIDE, request.is_cancelled)


def frame_times(video: Path) -> npt.NDArray[np.float64]:
    """(N,) seconds from the first frame to each.

    Raises:
        MediaError: the video cannot be read.
    """
    from engine.media.source import frame_times as times_of
    from engine.media.video.index.folder import index_home

    times = times_of(video, index_home())
    return np.maximum.accumulate(times - times[0]) if len(times) else times
