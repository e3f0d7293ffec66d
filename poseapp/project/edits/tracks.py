"""The verbs of tracks, as pure functions: poses in, an :class:`Edit` out. No Qt, no files.

A track is once in a frame, if at all; these functions keep it so. What they do to a track does not make its poses
labelled: who somebody is, is another question than where the points are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import ProjectError
from engine.pose import Prediction
from engine.schema.schema import Schema
from engine.tracking.similarity import pose_similarity
from engine.tracking.tracker import Tracker, TrackerOptions
from poseapp.project.edits.geometry import box_overlap, extent
from poseapp.project.model import Category, Edit, FrameEdit, FrameKey, Instance, State

Item = tuple[FrameKey, Instance]
FrameItems = tuple[FrameKey, Sequence[Instance]]
Progress = Callable[[int, int], None]
"""Called with frames done and in all; what it raises ends the work."""

_TOLD = 3
# From these on, OKS or overlap of boxes, a prediction is of the same thing as a label.
_SAME_POSE = 0.5
_SAME_BOX = 0.8


def assign_track(frame: FrameKey, instances: Sequence[Instance], instance: Instance, track: int | None) -> Edit:
    """Give a pose an identity in one frame, or take it away; who had it there gets the pose's old one.

    Args:
        instances: all of the frame.
    """
    before, after = [instance], [replace(instance, track=track)]
    for other in instances:
        if track is not None and other.track == track and other.id != instance.id:
            before.append(other)
            after.append(replace(other, track=instance.track))
    text = "Clear track" if track is None else f"Assign track {track}"
    return Edit(text, (FrameEdit(frame, tuple(before), tuple(after)),))


def swap_tracks(items: Iterable[Item], old: int, new: int, start: FrameKey) -> Edit:
    """What is ``old`` from a frame on becomes ``new``, and the other way round: identities that were mixed up there.

    Args:
        items: poses of both tracks, at least those from ``start`` on; others are left alone.
    """
    swapped = _renumbered(_from(items, start), {old: new, new: old})
    return Edit(f"Swap tracks {old} and {new} from here on", swapped)


def split_track(items: Iterable[Item], track: int, start: FrameKey, new: int) -> Edit:
    """From a frame on a track is another one, with a number of its own.

    Raises:
        ProjectError: the track does not begin before the frame, or ends before it.
    """
    listed = [(key, i) for key, i in items if i.track == track and key.media == start.media]
    later = _from(listed, start)
    if not later or len(later) == len(listed):
        raise ProjectError(f"track {track} has poses on one side of this frame only; there is nothing to split")
    return Edit(f"Split track {track}", _renumbered(later, {track: new}))


def join_tracks(items: Iterable[Item], keep: int, other: int, *, drop_overlap: bool = False) -> Edit:
    """Two tracks that are one and the same become one.

    Args:
        items: poses of both.
        drop_overlap: where both are in a frame, the other's pose is left without a track.

    Raises:
        ProjectError: both are in one frame, and ``drop_overlap`` was not said; or they are the same track.
    """
    if keep == other:
        raise ProjectError(f"track {keep} cannot be joined with itself")
    listed = list(items)
    kept_frames = {key for key, i in listed if i.track == keep}
    moved = [(key, i) for key, i in listed if i.track == other]
    both = sorted({key.index for key, _ in moved if key in kept_frames})
    if both and not drop_overlap:
        shown = ", ".join(str(index) for index in both[:_TOLD]) + (", ..." if len(both) > _TOLD else "")
        raise ProjectError(
            f"tracks {keep} and {other} are both in {len(both)} frames (index {shown}); swap or delete there first"
        )
    pairs = [(key, i, replace(i, track=None if key in kept_frames else keep)) for key, i in moved]
    return Edit(f"Join track {other} to {keep}", _grouped(pairs))


def delete_track(
    items: Iterable[Item],
    track: int,
    first: FrameKey | None = None,
    last: FrameKey | None = None,
    *,
    only_predicted: bool = False,
) -> Edit:
    """Delete the poses of a track, all of them or from one frame to another, both included."""
    gone = [
        (key, i, None)
        for key, i in items
        if i.track == track
        and (first is None or (key.media == first.media and key >= first))
        and (last is None or (key.media == last.media and key <= last))
        and not (only_predicted and i.state is State.LABELLED)
    ]
    whole = first is None and last is None
    return Edit(f"Delete track {track}" if whole else f"Delete part of track {track}", _grouped(gone))


def as_prediction(instance: Instance, category: str) -> Prediction:
    """A pose of the project as the tracker wants it; what a person has labelled is sure."""
    labelled = instance.state is State.LABELLED
    scores = np.ones(instance.num_keypoints) if labelled or instance.scores is None else instance.scores
    seen = instance.visibility > 0
    box = extent(instance)
    sure = 1.0 if labelled or instance.score is None else float(instance.score)
    keypoints = np.column_stack([instance.keypoints, np.where(seen, scores, -1.0)])
    return Prediction(keypoints, np.full(4, np.nan) if box is None else box, sure, sure, category)


def track_frames(
    frames: Sequence[FrameItems],
    categories: Mapping[int, Category],
    times: Sequence[float] | None = None,
    options: TrackerOptions | None = None,
    *,
    first_number: int = 1,
    progress: Progress | None = None,
) -> list[list[int | None]]:
    """Who is who in the poses of frames of one media; for :func:`apply_tracks`.

    A prediction of what a person has labelled in the same frame stays without a track.

    Args:
        frames: in order.
        times: seconds of each; left out, 1/30 s from index to index.
        first_number: numbers are given from here on; see :func:`poseapp.project.store.ProjectStore.new_track_numbers`.
    """
    names = {track: str(track) for track in categories}
    schemas = {names[track]: category.schema for track, category in categories.items()}
    tracker = Tracker(schemas, options, first_number=first_number)
    tracks: list[list[int | None]] = []
    followed: list[list[int]] = []
    for n, (key, instances) in enumerate(frames):
        if progress is not None:
            progress(n, len(frames))
        positions = [position for position, done in enumerate(labelled_too(instances, categories)) if not done]
        poses = [
            as_prediction(instances[position], names.get(instances[position].category, "")) for position in positions
        ]
        given = tracker.update(poses, key.index / 30 if times is None else times[n])
        tracks.append([None] * len(instances))
        followed.append(positions)
        for position, track in zip(positions, given):
            tracks[n][position] = track
        for update, position, track in tracker.late:
            tracks[update][followed[update][position]] = track
    return tracks


def apply_tracks(
    frames: Sequence[FrameItems], tracks: Sequence[Sequence[int | None]], *, keep_labelled: bool = True
) -> Edit:
    """What a tracker has found, as one step.

    Args:
        frames: with their poses, as given to the tracker.
        tracks: of each pose of each frame.
        keep_labelled: poses that a person has labelled keep the track they have, and a track that the tracker found
            for most of them takes over their number.
    """
    called: dict[int, int] = {}
    if keep_labelled:
        votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for (_, instances), result in zip(frames, tracks, strict=True):
            for i, index in zip(instances, result, strict=True):
                if index is not None and _is_kept(i):
                    votes[index][i.track or 0] += 1
        called = {index: counts.most_common(1)[0][0] for index, counts in votes.items()}
    pairs: list[tuple[FrameKey, Instance, Instance | None]] = []
    for (key, instances), result in zip(frames, tracks, strict=True):
        taken = {i.track for i in instances if keep_labelled and _is_kept(i)}
        for i, index in zip(instances, result, strict=True):
            if keep_labelled and _is_kept(i):
                continue
            track = None if index is None else called.get(index, index)
            track = next((n for n in (track, index) if n not in taken), None)
            taken.add(track)
            pairs.append((key, i, replace(i, track=track)))
    return Edit("Track poses", _grouped([pair for pair in pairs if pair[2] and pair[1].track != pair[2].track]))


def _is_kept(instance: Instance) -> bool:
    return instance.state is State.LABELLED and instance.track is not None


def labelled_too(instances: Sequence[Instance], categories: Mapping[int, Category]) -> list[bool]:
    """Of each pose of a frame, whether it is a prediction of one that a person has labelled."""
    labelled = [i for i in instances if i.state is State.LABELLED]
    return [
        i.state is State.PREDICTED
        and any(i.category == other.category and _is_same(other, i, categories) for other in labelled)
        for i in instances
    ]


def _is_same(one: Instance, other: Instance, categories: Mapping[int, Category]) -> bool:
    first, second = extent(one), extent(other)
    if first is None or second is None:
        return False
    return same_pose(one, other, categories[one.category].schema) or box_overlap(first, second) >= _SAME_BOX


def same_pose(one: Instance, other: Instance, schema: Schema) -> bool:
    """Whether the points of two poses are so near to one another, for the size of the first, that both are of one."""
    first = extent(one)
    if first is None:
        return False
    area = float((first[2] - first[0]) * (first[3] - first[1]))
    alike = pose_similarity(
        one.keypoints[None],
        one.visibility[None] > 0,
        other.keypoints[None],
        other.visibility[None] > 0,
        np.array([area]),
        schema.sigmas,
    )[0, 0]
    return bool(alike >= _SAME_POSE)


def _from(items: Iterable[Item], start: FrameKey) -> list[Item]:
    return [(key, i) for key, i in items if key.media == start.media and key >= start]


def _renumbered(items: Iterable[Item], new_tracks: Mapping[int, int]) -> tuple[FrameEdit, ...]:
    chosen = [(key, i, i.track) for key, i in items if i.track is not None and i.track in new_tracks]
    return _grouped([(key, i, replace(i, track=new_tracks[track])) for key, i, track in chosen])


def _grouped(changes: Iterable[tuple[FrameKey, Instance, Instance | None]]) -> tuple[FrameEdit, ...]:
    """Poses before and after, frame by frame; None after for one that goes."""
    before: defaultdict[FrameKey, list[Instance]] = defaultdict(list)
    after: defaultdict[FrameKey, list[Instance]] = defaultdict(list)
    for key, was, now in changes:
        before[key].append(was)
        if now is not None:
            after[key].append(now)
    return tuple(FrameEdit(key, tuple(before[key]), tuple(after[key])) for key in before)
