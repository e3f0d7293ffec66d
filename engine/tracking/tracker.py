"""Who is who from frame to frame: identities for the poses of a video, by box, pose and motion.

Made for one pass over the frames, as they are predicted. A track is expected where a Kalman filter of constant velocity
puts its box, its last pose moved along. Poses with a sure box choose first, unsure ones may only go on with a track
that nothing sure has taken (the idea of Y. Zhang et al., "ByteTrack", ECCV 2022, arXiv:2110.06864); each choice is the
exact best assignment. Why our own: docs/adr/0005.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engine.pose import Prediction
from engine.schema.schema import DEFAULT_SIGMA, Schema
from engine.tracking.assignment import best_pairs
from engine.tracking.motion import BoxMotion
from engine.tracking.similarity import box_likeness, pose_likeness

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
T = TypeVar("T")

DEFAULT_RATE = 30.0
# A limb goes a long way between two frames: OKS is taken with sigmas that much wider than for judging a pose.
_WIDER = 2.0
_UNSURE_LIKENESS = 0.4
_JUMP_SIZE_RATIO = 2.0


@dataclass(frozen=True)
class TrackerOptions:
    """How a tracker decides.

    Attributes:
        high_score: from this box score on a pose is sure: it chooses first and can start a track.
        low_score: poses below are left out; those between can only go on with a track.
        birth_hits: a track gets its number when it has been met that often, frame after frame.
        max_age: seconds that a track may be unseen before it ends.
        least_likeness: mean of IoU and OKS below which two poses are not the same.
        point_score: keypoints that score less say nothing.
        reach: a track without a match may jump by so many of its sizes to a pose that nobody else wants; 0 never.
    """

    high_score: float = 0.5
    low_score: float = 0.1
    birth_hits: int = 2
    max_age: float = 1.0
    least_likeness: float = 0.2
    point_score: float = 0.2
    reach: float = 0.75


class Late(NamedTuple):
    """What a pose without a number turned out to be: the update it was in, its place there, its track."""

    update: int
    place: int
    track: int


@dataclass(eq=False)
class _Pose:
    """A prediction as the tracker looks at it."""

    place: int
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
        """(K, 2) the last pose, moved and scaled with the box."""
        return (self.points - self.origin) * (self.motion.size / self.size) + self.motion.centre

    def meet(self, pose: _Pose, time: float) -> None:
        """Take in the pose that the track has in a frame."""
        self.motion.correct(pose.box)
        self.points, self.seen = pose.points, pose.seen
        self.origin, self.size, self.last_hit = self.motion.centre, self.motion.size, time


class Tracker:
    """Gives the poses of one video, frame by frame, the numbers of their tracks.

    Poses of different categories never share a track. Numbers ascend and are never given twice.

    Args:
        schema: of all poses, or by name of category. Gives the sigmas; poses of another number of points are compared
            with equal ones.
        first_number: number of the first track.

    Attributes:
        late: after :meth:`update`, poses of earlier frames that have got a number by it.
    """

    def __init__(
        self, schema: Schema | Mapping[str, Schema], options: TrackerOptions | None = None, *, first_number: int = 1
    ) -> None:
        self.options = options or TrackerOptions()
        self.late: list[Late] = []
        self._schemas = schema
        self._sigmas: dict[tuple[str, int], Floats] = {}
        self._numbers = itertools.count(first_number)
        self._tracks: list[_Track] = []
        self._time = -math.inf
        self._update = -1
        self._started = False

    def update(self, predictions: Sequence[Prediction], frame_time: float | None = None) -> list[int | None]:
        """The next frame.

        Args:
            frame_time: seconds since any one moment, not before those of the last frame; 1/30 s later when not given.

        Returns:
            The number of each prediction's track; None for a pose too unsure, without a box and points, or met for the
            first time (see ``late``). The first frame with a sure pose starts tracks at once.

        Raises:
            ValueError: the time is no finite number.
        """
        time = self._next_time(frame_time)
        self._update += 1
        self.late = []
        found: list[int | None] = [None] * len(predictions)
        poses: defaultdict[str, list[_Pose]] = defaultdict(list)
        for place, prediction in enumerate(predictions):
            pose = _pose(place, prediction, self.options.point_score)
            if pose is not None and pose.score >= self.options.low_score:
                poses[prediction.category].append(pose)
        needed = self.options.birth_hits if self._started else 1
        for category, listed in poses.items():
            for track, pose in self._follow(category, listed, time):
                self._hit(track, pose, needed)
                found[pose.place] = track.number
        # A track without a number that is not met again was a slip of the detector.
        self._tracks = [t for t in self._tracks if t.number is not None or t.last_hit == time]
        return found

    def _follow(self, category: str, poses: list[_Pose], time: float) -> list[tuple[_Track, _Pose]]:
        """Every pose that is part of a track, old or new."""
        named = [t for t in self._tracks if t.category == category and t.number is not None]
        fresh = [t for t in self._tracks if t.category == category and t.number is None]
        sure = [p for p in poses if p.score >= self.options.high_score]
        unsure = [p for p in poses if p.score < self.options.high_score]
        least = self.options.least_likeness
        pairs = self._match(named, sure, least)
        pairs += self._match(_rest(named, pairs, 0), unsure, max(least, _UNSURE_LIKENESS))
        pairs += self._match(fresh, _rest(sure, pairs, 1), least)
        pairs += self._jumps(_rest(named, pairs, 0), _rest(sure, pairs, 1))
        for track, pose in pairs:
            track.meet(pose, time)
        for pose in _rest(sure, pairs, 1):
            motion = BoxMotion(pose.box)
            new = _Track(category, motion, pose.points, pose.seen, motion.centre, motion.size, time)
            self._tracks.append(new)
            pairs.append((new, pose))
        return pairs

    def _match(self, tracks: list[_Track], poses: list[_Pose], least: float) -> list[tuple[_Track, _Pose]]:
        if not tracks or not poses:
            return []
        boxes = np.array([track.motion.box for track in tracks])
        alike = box_likeness(boxes, np.array([pose.box for pose in poses]))
        for count in {len(track.seen) for track in tracks} & {len(pose.seen) for pose in poses}:
            of_tracks = [n for n, track in enumerate(tracks) if len(track.seen) == count]
            of_poses = [n for n, pose in enumerate(poses) if len(pose.seen) == count]
            likeness = pose_likeness(
                np.array([tracks[n].expected_points() for n in of_tracks]),
                np.array([tracks[n].seen for n in of_tracks]),
                np.array([poses[n].points for n in of_poses]),
                np.array([poses[n].seen for n in of_poses]),
                np.array([tracks[n].motion.size ** 2 for n in of_tracks]),
                self._sigmas_of(tracks[0].category, count) * _WIDER,
            )
            block = np.ix_(of_tracks, of_poses)
            alike[block] = np.where(np.isnan(likeness), alike[block], (alike[block] + likeness) / 2)
        return [(tracks[a], poses[b]) for a, b in best_pairs(alike, least)]

    def _jumps(self, tracks: list[_Track], poses: list[_Pose]) -> list[tuple[_Track, _Pose]]:
        """Tracks and poses left over that are near and of a size: something went faster than it was expected to."""
        if not tracks or not poses or self.options.reach <= 0:
            return []
        there = [BoxMotion(pose.box) for pose in poses]
        sizes = np.array([track.motion.size for track in tracks])[:, None]
        ratio = sizes / np.array([place.size for place in there])
        found = np.array([place.centre for place in there])
        # From where it is expected, or from where it was: what stops suddenly is not where its speed would take it.
        apart = np.min(
            [
                np.linalg.norm(np.array([[centre] for centre in centres]) - found, axis=-1)
                for centres in ([t.motion.centre for t in tracks], [t.motion.last_centre for t in tracks])
            ],
            axis=0,
        )
        near = 1.0 - apart / (self.options.reach * sizes)
        fits = (ratio <= _JUMP_SIZE_RATIO) & (ratio >= 1 / _JUMP_SIZE_RATIO)
        return [(tracks[a], poses[b]) for a, b in best_pairs(np.where(fits, near, 0.0).clip(0.0), 1e-6)]

    def _hit(self, track: _Track, pose: _Pose, needed: int) -> None:
        if track.number is not None:
            return
        track.hits.append((self._update, pose.place))
        if len(track.hits) >= needed:
            track.number = next(self._numbers)
            self._started = True
            self.late += [Late(update, place, track.number) for update, place in track.hits[:-1]]
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
        known = self._sigmas.get((category, count))
        if known is None:
            schema = self._schemas if isinstance(self._schemas, Schema) else self._schemas.get(category)
            fits = schema is not None and schema.num_keypoints == count
            known = np.asarray(schema.sigmas if schema is not None and fits else np.full(count, DEFAULT_SIGMA))
            self._sigmas[category, count] = known
        return known


def track_sequence(
    predictions: Iterable[Sequence[Prediction]],
    schema: Schema | Mapping[str, Schema],
    times: Sequence[float] | None = None,
    options: TrackerOptions | None = None,
    *,
    first_number: int = 1,
) -> list[list[int | None]]:
    """Tracks of a whole video at once: as :class:`Tracker`, and a track has its number from its first frame on.

    Args:
        predictions: of every frame, in order.
        times: seconds of every frame; at 30 frames per second when not given.
    """
    tracker = Tracker(schema, options, first_number=first_number)
    found: list[list[int | None]] = []
    for index, frame in enumerate(predictions):
        found.append(tracker.update(frame, index / DEFAULT_RATE if times is None else times[index]))
        for late in tracker.late:
            found[late.update][late.place] = late.track
    return found


def _pose(place: int, prediction: Prediction, point_score: float) -> _Pose | None:
    """None for a prediction that is nowhere."""
    keypoints = np.asarray(prediction.keypoints, np.float64)
    seen = np.isfinite(keypoints).all(axis=1) & (keypoints[:, 2] >= point_score)
    points = np.where(seen[:, None], keypoints[:, :2], 0.0)
    box = np.asarray(prediction.box, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        if not seen.any():
            return None
        box = np.concatenate([points[seen].min(axis=0), points[seen].max(axis=0)])
    score = float(prediction.box_score)
    return _Pose(place, box, points, seen, score if math.isfinite(score) else 0.0)


def _rest(all_of_them: list[T], pairs: list[tuple[_Track, _Pose]], side: int) -> list[T]:
    """Those that no pair holds; side 0 for tracks, 1 for poses."""
    taken = {id(pair[side]) for pair in pairs}
    return [one for one in all_of_them if id(one) not in taken]
