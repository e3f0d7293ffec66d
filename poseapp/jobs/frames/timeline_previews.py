"""What the timeline wants to know of what is on it, and small pictures of where the pointer is.

One thread with a reader of its own, so that looking never waits for, or holds up, the frame on the canvas.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Qt, Signal, Slot

from engine.errors import Cancelled, PoseError
from engine.media.images import read_image
from engine.media.source import is_video
from poseapp.jobs.frames.cache import Pixels
from poseapp.jobs.frames.loader import make_thumbnail
from poseapp.project.model import FrameKey

log = logging.getLogger(__name__)

SIDE = 208
KEPT = 300
"""Small pictures kept: some 75 kB each."""
READER_BYTES = 48 << 20

Place = tuple[FrameKey, Path]


class Film(QObject):
    """All methods and signals belong to the UI thread.

    Signals:
        answered(str, object): what a question of :meth:`ask` came to.
        pictured(FrameKey, ndarray, bool): a small picture, (h, w, 3) uint8 RGB, for the newest frame looked at; False
            when it is the key frame before it, which is there sooner.
    """

    answered = Signal(str, object)
    pictured = Signal(object, object, bool)
    _read = Signal(object, object, bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked: dict[str, Callable[[], Any]] = {}
        self._look: Place | None = None
        self._newest: Place | None = None
        self._ending = False
        self._kept: OrderedDict[Place, Pixels] = OrderedDict()
        self._read.connect(self._on_read, Qt.ConnectionType.QueuedConnection)

    def ask(self, what: str, work: Callable[[], Any]) -> None:
        """Do some work in the thread; ``answered`` follows unless it fails. A question of the same name that has not
        been begun is dropped."""
        with self._wake:
            self._asked[what] = work
            self._start()

    def look(self, key: FrameKey, path: Path) -> Pixels | None:
        """The small picture of a frame if it is there; else ``pictured`` follows, for the newest frame only."""
        place = (key, Path(path))
        self._newest = place
        found = self._kept.get(place)
        if found is not None:
            self._kept.move_to_end(place)
            return found
        with self._wake:
            self._look = place
            self._start()
        return None

    def rest(self) -> None:
        """Nothing is looked at any more."""
        self._newest = self._look = None

    def shutdown(self) -> None:
        """End the thread and wait for it. Another project may be looked at afterwards."""
        with self._wake:
            self._ending, self._look, self._newest = True, None, None
            self._asked.clear()
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self._thread, self._ending = None, False
        self._kept.clear()

    def _start(self) -> None:
        """The lock is held."""
        self._wake.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="poseapp-film", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        from engine.media.reader import FrameReader

        with FrameReader(keep=1, cache_bytes=READER_BYTES) as reader:
            while True:
                with self._wake:
                    while not (self._ending or self._asked or self._look):
                        self._wake.wait()
                    if self._ending:
                        return
                    what = next(iter(self._asked), "")
                    work = self._asked.pop(what, None)
                    place = None
                    if work is None:
                        place, self._look = self._look, None
                try:
                    if work is not None:
                        self.answered.emit(what, work())
                    elif place is not None:
                        self._picture(place, reader.preview, reader.read)
                except Cancelled:
                    pass
                except (PoseError, OSError) as error:  # the canvas tells what is wrong with it
                    log.info("no picture for the timeline: %s", error)

    def _picture(
        self, place: Place, preview: Callable[[Path, int], Pixels | None], read: Callable[..., Pixels]
    ) -> None:
        key, path = place
        if not is_video(path):
            self._read.emit(place, make_thumbnail(read_image(path), SIDE), True)
            return
        near = preview(path, key.index)
        if near is not None:
            self._read.emit(place, make_thumbnail(near, SIDE), False)
        self._read.emit(place, read(path, key.index, SIDE, self._is_outdated), True)

    def _is_outdated(self) -> bool:
        return self._look is not None or self._ending

    @Slot(object, object, bool)
    def _on_read(self, place: Place, pixels: Pixels, exact: bool) -> None:
        if exact:
            self._kept[place] = pixels
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if place == self._newest:
            self.pictured.emit(place[0], pixels, exact)


def frame_times(video: Path) -> npt.NDArray[np.float64]:
    """(N,) seconds from the first frame to each.

    Raises:
        MediaError: the video cannot be read.
    """
    from engine.media.video.index.folder import index_home
    from engine.media.video.index.indexer import read_index

    times = np.asarray(read_index(video, index_home()).times, dtype=np.float64)
    return np.maximum.accumulate(times - times[0]) if len(times) else times
