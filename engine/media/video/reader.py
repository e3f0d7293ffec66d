"""Any frame of a video, exactly, in any order.

Frame i is the i-th frame that a player would show that decodes the file from its start; the same pixels come out
whether the frame is reached in sequence, by a jump or backwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt

from engine.errors import Cancelled, MediaError
from engine.media.frame_index import check_index
from engine.media.video.damage import Damage
from engine.media.video.decoder import FrameStream
from engine.media.video.frame_cache import Kept
from engine.media.video.index.frame_order import is_unexplained
from engine.media.video.index.index import VideoIndex
from engine.media.video.index.indexer import read_index
from engine.media.video.prefetch import Behind
from engine.media.video.rgb import PictureMaker

Image = npt.NDArray[np.uint8]

CACHE_BYTES = 256 << 20
# Going on to a frame costs less than going to its key when so few packets lie before that.
_NEAR_PACKETS = 24
# Reading so many frames back or fewer is stepping back; with room for fewer frames than this nothing is got beforehand.
_STEPS_BACK = 4
_LEAST_ROOM = 6
_RETRIES = (0, 1, 2, 4, 16)
# A frame that seems damaged is decoded again from so many packets before it.
_FAR_PACKETS = 1500


class VideoReader:
    """Frames of one video. A :class:`~engine.media.source.FrameSource`; belongs to one thread.

    Args:
        index: of this very file; read or made when not given.
        cache: folder where indices are kept; none, and the index is made at every opening.
        cache_bytes: decoded frames (as they leave the decoder) are kept up to this; what was decoded on the way to a
            frame is kept, so that stepping back costs nothing until it is used up.
        ahead: decode so many frames ahead, in a thread, while frames are read in sequence.

    Raises:
        MediaError: missing, no video, or nothing in it can be decoded.
    """

    def __init__(
        self,
        path: Path | str,
        index: VideoIndex | None = None,
        *,
        cache: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
        ahead: int = 0,
    ) -> None:
        self.path = Path(path)
        self.index = read_index(self.path, cache) if index is None else index
        self.frame_count = self.index.frame_count
        self.size = self.index.size
        self.problems = list(self.index.problems)
        self._stream = FrameStream(self.path, self.index.packets, self.index.stream, self.index.damaged)
        self._picture = PictureMaker(self.index.picture)
        self._kept = Kept(cache_bytes)
        self._latest, self._floor = -1, 0
        self._lost: set[int] = set()
        self._enters_far = False
        self._damage, self._suspect = Damage(self.index), False
        self._last_read = -2
        self._stop: Callable[[], bool] | None = None
        self._lock = threading.Lock()
        self._ahead = _Ahead(self, ahead) if ahead > 0 else None
        self._behind: Behind | None = None

    def exact_time(self, index: int) -> Fraction:
        """Seconds from the first frame to this one, exactly as the file has it."""
        return self.index.exact_time(check_index(index, self.frame_count))

    def time(self, index: int) -> float:
        """Seconds from the first frame to this one."""
        return float(self.exact_time(index))

    def read(self, index: int, max_side: int | None = None, stop: Callable[[], bool] | None = None) -> Image:
        """RGB uint8 (H, W, 3), upright, with square pixels, C-contiguous; the caller's own.

        Args:
            max_side: make the picture small enough for it.
            stop: asked between packets; once it says True the way to the frame is given up. What was decoded is kept,
                and the next call goes on from there.

        Raises:
            IndexError: there is no such frame.
            MediaError: the frame is damaged, or the file is gone.
            Cancelled: ``stop`` said so.
        """
        check_index(index, self.frame_count)
        if self._ahead is not None:
            self._ahead.pause()
        back = 0 < self._last_read - index <= _STEPS_BACK
        if self._behind is not None:
            if back and index not in self._kept:
                self._behind.wait_for(index, stop)
            elif not back:
                self._behind.forget()
        with self._lock:
            self._stop = stop
            self._kept.focus, self._kept.backwards = index, back
            frame = self._frame(index)
            if back:
                self._look_behind(index)
        if self._ahead is not None:
            self._ahead.go_on(index + 1 if index == self._last_read + 1 else None)
        self._last_read = index
        return self._picture.rgb(frame, max_side)

    def read_near(self, index: int, max_side: int | None = None) -> tuple[int, Image]:
        """A frame that is quick to get: this one if it is decoded, else the one before it at which decoding starts.

        For scrubbing and thumbnails; with ``max_side`` also made small.

        Returns:
            The number of the frame, and its picture.

        Raises:
            IndexError: there is no such frame.
            MediaError: the frame is damaged, or the file is gone.
        """
        check_index(index, self.frame_count)
        if self._ahead is not None:
            self._ahead.pause()
        with self._lock:
            self._stop = None
            self._kept.focus, self._kept.backwards = index, False
            shown, frame = self._near(index)
        self._last_read = -2
        return shown, self._picture.rgb(frame, max_side)

    def is_quick(self, index: int) -> bool:
        """Whether a frame is decoded already, or a few packets away."""
        check_index(index, self.frame_count)
        with self._lock:
            if self._kept.get(index) is not None:
                return True
            packet, key = int(self.index.order[index]), int(self.index.keys[self.index.start[index]])
            behind = self._stream.position if self._can_go_on(index) else key
            return packet - behind <= _NEAR_PACKETS

    def key_frames(self) -> npt.NDArray[np.int32]:
        """Frames at which decoding can start, ascending."""
        ranks = self.index.rank[self.index.keys[~self.index.gradual]]
        return np.sort(ranks[ranks >= 0])

    def close(self) -> None:
        """End the thread, close the file, give back the memory. May be called twice."""
        if self._ahead is not None:
            self._ahead.end()
            self._ahead = None
        if self._behind is not None:
            self._behind.end()
            self._behind = None
        with self._lock:
            self._stream.close()
            self._kept.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _near(self, index: int) -> tuple[int, av.VideoFrame]:
        match = self._kept.get(index)
        if match is not None:
            return index, self._frame(index)
        group = int(self.index.start[index])
        key = int(self.index.keys[group])
        rank = int(self.index.rank[key])
        if rank < 0 or self.index.gradual[group]:
            return index, self._frame(index)
        match = self._kept.get(rank)
        if match is None:
            self._stream.start(key)
            came = self._stream.step() + self._stream.drain()
            self._latest = -1
            match = next((frame for packet, frame in came if packet == key), None)
            if match is None:
                return index, self._frame(index)
            self._kept.put(rank, match)
        return rank, match

    def _look_behind(self, index: int) -> None:
        """Stepping back has nearly used up what is kept: have more decoded. The lock is held."""
        room = self._kept.capacity()
        low = self._kept.lowest_before(index)
        if low == 0 or index - low > room // 3 or room < _LEAST_ROOM or self._stream.careful or self._suspect:
            return
        if self._behind is None:
            self._behind = Behind(self.path, self.index, self._keep_behind, self._found_damage)
        self._behind.want(low - 2 * room // 3, low)

    def _keep_behind(self, packet: int, frame: av.VideoFrame) -> bool:
        with self._lock:
            if self._kept.backwards and not self._suspect:
                self._kept.put(packet, frame)
            return self._kept.backwards

    def _found_damage(self) -> None:
        with self._lock:
            self._suspect = True

    def _frame(self, index: int) -> av.VideoFrame:
        """A frame that is kept, or else decoded; the lock is held."""
        careful = self._stream.careful
        frame = None if self._suspect or (careful and not self._damage.is_sure(index)) else self._kept.get(index)
        if frame is not None and not careful and not self._references_are_whole(index):
            frame = None
        if frame is None and index not in self._lost:
            frame = self._decode(index) or self._decode_from_far(index)
            if frame is None:
                self._lost.add(index)
                self._say(f"frame {index} (at {self.time(index):.2f} s) cannot be decoded")
        if frame is None:
            raise MediaError(f"frame {index} is damaged and cannot be decoded", where=self.path)
        if self._damage.spoils(index) and not self._damage.is_confirmed(index):
            frame = self._decode_from_far(index) or frame
        if self._damage.spoils(index):
            first, last = self._damage.extent(index)
            frames = f"frame {first}" if first == last else f"frames {first} to {last}"
            self._say(f"is damaged at {self.time(first):.2f} s: {frames} cannot be shown as recorded")
            raise MediaError(f"frame {index} cannot be decoded", where=self.path)
        return frame

    def _say(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _decode(self, index: int) -> av.VideoFrame | None:
        frame = None
        if not self._suspect:
            if self._can_go_on(index):
                frame = self._run_to(index)
            if frame is None:
                frame = self._decode_from_key(index)
            if frame is not None and not self._stream.careful:
                self._references_are_whole(index)
        if (frame is None or self._suspect) and not self._stream.careful:
            # Several frames are decoded at once, and one that is damaged may take others with it.
            self._kept.clear()
            self._suspect = False
            self._stream.close()
            self._stream = FrameStream(self.path, self.index.packets, self.index.stream, careful=True)
            frame = self._decode_from_key(index)
        if frame is not None and self._stream.careful:
            while self._latest < self._damage.needs(index) and not self._stream.ended:
                self._step(-1)
            self._damage.ran(self._floor, max(self._latest, index) if self._stream.ended else self._latest)
        return frame

    def _decode_from_key(self, index: int) -> av.VideoFrame | None:
        """From the key before the frame, or from earlier ones where it does not come out."""
        group = int(self.index.start[index])
        if self._enters_far:
            far = max(0, int(self.index.order[index]) - _FAR_PACKETS)
            group = min(group, int(np.searchsorted(self.index.keys, far, "right")) - 1)
        for back in _RETRIES:
            if back <= group:
                self._start(group - back)
                frame = self._run_to(index)
                if frame is not None:
                    return frame
        return None

    def _decode_from_far(self, index: int) -> av.VideoFrame | None:
        """Before a frame is called damaged it is decoded from the start of the file, or from far before it.

        A decoder that starts at a key may lack something that stands in an earlier packet. Only what is damaged in this
        decoding is damaged.
        """
        own_group = int(self.index.start[index])
        packet = int(self.index.order[index])
        group = int(np.searchsorted(self.index.keys, max(0, packet - _FAR_PACKETS), "right")) - 1
        if group >= own_group or (packet > _FAR_PACKETS and self.index.damaged):
            return None
        frames = np.flatnonzero(self.index.start == own_group)  # all of a group, lest each of them begins so far away
        last_needed = max(self._damage.needs(int(frame)) for frame in frames)
        hurt: set[int] = set()
        alone: set[int] = set()
        came: dict[int, av.VideoFrame] = {}
        self._start(group)
        while not self._stream.ended and self._latest < last_needed:
            self._check_stop(index)
            for packet_index, frame in self._stream.step():
                rank = int(self.index.rank[packet_index])
                self._latest = max(self._latest, rank)
                if self.index.start[rank] == own_group:
                    came[rank] = frame
            for source, target in ((self._stream.troubles, hurt), (self._stream.alone, alone)):
                target.update(n for n in source if not 0 <= self.index.rank[n] < self._floor)
                source.clear()
        begin, end = int(self.index.keys[group]), int(self.index.order[frames].max()) + 1
        self._damage.replace(begin, end, hurt, alone)
        if index in came and not self._damage.spoils(index):
            self._enters_far = True
            self._kept.clear()
            for rank, frame in came.items():
                self._kept.put(rank, frame)
        return came.get(index)

    def _check_stop(self, index: int) -> None:
        if self._stop is not None and self._stop():
            raise Cancelled(f"frame {index} is not wanted any more", where=self.path)

    def _can_go_on(self, index: int) -> bool:
        if self._stream.position < 0 or self._stream.ended or index <= self._latest:
            return False
        key = int(self.index.keys[self.index.start[index]])
        return key <= self._stream.position + _NEAR_PACKETS

    def _start(self, group: int) -> None:
        self._stream.start(int(self.index.keys[group]))
        self._latest, self._floor = -1, self.index.first_from(group)

    def _run_to(self, index: int) -> av.VideoFrame | None:
        """Decode until a frame comes out; None when it does not."""
        frame = None
        while frame is None and not self._stream.ended and self._latest <= index and not self._suspect:
            self._check_stop(index)
            frame = self._step(index)
        return frame

    def _step(self, target: int) -> av.VideoFrame | None:
        """Decode one packet, keep the frames that come out, and return the wanted one if it is among them."""
        match = None
        came = self._stream.step()
        self._note_troubles()
        for packet, frame in came:
            rank = int(self.index.rank[packet])
            if rank < self._floor:
                continue
            self._note_missing(max(self._latest + 1, self._floor), rank)
            self._latest = max(self._latest, rank)
            self._kept.put(rank, frame)
            if rank == target:
                match = frame
        return match

    def _references_are_whole(self, index: int) -> bool:
        """Decode on until the frames are out that this one may be made of.

        A decoder says that a picture is damaged when it comes out; one that is shown before it may be made of it.
        """
        last_needed = self._damage.needs(index)
        while self._floor <= index <= self._latest < last_needed and not (self._stream.ended or self._suspect):
            if self._stream.position < 0:
                break
            self._check_stop(index)
            self._step(-1)
        return not self._suspect

    def _note_missing(self, first: int, end: int) -> None:
        """Frames first..end-1 should have come out before the one that did."""
        packets, codec = self.index.packets, self.index.codec
        missing = [n for n in self.index.order[first:end].tolist() if is_unexplained(codec, packets, n)]
        if missing and self._stream.careful:
            self._damage.note(missing)
        elif missing:
            self._suspect = True

    def _note_troubles(self) -> None:
        stream = self._stream
        if not (stream.troubles or stream.alone):
            return
        # What is shown before the place where decoding began lacks what it is made of.
        hurt, alone = (
            [n for n in each if not 0 <= self.index.rank[n] < self._floor] for each in (stream.troubles, stream.alone)
        )
        stream.troubles.clear()
        stream.alone.clear()
        if stream.careful:
            self._damage.note(hurt, alone)
        else:
            self._suspect = bool(hurt or alone)


class _Ahead:
    """Decodes the frames that come next while the reader's thread works on those it has."""

    def __init__(self, reader: VideoReader, count: int) -> None:
        self._reader, self._count = reader, count
        self._wake = threading.Condition()
        self._from: int | None = None
        self._paused = self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"ahead of {reader.path.name}", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Leave the decoder to the reader's thread after the packet at hand."""
        self._paused = True

    def go_on(self, first: int | None) -> None:
        """Decode from a frame on, or nothing."""
        with self._wake:
            self._paused, self._from = False, first
            self._wake.notify()

    def end(self) -> None:
        with self._wake:
            self._ending = self._paused = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._ending and self._from is None:
                    self._wake.wait()
                if self._ending:
                    return
                first, self._from = self._from, None
            assert first is not None
            self._decode(first)

    def _decode(self, first: int) -> None:
        reader = self._reader
        while not self._paused:
            with reader._lock:
                limit = min(first + self._count, first + reader._kept.capacity() // 2, reader.frame_count) - 1
                stream = reader._stream
                if reader._suspect or stream.ended or stream.position < 0 or not first - 1 <= reader._latest < limit:
                    return
                reader._step(limit)
