"""Makes the index of a video file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.pages import READ_AS_PAGES
from engine.media.video.decoder import FAULTS, FrameStream, choose_stream, open_container
from engine.media.video.index.frame_order import (
    HEAD_PACKETS,
    Order,
    insert_by_time,
    is_unexplained,
    predict_order,
    settle,
    suffers,
)
from engine.media.video.index.h264_fields import SecondFields
from engine.media.video.index.index import (
    CORRUPT,
    DISCARD,
    GRADUAL,
    HIDDEN,
    KEY,
    NO_TIME,
    Packets,
    Picture,
    Progress,
    VideoIndex,
    content_key,
    index_path,
    load_index,
    save_index,
)
from engine.media.video.index.keyframes import entry_check, is_garbled
from engine.media.video.index.mp4_clock import video_table
from engine.media.video.index.order_check import decode_head, is_so_at
from engine.media.video.index.parameter_sets import HeaderWatch
from engine.media.video.index.validation import agrees_with_file
from engine.media.video.rgb import PictureMaker

# The last group of pictures is tried when it is at most so long.
_TAIL_PACKETS = 120
# Where a frame does not come out it is tried from so many keys earlier.
_RETRIES = (0, 1, 2, 4)
_MANY = 1 << 14
_TOLD_EVERY = 256
# The second key is tried when it and so many packets behind it are at most so much to decode.
_ENTRY_PACKETS = 300
_ENTRY_FRAMES = 24
_ENTRY_PIXELS = 1 << 27
# Pictures that others do not refer to, at most so many in a row.
_MOST_BETWEEN = 16


def read_index(path: Path | str, cache: Path | None = None, progress: Progress | None = None) -> VideoIndex:
    """The index of a video: from the cache folder if it is there, else made and put there.

    Args:
        progress: called with 0..1 while the file is read; may raise to stop.

    Raises:
        MediaError: missing, no video, or nothing in it can be decoded.
    """
    path = Path(path)
    if path.suffix.lower() in READ_AS_PAGES:
        raise MediaError("is an image file, not a video", where=path)
    key = content_key(path)
    if cache is not None:
        stored = index_path(cache, key)
        stored_index = load_index(stored, key)
        if stored_index is not None and _is_checked(path, stored, stored_index):
            return stored_index
    index = build_index(path, key, progress)
    if cache is not None:
        try:
            save_index(index, index_path(cache, key))
        except OSError:
            pass  # a folder that cannot be written costs time, not frames
    return index


_checked: set[tuple[str, str, int, int]] = set()
"""Indices that agree with their files: (video, key, time and size of the stored index)."""


def _is_checked(path: Path, stored: Path, index: VideoIndex) -> bool:
    """Whether a stored index agrees with the file; looked up once for each index in a process."""
    try:
        status = stored.stat()
    except OSError:
        return False
    mark = (os.path.abspath(path), index.key, status.st_mtime_ns, status.st_size)
    if mark not in _checked:
        if not agrees_with_file(index, path):
            return False
        _checked.add(mark)
    return True


def build_index(path: Path | str, key: str | None = None, progress: Progress | None = None) -> VideoIndex:
    """As :func:`read_index`, always anew."""
    path = Path(path)
    return _Scan(path, key or content_key(path)).run(progress)


class _Scan:
    """One reading of a file."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._problems: list[str] = []
        self._damaged = False
        self._empty_packets = 0
        """Packets without a picture: in AVI each stands for a picture that is shown again."""

    def run(self, progress: Progress | None) -> VideoIndex:
        with open_container(self._path) as container:
            stream = choose_stream(container, self._path)
            self._number, self._codec = stream.index, stream.codec_context.name
            self._base = stream.time_base or Fraction(1, 1000)
            self._rate = stream.average_rate or stream.guessed_rate or Fraction(30)
            self._aspect = stream.sample_aspect_ratio
            self._packets = self._demux(container, stream, progress)
            self._table = video_table(self._path)
            self._listed = stream.frames if container.format.name == "avi" else 0
            self._look_for_a_cut(container, stream)
            self._check_clock()
        if not len(self._packets):
            raise MediaError("contains no frames: it is empty or truncated", where=self._path)
        predicted = predict_order(self._packets)
        picture, seen, broken = decode_head(self._path, self._packets, self._number, self._aspect, self._codec)
        self._check_entry(picture)
        settled = None if predicted.exhaustive else settle(self._packets, predicted.order, seen, broken)
        if settled is not None and not is_so_at(self._path, self._index(settled, picture), predicted.joints):
            settled = None
        order = self._decode_all(progress) if settled is None else self._try_damaged(self._index(settled, picture))
        if not len(order):
            raise MediaError("contains no frame that can be decoded", where=self._path)
        self._compare_with_table(order)
        return self._index(order, picture)

    def _index(self, order: Order, picture: Picture) -> VideoIndex:
        return VideoIndex(
            self._key, self._number, self._codec, self._base, picture, self._packets, order, self._rate,
            self._damaged, self._problems,
        )  # fmt: skip

    def _demux(
        self, container: av.container.InputContainer, stream: av.VideoStream, progress: Progress | None
    ) -> Packets:
        rows: list[tuple[int, int, int, int]] = []
        is_vp8 = self._codec in ("vp8", "libvpx")
        context = stream.codec_context
        check = entry_check(context.name, context.extradata, context.pix_fmt)
        headers = HeaderWatch(context.name, context.extradata)
        seconds = SecondFields(context.extradata) if context.name == "h264" else None
        from_here = 0
        length = max(1, container.size)
        try:
            for packet in container.demux(stream):
                size = packet.size
                if not size:
                    self._empty_packets += packet.dts is not None
                    continue
                flags = packet.is_keyframe * KEY | packet.is_discard * DISCARD | packet.is_corrupt * CORRUPT
                if flags & KEY and check is not None:
                    entry = check(bytes(packet))
                    if entry is None or (entry.lag and len(rows) < from_here):
                        flags ^= KEY
                    elif entry.lag:
                        flags |= GRADUAL
                        from_here = len(rows) + 2 * entry.lag + _MOST_BETWEEN
                if headers.is_needed or packet.has_sidedata("new_extradata"):
                    new = bytes(packet.get_sidedata("new_extradata")) if packet.has_sidedata("new_extradata") else None
                    if not headers.see(len(rows), bytes(packet), bool(flags & KEY), new):
                        flags &= ~(KEY | GRADUAL)
                elif headers.unknown_change:
                    flags &= ~KEY
                if seconds is not None and seconds.needed and seconds.is_second(bytes(packet)):
                    flags = (flags | HIDDEN) & ~(KEY | GRADUAL)
                if is_vp8 and not memoryview(packet)[0] & 0x10 and not is_garbled(self._codec, None, bytes(packet)):
                    flags |= HIDDEN
                pts, dts = packet.pts, packet.dts
                rows.append((NO_TIME if pts is None else pts, NO_TIME if dts is None else dts, size, flags))
                if progress is not None and len(rows) % _MANY == 0 and packet.pos is not None:
                    progress(min(1.0, max(0.0, packet.pos / length)))
        except FAULTS as error:
            self._damaged = True
            self._problems.append(f"cannot be read to its end ({getattr(error, 'strerror', None) or error})")
        table = np.array(rows, np.int64).reshape(-1, 4)
        return Packets(
            np.ascontiguousarray(table[:, 0]),
            np.ascontiguousarray(table[:, 1]),
            table[:, 2].astype(np.int32),
            table[:, 3].astype(np.uint8),
            headers.result(),
        )

    def _look_for_a_cut(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        """Files with a table of contents, or a duration in front, tell when their end is missing."""
        pts = self._packets.pts[self._packets.pts != NO_TIME]
        if container.name.startswith("subfile,"):
            self._cut(pts)
            return
        entries = stream.index_entries
        if len(entries):
            # Behind a packet that is said to reach beyond the end of the file none is read.
            suspects = range(len(self._packets), len(entries)) if len(entries) > len(self._packets) else ()
            last = len(entries) - 1
            if any(entries[n].pos + entries[n].size > container.size > 0 for n in (last, *suspects)):
                self._cut(pts)
                return
        if "mov" in container.format.name.split(",") and len(entries) < stream.frames:
            # A picture that is said to be larger than the file: the library gives up the table there.
            self._damaged = True
            self._problems.append(
                f"is damaged: it lists {stream.frames:,} pictures, only {len(entries):,} can be found"
            )
            return
        if self._table is not None and 0 < self._table.pictures <= len(self._packets):
            return
        promised = container.duration
        if promised is None or not len(pts) or len(container.streams) > 1 or "mpegts" in container.format.name:
            return
        start = (container.start_time or 0) / av.time_base
        missing = promised / av.time_base + start - float(pts.max() * self._base)
        if missing > 1 + 2 / float(self._rate):
            self._cut(pts)

    def _check_clock(self) -> None:
        if self._table is None:
            return
        if self._table.unit is not None:
            self._base = self._table.unit
            self._problems.append("has a damaged time scale; the times of its frames are estimated")
        elif not self._table.follow_edits:
            self._problems.append("has an edit list that shows no picture or a single one; all pictures are shown")

    def _compare_with_table(self, order: Order) -> None:
        """An MP4 lists the pictures that it stores, and may say that some of them are not to be shown. An AVI says in
        its header how many it has."""
        if self._damaged:
            return
        hidden = int((self._packets.flags & HIDDEN > 0).sum())
        if len(order) < self._listed - self._empty_packets - hidden:
            self._problems.append(
                f"is damaged: {len(order):,} of the {self._listed:,} pictures that its header names can be read; "
                "frames after a lost one have smaller numbers than in the whole file"
            )
        if self._table is None:
            return
        stored = self._table.pictures - hidden
        if len(order) < stored:
            self._problems.append(
                f"shows {len(order):,} of the {stored:,} pictures that it lists; its edit list cuts the others "
                "away, or they cannot be decoded"
            )

    def _cut(self, pts: npt.NDArray[np.int64]) -> None:
        self._damaged = True
        if not self._problems:
            until = f" after {float((pts.max() - pts.min()) * self._base):.1f} s" if len(pts) else ""
            self._problems.append(f"is cut short: the file ends{until}, before its announced end")

    def _check_entry(self, picture: Picture) -> None:
        """Where a decoder that starts at the second key gives other pictures than one that starts before it, all keys
        but the start are given up: the decoder needs something that no header tells."""
        keys = np.flatnonzero(self._packets.flags & (KEY | GRADUAL) == KEY)
        later = keys[keys > 0]
        if not len(later) or int(later[0]) > _ENTRY_PACKETS:
            return
        key, (width, height) = int(later[0]), picture.coded
        if (key + _ENTRY_FRAMES) * width * height > _ENTRY_PIXELS:
            return
        maker = PictureMaker(picture)
        in_sequence, is_whole = self._digests(maker, 0, key)
        entered, _ = self._digests(maker, key, key)
        if key not in in_sequence or not is_whole:
            return  # damaged: nothing can be learned from it
        pts = self._packets.pts
        # What is stored behind a key and shown before it needs what lies before.
        shown_after = {n for n in in_sequence if n == key or pts[n] > pts[key] != NO_TIME}
        if key not in entered or any(entered[n] != in_sequence[n] for n in shown_after & entered.keys()):
            self._packets.flags[1:] &= np.uint8(0xFF ^ KEY ^ GRADUAL)

    def _digests(self, maker: PictureMaker, start: int, key: int) -> tuple[dict[int, bytes], bool]:
        """Digests of a key and of what is decoded soon after it, by packet, and whether nothing was damaged."""
        stream = FrameStream(self._path, self._packets, self._number, careful=True)
        digests: dict[int, bytes] = {}
        try:
            stream.start(start)
            while not stream.ended and stream.position < key + _ENTRY_FRAMES:
                for packet, frame in stream.step():
                    if packet >= key:
                        digests[packet] = hashlib.blake2b(maker.rgb(frame).tobytes(), digest_size=16).digest()
            return digests, not (stream.troubles or stream.alone or stream.faults)
        finally:
            stream.close()

    def _decode_all(self, progress: Progress | None) -> Order:
        """The order in which frames come out, where the container does not say it."""
        stream = FrameStream(self._path, self._packets, self._number, self._damaged)
        seen: list[int] = []
        try:
            stream.start(0)
            while not stream.ended:
                seen += [index for index, _ in stream.step()]
                if progress is not None and stream.position % _TOLD_EVERY == 0:
                    progress(min(1.0, stream.position / len(self._packets)))
        finally:
            stream.close()
        if stream.faults:
            self._note_faults(stream.faults)
        order = list(dict.fromkeys(seen))
        end = len(self._packets) - 1
        if end in stream.troubles | stream.alone and end in order[1:]:
            order.remove(end)  # a part of a picture
            self._damaged = True
            self._problems.append("is cut short: its last picture is not whole")
        for packet in sorted((stream.troubles | stream.alone) - set(order) - {end}):
            if order and packet > order[0]:
                insert_by_time(self._packets, order, packet)
        return np.array(order, np.int32)

    def _note_faults(self, count: int) -> None:
        self._damaged = True
        self._problems.append(f"is damaged: {count} {'picture' if count == 1 else 'pictures'} cannot be decoded")

    def _try_damaged(self, index: VideoIndex) -> Order:
        """Decode the groups of pictures that are marked as damaged, and the last one; leave out what does not come, but
        keep the places of damaged pictures that others follow."""
        corrupt = np.flatnonzero(self._packets.flags & CORRUPT)
        groups = set((np.searchsorted(index.keys, corrupt, "right") - 1).tolist())
        if len(corrupt):
            self._damaged = True
        last = int(index.start[-1])
        if len(self._packets) - int(index.keys[last]) <= _TAIL_PACKETS or self._damaged:
            groups.add(last)
        partial = len(self._packets) - 1 if self._damaged else -1
        lost, broken = self._lost_in(index, groups)
        if lost:
            self._note_lost(index, lost)
        elif len(corrupt):
            self._problems.append(_places("is damaged near", index, self._frames_near(index, corrupt)))
        end = index.frame_count
        while end - 1 in lost:
            end -= 1
        left_out = [
            rank
            for rank in lost
            if rank >= end
            or (packet := int(index.order[rank])) == partial
            or not (suffers(self._packets, packet, broken) or is_unexplained(self._codec, self._packets, packet))
        ]
        return np.delete(index.order, left_out)

    def _lost_in(self, index: VideoIndex, groups: Iterable[int]) -> tuple[list[int], set[int]]:
        """Frames of some groups that do not come out, and packets that are damaged."""
        lost: set[int] = set()
        stream = FrameStream(self._path, self._packets, self._number, careful=True)
        try:
            for group in sorted(groups):
                members = np.flatnonzero(index.start == group)
                if not len(members):
                    continue
                missing = set(members.tolist())
                starts = [group - back for back in _RETRIES if back <= group]
                if int(index.keys[group]) <= HEAD_PACKETS and starts[-1] > 0:
                    starts.append(0)
                for start in starts:
                    if missing:
                        missing -= self._come_from(stream, index, start, int(members[-1]))
                lost |= missing
        finally:
            stream.close()
        return sorted(lost), stream.troubles | stream.alone

    @staticmethod
    def _come_from(stream: FrameStream, index: VideoIndex, group: int, last: int) -> set[int]:
        """Frames up to the last that come out right when decoding starts at a group."""
        stream.start(int(index.keys[group]))
        first, latest, came = index.first_from(group), -1, set()
        while not stream.ended and latest <= last:
            ranks = [int(index.rank[packet]) for packet, _ in stream.step()]
            came |= {rank for rank in ranks if rank >= first}
            latest = max([latest, *ranks])
        end = len(index.packets) - 1
        # A file that is cut off ends with a part of a picture.
        is_part = end in stream.troubles | stream.alone or index.packets.flags[end] & CORRUPT
        return came - {int(index.rank[end])} if is_part else came

    def _note_lost(self, index: VideoIndex, lost: list[int]) -> None:
        self._damaged = True
        count = f"{len(lost)} {'picture' if len(lost) == 1 else 'pictures'}"
        self._problems.append(_places(f"is damaged: {count} cannot be decoded, near", index, lost))

    @staticmethod
    def _frames_near(index: VideoIndex, packets: npt.NDArray[np.int64]) -> list[int]:
        return [int(rank) for rank in index.rank[packets] if rank >= 0] or [0]


def _places(text: str, index: VideoIndex, frames: list[int]) -> str:
    seconds = list(dict.fromkeys(f"{index.times[frame]:.1f}" for frame in frames))
    more = f" and {len(seconds) - 3} more places" if len(seconds) > 3 else ""
    return f"{text} {', '.join(seconds[:3])} s{more}"
