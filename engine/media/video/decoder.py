"""Packets of a video file, taken up at any key packet, and the frames that come out of them.

Every packet is decoded with its number in the index in the place of its time, and the decoder hands that on with the
frame. So a frame's identity does not depend on times, which files get wrong in many ways.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import av.logging
from av.stream import Discard, Disposition

from engine.errors import MediaError
from engine.media.video.index.index import KEY, NO_TIME, Packets
from engine.media.video.index.keyframes import Use, is_garbled, use_of
from engine.media.video.index.mp4_clock import video_table
from engine.media.video.index.mp4_tables import check_tables, whole_boxes
from engine.media.video.index.parameter_sets import with_headers

# Every fault becomes a MediaError or a problem with the file's name; the library's lines on standard error repeat it.
av.logging.set_level(None)

# A header that announces larger pictures is a mistake or a trap.
MAX_PIXELS = 1 << 27
_MAX_THREADS = 4
# A stream that was entered at the wrong place is left again after so many packets that the index does not know.
_STRANGERS = 32
# A file that did not lead to its keys so often is read from its start from then on.
_MISSES = 3
# These decoders learn from the first B-frames of a file how its times are counted, and need it everywhere.
_LEARNING = frozenset({"mpeg4"})
_LESSON = 12
# A picture comes out of the decoder at most so many packets later.
_REMEMBERED = 64
# Decoders of these pass over what they do not understand, and report nothing.
_SILENT = frozenset({"mpeg1video", "mpeg2video", "libdav1d", "av1", "libaom-av1"})
FAULTS = (av.error.FFmpegError, ValueError, OSError, EOFError)

Numbered = list[tuple[int, av.VideoFrame]]


def open_container(path: Path) -> av.container.InputContainer:
    """Raises MediaError when the file is missing, empty or no video."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise MediaError("is not a regular file", where=path)  # reading a pipe would wait forever
    try:
        if check_tables(path):
            return _no_list(_open(os.path.abspath(path), follow_edits=_follows_edits(path)), path)
        raise ValueError("the file ends in a table")
    except FileNotFoundError:
        raise MediaError("does not exist", where=path) from None
    except FAULTS as error:
        whole = whole_boxes(path)
        if whole is not None:
            try:
                return _open(f"subfile,,start,0,end,{whole},,:{os.path.abspath(path)}")
            except FAULTS:
                pass
        if os.path.isdir(path):
            raise MediaError("is a folder, not a video", where=path) from None
        if path.exists() and not path.stat().st_size:
            raise MediaError("is empty (0 bytes)", where=path) from None
        why = getattr(error, "strerror", None) or error
        raise MediaError(f"cannot be opened as a video, it is damaged or cut short ({why})", where=path) from None


def _no_list(container: av.container.InputContainer, path: Path) -> av.container.InputContainer:
    """Raises MediaError for lists of other files: what these hold is not what this one holds."""
    if _LISTS & set(container.format.name.split(",")):
        container.close()
        raise MediaError("is a list of other files, not a video", where=path)
    return container


def _open(url: str, follow_edits: bool = True) -> av.container.InputContainer:
    """From an absolute path: a colon in a relative one would be read as a protocol. Nothing but files is followed."""
    options = {"protocol_whitelist": "file,subfile"} | ({} if follow_edits else {"ignore_editlist": "1"})
    return av.open(url, metadata_errors="replace", options=options)


def _follows_edits(path: Path) -> bool:
    table = video_table(path)
    return table is None or table.follow_edits


def choose_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first video that is no cover picture; packets of all other streams are skipped when the file is read.

    Raises:
        MediaError: there is none, or nothing to decode it with.
    """
    films = [s for s in container.streams.video if not int(s.disposition) & _COVER]
    videos = [s for s in films if s.codec_context is not None] or films
    if not videos:
        only_cover = ", only a cover picture" if container.streams.video else ""
        raise MediaError(f"contains no video{only_cover}", where=path)
    if videos[0].codec_context is None:
        raise MediaError("uses a codec that cannot be decoded here", where=path)
    only(container, videos[0])
    return videos[0]


def only(container: av.container.InputContainer, stream: av.VideoStream) -> None:
    """Let the container skip every other stream."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


_LISTS = frozenset({"hls", "concat", "dash", "imf", "sdp", "image2", "rtsp", "tty", "lavfi"})
_COVER = int(Disposition.attached_pic)


class FrameStream:
    """Decodes a file from any key packet onwards.

    Args:
        packets: what the file holds; numbers of packets refer to it.
        stream: number of the video stream in the file.
        careful: decode one frame at a time, so that one that is damaged takes no other with it.

    Attributes:
        careful: see above.
        position: number of the packet that is decoded next; -1 before the first :meth:`start`.
        ended: all packets are decoded and all frames are out.
        faults: how many packets could not be decoded.
        troubles: packets that were damaged, or could not be decoded, since this was last emptied; where several frames
            are decoded at once, not always these but ones soon after.
        alone: those of them to which no other picture refers.
        begins_with_key: the container calls the first packet a key; known once that was decoded.
    """

    def __init__(self, path: Path, packets: Packets, stream: int, careful: bool = False) -> None:
        self._path, self._packets, self._number, self.careful = path, packets, stream, careful
        self._container: av.container.InputContainer | None = None
        self._coming: Iterator[av.Packet] = iter(())
        self._held: av.Packet | None = None
        self._misses = 0
        self._entering = False
        self.position, self.ended, self.faults = -1, False, 0
        self.troubles: set[int] = set()
        self.alone: set[int] = set()
        self._uses: dict[int, Use] = {}
        self.begins_with_key = self._is_silent = False

    def close(self) -> None:
        if self._container is not None:
            self._coming, self._held = iter(()), None
            self._container.close()
            self._container = None
            self.position = -1

    def start(self, key: int) -> None:
        """Go to a key packet, so that it is the one decoded next.

        Raises:
            MediaError: the file has changed or can no longer be read.
        """
        self.ended = False
        if key > 0 and self._misses < _MISSES and self._seek(key):
            self._entering = True
            return
        self._reopen(learn=key > 0)
        while self.position < key:
            if self._next() is None:
                raise MediaError("has changed or can no longer be read", where=self._path)
            self.position += 1
        self._entering = True

    def step(self) -> Numbered:
        """Decode one packet; at the end of the file, what the decoder has kept back.

        Returns:
            Frames that came out, with the numbers of their packets, in the order in which they are shown.

        Raises:
            MediaError: a packet is another one than the index has.
        """
        packet = self._next()
        if packet is None:
            self.ended = True
            return self._decode(None)
        if packet.size != self._packets.size[self.position]:
            self._misses = _MISSES  # the next attempt reads the file from its start
            raise MediaError("has changed since its index was made, or is not read as it was then", where=self._path)
        if self._entering:
            packet = self._with_headers(packet)
        packet.pts = packet.dts = self.position
        if self.position == 0:
            self.begins_with_key = packet.is_keyframe
        self.position += 1
        if self.careful:
            self._note_use(packet)
        if self._is_silent and is_garbled(packet.stream.codec_context.name, None, bytes(packet)):
            self._trouble(self.position - 1)
        return self._decode(packet)

    def _with_headers(self, packet: av.Packet) -> av.Packet:
        """The packet at which decoding starts, with what the decoder must know."""
        self._entering = False
        headers = self._packets.headers.before(self.position)
        if not headers:
            return packet
        stream = packet.stream
        entry = av.Packet(with_headers(stream.codec_context.name, headers, bytes(packet)))
        entry.stream, entry.time_base = stream, packet.time_base
        entry.is_keyframe = packet.is_keyframe
        for side_data in packet.iter_sidedata():
            entry.set_sidedata(side_data)
        return entry

    def drain(self) -> Numbered:
        """Take out what the decoder has kept back. Then :meth:`start` again."""
        self.ended, self.position = True, -1
        return self._decode(None)

    def _decode(self, packet: av.Packet | None) -> Numbered:
        assert self._container is not None
        try:
            if packet is not None:
                frames = packet.decode()
            else:
                frames = self._container.streams[self._number].decode(None)
        except FAULTS:
            self.faults += 1
            self._trouble(self.position - 1)
            return []
        for frame in frames:
            if frame.is_corrupt and frame.pts is not None:
                self._trouble(frame.pts)
        count = len(self._packets)
        return [(frame.pts, frame) for frame in frames if frame.pts is not None and 0 <= frame.pts < count]

    def _note_use(self, packet: av.Packet) -> None:
        assert self._container is not None
        context = self._container.streams[self._number].codec_context
        if context.name in ("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"):
            self._uses[self.position - 1] = use_of(context.name, context.extradata, bytes(packet))
            self._uses.pop(self.position - _REMEMBERED, None)

    def _trouble(self, packet: int) -> None:
        use = self._uses.get(packet, Use.REFERRED)
        if use is not Use.EMPTY:
            (self.alone if use is Use.ALONE else self.troubles).add(packet)

    def _next(self) -> av.Packet | None:
        packet, self._held = self._held, None
        try:
            while packet is None:
                packet = next(self._coming, None)
                if packet is None:
                    return None
                packet = packet if packet.size else None
        except FAULTS:
            return None
        # What comes after the last packet that the index knows is not part of the video.
        return None if self.position >= len(self._packets) else packet

    def _seek(self, key: int) -> bool:
        """Go to a key by its time. False where the file does not lead there."""
        if self._container is None:
            self._reopen(learn=True)
        assert self._container is not None
        keys = [key]
        before = key
        for back in (1, 8):
            while before > 0 and back:
                before -= 1
                back -= bool(self._packets.flags[before] & KEY)
            keys.append(before)
        for target in keys:
            time = self._time(target)
            if time is None:
                continue
            try:
                self._container.seek(time, stream=self._container.streams[self._number], backward=True)
                self._coming, self._held = self._container.demux(self._container.streams[self._number]), None
                if self._find(key):
                    return True
            except FAULTS:
                continue
        self._misses += 1
        return False

    def _time(self, packet: int) -> int | None:
        for times in (self._packets.dts, self._packets.pts):
            if times[packet] != NO_TIME:
                return int(times[packet])
        return None

    def _find(self, key: int) -> bool:
        """Read on to the key. False when it is passed already, or packets come that the index has otherwise."""
        self.position = 0
        strangers = 0
        candidate = -1
        while strangers < _STRANGERS:
            packet = self._next()
            if packet is None:
                return False
            if candidate < 0:
                candidate = self._recognise(packet, key)
                if candidate < 0:
                    strangers += 1
                    continue
            elif not self._is(packet, candidate):
                return False
            if candidate >= key:
                self.position, self._held = key, packet
                return candidate == key
            candidate += 1
        return False

    def _recognise(self, packet: av.Packet, key: int) -> int:
        """Number of a packet at or before the key, or of the first behind it; -1 for one that the index has not."""
        if packet.pts is None:
            return -1
        candidates = (self._packets.pts == packet.pts).nonzero()[0]
        candidates = candidates[self._packets.size[candidates] == packet.size]
        return int(candidates[0]) if len(candidates) == 1 else -1

    def _is(self, packet: av.Packet, packet_index: int) -> bool:
        if packet_index >= len(self._packets) or packet.size != self._packets.size[packet_index]:
            return False
        return packet.pts is None or packet.pts == self._packets.pts[packet_index]

    def _is_single(self, codec: str) -> bool:
        """Whether the decoder must work in one thread: those of MPEG-4 do not share a header that is new."""
        return codec == "mpeg4" and self._packets.headers.changed

    def _reopen(self, learn: bool = False) -> None:
        self.close()
        self._container = open_container(self._path)
        try:
            stream = self._container.streams[self._number]
        except IndexError:
            raise MediaError("has changed since its index was made", where=self._path) from None
        assert isinstance(stream, av.VideoStream)
        only(self._container, stream)
        context = stream.codec_context
        self._is_silent = context.name in _SILENT
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_type = "SLICE" if self.careful or self._is_single(context.name) else "AUTO"
        context.thread_count = 1 if self.careful else min(_MAX_THREADS, os.cpu_count() or 1)
        self._coming = self._container.demux(stream)
        self.position = 0
        if learn and context.name in _LEARNING:
            while self.position < min(_LESSON, len(self._packets)) and not self.ended:
                self.step()
            context.flush_buffers()
            try:
                self._container.seek(0, stream=stream)
            except FAULTS:
                self._reopen()
                return
            self._coming, self._held, self.position, self.ended = self._container.demux(stream), None, 0, False
