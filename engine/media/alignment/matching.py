"""Finds the frames of one video in another file of the same film: coded anew, cut, at another rate or speed.

What is left of the one may be no more than a few small grey pictures. They are looked for in the other; from where they
are found comes one straight line from time to time, ``new = offset + speed * old``, fitted so that pictures which are
in vain (cut away, repeated) do not count. Frames follow that line; where a picture of a frame itself is known, it has
the last word on the frames around.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.alignment.fitting import Line, best_lines, fit_line, mutual_frames, nearest, settled_line

if TYPE_CHECKING:
    from engine.media.video.reader import VideoReader

SIDE = 32
"""Side of the grey pictures that are kept of single frames."""

_READ_SIDE = 256
# Up to so many frames all are looked at, of longer videos the frames at which decoding can start.
_ALL_BELOW = 4000
_MOST_SAMPLES = 1500
_MOST_ANCHORS = 48
# A picture found shows the same when it differs from the one looked for at most so much of the usual difference, and at
# most so much in all: coding anew gives less than 0.05, another second of the same film more than 0.2.
_AGREES = 0.45
_AGREES_AT_ALL = 0.1
_WINDOW_FRAMES = 3
_WINDOW_SECONDS = 0.25
_LINES_TRIED = 4
_FLAT = 3.0

Gray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Steps = Generator[tuple[int, int], None, "Alignment"]


@dataclass(frozen=True, eq=False)
class OldVideo:
    """What is known of the video that was labelled.

    Attributes:
        times: (N,) seconds of its frames, from the first.
        pictures: grey (S, S) uint8 pictures of some of its frames, by number; of any sides.
    """

    times: Floats
    pictures: Mapping[int, Gray]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the frames of a video are in another one.

    Attributes:
        speed, offset: seconds in the new one are ``offset + speed * seconds`` in the old one.
        mapping: (N,) int64 for each old frame the new one, -1 where it has none; no new frame stands twice.
        anchors: (A,) the old frames whose pictures were looked for, ascending.
        places: (A,) the new frame that is most like each of them near where the line has it, -1 outside the video.
        agree: (A,) whether it shows the same.
    """

    speed: float
    offset: float
    mapping: Ints
    anchors: Ints
    places: Ints
    agree: npt.NDArray[np.bool_]

    @property
    def found(self) -> bool:
        """Whether the films have to do with one another at all."""
        return int(self.agree.sum()) >= min(2, len(self.agree)) > 0


def gray_picture(image: npt.NDArray[np.uint8], side: int = SIDE) -> Gray:
    """(side, side) uint8 of an RGB (H, W, 3) picture; made small in steps, so that it does not matter how large it was
    decoded.
    """
    height, width = image.shape[:2]
    scale = _READ_SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def map_by_time(old: Floats, new: Floats) -> Ints:
    """(N,) for each old frame the new one at the same time, -1 where another old frame is nearer to that one.

    Args:
        old, new: (N,), (M,) seconds of the frames.
    """
    return mutual_frames(old, new, Line(1.0, 0.0))


def align(old: OldVideo, new: VideoReader) -> Steps:
    """Look for a video in another one.

    Yields:
        Frames read, and how many there are to read in all (an estimate).

    Raises:
        MediaError: the file is gone.
    """
    times = new.index.times
    shelf = _Shelf(new, times, old.pictures)
    chosen = _spread(sorted(old.pictures), _MOST_ANCHORS)
    samples = _samples(new)
    draft = len(samples) < new.frame_count
    total = len(samples) + (_LINES_TRIED * len(chosen) * 2 * _WINDOW_FRAMES if draft else 0) + len(old.pictures)
    yield from shelf.read(samples, 0, total)
    line = Line(1.0, 0.0)
    if chosen and len(old.times):
        line = yield from _find_line(shelf, old.times, times, chosen, draft, total)
    return (yield from _follow(shelf, old, times, line, total))


def _find_line(
    shelf: _Shelf, old: Floats, new: Floats, chosen: list[int], draft: bool, total: int
) -> Generator[tuple[int, int], None, Line]:
    at = old[np.clip(chosen, 0, len(old) - 1)]
    costs = shelf.costs(chosen)
    fading = np.maximum(np.median(costs, axis=1), 1e-4) if draft else 2 * _limits(costs)
    lines = best_lines(at, float(old[-1]), shelf.times, float(new[-1]), costs, fading, _LINES_TRIED)
    if draft:
        # Between the frames looked at, the film has gone on: only frames near the place tell lines apart.
        for line in lines:
            for seconds in line.at(at):
                yield from shelf.read(_near(new, float(seconds), shelf.gap / 2), len(shelf.times), total)
    costs = shelf.costs(chosen)
    step = min(_step(new), *(line.speed * _step(old) for line in lines))
    fitted = [fit_line(line, at, shelf.times, costs, _limits(costs), _step(new), step) for line in lines]
    line = max(fitted, key=lambda pair: pair[1])[0]
    anchors = np.clip(np.array(chosen, np.int64), 0, len(old) - 1)
    near = [_near(new, float(line.at(seconds)), _WINDOW_FRAMES * _step(new)) for seconds in at]
    yield from shelf.read(np.unique(np.concatenate(near)), len(shelf.times), total)
    small = min(_step(new), line.speed * _step(old))
    costs = shelf.costs(chosen)
    return settled_line(line, old, anchors, new, shelf.frames, costs, _limits(costs), small)


def _follow(shelf: _Shelf, old: OldVideo, new: Floats, line: Line, total: int) -> Steps:
    mapping = mutual_frames(old.times, new, line)
    anchors = np.array(sorted(i for i in old.pictures if i < len(old.times)), np.int64)
    positions, agree = np.full(len(anchors), -1, np.int64), np.zeros(len(anchors), bool)
    clear = np.zeros(len(anchors), bool)
    costs = np.full(len(anchors), np.inf)
    reach = max(_WINDOW_SECONDS, _WINDOW_FRAMES * _step(new))
    for n, index in enumerate(anchors.tolist()):
        near = _near(new, float(line.at(old.times[index])), reach)
        yield from shelf.read(near, len(shelf.times), total)
        if len(near):
            nearby_costs = shelf.costs([index], near)[0]
            usual = shelf.usual(index)
            expected = (
                mapping[index]
                if mapping[index] in near
                else near[int(np.abs(new[near] - line.at(old.times[index])).argmin())]
            )
            best = near[int(nearby_costs.argmin())]
            # Frames that are as good as alike: the line knows better.
            at_line = float(nearby_costs[near == expected][0])
            if at_line <= nearby_costs.min() * 1.5 + 0.002 * usual:
                best = int(expected)
            positions[n], costs[n] = best, float(nearby_costs[near == best][0])
            beside = nearby_costs[np.isin(near, (best - 1, best + 1))]
            clear[n] = bool((costs[n] <= 0.35 * beside).all())
            agree[n] = costs[n] <= min(_AGREES * usual, _AGREES_AT_ALL)
    mapping = _corrected(mapping, anchors, positions, costs, agree, clear)
    return Alignment(line.speed, line.offset, mapping, anchors, positions, agree)


def _corrected(
    mapping: Ints,
    anchors: Ints,
    positions: Ints,
    costs: Floats,
    agree: npt.NDArray[np.bool_],
    clear: npt.NDArray[np.bool_],
) -> Ints:
    """The mapping with the frames whose pictures are known put where these were found.

    A frame for which the line has no place may have been left out: then it is as like the frame before as the one
    after. It gets a place only where it is clearly the picture there.
    """
    mapping = mapping.copy()
    taken: dict[int, int] = {}
    for n in np.argsort(costs, kind="stable").tolist():
        index, position = int(anchors[n]), int(positions[n])
        good = agree[n] and position not in taken and (mapping[index] >= 0 or clear[n])
        mapping[index] = position if good else -1
        if good:
            taken[position] = index
    for index in np.flatnonzero(mapping >= 0).tolist():
        if taken.get(int(mapping[index]), index) != index:
            mapping[index] = -1
    return mapping


class _Shelf:
    """Frames of the new video that have been looked at, as rows of numbers that can be compared."""

    def __init__(self, video: VideoReader, times: Floats, wanted_frames: Mapping[int, Gray]) -> None:
        self._video, self._all = video, times
        self._wanted = {index: _row(picture) for index, picture in wanted_frames.items()}
        self._sides = {index: picture.shape[0] for index, picture in wanted_frames.items()}
        self._rows: dict[int, dict[int, Floats]] = {side: {} for side in {*self._sides.values(), SIDE}}
        self._usual: dict[int, float] = {}
        self.gap = 0.0

    @property
    def frames(self) -> Ints:
        return np.array(sorted(self._rows[SIDE]), np.int64)

    @property
    def times(self) -> Floats:
        """Seconds of the frames looked at, ascending."""
        return self._all[self.frames]

    def read(self, indices: Sequence[int] | Ints, done: int, total: int) -> Generator[tuple[int, int], None, None]:
        first = not self._rows[SIDE]
        for n, index in enumerate(int(i) for i in indices):
            if index in self._rows[SIDE]:
                continue
            try:
                image = self._video.read(index, _READ_SIDE)
            except MediaError:
                image = np.zeros((8, 8, 3), np.uint8)
            for side, known in self._rows.items():
                known[index] = _row(gray_picture(image, side))
            yield min(done + n + 1, total), total
        if first and len(indices) > 1:
            self.gap = float(np.diff(self.times).max())

    def costs(self, anchors: Sequence[int], frames: Ints | None = None) -> Floats:
        """(A, M) mean square difference of each picture looked for and each frame looked at; 2 for strangers."""
        frames_to_compare = self.frames if frames is None else frames
        result = np.empty((len(anchors), len(frames_to_compare)))
        for side, known in self._rows.items():
            here = [n for n, index in enumerate(anchors) if self._sides[index] == side]
            if here:
                table = np.stack([known[int(i)] for i in frames_to_compare]).astype(np.float32)
                mine = np.stack([self._wanted[anchors[n]] for n in here]).astype(np.float32)
                squares = (mine**2).sum(1)[:, None] + (table**2).sum(1)[None] - 2 * mine @ table.T
                result[here] = np.maximum(squares, 0) / table.shape[1]
        return result

    def usual(self, index: int) -> float:
        """How much frames of the video differ from a picture when they show something else."""
        if index not in self._usual:
            sample = self.frames[:: max(1, len(self.frames) // 256)]
            self._usual[index] = float(np.median(self.costs([index], sample)))
        return max(self._usual[index], 1e-4)


def _row(picture: Gray) -> Floats:
    """Numbers of a picture without its brightness and contrast; all zero for one that shows nothing."""
    values = picture.astype(np.float64).ravel()
    values -= values.mean()
    spread = float(values.std())
    return np.asarray(values / spread if spread >= _FLAT else np.zeros_like(values), np.float32)


def _limits(costs: Floats) -> Floats:
    """(A,) up to which differences pictures show the same."""
    usual = np.maximum(np.median(costs, axis=1), 1e-4)
    return np.minimum(_AGREES * usual, _AGREES_AT_ALL)


def _samples(video: VideoReader) -> Ints:
    count = video.frame_count
    if count <= _ALL_BELOW:
        return np.arange(count)
    keys = video.key_frames().astype(np.int64)
    if len(keys) < _MOST_SAMPLES // 8:
        keys = np.arange(count)
    return np.array(_spread(keys.tolist(), _MOST_SAMPLES), np.int64)


def _spread(values: list[int], most: int) -> list[int]:
    """At most so many of them, evenly from the first to the last."""
    if len(values) <= most:
        return values
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _near(times: Floats, seconds: float, reach: float) -> Ints:
    """Frames at most ``reach`` seconds away."""
    first, last = np.searchsorted(times, [seconds - reach - 1e-9, seconds + reach + 1e-9])
    return np.arange(first, last)


def _step(times: Floats) -> float:
    """Usual seconds from frame to frame."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30


__all__ = ["SIDE", "Alignment", "OldVideo", "align", "gray_picture", "map_by_time", "nearest"]
