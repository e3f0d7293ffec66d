"""Reads frames for playback in a thread: each when it is due, and the late ones not at all. No Qt."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import Cancelled, PoseError
from engine.media.reader import FrameReader
from engine.media.source import is_video
from poseapp.jobs.frames.cache import Pixels
from poseapp.jobs.frames.timeline_previews import frame_times
from poseapp.project.model import FrameKey, Instance
from poseapp.project.queries.frame_keys import FrameKeys
from poseapp.project.store import ProjectStore

log = logging.getLogger(__name__)

READ_AHEAD = 8
READER_BYTES = 160 << 20
PICTURE_SECONDS = 0.25
"""Separate pictures are shown for so long each."""
LATE_SECONDS = 0.25
"""When decoding one frame took so long, the next key frame on the way is shown instead of a frame far behind it."""


@dataclass(frozen=True)
class Shown:
    """A frame that is due.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; None when it cannot be read.
        instances: its poses, read just now.
        dropped: frames left out since playback began.
    """

    key: FrameKey
    path: Path
    pixels: Pixels | None
    instances: tuple[Instance, ...]
    dropped: int


@dataclass
class Plan:
    """What to play.

    Attributes:
        project: the project's file.
        keys: frames of one media, or pictures, in order.
        start: place in ``keys`` where it begins.
        speed: 1 is as fast as it was filmed.
        loop: begin anew at the end.
        times: (N,) seconds of the frames of ``keys``; read from the file when None.
    """

    project: Path
    keys: FrameKeys
    start: int = 0
    speed: float = 1.0
    loop: bool = False
    times: npt.NDArray[np.float64] | None = field(default=None, repr=False)


class Playback:
    """One playback: :meth:`run` sends each frame when it is due. The other methods belong to the UI thread.

    No frame is sent before the one before it was :meth:`taken`: what comes too late because decoding or drawing is slow
    is left out, and the clock goes on.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._wake = threading.Condition()
        self._stopping, self._is_taken = False, True
        self._speed, self._loop = plan.speed, plan.loop
        self._began, self._at = 0.0, 0.0
        self._dropped = 0

    def stop(self) -> None:
        """Send nothing any more; :meth:`run` returns soon."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def taken(self) -> None:
        """The frame before has been drawn."""
        with self._wake:
            self._is_taken = True
            self._wake.notify()

    def set_pace(self, speed: float, loop: bool) -> None:
        with self._wake:
            now = time.monotonic()
            if self._began:
                self._at, self._began = self._position(now), now
            self._speed, self._loop = speed, loop
            self._wake.notify()

    def run(self, reader: FrameReader, send: Callable[[Shown], None]) -> None:
        """Send the frames until the end, or until :meth:`stop`.

        Raises:
            PoseError: the project or the video cannot be read any more.
            Cancelled: it was stopped.
        """
        self._send = send
        with ProjectStore.open(self._plan.project, read_only=True) as store:
            self._play(store, reader)

    def _play(self, store: ProjectStore, reader: FrameReader) -> None:
        keys = self._plan.keys
        times = self._times(store) if self._plan.times is None else self._plan.times
        count = min(len(keys), len(times))
        key_frames: npt.NDArray[np.int64] | None = None
        position, last, took = min(self._plan.start, count - 1), -1, 0.0
        self._at = float(times[position]) if count else 0.0
        while count:
            key = keys[position]
            path = store.frame_path(key)
            before = time.monotonic()
            pixels = self._read(reader, path, key)
            took = time.monotonic() - before
            if not self._began:  # the clock starts with the first picture
                self._began = time.monotonic()
            if not self._wait_until(float(times[position])):
                return
            self._dropped += max(position - last - 1, 0) if last >= 0 else 0
            last = position
            self._send(Shown(key, path, pixels, store.instances(key), self._dropped))
            due = int(np.searchsorted(times[:count], self._position(time.monotonic()), "right")) - 1
            position = max(last + 1, due)
            if position >= count and last == count - 1:
                if not self._last_is_over(times, count):
                    return
                position, last = 0, -1
                with self._wake:
                    self._at, self._began = float(times[0]), time.monotonic()
            position = min(position, count - 1)
            if took > LATE_SECONDS and is_video(path) and position > last + 1:
                if key_frames is None:
                    key_frames = reader.key_frames(path)
                position = _key_between(key_frames, keys, last, position)

    def _read(self, reader: FrameReader, path: Path, key: FrameKey) -> Pixels | None:
        try:
            pixels = reader.read(path, key.index, stop=lambda: self._stopping)
        except Cancelled:
            raise
        except PoseError as error:
            if not path.exists():
                raise
            log.info("left out in playback: %s", error)
            return None
        pixels.flags.writeable = False
        return pixels

    def _times(self, store: ProjectStore) -> npt.NDArray[np.float64]:
        keys = self._plan.keys
        path = store.frame_path(keys[0])
        if not is_video(path):
            return np.arange(len(keys), dtype=np.float64) * PICTURE_SECONDS
        indices = keys.packed & ((1 << 32) - 1)
        times = frame_times(path)
        return np.asarray(times[indices[indices < len(times)]])

    def _position(self, now: float) -> float:
        """Where the clock is, in seconds of the video."""
        return self._at + (now - self._began) * self._speed

    def _wait_until(self, due: float) -> bool:
        """Until a frame is due and the one before was drawn; False if playback was stopped."""
        with self._wake:
            while not self._stopping:
                early = (due - self._position(time.monotonic())) / self._speed
                if early <= 0 and self._is_taken:
                    self._is_taken = False
                    return True
                self._wake.wait(early if early > 0 else None)
        return False

    def _last_is_over(self, times: npt.NDArray[np.float64], count: int) -> bool:
        """Wait as long as the last frame is shown; whether to begin anew."""
        steps = np.diff(times[:count])
        end = float(times[count - 1]) + (float(np.median(steps)) if len(steps) else PICTURE_SECONDS)
        with self._wake:
            while not self._stopping:
                early = (end - self._position(time.monotonic())) / self._speed
                if early <= 0:
                    return self._loop
                self._wake.wait(early)
        raise Cancelled("playback was stopped", where=self._plan.project)


def _key_between(key_frames: npt.NDArray[np.int64], keys: FrameKeys, last: int, position: int) -> int:
    """The last key frame behind ``last`` and up to ``position``; ``position`` where there is none."""
    between = key_frames[(key_frames > keys[last].index) & (key_frames <= keys[position].index)]
    key_position = keys.position(FrameKey(keys[position].media, int(between[-1]))) if len(between) else -1
    return key_position if key_position >= 0 else position
