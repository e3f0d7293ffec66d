"""Poses made from others of their track: between keyframes, and carried on from picture to picture.

A keyframe is a pose that a person has labelled. What is made here is predicted until somebody accepts or edits it; then
it is a keyframe too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.pose import Prediction
from engine.tracking.interpolation import interpolate_pose
from engine.tracking.optical_flow import propagate_points
from poseapp.project.edits.geometry import extent
from poseapp.project.model import ABSENT, VISIBLE, Bytes, Edit, Flags, Floats, FrameEdit, FrameKey, Instance, State
from poseapp.project.queries.tracks import INTERPOLATED

PROPAGATED = "optical flow"
"""``source`` of poses carried on from the picture before."""
ESTIMATED = "propagated"
"""``source`` of poses that a model found where one was carried on to."""

Item = tuple[FrameKey, Instance]
Image = npt.NDArray[np.uint8]
NewIds = Callable[[int], Sequence[int]]
Estimate = Callable[[Image, Floats], Prediction]
"""A model: an RGB picture and a box x1 y1 x2 y2 to a pose."""

# With fewer of its points followed a pose is lost.
_LEAST_FOLLOWED = 0.5
# Points, and poses, that a model scores less are not there.
_LEAST_SCORE = 0.2


def is_keyframe(instance: Instance) -> bool:
    """Whether poses are interpolated from it."""
    return instance.state is State.LABELLED


def is_interpolated(instance: Instance) -> bool:
    """Made from keyframes, and nobody's since."""
    return instance.source == INTERPOLATED and instance.state is State.PREDICTED


def interpolate_track(
    items: Iterable[Item],
    new_ids: NewIds,
    *,
    smooth: bool = False,
    longest_gap: int | None = None,
    frames: Collection[FrameKey] | None = None,
    time: Callable[[int], float] = float,
    replace_predicted: bool = False,
) -> Edit:
    """Fill a track between its keyframes, anew where it was filled before.

    Poses of a model are left as they are, unless ``replace_predicted``. Interpolated poses that no longer lie between
    keyframes go.

    Args:
        items: poses of one track in one media.
        new_ids: gives ids for new instances (``store.new_ids``).
        smooth: curves that do not overshoot, else straight lines.
        longest_gap: keyframes with more frames between them are not joined.
        frames: only these are filled.
        time: time of a frame by its index; counts for videos whose frames are not evenly spaced.

    Raises:
        ProjectError: poses of several tracks or media.
    """
    listed = sorted(items, key=lambda item: (item[0], not is_interpolated(item[1]), item[1].id))
    if len({(key.media, i.track) for key, i in listed}) > 1:
        raise ProjectError("one track at a time can be interpolated")
    keys = _keyframes(listed)
    by_frame = dict(listed)

    def is_free(key: FrameKey) -> bool:
        pose = by_frame.get(key)
        return pose is None or is_interpolated(pose) or (replace_predicted and not is_keyframe(pose))

    between = _between([key for key, _ in keys], longest_gap)
    expected = [key for key in between if is_free(key) and (frames is None or key in frames)]
    filled = set(expected)
    created = _made(keys, expected, smooth, time) if expected else []
    ids = iter(new_ids(sum(key not in by_frame for key in expected)))
    edits: list[FrameEdit] = []
    for key, instance in zip(expected, created):
        old = by_frame.get(key)
        after = replace(instance, id=next(ids) if old is None else old.id)
        if old is None or not old.same_as(after):
            edits.append(FrameEdit(key, () if old is None else (old,), (after,)))
    if frames is None:
        edits += [FrameEdit(key, (i,)) for key, i in listed if is_interpolated(i) and key not in filled]
    track = listed[0][1].track if listed else None
    return Edit("Interpolate track" if track is None else f"Interpolate track {track}", tuple(edits))


def predictions_between(items: Iterable[Item]) -> tuple[int, int]:
    """How many keyframes a track has, and how many poses of a model lie between them."""
    listed = sorted(items, key=lambda item: item[0])
    keys = [key for key, _ in _keyframes(listed)]
    if len(keys) < 2:
        return len(keys), 0
    contradicted = {
        key for key, i in listed if keys[0] < key < keys[-1] and not is_keyframe(i) and not is_interpolated(i)
    }
    return len(keys), len(contradicted - set(keys))


def propagate_pose(
    image_a: Image, image_b: Image, instance: Instance, new_id: int, track: int | None = None
) -> Instance | None:
    """A pose carried from its picture to another one shortly after; None when most of it is lost.

    Points that are lost go along with the others and score 0; visibilities stay.
    """
    seen = instance.visibility > 0
    if not seen.any():
        return None
    positions, ok = propagate_points(image_a, image_b, instance.keypoints[seen])
    if ok.mean() < _LEAST_FOLLOWED:
        return None
    points, scores = instance.keypoints.copy(), np.zeros(instance.num_keypoints)
    points[seen], scores[seen] = positions, ok.astype(np.float64)
    return Instance(
        id=new_id,
        category=instance.category,
        keypoints=points,
        visibility=instance.visibility.copy(),
        by_human=np.zeros(instance.num_keypoints, np.bool_),
        scores=scores,
        score=float(ok.mean()),
        box=None if instance.box is None else _moved_box(instance.box, instance.keypoints[seen], positions, ok),
        track=instance.track if track is None else track,
        source=PROPAGATED,
        state=State.PREDICTED,
    )


def propagate_forward(
    start: FrameKey,
    instance: Instance,
    pictures: Iterable[tuple[FrameKey, Image]],
    existing: Callable[[FrameKey], Sequence[Instance]],
    new_ids: NewIds,
    track: int | None = None,
    estimate: Estimate | None = None,
) -> Iterator[Edit]:
    """Carry a pose on, picture after picture: an edit each, all of them one step of the history.

    Ends where its track has a labelled pose already, or where it is lost. Predictions of its track give way. Works
    backwards too: it goes as the pictures come.

    Args:
        pictures: the pose's own first, then those that it is carried to, in order.
        existing: instances of a frame now (``store.instances``).
        track: the pose's track where it has none of its own; with neither nothing is replaced.
        estimate: a model that looks where the optical flow has carried the pose's box, and says where its points are;
            without it they are where the flow has carried them.
    """
    index = instance.track if instance.track is not None else track
    merge_key = f"propagate {instance.id} from {start.media}.{start.index}"
    pose, before = instance, None
    if instance.track is None and index is not None:
        owned = replace(instance, track=index)
        yield Edit("Propagate pose", (FrameEdit(start, (instance,), (owned,)),), merge_key)
    for key, picture in pictures:
        if before is not None:
            old = tuple(i for i in existing(key) if index is not None and i.track == index)
            identity = new_ids(1)[0]
            carried = propagate_pose(before, picture, pose, identity, index)
            if estimate is not None:
                carried = _estimated(replace(pose, id=identity) if carried is None else carried, picture, estimate)
            if carried is None or any(is_keyframe(i) for i in old):
                return
            pose = carried
            yield Edit("Propagate pose", (FrameEdit(key, old, (carried,)),), merge_key)
        before = picture


def _estimated(pose: Instance, picture: Image, estimate: Estimate) -> Instance | None:
    """What a model sees in the box of a pose; None when that is nothing much."""
    box = extent(pose)
    estimated = None if box is None else estimate(picture, _padded(box, pose.box is None))
    if estimated is None or estimated.score < _LEAST_SCORE or len(estimated.keypoints) != pose.num_keypoints:
        return None
    keypoints = np.asarray(estimated.keypoints, np.float64)
    good: Flags = np.asarray(np.isfinite(keypoints).all(axis=1))
    scores = np.where(good, keypoints[:, 2], 0.0)
    return replace(
        pose,
        keypoints=np.where(good[:, None], keypoints[:, :2], 0.0),
        visibility=np.where(good & (scores >= _LEAST_SCORE), VISIBLE, ABSENT).astype(np.uint8),
        by_human=np.zeros(pose.num_keypoints, np.bool_),
        scores=scores,
        score=float(estimated.score),
        source=ESTIMATED,
        state=State.PREDICTED,
    )


def _padded(box: Floats, is_tight: bool) -> Floats:
    """A box around points alone is smaller than what they belong to."""
    margin = 0.1 * (box[2:] - box[:2]) if is_tight else np.zeros(2)
    return np.concatenate([box[:2] - margin, box[2:] + margin])


def _keyframes(items: Sequence[Item]) -> list[Item]:
    """One a frame, all of the category of the first."""
    keyframes: dict[FrameKey, Instance] = {}
    for key, instance in items:
        if is_keyframe(instance):
            keyframes.setdefault(key, instance)
    first = next(iter(keyframes.values()), None)
    return [(key, i) for key, i in keyframes.items() if first is not None and i.category == first.category]


def _between(keys: Sequence[FrameKey], longest_gap: int | None) -> list[FrameKey]:
    return [
        FrameKey(before.media, index)
        for before, after in pairwise(keys)
        if longest_gap is None or after.index - before.index - 1 <= longest_gap
        for index in range(before.index + 1, after.index)
    ]


def _made(
    keys: Sequence[Item], expected: Sequence[FrameKey], smooth: bool, time: Callable[[int], float]
) -> list[Instance]:
    """Poses of the frames wanted; their ids are still to be given."""
    times = [time(key.index) for key, _ in keys]
    at = [time(key.index) for key in expected]
    points, seen = _run(times, at, [i.keypoints for _, i in keys], [i.visibility for _, i in keys], smooth)
    corners = [np.zeros((2, 2)) if i.box is None else i.box.reshape(2, 2) for _, i in keys]
    boxed = [np.full(2, 0 if i.box is None else VISIBLE, np.uint8) for _, i in keys]
    boxes, present = _run(times, at, corners, boxed, smooth)
    pattern = keys[0][1]
    return [
        Instance(
            id=0,
            category=pattern.category,
            keypoints=points[n].copy(),
            visibility=seen[n].copy(),
            by_human=np.zeros(pattern.num_keypoints, np.bool_),
            box=boxes[n].reshape(4).copy() if present[n].all() else None,
            track=pattern.track,
            source=INTERPOLATED,
            state=State.PREDICTED,
        )
        for n in range(len(expected))
    ]


def _run(
    times: Sequence[float], at: Sequence[float], points: Sequence[Floats], seen: Sequence[Bytes], smooth: bool
) -> tuple[Floats, Bytes]:
    try:
        return interpolate_pose(times, np.array(points), np.array(seen), at, smooth)
    except ValueError:
        raise ProjectError("the times of the frames do not ascend; interpolate by frame number instead") from None


def _moved_box(box: Floats, before: Floats, after: Floats, ok: Flags) -> Floats:
    """The box moved and scaled as the points that were followed."""
    first, second = before[ok], after[ok]
    shift = np.median(second - first, axis=0)
    spread = [float(np.linalg.norm(p - p.mean(axis=0), axis=1).mean()) for p in (first, second)]
    # Of few points close together the scale says nothing.
    scale = spread[1] / spread[0] if len(first) > 2 and spread[0] > 2 else 1.0
    middle = (box[:2] + box[2:]) / 2
    half = (box[2:] - box[:2]) / 2 * min(max(scale, 0.8), 1.25)
    return np.concatenate([middle + shift - half, middle + shift + half])
