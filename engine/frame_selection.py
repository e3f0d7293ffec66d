"""Which frames of a video are worth labelling: evenly spread, one a scene, as different as can be, or the unsurest.

All give ascending frame numbers without repeats, and the same ones every time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with frames looked at and frames in all; what it raises ends the work."""

GREY_SIDE = 16
COLOR_BINS = 4
MOST_CANDIDATES = 1000
# A scene changes where the picture differs from the one before by so many usual differences, and not just a little.
_USUAL_TIMES = 6.0
_LEAST_CHANGE = 0.15
_ROUNDS = 50


class Frames(Protocol):
    """What is asked of a video here; every :class:`engine.media.source.FrameSource` will do."""

    frame_count: int

    def read(self, index: int) -> Image: ...


def select_uniform(candidates: Sequence[int] | range, count: int) -> list[int]:
    """``count`` of the candidates at even distances, none of them at the very ends; all where there are fewer."""
    listed = sorted(set(candidates))
    if count >= len(listed):
        return listed
    places = ((np.arange(max(0, count)) + 0.5) * len(listed) / max(1, count)).astype(int)
    return [listed[place] for place in places]


def select_scenes(
    frames: Frames,
    count: int,
    *,
    candidates: Sequence[int] | range | None = None,
    exclude: Collection[int] = (),
    progress: Progress | None = None,
) -> list[int]:
    """The middles of scenes: first of the longest ones; with more frames wanted than scenes, several of long ones."""
    listed = _candidates(frames, candidates, exclude)
    if count >= len(listed) or count <= 0:
        return listed[: max(0, count)]
    features = frame_features(frames, listed, progress)
    starts = [0, *scene_starts(features), len(listed)]
    scenes = [range(a, b) for a, b in itertools.pairwise(starts)]
    shares = np.zeros(len(scenes), int)
    lengths = np.array([len(scene) for scene in scenes])
    for _ in range(count):  # the next frame goes where it stands for most
        worth = np.where(shares < lengths, lengths / (shares + 1.0) + (shares == 0) * len(listed), -1.0)
        shares[int(worth.argmax())] += 1
    return sorted(listed[place] for scene, share in zip(scenes, shares) for place in select_uniform(scene, int(share)))


def select_diverse(
    frames: Frames,
    count: int,
    *,
    seed: int = 0,
    candidates: Sequence[int] | range | None = None,
    exclude: Collection[int] = (),
    progress: Progress | None = None,
) -> list[int]:
    """Frames that differ most: the one nearest the middle of each of ``count`` groups of similar pictures."""
    listed = _candidates(frames, candidates, exclude)
    if count >= len(listed) or count <= 0:
        return listed[: max(0, count)]
    features = frame_features(frames, listed, progress)
    centres = k_means(features, count, seed)
    chosen: list[int] = []
    free = np.ones(len(listed), np.bool_)
    for centre in centres:
        place = int(np.where(free, ((features - centre) ** 2).sum(axis=1), np.inf).argmin())
        free[place] = False
        chosen.append(listed[place])
    return sorted(chosen)


def select_uncertain(
    scores: Sequence[tuple[int, float]], count: int, *, spacing: int = 1, exclude: Collection[int] = ()
) -> list[int]:
    """The frames with the lowest scores, ``spacing`` or more apart, for neighbours show the same mistake.

    Args:
        scores: frame number and score; of a frame that is listed more than once the lowest counts.
    """
    lowest: dict[int, float] = {}
    for index, score in scores:
        lowest[index] = min(float(score), lowest.get(index, np.inf))
    chosen: list[int] = []
    for index in sorted(set(lowest) - set(exclude), key=lambda i: (lowest[i], i)):
        if len(chosen) >= count:
            break
        if all(abs(index - other) >= spacing for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def frame_features(frames: Frames, indices: Sequence[int], progress: Progress | None = None) -> Floats:
    """(N, D) what pictures look like, cheaply: a small grey picture and shares of colours, both of length about 1."""
    found: list[Floats] = []
    for done, index in enumerate(indices):
        if progress is not None:
            progress(done, len(indices))
        found.append(picture_features(frames.read(index)))
    if progress is not None:
        progress(len(indices), len(indices))
    return np.array(found).reshape(len(indices), GREY_SIDE**2 + COLOR_BINS**3)


def picture_features(image: Image) -> Floats:
    """(D,) of one RGB picture."""
    small = cv2.resize(image, (4 * GREY_SIDE, 4 * GREY_SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.resize(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA)
    bins = (small // (256 // COLOR_BINS)).reshape(-1, 3).astype(np.int64) @ [COLOR_BINS**2, COLOR_BINS, 1]
    shares = np.sqrt(np.bincount(bins, minlength=COLOR_BINS**3) / len(bins))
    return np.concatenate([grey.reshape(-1) / (255.0 * GREY_SIDE), 0.5 * shares])


def scene_starts(features: npt.ArrayLike) -> list[int]:
    """Rows of (N, D) features at which another scene begins; the first row is not named."""
    steps = np.linalg.norm(np.diff(np.asarray(features, np.float64), axis=0), axis=1)
    if not len(steps):
        return []
    return [int(n) + 1 for n in np.flatnonzero(steps > max(_LEAST_CHANGE, _USUAL_TIMES * float(np.median(steps))))]


def k_means(features: npt.ArrayLike, count: int, seed: int = 0) -> Floats:
    """(count, D) middles of groups: Lloyd's rounds from centres drawn far apart.

    k-means++ (D. Arthur, S. Vassilvitskii, SODA 2007) with the best of several draws for each centre. Groups that come
    out empty keep their centre.
    """
    rows = np.asarray(features, np.float64)
    centres = _far_apart(rows, count, np.random.default_rng(seed))
    lengths = (rows**2).sum(axis=1)[:, None]
    group = np.full(len(rows), -1)
    for _ in range(_ROUNDS):
        now = (lengths - 2 * rows @ centres.T + (centres**2).sum(axis=1)).argmin(axis=1)
        if (now == group).all():
            break
        group = now
        for number in np.unique(group):
            centres[number] = rows[group == number].mean(axis=0)
    return centres


def _far_apart(rows: Floats, count: int, random: np.random.Generator) -> Floats:
    """(count, D) rows to start groups from."""
    centres = [rows[int(random.integers(len(rows)))]]
    nearest = ((rows - centres[0]) ** 2).sum(axis=1)
    draws = 2 + int(np.log(max(1, count)))
    while len(centres) < count:
        if nearest.sum() <= 0:  # nothing but repeats is left
            centres.append(rows[len(centres) % len(rows)])
            continue
        drawn = random.choice(len(rows), size=draws, p=nearest / nearest.sum())
        after = [np.minimum(nearest, ((rows - rows[place]) ** 2).sum(axis=1)) for place in drawn]
        best = int(np.argmin([distances.sum() for distances in after]))
        centres.append(rows[drawn[best]])
        nearest = after[best]
    return np.array(centres)


def _candidates(frames: Frames, candidates: Sequence[int] | range | None, exclude: Collection[int]) -> list[int]:
    """At most so many that features are found in reasonable time, spread evenly."""
    left_out = set(exclude)
    listed = [i for i in (range(frames.frame_count) if candidates is None else candidates) if i not in left_out]
    return select_uniform(listed, MOST_CANDIDATES)
