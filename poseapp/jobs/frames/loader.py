"""Loads frames and thumbnails for the views, away from the UI thread, without torch.

Stepping quickly through a list asks for more frames than can be decoded: the newest request wins, the others are
dropped. While nothing is asked for, the neighbours are read ahead.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import QObject, Signal

from engine.errors import PoseError
from engine.media.images import read_image
from engine.media.reader import FrameReader
from engine.media.source import is_video
from poseapp.jobs.base import as_pose_error
from poseapp.jobs.frames.cache import FrameCache, Pixels
from poseapp.jobs.frames.thumbnails import ThumbnailStore
from poseapp.jobs.latest_request import LatestRequestWorker, Request
from poseapp.project.model import FrameKey

THUMBNAIL_SIDE = 192
THUMBNAIL_BYTES = 24 * 1024 * 1024
MAX_WAITING_THUMBNAILS = 400
# Decoded frames of videos that each thread keeps, so that stepping back, and the next thumbnail, cost nothing.
VIDEO_BYTES = 192 * 1024 * 1024
# Up to so many frames away is a step: then no other frame flashes up before the requested one.
STEP_FRAMES = 24
QUIET_SECONDS = 0.3
VIDEO_THUMBNAIL_BYTES = 24 * 1024 * 1024

Reader = Callable[[Path], Pixels]
FrameFile = tuple[FrameKey, Path]
"""A frame and the file it is in."""


def make_thumbnail(pixels: Pixels, side: int = THUMBNAIL_SIDE) -> Pixels:
    """(H,W,3) -> (h,w,3), the longer side at most ``side`` pixels; never enlarged."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


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
        self._store = store
        self._requested: FrameFile | None = None
        self._requested_at = -math.inf
        self._last_read: FrameKey | None = None
        self._problems: dict[FrameFile, str] = {}
        self._frames = LatestRequestWorker[FrameReader](
            "frames", lambda: FrameReader(read, cache_bytes=VIDEO_BYTES), self
        )
        self._thumbnail_worker = LatestRequestWorker[FrameReader](
            "thumbnails",
            lambda: FrameReader(read, cache_bytes=VIDEO_THUMBNAIL_BYTES),
            self,
            seconds_to_wait=self._seconds_to_wait,
            newest_first=True,
            max_waiting=MAX_WAITING_THUMBNAILS,
        )

    def request(self, key: FrameKey, path: Path, ahead: Sequence[FrameFile] = ()) -> None:
        """Ask for a frame; the request before, if still waiting, is dropped.

        Args:
            key: comes back with the signal.
            path: image file, or the video that the frame is in.
            ahead: neighbours to read when there is time, most likely first.
        """
        frame = (key, Path(path))
        self._requested, self._requested_at = frame, time.monotonic()
        missing = [neighbor for neighbor in ahead if neighbor not in self.cache]
        pixels = self.cache.get(frame)
        # What is being read goes on only if it is of use, and not in the way of the frame that is waited for.
        self._frames.forget_all(but=[frame] if pixels is None else missing)
        if pixels is None and not self._frames.is_pending(frame):
            self._read(frame, is_ahead=False)
        for neighbor in missing:
            if not self._frames.is_pending(neighbor):
                self._read(neighbor, is_ahead=True)
        if pixels is not None:
            self._note(frame, None)
            self.loaded.emit(key, pixels)

    def cached(self, key: FrameKey, path: Path) -> Pixels | None:
        """The frame if it is decoded already."""
        return self.cache.get((key, Path(path)))

    def request_thumbnail(self, key: FrameKey, path: Path) -> Pixels | None:
        """The thumbnail if it is there; else None, and ``thumbnail_loaded`` or ``health_changed`` follows.

        What could not be read is not read again for the list, only when the frame itself is asked for.
        """
        frame = (key, Path(path))
        thumbnail = self._thumbnails.get(frame)
        if thumbnail is None and frame not in self._problems:
            self._thumbnail_worker.request(
                frame,
                lambda reader, request: self._small(frame, reader, request),
                lambda small: self.thumbnail_loaded.emit(key, self._thumbnails.put(frame, small)),
                on_error=lambda error: self._note(frame, as_pose_error(error, str(frame[1]))),
            )
        return thumbnail

    def problem(self, key: FrameKey, path: Path) -> str | None:
        """Why a frame could not be read when that was last tried."""
        return self._problems.get((key, Path(path)))

    def clear(self) -> None:
        """Forget everything: another project is shown. What is being read is not delivered any more."""
        self._requested = None
        self._frames.release()
        self._thumbnail_worker.release()
        self.cache.clear()
        self._thumbnails.clear()
        self._problems.clear()

    def shutdown(self) -> None:
        """End both threads and wait for them; no later request, such as of a late painting, starts them again."""
        self._requested = None
        self._frames.close()
        self._thumbnail_worker.close()

    def _read(self, frame: FrameFile, *, is_ahead: bool) -> None:
        """Read a frame into the cache; it is shown if it is the requested one when it comes."""
        key, path = frame

        def work(reader: FrameReader, request: Request[FrameReader]) -> Pixels:
            pixels = self.cache.get(frame)
            if pixels is None:
                near = None if is_ahead or self._is_step(key) else reader.preview(path, key.index)
                if near is not None:
                    request.send(near)
                pixels = self.cache.put(frame, reader.read(path, key.index, stop=request.is_cancelled))
            return pixels

        self._frames.request(
            frame,
            work,
            lambda pixels: self._on_read(frame, pixels, None),
            on_error=lambda error: self._on_read(frame, None, as_pose_error(error, str(path))),
            on_part=lambda near: self._on_previewed(frame, near),
        )

    def _is_step(self, key: FrameKey) -> bool:
        """In the thread of frames: whether a frame is a step from the one read before, not a jump."""
        before, self._last_read = self._last_read, key
        return before is not None and before.media == key.media and abs(before.index - key.index) <= STEP_FRAMES

    def _seconds_to_wait(self, frame: Hashable) -> float:
        """In the thread of thumbnails. Those of a video cost as much as its frames: they wait until scrubbing rests."""
        if not (isinstance(frame, tuple) and is_video(frame[1])):
            return 0.0
        return self._requested_at + QUIET_SECONDS - time.monotonic()

    def _small(self, frame: FrameFile, reader: FrameReader, request: Request[FrameReader]) -> Pixels:
        """In the thread of thumbnails: from the disk where one is kept, else made from the frame and kept there.

        Raises:
            Cancelled: frames are requested meanwhile; the worker tries again later.
        """
        key, path = frame
        stored_key = None
        if self._store is not None:
            stored_key = self._store.key(path, key.index if is_video(path) else None, THUMBNAIL_SIDE)
            stored = None if stored_key is None else self._store.get(stored_key)
            if stored is not None:
                return stored
        pixels = self.cache.get(frame)
        if pixels is None:
            pixels = reader.read(
                path, key.index, THUMBNAIL_SIDE, lambda: request.is_cancelled() or self._seconds_to_wait(frame) > 0
            )
        small = make_thumbnail(pixels)
        if self._store is not None and stored_key is not None:
            self._store.put(stored_key, small)
        return small

    def _on_read(self, frame: FrameFile, pixels: Pixels | None, problem: PoseError | None) -> None:
        if frame != self._requested:
            return
        self._note(frame, problem)
        if pixels is None:
            self.failed.emit(frame[0], str(problem))
        else:
            self.loaded.emit(frame[0], pixels)

    def _on_previewed(self, frame: FrameFile, pixels: Pixels) -> None:
        if frame == self._requested and frame not in self.cache:
            self.previewed.emit(frame[0], pixels)

    def _note(self, frame: FrameFile, problem: PoseError | None) -> None:
        """Remember why a frame cannot be read, or that it can be."""
        before = self._problems.pop(frame, None)
        if problem is not None:
            self._problems[frame] = str(problem)
        if before != self._problems.get(frame):
            self.health_changed.emit(frame[0])
