"""In which order the packets of a video are shown, as their times tell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.media.video.index.index import DISCARD, HIDDEN, KEY, NO_TIME, Packets

# At the start so many packets may be decoded before the rest is believed.
HEAD_PACKETS = 600
# Where the clock of a file is set more often than this, all of it is decoded once to learn the order of its frames.
_MOST_CLOCKS = 32
# Frames are shown at most so many places before or behind the place at which they are stored.
_NEAR_FRAMES = 16

Order = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What times tell of the order of frames.

    Attributes:
        order: (N,) packets that are shown, in that order.
        exhaustive: the times do not tell it; all must be decoded to learn it.
        joints: packets at which times begin anew.
    """

    order: Order
    exhaustive: bool = False
    joints: tuple[int, ...] = ()


def predict_order(packets: Packets) -> Prediction:
    """Packets that are shown, by presentation time."""
    shown = np.flatnonzero(packets.flags & (DISCARD | HIDDEN) == 0).astype(np.int32)
    times = packets.pts[shown]
    has_others = not (packets.flags & KEY).all()
    if (times == NO_TIME).any():
        return Prediction(shown, has_others)
    clocks = _clocks(times, packets.dts[shown], packets.flags[shown] & KEY > 0)
    if len(clocks) > _MOST_CLOCKS:
        return Prediction(shown, True)
    exhaustive = False
    pieces: list[Order] = []
    for begin, end in pairwise([*clocks, len(shown)]):
        piece = times[begin:end]
        pieces.append(shown[begin:end][np.argsort(piece, kind="stable")])
        exhaustive |= len(np.unique(piece)) < len(piece) and has_others
    order = np.concatenate(pieces) if pieces else shown
    return Prediction(order, exhaustive, tuple(int(shown[begin]) for begin in clocks[1:]))


def _clocks(pts: npt.NDArray[np.int64], dts: npt.NDArray[np.int64], key: npt.NDArray[np.bool_]) -> list[int]:
    """Where times begin anew, the start among them: files are joined, and recorders set their clocks.

    Packets are decoded in the order of their decoding times, and nothing that is stored before a key is shown after it.
    Where a container has no decoding times they are estimated, and wrong around damaged packets: later than the
    presentation times, going back while these do not, or of one packet alone too late.
    """
    latest_before = np.maximum.accumulate(pts)[:-1]
    sane = dts <= pts
    before = dts[:-1].copy()
    before[1:] = np.minimum(before[1:], before[:-1])
    back = (dts[1:] < before) & (dts[1:] != NO_TIME) & sane[1:] & sane[:-1] & (pts[1:] < latest_before)
    begins = [0, *(np.flatnonzero(back) + 1).tolist()] if len(pts) else []
    offsets: list[int] = []
    for begin, end in pairwise([*begins, len(pts)]):
        while begin < end and len(offsets) <= _MOST_CLOCKS:
            offsets.append(begin)
            latest = np.maximum.accumulate(pts[begin:end])
            late = np.flatnonzero(key[begin + 1 : end] & (pts[begin + 1 : end] < latest[:-1]))
            begin = begin + 1 + int(late[0]) if len(late) else end
    return offsets


def settle(packets: Packets, order: Order, seen: list[int], broken: Collection[int] = ()) -> Order | None:
    """The predicted order without the frames of the start that did not come out; None when it is another order.

    Args:
        order: (N,) packets as they are predicted to be shown.
        seen: packets of the frames that came out, in that order.
        broken: packets that are damaged. Their frames, and those that are made of them, keep their places although
            they did not come out: without them all later frames would get other numbers.
    """
    if not seen:
        return order
    rank_of = {int(packet): i for i, packet in enumerate(order[: len(seen) + len(broken) + HEAD_PACKETS])}
    if any(packet not in rank_of for packet in seen):
        return None
    # What a damaged packet follows may come out in another order than that of its times, which is the right one.
    sound = [rank_of[packet] for packet in seen if not suffers(packets, packet, broken)]
    if any(b <= a for a, b in pairwise(sound)):
        return None
    came = {rank_of[packet] for packet in seen}
    missing = [rank for rank in range(max(came)) if rank not in came]
    return np.delete(order, [rank for rank in missing if not suffers(packets, int(order[rank]), broken)])


def suffers(packets: Packets, packet: int, broken: Collection[int]) -> bool:
    """Whether a packet is broken, or no key lies between it and a broken one before it."""
    before = [broken_packet for broken_packet in broken if broken_packet <= packet]
    return bool(before) and not (packets.flags[max(before) + 1 : packet + 1] & KEY).any()


def is_unexplained(codec: str, packets: Packets, packet: int) -> bool:
    """Whether a frame that did not come out, of a packet about which the decoder said nothing, must be damaged.

    The decoder of HEVC passes over slices that it does not understand. Of an intact file it leaves out only what is
    shown before the key behind which it is stored, or is stored before any key.
    """
    keys = np.flatnonzero(packets.flags[: packet + 1] & KEY)
    return codec == "hevc" and bool(len(keys)) and bool(packets.pts[packet] >= packets.pts[keys[-1]])


def insert_by_time(packets: Packets, order: list[int], packet: int) -> None:
    """Give the frame of a damaged packet its place in an order that was learned by decoding.

    The place is among the frames that are stored near it, by time, or by storage where there are no times.
    """
    time = packets.pts[packet]
    after = next((i for i, other in enumerate(order) if other > packet), len(order))
    if time != NO_TIME:
        near = range(max(0, after - _NEAR_FRAMES), min(len(order), after + _NEAR_FRAMES))
        later = [i for i in near if packets.pts[order[i]] != NO_TIME and packets.pts[order[i]] > time]
        after = later[0] if later else after
    order.insert(after, packet)
