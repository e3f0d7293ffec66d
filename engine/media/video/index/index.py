"""What a video file holds, packet by packet, and which frame each packet shows.

The index is made from the container alone, nothing is decoded but a few frames at the start and, where the file is
damaged, there. A frame is known by the packet it comes from, never by a rounded time; so it does not matter whether the
rate is constant, times repeat, or an edit list shows only a part of what is stored.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import platformdirs

from engine.errors import MediaError
from engine.media.video.index.parameter_sets import KeyHeaders
from engine.utils.files import read_bytes

VERSION = 5
NO_TIME = np.iinfo(np.int64).min
KEY, DISCARD, CORRUPT, HIDDEN, GRADUAL = 1, 2, 4, 8, 16
_HASHED_BYTES = 1 << 16
_MOST_BYTES = 1 << 30
"""Of an index that is unpacked: a film of 25 bytes a packet lasts more than a week."""

_MOST_SIDE = 1 << 20
_MOST_STREAMS = 1 << 16
_TURNS = frozenset((a, b, c, d) for a, b, c, d in product((-1, 0, 1), repeat=4) if abs(a) == abs(d) != abs(b) == abs(c))

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Packets:
    """Packets of one video stream in the order in which they are stored; times in units of the time base.

    Attributes:
        pts: (P,) int64 presentation times, NO_TIME where the file has none.
        dts: (P,) int64 decoding times, likewise.
        size: (P,) int32 bytes.
        flags: (P,) uint8 bits KEY (decoding can start here), DISCARD (outside the edit list), CORRUPT, HIDDEN (a
            picture that is never shown), GRADUAL (of a key: the picture is made anew bit by bit, and all is right at
            the next key only).
        headers: what a decoder must know that starts at a key.
    """

    pts: npt.NDArray[np.int64]
    dts: npt.NDArray[np.int64]
    size: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]
    headers: KeyHeaders = field(default_factory=KeyHeaders)

    def __len__(self) -> int:
        return len(self.pts)


class Picture(msgspec.Struct, frozen=True):
    """How stored pixels become the picture that is shown.

    Attributes:
        coded: (width, height) as decoded.
        aspect: width of a pixel divided by its height.
        turn: matrix (a, b, c, d) of whole numbers that takes stored directions to shown ones:
            x' = a x + b y, y' = c x + d y; a quarter turn, a mirror image, or both.
    """

    coded: tuple[int, int]
    aspect: tuple[int, int] = (1, 1)
    turn: tuple[int, int, int, int] = (1, 0, 0, 1)

    @property
    def scaled(self) -> tuple[int, int]:
        """(width, height) with square pixels, before the turn. Nothing is made smaller."""
        width, height = self.coded
        aspect = Fraction(*self.aspect)
        if aspect > 1:
            return max(1, round(width * aspect)), height
        return width, max(1, round(height / aspect))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown."""
        width, height = self.scaled
        return (height, width) if self.turn[0] == 0 else (width, height)


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """Frames of a video in the order in which they are shown.

    Attributes:
        key: names the content of the file, see :func:`content_key`.
        stream: number of the video stream in the file.
        codec: name of the decoder.
        time_base: seconds of one unit of time.
        picture: size, pixel aspect and turn.
        packets: all packets of the stream.
        order: (N,) int32, the packet of each frame.
        rate: frames per second, on average as the file says; for frames without times.
        damaged: the file is; then frames are decoded in the way that loses least.
        problems: what is wrong, in sentences for a person.
    """

    key: str
    stream: int
    codec: str
    time_base: Fraction
    picture: Picture
    packets: Packets
    order: npt.NDArray[np.int32]
    rate: Fraction = Fraction(30)
    damaged: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def frame_count(self) -> int:
        return len(self.order)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown."""
        return self.picture.size

    @cached_property
    def rank(self) -> npt.NDArray[np.int32]:
        """(P,) the frame that each packet shows, -1 for none."""
        rank = np.full(len(self.packets), -1, np.int32)
        rank[self.order] = np.arange(len(self.order), dtype=np.int32)
        return rank

    @cached_property
    def keys(self) -> npt.NDArray[np.int32]:
        """Packets at which decoding can start; the first packet is one in any case."""
        keys = np.flatnonzero(self.packets.flags & KEY).astype(np.int32)
        return keys if len(keys) and keys[0] == 0 else np.concatenate([np.zeros(1, np.int32), keys])

    @cached_property
    def when(self) -> npt.NDArray[np.int64]:
        """(P,) numbers that sort packets as they are shown: times, or the ranks where times are missing."""
        pts = self.packets.pts
        shown = pts[self.order]
        if (pts == NO_TIME).any() or len(np.unique(pts)) < len(pts) or (shown[1:] <= shown[:-1]).any():
            return self.rank.astype(np.int64)
        return pts

    @cached_property
    def start(self) -> npt.NDArray[np.int32]:
        """(N,) which of :attr:`keys` to start at for each frame.

        Frames stored behind a key and shown before it (an open group of pictures) need the key before; so do those
        behind a key that is gradual.
        """
        starts = np.searchsorted(self.keys, self.order, "right") - 1
        starts -= self.when[self.keys[starts]] > self.when[self.order]
        starts = np.maximum(starts, 0)
        starts -= self.gradual[starts]
        return np.maximum(starts, 0).astype(np.int32)

    @cached_property
    def gradual(self) -> npt.NDArray[np.bool_]:
        """(K,) which of :attr:`keys` are; the start of the file is not, nothing lies before it."""
        gradual = self.packets.flags[self.keys] & GRADUAL > 0
        gradual[0] = False
        return gradual

    def first_from(self, group: int) -> int:
        """The first frame that comes out right when decoding starts at one of :attr:`keys`, up to the last one.

        What is shown before a key needs what lies before it.
        """
        if group == 0:
            return 0
        valid = group + int(self.gradual[group])
        if valid >= len(self.keys):
            return self.frame_count
        return int(np.searchsorted(self.when[self.order], self.when[self.keys[valid]]))

    def exact_time(self, frame: int) -> Fraction:
        """Seconds from the first frame to this one."""
        pts = self.packets.pts
        first, here = int(pts[self.order[0]]), int(pts[self.order[frame]])
        if NO_TIME in (first, here):
            return frame / self.rate
        return (here - first) * self.time_base

    @cached_property
    def times(self) -> npt.NDArray[np.float64]:
        """(N,) seconds of all frames; rounded, see :meth:`exact_time`."""
        pts = self.packets.pts[self.order]
        if not len(pts) or (pts == NO_TIME).any():
            return np.arange(len(pts)) / float(self.rate)
        return np.asarray((pts - pts[0]) * float(self.time_base), np.float64)

    def frame_at(self, seconds: float) -> int:
        """The frame that is on the screen at a time; the first or the last one outside the video."""
        return int(np.clip(np.searchsorted(self.times, seconds + 1e-9, "right") - 1, 0, self.frame_count - 1))


class _Head(msgspec.Struct, frozen=True):
    version: int
    key: str
    stream: int
    codec: str
    time_base: tuple[int, int]
    rate: tuple[int, int]
    picture: Picture
    damaged: bool
    problems: list[str]


def content_key(path: Path | str) -> str:
    """Name of a file's content, from its length and its start, middle and end; not from its name or dates.

    Raises:
        MediaError: the file is missing or cannot be read.
    """
    try:
        if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
            raise MediaError("is not a regular file", where=path)  # reading a pipe would wait forever
        with open(path, "rb") as file:
            length = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(length.to_bytes(8, "little"))
            for offset in (0, length // 2, max(0, length - _HASHED_BYTES)):
                file.seek(offset)
                digest.update(file.read(_HASHED_BYTES))
    except FileNotFoundError:
        raise MediaError("does not exist", where=path) from None
    except IsADirectoryError:
        raise MediaError("is a folder, not a video", where=path) from None
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        raise MediaError(f"cannot be read ({getattr(error, 'strerror', None) or error})", where=path) from None
    return digest.hexdigest()[:32]


def index_folder() -> Path:
    """Where the programs keep indices: in ``$POSEAPP_CACHE``, or among what the system may throw away."""
    return Path(os.environ.get("POSEAPP_CACHE") or platformdirs.user_cache_dir("poseapp", appauthor=False)) / "videos"


def index_path(folder: Path, key: str) -> Path:
    """Where the index of a content is kept in a cache folder."""
    return folder / f"{key}.videoindex"


def save_index(index: VideoIndex, path: Path) -> None:
    """Write an index; a reader sees the whole of it or nothing.

    Raises:
        OSError: the folder cannot be written.
    """
    head = _Head(
        VERSION, index.key, index.stream, index.codec, index.time_base.as_integer_ratio(),
        index.rate.as_integer_ratio(), index.picture, index.damaged, index.problems,
    )  # fmt: skip
    packets = index.packets
    # Steps from packet to packet are small numbers that repeat: an hour takes some hundred kilobytes.
    body = io.BytesIO()
    np.savez_compressed(
        body,
        head=np.frombuffer(msgspec.json.encode(head), np.uint8),
        pts=np.diff(packets.pts, prepend=0),
        dts=np.diff(packets.dts, prepend=0),
        size=packets.size,
        flags=packets.flags,
        order=np.diff(index.order, prepend=np.int32(0)),
        header_packets=packets.headers.packets,
        header_which=packets.headers.which,
        headers_changed=np.array(packets.headers.changed),
        header_sizes=np.array([len(blob) for blob in packets.headers.blobs], np.int64),
        header_bytes=np.frombuffer(b"".join(packets.headers.blobs), np.uint8),
    )
    _seal(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_index(path: Path, key: str) -> VideoIndex | None:
    """The index of this content as it was saved; None when there is none, or one that does not hold together."""
    try:
        data = read_bytes(path, _MOST_BYTES)
        if not _is_sealed(data):
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            if _unpacked(stored) > _MOST_BYTES:
                return None  # it may have come with a project: a few bytes may say a lot
            head = msgspec.json.decode(stored["head"].tobytes(), type=_Head)
            if head.version != VERSION or head.key != key:
                return None
            packets = Packets(
                np.cumsum(stored["pts"], dtype=np.int64),
                np.cumsum(stored["dts"], dtype=np.int64),
                stored["size"].astype(np.int32),
                stored["flags"].astype(np.uint8),
                _headers(stored),
            )
            order = np.cumsum(stored["order"], dtype=np.int32)
        index = VideoIndex(
            head.key, head.stream, head.codec, Fraction(*head.time_base), head.picture, packets, order,
            Fraction(*head.rate), head.damaged, head.problems,
        )  # fmt: skip
        return index if _holds_together(index) else None
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        OverflowError,
        ZeroDivisionError,
        TypeError,
        NotImplementedError,  # a compression that the damaged header names
        MemoryError,
        zlib.error,
        zipfile.BadZipFile,
        msgspec.MsgspecError,
    ):
        return None


def _seal(body: io.BytesIO) -> None:
    """Put a digest of the archive into its comment, the last bytes of it."""
    digest = hashlib.sha256(body.getvalue()).hexdigest().encode()
    with zipfile.ZipFile(body, "a") as archive:
        archive.comment = digest


def _is_sealed(data: bytes) -> bool:
    """Whether the comment is the digest of what is before it."""
    size = hashlib.sha256().digest_size * 2
    # Without a comment, its length in front of it is 0.
    return hashlib.sha256(data[: -size - 2] + b"\0\0").hexdigest().encode() == data[-size:]


def _headers(stored: Any) -> KeyHeaders:
    ends = np.cumsum(stored["header_sizes"], dtype=np.int64).tolist()
    data = stored["header_bytes"].tobytes()
    blobs = tuple(data[begin:end] for begin, end in pairwise([0, *ends]))
    return KeyHeaders(
        stored["header_packets"].astype(np.int32),
        stored["header_which"].astype(np.int32),
        blobs,
        bool(stored["headers_changed"]),
    )


def _unpacked(stored: Any) -> int:
    """Bytes of all parts of an archive, as it says itself; no more are ever read of them."""
    return sum(part.file_size for part in stored.zip.infolist())


def _holds_together(index: VideoIndex) -> bool:
    packets, order = index.packets, index.order
    count = len(packets)
    columns = (packets.pts, packets.dts, packets.size, packets.flags)
    return (
        count > 0
        and all(column.shape == (count,) for column in columns)
        and order.ndim == 1
        and 0 < len(order) <= count
        and int(order.min()) >= 0
        and int(order.max()) < count
        and len(np.unique(order)) == len(order)
        and index.rate > 0
        and index.time_base > 0
        and min(*index.picture.coded, *index.picture.aspect) > 0
        and max(*index.picture.coded, *index.picture.aspect) < _MOST_SIDE
        and index.picture.turn in _TURNS
        and 0 <= index.stream < _MOST_STREAMS
        and max(*index.rate.as_integer_ratio(), *index.time_base.as_integer_ratio()) < 1 << 53
        and int(packets.size.min()) > 0
        and all(int(np.abs(times[times != NO_TIME]).max(initial=0)) < 1 << 62 for times in (packets.pts, packets.dts))
        and packets.headers.are_consistent(count)
    )
