"""Tells the second fields of interlaced H.264 apart: a picture may be stored as two packets, one for each field, as
camcorders do. Only the first of them stands for a frame.

Syntax: ITU-T H.264, 7.3.2.1.1 (sequence parameters), 7.3.3 (slice header), 7.4.1.2.4 (where a picture begins).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.media.video.index.keyframes import Bits, h264_units, unescaped

_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_MOST_SEQUENCE = 512
_SLICES = (1, 2, 5)


@dataclass(frozen=True)
class _Sequence:
    """What is needed of the sequence parameters to read slice headers."""

    frames_only: bool
    number_bits: int
    planes: bool


class SecondFields:
    """Looks at the packets of a stream in the order in which they are stored.

    Args:
        extradata: what the container keeps of the codec.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._extra = extradata or b""
        self._sequence: _Sequence | None = None
        for unit in _stored(self._extra):
            self._see(unit)
        self._open: tuple[int, int] | None = None  # frame number and parity of a field without its second

    @property
    def needed(self) -> bool:
        """False when the stream is known to hold no fields."""
        return self._sequence is None or not self._sequence.frames_only

    def is_second(self, data: bytes) -> bool:
        """Whether a packet holds the second field of the picture of the packet before, and nothing else."""
        fields: list[tuple[int, int]] = []
        for unit in h264_units(data, self._extra):
            self._see(unit)
            if unit and unit[0] & 31 in _SLICES and self._sequence is not None:
                field = self._field(unit, self._sequence)
                if field is None:
                    self._open = None
                    return False
                if field not in fields:
                    fields.append(field)
        if len(fields) != 1:
            self._open = self._open if not fields else None
            return False
        if self._open is not None and self._open[0] == fields[0][0] and self._open[1] != fields[0][1]:
            self._open = None
            return True
        self._open = fields[0]
        return False

    def _see(self, unit: bytes) -> None:
        if unit and unit[0] & 31 == 7:
            self._sequence = _sequence(unescaped(unit[1:_MOST_SEQUENCE]))

    @staticmethod
    def _field(unit: bytes, sequence: _Sequence) -> tuple[int, int] | None:
        """Frame number and parity of a slice's field; None for a slice of a frame."""
        if sequence.frames_only:
            return None
        bits = Bits(unescaped(unit[1:40]))
        for _ in range(3):
            bits.golomb()
        if sequence.planes:
            bits.take(2)
        frame_num = bits.take(sequence.number_bits)
        return (frame_num, bits.take(1)) if bits.take(1) else None


def _stored(extra: bytes) -> list[bytes]:
    """Sequence parameters in the extradata: of the kind of MP4, or with start codes."""
    if not extra or extra[0] != 1:
        return list(h264_units(extra, b""))
    units, at = [], 6
    for _ in range(extra[5] & 31 if len(extra) > 5 else 0):
        size = int.from_bytes(extra[at : at + 2], "big")
        units.append(extra[at + 2 : at + 2 + size])
        at += 2 + size
    return units


def _sequence(data: bytes) -> _Sequence:
    bits = Bits(data, _MOST_SEQUENCE)
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    planes = False
    if profile in _WITH_CHROMA:
        chroma = bits.golomb()
        planes = chroma == 3 and bool(bits.take(1))
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for list_index in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if list_index < 6 else 64)
    number_bits = min(16, bits.golomb() + 4)
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(255, bits.golomb())):
            bits.golomb()
    bits.golomb()
    bits.take(1)
    bits.golomb()
    bits.golomb()
    return _Sequence(bool(bits.take(1)), number_bits, planes)


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            coded = bits.golomb()
            following = (last + (-(coded // 2) if coded % 2 == 0 else (coded + 1) // 2)) % 256
        last = following or last
