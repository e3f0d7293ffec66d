"""Choose frames of a video to label: evenly spaced, one per scene, as different as possible, or the least certain.

All functions return ascending frame indices without duplicates, and the same ones every time.
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
"""Called with frames done and frames in all; what it raises stops the work."""

GRAY_SIDE = 16
COLOR_BINS = 4
MAX_CANDIDATES = 1000
# A scene begins where an image differs from the one before by so many times the median difference, and at least by
# this.
_MEDIAN_FACTOR = 6.0
_MIN_CHANGE = 0.15
_MAX_ROUNDS = 50


class Frames(Protocol):
    """The part of :class:`engine.media.source.FrameSource` that is used here."""

    frame_count: int

    def read(self, index: int) -> Image: ...


def select_uniform(candidates: Sequence[int] | range, count: int) -> list[int]:
    """``count`` evenly spaced candidates, away from both ends; all of them if there are not more."""
    indices = sorted(set(candidates))
    if count >= len(indices):
        return indices
    positions = ((np.arange(max(0, count)) + 0.5) * len(indices) / max(1, count)).astype(int)
    return [indices[position] for position in positions]


def select_scenes(
    frames: Frames,
    count: int,
    *,
    candidates: Sequence[int] | range | None = None,
    exclude: Collection[int] = (),
    progress: Progress | None = None,
) -> list[int]:
    """The middle frames of scenes, the longest scenes first; several of a long scene if there are fewer scenes than
    ``count``."""
    indices = _candidates(frames, candidates, exclude)
    if count >= len(indices) or count <= 0:
        return indices[: max(0, count)]
    features = frame_features(frames, indices, progress)
    starts = [0, *scene_starts(features), len(indices)]
    scenes = [range(a, b) for a, b in itertools.pairwise(starts)]
    shares = np.zeros(len(scenes), int)
    lengths = np.array([len(scene) for scene in scenes])
    for _ in range(count):  # the next frame goes to the scene with most frames per chosen one
        priority = np.where(shares < lengths, lengths / (shares + 1.0) + (shares == 0) * len(indices), -1.0)
        shares[int(priority.argmax())] += 1
    return sorted(
        indices[position] for scene, share in zip(scenes, shares) for position in select_uniform(scene, share)
    )


def select_diverse(
    frames: Frames,
    count: int,
    *,
    seed: int = 0,
    candidates: Sequence[int] | range | None = None,
    exclude: Collection[int] = (),
    progress: Progress | None = None,
) -> list[int]:
    """The most different frames: the one nearest the center of each of ``count`` clusters of similar images."""
    indices = _candidates(frames, candidates, exclude)
    if count >= len(indices) or count <= 0:
        return indices[: max(0, count)]
    features = frame_features(frames, indices, progress)
    centers = k_means(features, count, seed)
    chosen: list[int] = []
    free = np.ones(len(indices), np.bool_)
    for center in centers:
        position = int(np.where(free, ((features - center) ** 2).sum(axis=1), np.inf).argmin())
        free[position] = False
        chosen.append(indices[position])
    return sorted(chosen)


def select_uncertain(
    scores: Sequence[tuple[int, float]], count: int, *, spacing: int = 1, exclude: Collection[int] = ()
) -> list[int]:
    """The frames with the lowest scores, at least ``spacing`` apart, since neighbors show the same mistake.

    Args:
        scores: frame index and score; if a frame is listed more than once, its lowest score counts.
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
    """(N, D) cheap image features: a small gray image and a color histogram, both of length about 1."""
    rows: list[Floats] = []
    for done, index in enumerate(indices):
        if progress is not None:
            progress(done, len(indices))
        rows.append(image_features(frames.read(index)))
    if progress is not None:
        progress(len(indices), len(indices))
    return np.array(rows).reshape(len(indices), GRAY_SIDE**2 + COLOR_BINS**3)


def image_features(image: Image) -> Floats:
    """(D,) features of one RGB image."""
    small = cv2.resize(image, (4 * GRAY_SIDE, 4 * GRAY_SIDE), interpolation=cv2.INTER_AREA)
    gray = cv2.resize(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (GRAY_SIDE, GRAY_SIDE), interpolation=cv2.INTER_AREA)
    bins = (small // (256 // COLOR_BINS)).reshape(-1, 3).astype(np.int64) @ [COLOR_BINS**2, COLOR_BINS, 1]
    shares = np.sqrt(np.bincount(bins, minlength=COLOR_BINS**3) / len(bins))
    return np.concatenate([gray.reshape(-1) / (255.0 * GRAY_SIDE), 0.5 * shares])


def scene_starts(features: npt.ArrayLike) -> list[int]:
    """Rows of (N, D) features at which a new scene begins, without the first row."""
    steps = np.linalg.norm(np.diff(np.asarray(features, np.float64), axis=0), axis=1)
    if not len(steps):
        return []
    return [int(n) + 1 for n in np.flatnonzero(steps > max(_MIN_CHANGE, _MEDIAN_FACTOR * float(np.median(steps))))]


def k_means(features: npt.ArrayLike, count: int, seed: int = 0) -> Floats:
    """(count, D) cluster centers: Lloyd's algorithm from centers that are far apart.

    k-means++ (D. Arthur, S. Vassilvitskii, SODA 2007) with the best of several draws for each center. Empty clusters
    keep their center.
    """
    rows = np.asarray(features, np.float64)
    centers = _initial_centers(rows, count, np.random.default_rng(seed))
    lengths = (rows**2).sum(axis=1)[:, None]
    group = np.full(len(rows), -1)
    for _ in range(_MAX_ROUNDS):
        nearest = (lengths - 2 * rows @ centers.T + (centers**2).sum(axis=1)).argmin(axis=1)
        if (nearest == group).all():
            break
        group = nearest
        for index in np.unique(group):
            centers[index] = rows[group == index].mean(axis=0)
    return centers


def _initial_centers(rows: Floats, count: int, random: np.random.Generator) -> Floats:
    """(count, D) rows to start clusters from."""
    centers = [rows[int(random.integers(len(rows)))]]
    distances = ((rows - centers[0]) ** 2).sum(axis=1)  # of each row from its nearest center, squared
    draws = 2 + int(np.log(max(1, count)))
    while len(centers) < count:
        if distances.sum() <= 0:  # only duplicates are left
            centers.append(rows[len(centers) % len(rows)])
            continue
        drawn = random.choice(len(rows), size=draws, p=distances / distances.sum())
        distances_with = [np.minimum(distances, ((rows - rows[row]) ** 2).sum(axis=1)) for row in drawn]
        best = int(np.argmin([candidate.sum() for candidate in distances_with]))
        centers.append(rows[drawn[best]])
        distances = distances_with[best]
    return np.array(centers)


def _candidates(frames: Frames, candidates: Sequence[int] | range | None, exclude: Collection[int]) -> list[int]:
    """Evenly spaced candidates, few enough to compute features of all in reasonable time."""
    excluded = set(exclude)
    indices = [i for i in (range(frames.frame_count) if candidates is None else candidates) if i not in excluded]
    return select_uniform(indices, MAX_CANDIDATES)
