"""Decodes what lies before the frames that a reader has, while it steps back through them.

A video can be decoded forwards only: the frame before a key, or before the first one that is kept, costs all frames
from the key before it. So that nobody waits for these they are decoded beforehand, by a decoder of their own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av

from engine.errors import MediaError
from engine.media.video.decoder import FrameStream
from engine.media.video.index.index import VideoIndex

log = logging.getLogger(__name__)

_WAIT = 0.02
# More frames than this are not decoded at once.
_MOST = 300


@dataclass(frozen=True)
class _Range:
    first: int
    end: int


class Behind:
    """A thread that decodes frames first..end-1 when asked for, the newest request first.

    Args:
        keep: takes a frame and its number, from the thread; False = no more of them.
        failed: called from the thread when something is damaged.
    """

    def __init__(
        self, path: Path, index: VideoIndex, keep: Callable[[int, av.VideoFrame], bool], failed: Callable[[], None]
    ) -> None:
        self._path, self._index, self._keep, self._failed = path, index, keep, failed
        self._wake = threading.Condition()
        self._asked: _Range | None = None
        self._at: _Range | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"behind {path.name}", daemon=True)
        self._thread.start()

    def want(self, first: int, end: int) -> None:
        """Decode these, if nothing is being decoded."""
        with self._wake:
            if self._at is None and self._asked is None:
                self._asked = _Range(max(0, first, end - _MOST), end)
                self._wake.notify_all()

    def forget(self) -> None:
        """The reader has gone elsewhere."""
        with self._wake:
            self._asked = self._at = None
            self._wake.notify_all()

    def wait_for(self, frame: int, stop: Callable[[], bool] | None) -> None:
        """While a frame is among those being decoded: they will be there before it could be decoded anew."""
        with self._wake:
            while not (stop is not None and stop()):
                if not any(each is not None and each.first <= frame < each.end for each in (self._asked, self._at)):
                    return
                self._wake.wait(_WAIT)

    def end(self) -> None:
        with self._wake:
            self._ending, self._asked, self._at = True, None, None
            self._wake.notify_all()
        self._thread.join()

    def _run(self) -> None:
        stream = FrameStream(self._path, self._index.packets, self._index.stream)
        try:
            while True:
                with self._wake:
                    while not self._ending and self._asked is None:
                        self._wake.wait()
                    if self._ending:
                        return
                    request, self._asked = self._asked, None
                    self._at = request
                assert request is not None
                try:
                    self._decode(stream, request)
                except MediaError:
                    stream.close()  # the reader will meet the same, and say so
                except Exception:  # a mistake of the program: the reader decodes by itself, and nobody waits for this
                    log.exception("decoding beforehand has failed")
                    stream.close()
                finally:
                    with self._wake:
                        self._at = None
                        self._wake.notify_all()
        finally:
            stream.close()

    def _decode(self, stream: FrameStream, request: _Range) -> None:
        index = self._index
        group = int(index.start[request.first : request.end].min())
        floor, latest = index.first_from(group), -1
        if floor > request.first:
            return
        stream.start(int(index.keys[group]))
        while self._at is request and not stream.ended and latest < request.end - 1:
            came = stream.step()
            if any(not 0 <= index.rank[packet] < floor for packet in (*stream.troubles, *stream.alone)):
                self._failed()
                return
            stream.troubles.clear()
            stream.alone.clear()
            for packet, frame in came:
                rank = int(index.rank[packet])
                latest = max(latest, rank)
                if max(floor, request.first) <= rank < request.end and not self._keep(rank, frame):
                    return
