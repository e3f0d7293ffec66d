"""In which order the packets of a video are shown, as their times tell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.media.video_index import DISCARD, HIDDEN, KEY, NO_TIME, Packets

# At the start so many packets may be decoded before the rest is believed.
HEAD_PACKETS = 600
# Where the clock of a file is set more often than this, all of it is decoded once to learn the order of its frames.
_MOST_CLOCKS = 32

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
    """
    back = (dts[1:] < dts[:-1]) & (dts[1:] != NO_TIME)
    begins = [0, *(np.flatnonzero(back) + 1).tolist()] if len(pts) else []
    found: list[int] = []
    for begin, end in pairwise([*begins, len(pts)]):
        while begin < end and len(found) <= _MOST_CLOCKS:
            found.append(begin)
            latest = np.maximum.accumulate(pts[begin:end])
            late = np.flatnonzero(key[begin + 1 : end] & (pts[begin + 1 : end] < latest[:-1]))
            begin = begin + 1 + int(late[0]) if len(late) else end
    return found


def settle(order: Order, seen: list[int]) -> Order | None:
    """The predicted order without the frames of the start that did not come out; None when it is another order."""
    if not seen:
        return order
    place = {int(number): i for i, number in enumerate(order[: len(seen) + HEAD_PACKETS])}
    if any(number not in place for number in seen):
        return None
    ranks = [place[number] for number in seen]
    if any(b <= a for a, b in pairwise(ranks)):
        return None
    came = set(ranks)
    return np.delete(order, [rank for rank in range(ranks[-1]) if rank not in came])
