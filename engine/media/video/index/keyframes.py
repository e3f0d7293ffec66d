"""Whether decoding can really start at a packet that the container calls a key.

Containers are wrong about this in many ways: a table of keys is left out, and then every packet counts as one; the
place where a picture begins to be made anew, column by column, counts as one; an empty packet behind a packed one
does. What a packet is stands in its first bytes: ITU-T H.264 7.3 and D.1.8, H.265 7.3.1.2, ISO/IEC 14496-2 6.2.5,
13818-2 6.2.3, RFC 6386 9.1 (VP8) and the VP9 bitstream specification 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

# Decoders of these keep a palette that the file gives once, or again when it changes.
_WITH_PALETTE = frozenset({"smc", "qtrle", "cinepak", "msvideo1", "msrle", "rawvideo", "8bps", "rpza", "qpeg", "cscd"})
# What stands behind a packet that holds two pictures is shorter.
_EMPTY_MPEG4 = 20
_START = b"\0\0\1"
# Shorter packets are not judged.
_LEAST_PACKET = 8
_RECOVERY_POINT = 6  # payload type of a SEI message (H.264, D.1.8)


@dataclass(frozen=True)
class Entry:
    """A packet at which decoding can start.

    Attributes:
        lag: after so many reference pictures all that comes is right; 0 = at once.
    """

    lag: int = 0


Check = Callable[[bytes], Entry | None]


def entry_check(codec: str, extradata: bytes | None, pix_fmt: str | None) -> Check | None:
    """What tells the true keys among those that the container names: None for a packet that is none.

    None altogether for codecs whose containers are believed.

    Args:
        codec: name of the decoder.
        extradata: what the container keeps of the codec, apart from the packets.
        pix_fmt: of the decoder.
    """
    extra = extradata or b""
    if codec in _WITH_PALETTE and pix_fmt == "pal8":
        return _never
    if codec == "h264":
        length = _h264_length(extra)
        return lambda data: _h264(data, length)
    if codec == "hevc":
        length = _hevc_length(extra)
        return lambda data: _hevc(data, length)
    return {"mpeg4": _mpeg4, "mpeg2video": _mpeg2, "mpeg1video": _mpeg2, "vp8": _vp8, "vp9": _vp9}.get(
        codec.removeprefix("lib").replace("vpx-vp9", "vp9").replace("vpx", "vp8")
    )


class Use(Enum):
    """What other pictures want of a packet."""

    EMPTY = 0  # it holds no picture
    ALONE = 1  # none refers to it
    REFERRED = 2


def use_of(codec: str, extradata: bytes | None, data: bytes) -> Use:
    """As far as its first bytes tell; REFERRED for codecs that are not looked into."""
    extra = extradata or b""
    if codec in ("h264", "hevc") and is_garbled(codec, extra, data):
        return Use.REFERRED  # nobody knows what it was
    if codec == "h264":
        for unit in nal_units(data, _h264_length(extra)):
            if unit and 1 <= unit[0] & 31 <= 5:
                return Use.REFERRED if unit[0] & 0x60 else Use.ALONE
        return Use.EMPTY
    if codec == "hevc":
        units = nal_units(data, _hevc_length(extra))
        return Use.REFERRED if any(unit and unit[0] >> 1 & 63 < 32 for unit in units) else Use.EMPTY
    if codec in ("mpeg1video", "mpeg2video"):
        at = data.find(b"\0\0\1\0")
        return Use.ALONE if 0 <= at < len(data) - 5 and data[at + 5] >> 3 & 7 == 3 else Use.REFERRED
    if codec == "mpeg4":
        at = data.find(b"\0\0\1\xb6")
        return Use.ALONE if 0 <= at < len(data) - 4 and data[at + 4] >> 6 == 2 else Use.REFERRED
    return Use.REFERRED


def is_garbled(codec: str, extradata: bytes | None, data: bytes) -> bool:
    """Whether a packet is certainly not what an encoder wrote: overwritten, with zeros for example.

    True for H.264 and HEVC packets that are no sequence of NAL units, MPEG-1/2 packets without a start code, AV1
    packets whose first unit has no type, and VP8 packets whose first partition is empty or longer than they are. False
    for all other codecs: their decoders report such packets themselves.
    """
    extra = extradata or b""
    if len(data) < _LEAST_PACKET:
        return False  # recorders write a few bytes in place of a picture that they dropped
    if codec in ("h264", "hevc"):
        length = nal_length(codec, extra)
        if data.startswith((_START, b"\0" + _START)):
            return False  # start codes, whatever the container says
        return not _are_units(data, length) if length else _START not in data
    if codec in ("mpeg1video", "mpeg2video"):
        return _START not in data
    if codec.removeprefix("lib") in ("av1", "dav1d"):
        return bool(data[0] & 0x80) or not data[0] >> 3 & 15
    if codec in ("vp8", "libvpx"):
        return not 0 < int.from_bytes(data[:3], "little") >> 5 < len(data)
    return False


def _are_units(data: bytes, length: int) -> bool:
    """Whether the numbers in front of the NAL units lead from one to the next and to the end of the packet."""
    at = 0
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        if not size or data[at + length] & 0x80:
            return at > 0 and not any(data[at:])  # zeros behind the last unit are padding
        at += length + size
    return at <= len(data)


def nal_length(codec: str, extradata: bytes) -> int:
    """Bytes of the number in front of each NAL unit of H.264 or HEVC packets; 0 where they begin with start codes."""
    if codec == "h264":
        return _h264_length(extradata)
    return _hevc_length(extradata) if codec == "hevc" else 0


def _h264_length(extra: bytes) -> int:
    return (extra[4] & 3) + 1 if len(extra) > 6 and extra[0] == 1 else 0


def _hevc_length(extra: bytes) -> int:
    return (extra[21] & 3) + 1 if len(extra) > 22 and extra[:3] not in (b"\0\0\0", _START) else 0


def _never(_: bytes) -> None:
    return None


def nal_units(data: bytes, length: int) -> Iterator[bytes]:
    """NAL units of a packet; ``length``: bytes of the number in front of each, 0 = start codes."""
    at = 0
    if length:
        while at + length < len(data):
            size = int.from_bytes(data[at : at + length], "big")
            yield data[at + length : at + length + size]
            at += length + size
        return
    at = data.find(_START)
    while at >= 0:
        following = data.find(_START, at + 3)
        yield data[at + 3 : following if following >= 0 else len(data)]
        at = following


def _h264(data: bytes, length: int) -> Entry | None:
    lag: int | None = None
    for unit in nal_units(data, length):
        kind = unit[0] & 31 if unit else 0
        if kind == 5:
            return Entry()
        if kind == 6:
            recovery = _recovery_point(unit)
            lag = recovery if recovery is not None else lag
        elif kind in (1, 2):
            if lag is None:
                return None
            bits = Bits(unescaped(unit[1:32]))
            bits.golomb()
            return Entry(lag) if lag or bits.golomb() % 5 in (2, 4) else None
    return None


def _recovery_point(unit: bytes) -> int | None:
    """How many reference pictures it takes until all is right, of a SEI unit that tells so."""
    payload = next((payload for kind, payload in sei_payloads(unit) if kind == _RECOVERY_POINT), None)
    return None if payload is None else Bits(payload).golomb()


def _hevc(data: bytes, length: int) -> Entry | None:
    for unit in nal_units(data, length):
        kind = unit[0] >> 1 & 63 if unit else 63
        if kind < 32:
            return Entry() if 16 <= kind <= 23 else None
    return None


def _mpeg4(data: bytes) -> Entry | None:
    if len(data) < _EMPTY_MPEG4:
        return None
    at = data.find(b"\0\0\1\xb6")
    return Entry() if 0 <= at < len(data) - 4 and data[at + 4] >> 6 == 0 else None


def _mpeg2(data: bytes) -> Entry | None:
    at = data.find(b"\0\0\1\0")
    return Entry() if 0 <= at < len(data) - 5 and data[at + 5] >> 3 & 7 == 1 else None


def _vp8(data: bytes) -> Entry | None:
    return Entry() if data and not data[0] & 1 and not is_garbled("vp8", None, data) else None


def _vp9(data: bytes) -> Entry | None:
    if not data or data[0] >> 6 != 2:
        return None
    shift = 1 if data[0] & 0x30 == 0x30 else 2  # a reserved bit follows the third profile
    return Entry() if not data[0] >> shift & 3 else None


def h264_units(data: bytes, extradata: bytes) -> Iterator[bytes]:
    """NAL units of an H.264 packet."""
    return nal_units(data, _h264_length(extradata))


def sei_payloads(unit: bytes) -> Iterator[tuple[int, bytes]]:
    """Types and contents of the messages of a SEI unit of H.264 (ITU-T H.264, 7.3.2.3.1); ends where one is cut off."""
    data = unescaped(unit[1:])
    at = 0
    while at + 2 < len(data):
        type_and_size = []
        for _ in range(2):
            value = 0
            while at < len(data) and data[at] == 255:
                value, at = value + 255, at + 1
            if at >= len(data):
                return
            type_and_size.append(value + data[at])
            at += 1
        kind, size = type_and_size
        yield kind, data[at : at + size]
        at += size


def unescaped(data: bytes) -> bytes:
    """What a NAL unit says, without the bytes that keep start codes out of it."""
    return data.replace(b"\0\0\3", b"\0\0")


class Bits:
    """Numbers in the bits of the first so many bytes; zeros behind their end."""

    def __init__(self, data: bytes, most: int = 64) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data[:most])
        self._at = 0

    def take(self, count: int) -> int:
        """The number in the next bits."""
        text = self._text[self._at : self._at + count]
        self._at += count
        return int(text.ljust(count, "0"), 2)

    def golomb(self) -> int:
        """The next Exp-Golomb number (H.264, 9.1)."""
        one = self._text.find("1", self._at)
        if one < 0:
            return 0
        zeros = one - self._at
        self._at = one + zeros + 1
        return int(self._text[one : self._at].ljust(zeros + 1, "0"), 2) - 1
