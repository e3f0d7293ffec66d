"""The straight line from the times of one video to those of another, fitted to pictures found in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SPEEDS = (1.0, 0.5, 2.0, 1 / 3, 3.0, 0.25, 4.0, 24 / 25, 25 / 24, 1.001, 1 / 1.001, 25 / 30, 30 / 25, 24 / 30, 30 / 24)
_SEEDS = 16
_PARTS, _REACH = 12, 2
_WINDOW = 3.5
_BEST_PLACES = 3
_SLOWEST, _FASTEST = 0.05, 20.0
# Of lines that fit as well as one another, these are the likelier ones.
_AS_IT_WAS, _CUT, _SAME_SPEED, _USUAL_SPEED = 0.06, 0.04, 0.03, 0.02


@dataclass(frozen=True)
class Line:
    """Seconds in the new video are ``offset + speed * seconds`` in the old one."""

    speed: float
    offset: float

    def at(self, seconds: npt.ArrayLike) -> Floats:
        return np.asarray(self.offset + self.speed * np.asarray(seconds, np.float64))


def nearest(times: Floats, seconds: Floats) -> Ints:
    """Places of the ascending ``times`` that are nearest to each of ``seconds``; of two alike the first."""
    if not len(times):
        return np.full(np.shape(seconds), -1, np.int64)
    right = np.clip(np.searchsorted(times, seconds), 0, len(times) - 1)
    left = np.maximum(right - 1, 0)
    closer = np.abs(times[left] - seconds) <= np.abs(times[right] - seconds) + 1e-9
    return np.where(closer, left, right).astype(np.int64)


def mutual_frames(old: Floats, new: Floats, line: Line) -> Ints:
    """(N,) for each old frame the new one that is nearest to it, where it is also the nearest to that one; else -1."""
    if not len(old) or not len(new):
        return np.full(len(old), -1, np.int64)
    moved = line.at(old)
    partners = nearest(new, moved)
    back = nearest(moved, new)
    steps = [float(np.median(np.diff(times))) for times in (moved, new) if len(times) > 1]
    near = np.abs(new[partners] - moved) <= 0.75 * max(steps, default=1.0) + 1e-9
    return np.where((back[partners] == np.arange(len(old))) & near, partners, -1)


def best_lines(
    at: Floats, length: float, times: Floats, new_length: float, costs: Floats, fading: Floats, count: int
) -> list[Line]:
    """Lines on which pictures look most like the frames there, the best first; no two say the same.

    Args:
        at: (A,) seconds of the pictures in the old video, which lasts ``length``.
        times: (M,) seconds of the frames looked at in the new one, which lasts ``new_length``.
        costs: (A, M) difference of each picture and each frame.
        fading: (A,) difference from which on a frame counts nothing.
    """
    lines = _guesses(at, length, times, new_length, costs)
    scores = _scores(lines, at, times, costs, fading)
    speeds, offsets = lines.T
    plain = np.isclose(speeds, 1.0)
    scores += _SAME_SPEED * plain
    scores += (_CUT - _SAME_SPEED) * (plain & np.isclose(offsets, new_length - length))
    scores += (_AS_IT_WAS - _SAME_SPEED) * (plain & np.isclose(offsets, 0.0))
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    distinct: list[Line] = []
    for n in np.argsort(-scores, kind="stable").tolist():
        line = Line(float(speeds[n]), float(offsets[n]))
        if all(np.abs(line.at(at) - other.at(at)).max() > step for other in distinct):
            distinct.append(line)
        if len(distinct) == count:
            break
    return distinct


def fit_line(
    line: Line, at: Floats, times: Floats, costs: Floats, limits: Floats, step: float, small: float
) -> tuple[Line, float]:
    """A line moved to where the pictures are found near it, and how well it fits (0..1).

    Args:
        limits: (A,) differences up to which pictures show the same.
        step: seconds from frame to frame in the new video.
        small: seconds in the new video of the smaller of both steps; half of it is no offset.
    """
    usual = np.maximum(np.median(costs, axis=1), 1e-4)
    tried = [line]
    for reach in (12 * step, 3 * step):
        seconds = line.at(at)
        near = np.abs(times[None] - seconds[:, None]) <= reach
        inside = near.any(axis=1)
        if not inside.any():
            break
        # A little dearer away from the line, so that frames alike do not pull it about.
        away = np.abs(times[None] - seconds[:, None]) / reach * (0.01 * usual[:, None])
        picked = np.where(near, costs + away, np.inf).argmin(axis=1)
        good = inside & (costs[np.arange(len(at)), picked] <= limits)
        if good.any():
            line = _through(at[good], times[picked[good]], line, step, small)
            tried.append(line)
    scores = _scores(np.array([(one.speed, one.offset) for one in tried]), at, times, costs, 2 * limits)
    scores += [_AS_IT_WAS * (one == Line(1.0, 0.0)) + _bonus(one.speed) for one in tried]
    best = int(scores.round(3).argmax())  # of lines alike the first
    return tried[best], float(scores[best])


def _bonus(speed: float) -> float:
    return _SAME_SPEED if speed == 1.0 else _USUAL_SPEED * (speed in _SPEEDS)


def _guesses(at: Floats, length: float, times: Floats, new_length: float, costs: Floats) -> Floats:
    """(H, 2) speed and offset of lines that are worth a look."""
    lines = [(1.0, 0.0), (1.0, new_length - length)]
    speeds = list(_SPEEDS)
    if length > 0 and new_length > 0:
        speeds.append(new_length / length)
        lines.append((new_length / length, 0.0))
    lines += [(speed, 0.0) for speed in speeds]
    seeds = np.unique(np.linspace(0, len(at) - 1, min(len(at), _SEEDS)).round().astype(int))
    tops = {int(a): _low_places(costs[a]) for a in seeds}
    for a, positions in tops.items():
        lines += [(speed, float(times[m] - speed * at[a])) for m in positions for speed in speeds]
    for a, b in combinations(tops, 2):
        if at[b] <= at[a]:
            continue
        for m in tops[a]:
            for k in tops[b]:
                speed = float((times[k] - times[m]) / (at[b] - at[a]))
                if _SLOWEST <= speed <= _FASTEST:
                    lines.append((speed, float(times[m] - speed * at[a])))
    return np.array(lines)


def _low_places(costs: Floats) -> list[int]:
    """The places where a row is lowest, not side by side."""
    left, minima = costs.copy(), []
    apart = max(1, len(costs) // 100)
    for _ in range(min(_BEST_PLACES, len(costs))):
        position = int(left.argmin())
        if not np.isfinite(left[position]):
            break
        minima.append(position)
        left[max(0, position - apart) : position + apart + 1] = np.inf
    return minima


def _scores(lines: Floats, at: Floats, times: Floats, costs: Floats, fading: Floats) -> Floats:
    """(H,) mean over all pictures of how much each is like the frame on the line, 0..1.

    A picture whose place is outside the new video counts nothing.
    """
    seconds = lines[:, 1:] + lines[:, :1] * at[None]
    gap = float(np.diff(times).max()) if len(times) > 1 else 1.0
    inside = (seconds >= times[0] - gap) & (seconds <= times[-1] + gap)
    positions = nearest(times, seconds.ravel()).reshape(seconds.shape)
    alike = np.clip(1 - costs[np.arange(len(at))[None], positions] / fading[None], 0, 1)
    return np.asarray((alike * inside).mean(axis=1))


def settled_line(
    line: Line, old: Floats, anchors: Ints, new: Floats, frames: Ints, costs: Floats, limits: Floats, small: float
) -> Line:
    """The line moved by parts of a frame to where most pictures meet the very frame they are of.

    Where frames were left out, those before and after are nearly as good; so the middle of the places where pictures
    were found says little. Only pictures count that are clearly of one frame: for no frame half of what another costs.

    Args:
        old, new: (N,), (M,) seconds of all frames.
        anchors: (A,) old frames of the pictures.
        frames: (F,) new frames looked at, ascending, and ``costs`` (A, F) the difference of each picture from them.
        limits: (A,) differences up to which pictures show the same.
        small: seconds in the new video of the smaller step from frame to frame.
    """
    clear, own = _clear_places(line, old, anchors, new, frames, costs, limits)
    if not clear.any():
        return line

    def total(offset: float) -> float:
        matches = mutual_frames(old, new, Line(line.speed, offset))[anchors]
        return float(np.where(matches < 0, 0.5, matches != own)[clear].sum())

    offsets = line.offset + np.arange(-_REACH * _PARTS, _REACH * _PARTS + 1) * small / _PARTS
    totals = np.array([total(float(offset)) for offset in offsets])
    best = np.flatnonzero(totals <= totals.min() + 0.25)
    # Lines alike: no offset where that is one of them, else the middle of those around the one that was.
    start = int(best[np.abs(best - _REACH * _PARTS).argmin()])
    first = last = start
    while first - 1 in best:
        first -= 1
    while last + 1 in best:
        last += 1
    low, high = float(offsets[first]), float(offsets[last])
    if low - 1e-9 <= 0 <= high + 1e-9:
        return Line(line.speed, 0.0)
    # What was cut off is whole frames, if these say as much.
    middle, frame = (low + high) / 2, _step(old) * line.speed
    whole = round(middle / frame) * frame if frame > 0 else middle
    return Line(line.speed, whole if abs(whole - middle) <= 0.3 * (high - low) else middle)


def _step(times: Floats) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _clear_places(
    line: Line, old: Floats, anchors: Ints, new: Floats, frames: Ints, costs: Floats, limits: Floats
) -> tuple[npt.NDArray[np.bool_], Ints]:
    """(A,) which pictures are clearly of one frame near the line, and not of those beside it; and of which."""
    step = float(np.median(np.diff(new))) if len(new) > 1 else 1.0
    near = np.abs(new[frames][None] - line.at(old[anchors])[:, None]) <= _WINDOW * step
    remaining = np.where(near, costs, np.inf)
    best, rows = remaining.argmin(axis=1), np.arange(len(costs))
    lowest = remaining[rows, best]
    clear = np.isfinite(lowest) & (lowest <= limits)
    for beside in (best - 1, best + 1):
        at = np.clip(beside, 0, len(frames) - 1)
        clear &= (np.abs(frames[at] - frames[best]) != 1) | (lowest + 1e-4 <= 0.5 * costs[rows, at])
    return clear, frames[best]


def _through(old: Floats, new: Floats, line: Line, step: float, small: float) -> Line:
    """The line through pairs of times, of which some may be wrong; speeds and offsets that are usual win."""
    span = float(old.max() - old.min())
    speed = line.speed
    if span > 0:
        slopes = [(new[b] - new[a]) / (old[b] - old[a]) for a, b in combinations(range(len(old)), 2) if old[b] > old[a]]
        lengths = [old[b] - old[a] for a, b in combinations(range(len(old)), 2) if old[b] > old[a]]
        speed = _weighted_median(np.array(slopes), np.array(lengths))
        speed = next((usual for usual in _SPEEDS if abs(usual - speed) * span <= 1.01 * step), speed)
    if not _SLOWEST <= speed <= _FASTEST:
        speed = line.speed
    offset = float(np.median(new - speed * old))
    return Line(speed, 0.0 if abs(offset) < 0.1 * small else offset)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
