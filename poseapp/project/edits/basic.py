"""The verbs of labelling, as pure functions: instances in, an :class:`Edit` out. No Qt, no files.

Coordinates are image pixels, (x, y), boxes x1 y1 x2 y2. Arrays given are copied, never kept. Whatever a person moves,
places, turns or confirms is ``by_human`` from then on, and the instance ``labelled``; ``source`` goes on naming who
made it.

All raise :class:`ProjectError` for points that do not exist and numbers that are not finite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.schema.schema import Schema
from poseapp.project.edits.geometry import extent, moved_box, moved_points, poses_text
from poseapp.project.model import (
    ABSENT,
    OCCLUDED,
    VISIBLE,
    Category,
    Edit,
    Floats,
    FrameEdit,
    FrameKey,
    FrameState,
    Instance,
    State,
)

HUMAN = "human"
_NEXT_VISIBILITY = {VISIBLE: OCCLUDED, OCCLUDED: ABSENT, ABSENT: VISIBLE}
_VISIBILITY_NAMES = {VISIBLE: "visible", OCCLUDED: "occluded", ABSENT: "absent"}


def make_instance(
    id: int,
    category: Category,
    keypoints: npt.ArrayLike | None = None,
    visibility: npt.ArrayLike | None = None,
    *,
    box: npt.ArrayLike | None = None,
    track: int | None = None,
) -> Instance:
    """An instance made by a person.

    Args:
        keypoints: (K, 2); without them the pose is empty (a box alone).
        visibility: (K,) 0, 1, 2; all visible if left out.
    """
    count = category.schema.num_keypoints
    points = np.zeros((count, 2)) if keypoints is None else np.array(keypoints, dtype=np.float64)
    if visibility is None:
        seen = np.full(count, ABSENT if keypoints is None else VISIBLE, dtype=np.uint8)
    else:
        seen = np.array(visibility, dtype=np.uint8)
    if points.shape != (count, 2) or seen.shape != (count,):
        raise ProjectError(f"{category.name!r} has {count} points; got {points.shape} and {seen.shape}")
    frame = None if box is None else _sorted_box(box)
    _finite(points, "a keypoint")
    return Instance(id, category.id, points, seen, seen > 0, box=frame, track=track)


def add_instance(frame: FrameKey, *instances: Instance, text: str = "") -> Edit:
    """New instances, as they are."""
    return Edit(text or f"Add {poses_text(instances)}", (FrameEdit(frame, (), tuple(instances)),))


def delete_instances(frame: FrameKey, instances: Sequence[Instance]) -> Edit:
    return Edit(f"Delete {poses_text(instances)}", (FrameEdit(frame, tuple(instances)),))


def move_keypoints(
    frame: FrameKey,
    instance: Instance,
    moves: Mapping[int, tuple[float, float]],
    schema: Schema | None = None,
    *,
    visibility: int | None = None,
    merge_key: str = "",
) -> Edit:
    """Put points somewhere else; an absent one is thereby placed, visible unless ``visibility`` says otherwise."""
    points, seen, human = instance.keypoints.copy(), instance.visibility.copy(), instance.by_human.copy()
    for index, position in moves.items():
        _point(instance, index)
        points[index] = _finite(np.asarray(position, np.float64), "a coordinate")
        if visibility is not None or seen[index] == ABSENT:
            seen[index] = VISIBLE if visibility is None else visibility
        human[index] = True
    placed = all(instance.visibility[i] == ABSENT for i in moves)
    text = f"{'Place' if placed else 'Move'} {_points(instance, moves, schema)}"
    after = replace(instance, keypoints=points, visibility=seen, by_human=human, state=State.LABELLED)
    return _replaced(frame, instance, after, text, merge_key)


def set_visibility(
    frame: FrameKey, instance: Instance, points: Iterable[int], value: int, schema: Schema | None = None
) -> Edit:
    """Make points visible (2), occluded (1) or absent (0). Coordinates stay, so that an absent point can come back."""
    if value not in _VISIBILITY_NAMES:
        raise ProjectError(f"a visibility is 0, 1 or 2, not {value}")
    chosen = list(points)
    seen, human = instance.visibility.copy(), instance.by_human.copy()
    for index in chosen:
        _point(instance, index)
        seen[index], human[index] = value, True
    what = _points(instance, chosen, schema)
    text = f"Delete {what}" if value == ABSENT else f"Mark {what} {_VISIBILITY_NAMES[value]}"
    after = replace(instance, visibility=seen, by_human=human, state=State.LABELLED)
    return _replaced(frame, instance, after, text)


def cycle_visibility(frame: FrameKey, instance: Instance, points: Iterable[int], schema: Schema | None = None) -> Edit:
    """Visible, occluded, absent, visible ...; several points all take the value that follows the first one's."""
    chosen = list(points)
    if not chosen:
        raise ProjectError("there is no keypoint to change")
    _point(instance, chosen[0])
    return set_visibility(frame, instance, chosen, _NEXT_VISIBILITY[int(instance.visibility[chosen[0]])], schema)


def move_box(frame: FrameKey, instance: Instance, box: npt.ArrayLike | None, *, merge_key: str = "") -> Edit:
    """Give an instance another box, or none; its points stay."""
    after = replace(instance, box=None if box is None else _sorted_box(box), state=State.LABELLED)
    text = "Delete box" if box is None else "Add box" if instance.box is None else "Move box"
    return _replaced(frame, instance, after, text, merge_key)


def transform_pose(
    frame: FrameKey, instance: Instance, matrix: npt.ArrayLike, *, text: str = "Transform pose", merge_key: str = ""
) -> Edit:
    """Move, turn or scale a whole pose and its box by a (2, 3) matrix; the box stays upright."""
    affine = _finite(np.array(matrix, dtype=np.float64), "the matrix")
    if affine.shape != (2, 3):
        raise ProjectError(f"the matrix has shape {affine.shape}, expected (2, 3)")
    after = replace(
        instance,
        keypoints=moved_points(instance.keypoints, affine),
        box=None if instance.box is None else moved_box(instance.box, affine),
        by_human=instance.by_human | (instance.visibility > 0),
        state=State.LABELLED,
    )
    return _replaced(frame, instance, after, text, merge_key)


def swap_sides(frame: FrameKey, instance: Instance, schema: Schema, points: Iterable[int] | None = None) -> Edit:
    """Exchange left and right: of the whole pose, or of these points and their partners."""
    order = _order(instance, schema, points)
    after = replace(_reordered(instance, order), state=State.LABELLED)
    human = after.by_human | ((order != np.arange(len(order))) & (after.visibility > 0))
    text = "Swap left and right" if points is None else "Swap left and right of points"
    return _replaced(frame, instance, replace(after, by_human=human), text)


def mirror(frame: FrameKey, instance: Instance, schema: Schema, axis: float | None = None) -> Edit:
    """The pose as a mirror shows it, left and right exchanged with it so that it stays possible.

    Args:
        axis: x of the mirror line; the middle of the pose where left out.
    """
    if axis is None:
        frame_box = extent(instance)
        axis = 0.0 if frame_box is None else float(frame_box[0] + frame_box[2]) / 2
    turned = _reordered(instance, _order(instance, schema, None))
    flip = np.array([[-1.0, 0.0, 2 * axis], [0.0, 1.0, 0.0]])
    after = replace(
        turned,
        keypoints=moved_points(turned.keypoints, flip),
        box=None if instance.box is None else moved_box(instance.box, flip),
        by_human=turned.by_human | (turned.visibility > 0),
        state=State.LABELLED,
    )
    return _replaced(frame, instance, after, "Mirror pose")


def paste(
    frame: FrameKey,
    instances: Sequence[Instance],
    ids: Sequence[int],
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    keep_track: bool = False,
    taken: Collection[int | None] = (),
    text: str = "",
) -> Edit:
    """Copies of instances, made by a person from now on. ``ids`` are new ones, as many as instances.

    Args:
        keep_track: copies have the track of the original, unless it is among ``taken``: the tracks of the frame. One
            track is in a frame once.
    """
    if len(ids) < len(instances):
        raise ProjectError(f"{len(instances)} poses want as many new ids, got {len(ids)}")
    shift = np.array([[1.0, 0.0, offset[0]], [0.0, 1.0, offset[1]]])
    tracks: list[int | None] = []
    for i in instances:
        free = keep_track and i.track is not None and i.track not in taken and i.track not in tracks
        tracks.append(i.track if free else None)
    copies = tuple(
        Instance(
            id=new_id,
            category=i.category,
            keypoints=moved_points(i.keypoints, shift),
            visibility=i.visibility.copy(),
            by_human=i.visibility > 0,
            box=None if i.box is None else moved_box(i.box, shift),
            track=track,
            source=HUMAN,
        )
        for new_id, i, track in zip(ids, instances, tracks)
    )
    return add_instance(frame, *copies, text=text or f"Paste {poses_text(copies)}")


def set_category(
    frame: FrameKey, instances: Sequence[Instance], category: Category, categories: Mapping[int, Category]
) -> Edit:
    """Make instances something else. Where the points differ, those of the same name are taken along."""
    after: list[Instance] = []
    for i in instances:
        old = categories[i.category].schema
        if old.names == category.schema.names:
            after.append(replace(i, category=category.id, state=State.LABELLED))
            continue
        count = category.schema.num_keypoints
        points, seen, human = np.zeros((count, 2)), np.zeros(count, np.uint8), np.zeros(count, np.bool_)
        scores = None if i.scores is None else np.zeros(count)
        for index, name in enumerate(category.schema.names):
            source = old.index.get(name)
            if source is None:
                continue
            points[index], seen[index], human[index] = i.keypoints[source], i.visibility[source], i.by_human[source]
            if scores is not None and i.scores is not None:
                scores[index] = i.scores[source]
        after.append(
            replace(
                i,
                category=category.id,
                keypoints=points,
                visibility=seen,
                by_human=human,
                scores=scores,
                state=State.LABELLED,
            )
        )
    return Edit(f"Change to {category.name}", (FrameEdit(frame, tuple(instances), tuple(after)),))


def set_track(frame: FrameKey, instances: Sequence[Instance], track: int | None) -> Edit:
    """Give instances an identity across frames, or take it away."""
    after = tuple(replace(i, track=track) for i in instances)
    return Edit(
        "Clear track" if track is None else f"Assign track {track}", (FrameEdit(frame, tuple(instances), after),)
    )


def set_frame_state(
    frame: FrameKey,
    before: FrameState,
    *,
    reviewed: bool | None = None,
    flagged: bool | None = None,
    negative: bool | None = None,
    text: str = "",
) -> Edit:
    """Say of a whole frame that it is reviewed, flagged, or holds nothing to label; None leaves as it is."""
    flags = {"reviewed": reviewed, "flagged": flagged, "negative": negative}
    changes = {key: value for key, value in flags.items() if value is not None and value != getattr(before, key)}
    words = [key if value else f"not {key}" for key, value in changes.items()]
    after = replace(before, **changes)
    return Edit(text or f"Mark frame {', '.join(words) or 'as before'}", (FrameEdit(frame, state=(before, after)),))


def combined(text: str, edits: Iterable[Edit], merge_key: str = "") -> Edit:
    """Edits of different instances as one step."""
    return Edit(text, tuple(f for edit in edits for f in edit.frames), merge_key)


def _replaced(frame: FrameKey, before: Instance, after: Instance, text: str, merge_key: str = "") -> Edit:
    return Edit(text, (FrameEdit(frame, (before,), (after,)),), merge_key)


def _order(instance: Instance, schema: Schema, points: Iterable[int] | None) -> npt.NDArray[np.int64]:
    """Where each point comes from when sides are exchanged."""
    flip = schema.flip_indices
    if len(flip) != instance.num_keypoints:
        raise ProjectError(f"schema {schema.name!r} has {len(flip)} points, the instance {instance.num_keypoints}")
    if points is None:
        return flip
    order = np.arange(len(flip))
    for index in points:
        _point(instance, index)
        order[index], order[flip[index]] = flip[index], index
    return order


def _reordered(instance: Instance, order: npt.NDArray[np.int64]) -> Instance:
    return replace(
        instance,
        keypoints=instance.keypoints[order],
        visibility=instance.visibility[order],
        by_human=instance.by_human[order],
        scores=None if instance.scores is None else instance.scores[order],
    )


def _point(instance: Instance, index: int) -> None:
    if not 0 <= index < instance.num_keypoints:
        raise ProjectError(f"instance {instance.id} has no point {index}; it has {instance.num_keypoints}")


def _finite(array: Floats, what: str) -> Floats:
    if not np.isfinite(array).all():
        raise ProjectError(f"{what} is not a finite number")
    return array


def _sorted_box(box: npt.ArrayLike) -> Floats:
    corners = _finite(np.array(box, dtype=np.float64), "a coordinate of the box")
    if corners.shape != (4,):
        raise ProjectError(f"a box has 4 numbers, not {corners.size}")
    return np.concatenate([np.minimum(corners[:2], corners[2:]), np.maximum(corners[:2], corners[2:])])


def _points(instance: Instance, points: Iterable[int], schema: Schema | None) -> str:
    chosen = list(points)
    if len(chosen) != 1:
        return f"{len(chosen)} points"
    return "point" if schema is None or len(schema.names) <= chosen[0] else schema.names[chosen[0]]
