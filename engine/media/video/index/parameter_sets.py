"""Headers that a decoder has seen before a key packet when it decodes a file from its start.

Decoding can start at a key packet only if the decoder knows the headers that hold there. Many files store them once, at
their start, or store new ones at any packet: parameter sets (H.264 7.3.2, HEVC 7.3.2), the sequence header of AV1
(5.5) and of MPEG-1/2 (6.2.2), the video object layer of MPEG-4 part 2 (6.2.3), tables of JPEG (T.81, B.2.4). The name
of the encoder counts as one: FFmpeg works around faults of old encoders that name themselves in the first packet only
(x264 in H.264, DivX, Xvid and Lavc in MPEG-4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.media.video.index.keyframes import Bits, nal_length, nal_units, sei_payloads, unescaped

# A stream with more headers than this is not entered behind them.
MOST_BYTES = 1 << 22
_X264 = b"x264 - core "
_UUID_BYTES = 16
_USER_DATA = 5
_SEI = {"h264": 6}
_PARAMETER_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
# Ids of parameter sets are read from so many of their first bytes.
_ID_BYTES = 32
_ENCODER = (99, b"")
_JPEG_TABLES = (0xC4, 0xDB)
_AV1_SEQUENCE, _AV1_DELIMITER = 1, 2

Name = tuple[int, bytes]
"""Which header: the place where it stands among others, and what tells it from those at the same place."""


@dataclass(frozen=True, eq=False)
class KeyHeaders:
    """The headers to decode in front of each key packet.

    Attributes:
        packets: (H,) int32 key packets that need headers, ascending.
        which: (H,) int32 which of ``blobs`` each of them needs.
        blobs: different sets of headers, in the syntax of the packets.
        changed: whether any header takes the place of another one within the stream.
    """

    packets: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    which: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    blobs: tuple[bytes, ...] = ()
    changed: bool = False

    def before(self, packet: int) -> bytes:
        """Headers to decode before a key packet; empty where it needs none."""
        at = int(np.searchsorted(self.packets, packet))
        if at == len(self.packets) or self.packets[at] != packet:
            return b""
        return self.blobs[int(self.which[at])]

    def are_consistent(self, packet_count: int) -> bool:
        """Whether every number refers to something."""
        packets, which = self.packets, self.which
        if packets.shape != which.shape or packets.ndim != 1:
            return False
        if not len(packets):
            return True
        return (
            int(packets[0]) >= 0
            and int(packets[-1]) < packet_count
            and bool((packets[1:] > packets[:-1]).all())
            and int(which.min()) >= 0
            and int(which.max()) < len(self.blobs)
        )


def with_headers(codec: str, headers: bytes, data: bytes) -> bytes:
    """A packet with headers in front of its own."""
    if codec == "mjpeg":
        at = 2 if data[:2] == b"\xff\xd8" else 0
    elif _is_av1(codec):
        at = next((end for kind, _, end in _av1_units(data) if kind == _AV1_DELIMITER), 0)
    else:
        at = 0
    return data[:at] + headers + data[at:]


class HeaderWatch:
    """Follows the headers of a stream, packet by packet in the order in which they are stored.

    Args:
        codec: name of the decoder.
        extradata: what the container keeps of the codec, apart from the packets.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec, extra = codec, extradata or b""
        self._length = nal_length(codec, extra)
        self._first = dict(self._in_extradata(extra))
        self._now = dict(self._first)
        self._changed = False
        self._needed: dict[int, dict[Name, bytes]] = {}
        self._blobs: dict[tuple[tuple[Name, bytes], ...], int] = {}
        self._bytes = 0
        self.unknown_change = False

    @property
    def is_needed(self) -> bool:
        """False for codecs whose packets hold no headers that are known here."""
        return self._codec in _KINDS or _is_av1(self._codec)

    def see(self, packet: int, data: bytes, is_key: bool, new_extradata: bytes | None = None) -> bool:
        """Look at a packet.

        Args:
            new_extradata: what the container gives along with the packet, in place of what it gave before.

        Returns:
            Whether decoding can start here, once :meth:`result` is given to the decoder. False where that would take
            too much memory, or headers that are not understood.
        """
        if new_extradata:
            self.unknown_change |= not self.is_needed
            self._take(self._in_extradata(new_extradata))
        own = dict(self._in_packet(data)) if self.is_needed else {}
        can_start = not self.unknown_change
        if is_key and packet > 0 and can_start:
            can_start = self._note_key(packet, own)
        self._take(own.items())
        return can_start

    def needed_by(self, data: bytes) -> bytes:
        """What a key packet with these bytes would need if it came next, of all headers; as it stands in packets."""
        own = dict(self._in_packet(data)) if data else {}
        return b"".join(self._framed(part) for name, part in sorted(self._now.items()) if name not in own)

    def result(self) -> KeyHeaders:
        """What each key packet needs."""
        packets, which = [], []
        blobs: dict[bytes, int] = {}
        # A new decoder knows the headers of the container; dav1d does not look at them.
        known = None if self._changed or _is_av1(self._codec) else self._first
        for key, needed in self._needed.items():
            parts = {name: part for name, part in needed.items() if known is None or known.get(name) != part}
            blob = b"".join(self._framed(parts[name]) for name in sorted(parts))
            if blob:
                packets.append(key)
                which.append(blobs.setdefault(blob, len(blobs)))
        return KeyHeaders(np.array(packets, np.int32), np.array(which, np.int32), tuple(blobs), self._changed)

    def _note_key(self, packet: int, own: dict[Name, bytes]) -> bool:
        needed = {name: part for name, part in self._now.items() if name not in own}
        if not needed:
            return True
        mark = tuple(needed.items())
        if mark not in self._blobs:
            self._bytes += sum(map(len, needed.values()))
            if self._bytes > MOST_BYTES:
                return False
            self._blobs[mark] = packet
        self._needed[packet] = self._needed.get(self._blobs[mark], needed)
        return True

    def _take(self, headers: Iterable[tuple[Name, bytes]]) -> None:
        for name, part in headers:
            before = self._now.get(name)
            if before is not None and before != part:
                self._changed = True
            self._now[name] = part

    def _framed(self, part: bytes) -> bytes:
        """A header as it stands in a packet."""
        if self._codec in _PARAMETER_SETS:
            return len(part).to_bytes(self._length, "big") + part if self._length else b"\0\0\0\1" + part
        return part

    def _in_packet(self, data: bytes) -> Iterator[tuple[Name, bytes]]:
        if self._codec in _PARAMETER_SETS:
            return self._nal_headers(nal_units(data, self._length))
        if _is_av1(self._codec):
            return (((0, b""), data[a:b]) for kind, a, b in _av1_units(data) if kind == _AV1_SEQUENCE)
        if self._codec == "mjpeg":
            return _jpeg_headers(data)
        if self._codec == "mpeg4":
            return _mpeg4_headers(data)
        return _mpeg2_headers(data)

    def _in_extradata(self, extra: bytes) -> Iterator[tuple[Name, bytes]]:
        if self._codec in _PARAMETER_SETS:
            # Decoders take no encoder's name from here, also when they decode from the start.
            units = self._nal_headers(stored_units(self._codec, extra))
            return ((name, part) for name, part in units if name != _ENCODER)
        if _is_av1(self._codec):
            return self._in_packet(extra[4:] if extra[:1] == b"\x81" else extra)
        return self._in_packet(extra) if self.is_needed else iter(())

    def _nal_headers(self, units: Iterable[bytes]) -> Iterator[tuple[Name, bytes]]:
        sets, sei = _PARAMETER_SETS[self._codec], _SEI.get(self._codec)
        for unit in units:
            kind = _nal_kind(self._codec, unit)
            if kind in sets:
                yield (kind, _identity(self._codec, kind, unit)), bytes(unit).rstrip(b"\0")
            elif kind == sei:
                encoder = _encoder_name(unit)
                if encoder is not None:
                    yield _ENCODER, encoder


_KINDS = frozenset({*_PARAMETER_SETS, "mpeg4", "mpeg1video", "mpeg2video", "mjpeg"})


def _is_av1(codec: str) -> bool:
    return codec in ("av1", "libdav1d", "libaom-av1")


def _nal_kind(codec: str, unit: bytes) -> int:
    if not unit:
        return -1
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def stored_units(codec: str, extra: bytes) -> list[bytes]:
    """Parameter sets in the extradata of H.264 or HEVC: of the kind of MP4 (ISO/IEC 14496-15, 5.3.3 and 8.3.3), or with
    start codes."""
    if not nal_length(codec, extra):
        return list(nal_units(extra, 0))
    units: list[bytes] = []
    if codec == "h264":
        at = 5
        for mask in (31, 255):
            count = extra[at] & mask if at < len(extra) else 0
            at = _take_units(extra, at + 1, count, units)
    else:
        at = 23
        for _ in range(extra[22] if len(extra) > 22 else 0):
            at = _take_units(extra, at + 3, int.from_bytes(extra[at + 1 : at + 3], "big"), units)
    return units


def _take_units(extra: bytes, at: int, count: int, units: list[bytes]) -> int:
    for _ in range(count):
        if at + 2 > len(extra):
            break
        size = int.from_bytes(extra[at : at + 2], "big")
        units.append(extra[at + 2 : at + 2 + size])
        at += 2 + size
    return at


def _identity(codec: str, kind: int, unit: bytes) -> bytes:
    """The id of a parameter set, as the decoder keeps one of each."""
    if codec == "h264":
        body = unescaped(unit[1:_ID_BYTES])
        sequence_id = Bits(body[3:]).golomb() if kind == 7 else Bits(body).golomb()
    elif kind == 32:
        sequence_id = Bits(unescaped(unit[2:_ID_BYTES])).take(4)
    elif kind == 34:
        sequence_id = Bits(unescaped(unit[2:_ID_BYTES])).golomb()
    else:
        sequence_id = _hevc_sequence_id(unescaped(unit[2 : 4 * _ID_BYTES]))
    return bytes([min(sequence_id, 255)])


def _hevc_sequence_id(data: bytes) -> int:
    """HEVC 7.3.2.2 and 7.3.3: the id stands behind the profile and level of all layers."""
    bits = Bits(data, 3 * _ID_BYTES)
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    bits.take(96)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    return bits.golomb()


def _encoder_name(unit: bytes) -> bytes | None:
    """A SEI unit of H.264 that says no more than another one does of x264 (7.3.2.3.1, D.1.6); None without x264."""
    if _X264 not in unit:
        return None
    for kind, payload in sei_payloads(unit):
        if kind == _USER_DATA and payload[_UUID_BYTES:].startswith(_X264):
            size = b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
            return _escaped(bytes([6, _USER_DATA]) + size + payload + b"\x80")
    return None


def _escaped(data: bytes) -> bytes:
    """Put in the bytes that keep start codes out of a NAL unit (H.264 7.4.1)."""
    out = bytearray()
    zeros = 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _start_codes(data: bytes, last: int) -> Iterator[tuple[int, bytes]]:
    """Code and bytes of each part of an MPEG packet, up to the first with the code ``last``."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3 and data[at + 3] != last:
        following = data.find(b"\0\0\1", at + 3)
        yield data[at + 3], data[at : following if following >= 0 else len(data)]
        at = following


def _mpeg4_headers(data: bytes) -> Iterator[tuple[Name, bytes]]:
    """What stands before the first picture: sequence, object and layer, and user data by the name of the encoder."""
    for code, part in _start_codes(data, 0xB6):
        rank = {0xB0: 0, 0xB5: 1, 0xB2: 4}.get(code, 2 if code < 0x20 else 3 if code < 0x30 else -1)
        if rank >= 0:
            yield (rank, part[4:8] if code == 0xB2 else b""), part


def _mpeg2_headers(data: bytes) -> Iterator[tuple[Name, bytes]]:
    """The sequence header with its extensions, and matrices that came after it."""
    sequence = b""
    matrices = b""
    for code, part in _start_codes(data, 0x01):
        extension = part[4] >> 4 if code == 0xB5 and len(part) > 4 else 0
        if code == 0xB3:
            sequence, matrices = part, b""
        elif sequence and extension in (1, 2, 5):
            sequence += part
        elif extension == 3:
            matrices = part
    if sequence:
        yield (0, b""), sequence
        yield (1, b""), matrices
    elif matrices:
        yield (1, b""), matrices


def _jpeg_headers(data: bytes) -> Iterator[tuple[Name, bytes]]:
    """Tables before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA or size < 2:
            return
        if marker in _JPEG_TABLES:
            yield (marker, data[at + 4 : at + 5]), data[at : at + 2 + size]
        at += 2 + size


def _av1_units(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, begin and end of each unit of an AV1 packet (5.3)."""
    at = 0
    while at < len(data):
        head = data[at]
        begin, at = at, at + 1 + (head >> 2 & 1)
        if not head & 2:
            yield head >> 3 & 15, begin, len(data)
            return
        size = shift = 0
        while at < len(data) and shift < 56:
            byte = data[at]
            size, at, shift = size | (byte & 127) << shift, at + 1, shift + 7
            if not byte & 128:
                break
        at += size
        yield head >> 3 & 15, begin, min(at, len(data))
