"""Track numbers for the poses of a video, from boxes, poses and motion.

Works in one pass over the frames, as they are predicted. A Kalman filter of constant velocity predicts the box of each
track, and its last pose is moved along. Poses with a confident box are matched first; the others may only continue a
track that no confident pose has taken (the idea of Y. Zhang et al., "ByteTrack", ECCV 2022, arXiv:2110.06864). Each
match is the optimal assignment. Why not a library: docs/adr/0005.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engine.pose import Prediction
from engine.schema.schema import DEFAULT_SIGMA, Schema
from engine.tracking.assignment import best_pairs
from engine.tracking.motion import BoxMotion
from engine.tracking.similarity import box_similarity, pose_similarity

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
T = TypeVar("T")
Frame = TypeVar("Frame")

DEFAULT_RATE = 30.0
# Limbs move far between two frames: OKS uses sigmas that many times wider than for evaluating a pose.
_SIGMA_FACTOR = 2.0
_MIN_UNSURE_SIMILARITY = 0.4
_JUMP_SIZE_RATIO = 2.0


@dataclass(frozen=True)
class TrackerOptions:
    """Thresholds of a tracker.

    Attributes:
        high_score: poses with this box score or more are confident: they are matched first and can start a track.
        low_score: poses below are ignored; those between the two can only continue a track.
        birth_hits: a track gets its number once it was matched in so many consecutive frames.
        max_age: seconds after which a track without a match ends.
        min_similarity: mean of IoU and OKS below which two poses are never matched.
        point_score: keypoints with a lower score are ignored.
        reach: a track without a match may jump so many times its size to an unmatched pose; 0 = never.
    """

    high_score: float = 0.5
    low_score: float = 0.1
    birth_hits: int = 2
    max_age: float = 1.0
    min_similarity: float = 0.2
    point_score: float = 0.2
    reach: float = 0.75


class LateMatch(NamedTuple):
    """The track of a pose of an earlier frame: number of its update, its index in it, number of the track."""

    update: int
    pose: int
    track: int


@dataclass(eq=False)
class _Pose:
    """What the tracker uses of a prediction; ``index`` is its position in the frame."""

    index: int
    box: Floats
    points: Floats
    seen: Flags
    score: float


@dataclass(eq=False)
class _Track:
    category: str
    motion: BoxMotion
    points: Floats
    seen: Flags
    origin: Floats
    size: float
    last_hit: float
    number: int | None = None
    hits: list[tuple[int, int]] = field(default_factory=list)

    def expected_points(self) -> Floats:
        """(K, 2) the last pose, moved and scaled like the box."""
        return (self.points - self.origin) * (self.motion.size / self.size) + self.motion.center

    def add(self, pose: _Pose, time: float) -> None:
        """Continue the track with the pose of a frame."""
        self.motion.correct(pose.box)
        self.points, self.seen = pose.points, pose.seen
        self.origin, self.size, self.last_hit = self.motion.center, self.motion.size, time


class Tracker:
    """Assigns track numbers to the poses of one video, frame by frame.

    Poses of different categories never share a track. Numbers ascend and are never reused.

    Args:
        schema: of all poses, or by category name. Gives the sigmas; poses with another number of points are compared
            with equal sigmas.
        first_number: number of the first track.

    Attributes:
        late: poses of earlier frames whose track number the last :meth:`update` decided.
    """

    def __init__(
        self, schema: Schema | Mapping[str, Schema], options: TrackerOptions | None = None, *, first_number: int = 1
    ) -> None:
        self.options = options or TrackerOptions()
        self.late: list[LateMatch] = []
        self._schemas = schema
        self._sigmas: dict[tuple[str, int], Floats] = {}
        self._numbers = itertools.count(first_number)
        self._tracks: list[_Track] = []
        self._time = -math.inf
        self._update = -1
        self._started = False

    def update(self, predictions: Sequence[Prediction], frame_time: float | None = None) -> list[int | None]:
        """Match the poses of the next frame.

        Args:
            frame_time: seconds since any fixed moment, not less than for the last frame; None = 1/30 s later.

        Returns:
            The track number of each prediction; None for a pose with a low score, without box and points, or seen for
            the first time (see ``late``). In the first frame with a confident pose, tracks start at once.

        Raises:
            ValueError: the time is not a finite number.
        """
        time = self._next_time(frame_time)
        self._update += 1
        self.late = []
        tracks: list[int | None] = [None] * len(predictions)
        poses: defaultdict[str, list[_Pose]] = defaultdict(list)
        for index, prediction in enumerate(predictions):
            pose = _pose(index, prediction, self.options.point_score)
            if pose is not None and pose.score >= self.options.low_score:
                poses[prediction.category].append(pose)
        needed_hits = self.options.birth_hits if self._started else 1
        for category, category_poses in poses.items():
            for track, pose in self._match_all(category, category_poses, time):
                self._count_hit(track, pose, needed_hits)
                tracks[pose.index] = track.number
        # A track without a number that is not matched again was a false detection.
        self._tracks = [t for t in self._tracks if t.number is not None or t.last_hit == time]
        return tracks

    def _match_all(self, category: str, poses: list[_Pose], time: float) -> list[tuple[_Track, _Pose]]:
        """Each pose that belongs to a track, old or new, with the track."""
        numbered = [t for t in self._tracks if t.category == category and t.number is not None]
        fresh = [t for t in self._tracks if t.category == category and t.number is None]
        confident = [p for p in poses if p.score >= self.options.high_score]
        others = [p for p in poses if p.score < self.options.high_score]
        minimum = self.options.min_similarity
        pairs = self._match(numbered, confident, minimum)
        pairs += self._match(_unmatched(numbered, pairs, 0), others, max(minimum, _MIN_UNSURE_SIMILARITY))
        pairs += self._match(fresh, _unmatched(confident, pairs, 1), minimum)
        pairs += self._match_jumps(_unmatched(numbered, pairs, 0), _unmatched(confident, pairs, 1))
        for track, pose in pairs:
            track.add(pose, time)
        for pose in _unmatched(confident, pairs, 1):
            motion = BoxMotion(pose.box)
            new = _Track(category, motion, pose.points, pose.seen, motion.center, motion.size, time)
            self._tracks.append(new)
            pairs.append((new, pose))
        return pairs

    def _match(self, tracks: list[_Track], poses: list[_Pose], minimum: float) -> list[tuple[_Track, _Pose]]:
        if not tracks or not poses:
            return []
        boxes = np.array([track.motion.box for track in tracks])
        similarity = box_similarity(boxes, np.array([pose.box for pose in poses]))
        for count in {len(track.seen) for track in tracks} & {len(pose.seen) for pose in poses}:
            rows = [n for n, track in enumerate(tracks) if len(track.seen) == count]
            columns = [n for n, pose in enumerate(poses) if len(pose.seen) == count]
            oks = pose_similarity(
                np.array([tracks[n].expected_points() for n in rows]),
                np.array([tracks[n].seen for n in rows]),
                np.array([poses[n].points for n in columns]),
                np.array([poses[n].seen for n in columns]),
                np.array([tracks[n].motion.size ** 2 for n in rows]),
                self._sigmas_of(tracks[0].category, count) * _SIGMA_FACTOR,
            )
            block = np.ix_(rows, columns)
            similarity[block] = np.where(np.isnan(oks), similarity[block], (similarity[block] + oks) / 2)
        return [(tracks[a], poses[b]) for a, b in best_pairs(similarity, minimum)]

    def _match_jumps(self, tracks: list[_Track], poses: list[_Pose]) -> list[tuple[_Track, _Pose]]:
        """Match remaining tracks and poses that are near and of similar size: something moved faster than predicted."""
        if not tracks or not poses or self.options.reach <= 0:
            return []
        pose_boxes = [BoxMotion(pose.box) for pose in poses]
        sizes = np.array([track.motion.size for track in tracks])[:, None]
        ratio = sizes / np.array([box.size for box in pose_boxes])
        pose_centers = np.array([box.center for box in pose_boxes])
        # From the predicted or the last position: what stops suddenly is not where its velocity would take it.
        distance = np.min(
            [
                np.linalg.norm(np.array([[center] for center in centers]) - pose_centers, axis=-1)
                for centers in ([t.motion.center for t in tracks], [t.motion.last_center for t in tracks])
            ],
            axis=0,
        )
        closeness = 1.0 - distance / (self.options.reach * sizes)
        has_similar_size = (ratio <= _JUMP_SIZE_RATIO) & (ratio >= 1 / _JUMP_SIZE_RATIO)
        scores = np.where(has_similar_size, closeness, 0.0).clip(0.0)
        return [(tracks[a], poses[b]) for a, b in best_pairs(scores, 1e-6)]

    def _count_hit(self, track: _Track, pose: _Pose, needed: int) -> None:
        if track.number is not None:
            return
        track.hits.append((self._update, pose.index))
        if len(track.hits) >= needed:
            track.number = next(self._numbers)
            self._started = True
            self.late += [LateMatch(update, index, track.number) for update, index in track.hits[:-1]]
            track.hits.clear()

    def _next_time(self, frame_time: float | None) -> float:
        if frame_time is None:
            frame_time = self._time + 1 / DEFAULT_RATE if math.isfinite(self._time) else 0.0
        if not math.isfinite(frame_time):
            raise ValueError(f"the time of a frame must be a finite number, not {frame_time}")
        step = frame_time - self._time if math.isfinite(self._time) else 0.0
        self._time = max(self._time, float(frame_time))
        for track in self._tracks:
            track.motion.advance(step)
        self._tracks = [t for t in self._tracks if self._time - t.last_hit <= self.options.max_age + 1e-9]
        return self._time

    def _sigmas_of(self, category: str, count: int) -> Floats:
        """(K,)"""
        sigmas = self._sigmas.get((category, count))
        if sigmas is None:
            schema = self._schemas if isinstance(self._schemas, Schema) else self._schemas.get(category)
            fits = schema is not None and schema.num_keypoints == count
            sigmas = np.asarray(schema.sigmas if schema is not None and fits else np.full(count, DEFAULT_SIGMA))
            self._sigmas[category, count] = sigmas
        return sigmas


def track_frames(
    frames: Iterable[tuple[Frame, float | None, Sequence[Prediction]]], tracker: Tracker
) -> Iterator[tuple[Frame, Sequence[Prediction], list[int | None]]]:
    """Track numbers for a stream of frames. Each frame is held back until its numbers are final, which takes
    ``birth_hits - 1`` more frames, so that a track has its number from its first frame on.

    Args:
        frames: anything that identifies the frame, its time as for :meth:`Tracker.update`, and its predictions.
        tracker: a new one.

    Yields:
        Frame, predictions, and the track number of each prediction.
    """
    delay = tracker.options.birth_hits - 1
    pending: deque[tuple[Frame, Sequence[Prediction], list[int | None]]] = deque()
    for update, (frame, frame_time, predictions) in enumerate(frames):
        pending.append((frame, predictions, tracker.update(predictions, frame_time)))
        oldest = update - len(pending) + 1
        for match in tracker.late:
            pending[match.update - oldest][2][match.pose] = match.track
        if len(pending) > delay:
            yield pending.popleft()
    yield from pending


def track_sequence(
    predictions: Iterable[Sequence[Prediction]],
    schema: Schema | Mapping[str, Schema],
    times: Sequence[float] | None = None,
    options: TrackerOptions | None = None,
    *,
    first_number: int = 1,
) -> list[list[int | None]]:
    """Track numbers for all frames of a video, see :func:`track_frames`.

    Args:
        predictions: of every frame, in order.
        times: seconds of every frame; None = 30 frames per second.
    """
    frames = (
        (index, index / DEFAULT_RATE if times is None else times[index], p) for index, p in enumerate(predictions)
    )
    return [tracks for _, _, tracks in track_frames(frames, Tracker(schema, options, first_number=first_number))]


def _pose(index: int, prediction: Prediction, point_score: float) -> _Pose | None:
    """None for a prediction without a position."""
    keypoints = np.asarray(prediction.keypoints, np.float64)
    seen = np.isfinite(keypoints).all(axis=1) & (keypoints[:, 2] >= point_score)
    points = np.where(seen[:, None], keypoints[:, :2], 0.0)
    box = np.asarray(prediction.box, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        if not seen.any():
            return None
        box = np.concatenate([points[seen].min(axis=0), points[seen].max(axis=0)])
    score = float(prediction.box_score)
    return _Pose(index, box, points, seen, score if math.isfinite(score) else 0.0)


def _unmatched(items: list[T], pairs: list[tuple[_Track, _Pose]], side: int) -> list[T]:
    """The items that are in no pair; side 0 for tracks, 1 for poses."""
    matched = {id(pair[side]) for pair in pairs}
    return [item for item in items if id(item) not in matched]
