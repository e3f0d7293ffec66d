"""Loads frames and thumbnails for the views, away from the UI thread, without torch.

Stepping quickly through a list asks for more frames than can be decoded: the newest request wins, the others are
dropped. While nothing is asked for, the neighbours are read ahead.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import QObject, Qt, Signal, Slot

from engine.errors import Cancelled, PoseError
from engine.media.images import is_image, read_image
from engine.media.reader import FrameReader
from engine.media.source import is_video
from poseapp.jobs.base import as_pose_error
from poseapp.jobs.frames.cache import FrameCache, Pixels
from poseapp.jobs.frames.thumbnails import ThumbnailStore
from poseapp.project.model import FrameKey

log = logging.getLogger(__name__)

THUMBNAIL_SIDE = 192
THUMBNAIL_BYTES = 24 * 1024 * 1024
MAX_WAITING_THUMBNAILS = 400
# Decoded frames of videos that each thread keeps, so that stepping back, and the next thumbnail, cost nothing.
VIDEO_BYTES = 192 * 1024 * 1024
# Up to so many frames away is a step: then no other frame flashes up before the one that is wanted.
STEP_FRAMES = 24
QUIET_SECONDS = 0.3
VIDEO_THUMBNAIL_BYTES = 24 * 1024 * 1024

Reader = Callable[[Path], Pixels]
Place = tuple[FrameKey, Path]


def make_thumbnail(pixels: Pixels, side: int = THUMBNAIL_SIDE) -> Pixels:
    """(H,W,3) -> (h,w,3), the longer side at most ``side`` pixels; never enlarged."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class _FrameThread(threading.Thread):
    """Reads the one wanted frame, then its neighbours, until something newer is wanted."""

    def __init__(self, loader: FrameLoader) -> None:
        super().__init__(name="poseapp-frames", daemon=True)
        self._loader = loader
        self._wake = threading.Condition()
        self._wanted: Place | None = None
        self._ahead: list[Place] = []
        self._before: FrameKey | None = None
        self._closing = self._ending = False

    def want(self, wanted: Place | None, ahead: Sequence[Place]) -> None:
        with self._wake:
            self._wanted, self._ahead = wanted, list(ahead)
            self._wake.notify()

    def close_files(self) -> None:
        """Want nothing any more, and let go of the videos."""
        with self._wake:
            self._wanted, self._ahead, self._closing = None, [], True
            self._wake.notify()

    def end(self) -> None:
        with self._wake:
            self._ending, self._wanted, self._ahead = True, None, []
            self._wake.notify()

    def run(self) -> None:
        with FrameReader(self._loader._read_file, cache_bytes=VIDEO_BYTES) as reader:
            while True:
                with self._wake:
                    while not (self._ending or self._closing or self._wanted or self._ahead):
                        self._wake.wait()
                    if self._ending:
                        return
                    closing, self._closing = self._closing, False
                    asked, self._wanted = self._wanted, None
                    place = asked or (self._ahead.pop(0) if self._ahead else None)
                if closing:
                    reader.close()
                if place is not None:
                    far = asked is not None and self._is_far(asked)
                    self._loader._read(place, reader, self._is_outdated, asked=asked is not None, preview=far)

    def _is_outdated(self) -> bool:
        """Whether something newer is wanted than what is being read."""
        return self._wanted is not None or self._closing or self._ending

    def _is_far(self, asked: Place) -> bool:
        """Whether a frame is no step from the one asked for before: the hand on the timeline, or a jump."""
        before, self._before = self._before, asked[0]
        return before is None or before.media != asked[0].media or abs(before.index - asked[0].index) > STEP_FRAMES


class _ThumbnailThread(threading.Thread):
    """Reads thumbnails, the one asked for last first: that is the one in sight."""

    def __init__(self, loader: FrameLoader) -> None:
        super().__init__(name="poseapp-thumbnails", daemon=True)
        self._loader = loader
        self._wake = threading.Condition()
        self._waiting: OrderedDict[Place, None] = OrderedDict()
        self._closing = self._ending = False

    def want(self, place: Place) -> None:
        with self._wake:
            self._waiting[place] = None
            self._waiting.move_to_end(place)
            if len(self._waiting) > MAX_WAITING_THUMBNAILS:
                self._waiting.popitem(last=False)
            self._wake.notify()

    def forget(self) -> None:
        with self._wake:
            self._waiting.clear()

    def close_files(self) -> None:
        """Want nothing any more, and let go of the videos."""
        with self._wake:
            self._waiting.clear()
            self._closing = True
            self._wake.notify()

    def end(self) -> None:
        with self._wake:
            self._ending = True
            self._wake.notify()

    def run(self) -> None:
        with FrameReader(self._loader._read_file, cache_bytes=VIDEO_THUMBNAIL_BYTES) as reader:
            while True:
                with self._wake:
                    while not (self._ending or self._closing or self._waiting):
                        self._wake.wait()
                    if self._ending:
                        return
                    closing, self._closing = self._closing, False
                    place = None
                    if self._waiting and not self._gives_way(next(reversed(self._waiting))):
                        place = self._waiting.popitem(last=True)[0]
                    elif not closing:
                        self._wake.wait(QUIET_SECONDS)
                if closing:
                    reader.close()
                if place is not None and not self._loader._read_thumbnail(place, reader, self._stop):
                    with self._wake:
                        if not (self._closing or self._ending):
                            self._waiting[place] = None

    def _gives_way(self, place: Place) -> bool:
        """Thumbnails of a video cost as much as frames of it: they wait until the hand on the timeline rests."""
        return is_video(place[1]) and time.monotonic() - self._loader._asked_at < QUIET_SECONDS

    def _stop(self) -> bool:
        return self._ending or self._closing or time.monotonic() - self._loader._asked_at < QUIET_SECONDS


class FrameLoader(QObject):
    """Frames for the canvas and thumbnails for the lists. All methods and signals belong to the UI thread.

    Signals:
        loaded(FrameKey, ndarray): (H,W,3) uint8 RGB, read-only; only for the newest request. Emitted before
            :meth:`request` returns when the frame is in the cache.
        previewed(FrameKey, ndarray): a frame of the video near the newest request, which takes longer; for scrubbing.
        failed(FrameKey, str): the newest request cannot be read, and why.
        thumbnail_loaded(FrameKey, ndarray): (h,w,3) uint8 RGB, read-only.
        health_changed(FrameKey): whether :meth:`problem` knows of one.

    Args:
        cache: decoded frames; may be shared with jobs.
        read: reads one image file; must be safe to call from several threads.
        store: thumbnails on the disk; without it they are kept in memory only.
    """

    loaded = Signal(object, object)
    previewed = Signal(object, object)
    failed = Signal(object, str)
    thumbnail_loaded = Signal(object, object)
    health_changed = Signal(object)
    _arrived = Signal(object, object, object)
    _previewed = Signal(object, object)
    _thumbnail_arrived = Signal(object, object)
    _thumbnail_failed = Signal(object, object, int)

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        cache: FrameCache | None = None,
        read: Reader = read_image,
        store: ThumbnailStore | None = None,
    ) -> None:
        super().__init__(parent)
        self.cache = cache if cache is not None else FrameCache()
        self._thumbnails = FrameCache(THUMBNAIL_BYTES)
        self._read_file = read
        self._store = store
        self._wanted: Place | None = None
        self._asked_at = -math.inf
        self._problems: dict[Place, str] = {}
        self._epoch = 0
        self._is_shut = False
        self._frames: _FrameThread | None = None
        self._thumbs: _ThumbnailThread | None = None
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)
        self._previewed.connect(self._on_previewed, Qt.ConnectionType.QueuedConnection)
        self._thumbnail_arrived.connect(self._on_thumbnail, Qt.ConnectionType.QueuedConnection)
        self._thumbnail_failed.connect(self._on_thumbnail_failed, Qt.ConnectionType.QueuedConnection)

    def request(self, key: FrameKey, path: Path, ahead: Sequence[Place] = ()) -> None:
        """Ask for a frame; the request before, if still waiting, is dropped.

        Args:
            key: comes back with the signal.
            path: image file, or the video that the frame is in.
            ahead: neighbours to read when there is time, most likely first.
        """
        place = (key, Path(path))
        self._wanted, self._asked_at = place, time.monotonic()
        missing = [p for p in ahead if p not in self.cache]
        found = self.cache.get(place)
        if found is not None:
            if missing and not self._is_shut:
                self._frame_thread().want(None, missing)
            self._note(place, None)
            self.loaded.emit(key, found)
            return
        if not self._is_shut:
            self._frame_thread().want(place, missing)

    def cached(self, key: FrameKey, path: Path) -> Pixels | None:
        """The frame if it is decoded already."""
        return self.cache.get((key, Path(path)))

    def request_thumbnail(self, key: FrameKey, path: Path) -> Pixels | None:
        """The thumbnail if it is there; else None, and ``thumbnail_loaded`` or ``health_changed`` follows.

        What could not be read is not read again for the list, only when the frame itself is asked for.
        """
        place = (key, Path(path))
        found = self._thumbnails.get(place)
        if found is None and place not in self._problems and not self._is_shut:
            self._thumbnail_thread().want(place)
        return found

    def problem(self, key: FrameKey, path: Path) -> str | None:
        """Why a frame could not be read when that was last tried."""
        return self._problems.get((key, Path(path)))

    def forget_thumbnail_requests(self) -> None:
        """Drop thumbnails that were asked for and not begun: the list has been scrolled away."""
        if self._thumbs is not None:
            self._thumbs.forget()

    def clear(self) -> None:
        """Forget everything: another project is shown. What is being read is not delivered any more."""
        self._wanted = None
        for thread in (self._frames, self._thumbs):
            if thread is not None:
                thread.close_files()
        self.cache.clear()
        self._thumbnails.clear()
        self._problems.clear()
        self._epoch += 1

    def shutdown(self) -> None:
        """End both threads and wait for them; no later request, such as of a late painting, starts them again."""
        self._wanted, self._is_shut = None, True
        for thread in (self._frames, self._thumbs):
            if thread is not None:
                thread.end()
        for thread in (self._frames, self._thumbs):
            if thread is not None:
                thread.join()
        self._frames = self._thumbs = None

    def _frame_thread(self) -> _FrameThread:
        if self._frames is None:
            self._frames = _FrameThread(self)
            self._frames.start()
        return self._frames

    def _thumbnail_thread(self) -> _ThumbnailThread:
        if self._thumbs is None:
            self._thumbs = _ThumbnailThread(self)
            self._thumbs.start()
        return self._thumbs

    def _read(self, place: Place, reader: FrameReader, stop: Callable[[], bool], *, asked: bool, preview: bool) -> None:
        """In the frame thread: read one frame into the cache, and bring it to the window when it was asked for."""
        pixels = self.cache.get(place)
        problem: PoseError | None = None
        if pixels is None:
            try:
                near = reader.preview(place[1], place[0].index) if preview else None
                if near is not None:
                    self._previewed.emit(place, near)
                pixels = self.cache.put(place, reader.read(place[1], place[0].index, stop=stop))
            except Cancelled:
                return
            except Exception as error:
                problem = self._told(error, place[1])
        if asked:
            self._arrived.emit(place, pixels, problem)

    def _read_thumbnail(self, place: Place, reader: FrameReader, stop: Callable[[], bool]) -> bool:
        """In the thumbnail thread; False when it was given up, for later."""
        epoch = self._epoch
        try:
            small = self._small(place, reader, stop)
        except Cancelled:
            return False
        except Exception as error:
            self._thumbnail_failed.emit(place, self._told(error, place[1]), epoch)
            return True
        self._thumbnail_arrived.emit(place, self._thumbnails.put(place, small))
        return True

    def _small(self, place: Place, reader: FrameReader, stop: Callable[[], bool]) -> Pixels:
        """From the disk where it was kept, else made of the frame and kept there."""
        key, path = place
        mark = None
        if self._store is not None:
            mark = self._store.key(path, None if is_image(path) else key.index, THUMBNAIL_SIDE)
            kept = None if mark is None else self._store.get(mark)
            if kept is not None:
                return kept
        pixels = self.cache.get(place)
        if pixels is None:
            pixels = reader.read(path, key.index, THUMBNAIL_SIDE, stop)
        small = make_thumbnail(pixels)
        if self._store is not None and mark is not None:
            self._store.put(mark, small)
        return small

    @staticmethod
    def _told(error: Exception, path: Path) -> PoseError:
        if not isinstance(error, PoseError):
            log.warning("reading %s failed", path, exc_info=error)
        return as_pose_error(error, str(path))

    @Slot(object, object, object)
    def _on_arrived(self, place: Place, pixels: Pixels | None, problem: PoseError | None) -> None:
        if place != self._wanted:
            return
        self._note(place, problem)
        if pixels is None:
            self.failed.emit(place[0], str(problem))
        else:
            self.loaded.emit(place[0], pixels)

    @Slot(object, object)
    def _on_previewed(self, place: Place, pixels: Pixels) -> None:
        if place == self._wanted and place not in self.cache:
            self.previewed.emit(place[0], pixels)

    @Slot(object, object, int)
    def _on_thumbnail_failed(self, place: Place, problem: PoseError, epoch: int) -> None:
        if epoch == self._epoch:  # else the project was closed meanwhile
            self._note(place, problem)

    def _note(self, place: Place, problem: PoseError | None) -> None:
        """Remember why a frame cannot be read, or that it can be."""
        before = self._problems.pop(place, None)
        if problem is not None:
            self._problems[place] = str(problem)
        if before != self._problems.get(place):
            self.health_changed.emit(place[0])

    @Slot(object, object)
    def _on_thumbnail(self, place: Place, small: Pixels) -> None:
        if place in self._thumbnails:  # else the project was closed meanwhile
            self.thumbnail_loaded.emit(place[0], small)
