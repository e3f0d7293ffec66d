"""Another file for a video of the project: its labels go to the frames that show the same, as one step.

What has no place in the new file leaves the project with the step; undo brings it, the file and all frames back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from poseapp.project.edits.geometry import moved_box, moved_points
from poseapp.project.model import Change, FrameKey
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows
from poseapp.project.tables.history import FrameDelta, InstanceDelta
from poseapp.project.tables.media_state import MediaDelta, MediaState, read_state

Mapping = npt.NDArray[np.int64]
"""(N,) for each frame of the old file the one of the new file that shows the same, -1 for none."""


@dataclass(frozen=True)
class NewFile:
    """A file to take for a video.

    Attributes:
        fingerprint: its text, see :mod:`engine.media.alignment.fingerprint`.
        size: (width, height) as shown.
    """

    path: Path
    fingerprint: str
    frame_count: int
    size: tuple[int, int]


@dataclass(frozen=True)
class RemapPlan:
    """What a mapping does to the frames that hold poses or marks.

    Attributes:
        mapping: without the doubles: no frame of the new file is given twice.
        kept, moved: frames that keep their number, and that get another.
        lost: frames that the new file does not have.
        collided: frames whose place in the new file another one takes.
        poses_gone: poses on the lost and the collided.
    """

    mapping: Mapping
    kept: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    collided: tuple[int, ...] = ()
    poses_gone: int = 0


def used_frames(store: ProjectStore, media: int) -> tuple[Mapping, Mapping]:
    """(M,) frames of a media that hold poses or marks, ascending, and the number of poses of each."""
    result = store.database.rows(
        "SELECT idx, labelled + predicted FROM frame WHERE media = ? AND (labelled OR predicted OR state) ORDER BY idx",
        (media,),
    )
    table = np.array(result, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def plan_remap(store: ProjectStore, media: int, mapping: npt.ArrayLike) -> RemapPlan:
    """What would become of the labels; nothing is changed.

    Raises:
        ProjectError: no such media, or the mapping is of another length than its frames.
    """
    count = read_state(store.database, media).frame_count
    new_indices = np.array(mapping, np.int64)
    if new_indices.shape != (count,):
        raise ProjectError(f"the mapping is of {new_indices.size} frames, the project has {count}", where=store.path)
    indices, poses = used_frames(store, media)
    taken: set[int] = set()
    groups: dict[str, list[int]] = {"kept": [], "moved": [], "lost": [], "collided": []}
    gone = 0
    for index, held in zip(indices.tolist(), poses.tolist()):
        target = int(new_indices[index])
        kind = "lost" if target < 0 else "collided" if target in taken else "kept" if target == index else "moved"
        groups[kind].append(index)
        taken.add(target)
        if kind in ("lost", "collided"):
            gone += held
            new_indices[index] = -1
    return RemapPlan(new_indices, **{kind: tuple(result) for kind, result in groups.items()}, poses_gone=gone)


def remap_video(
    store: ProjectStore, media: int, new: NewFile, mapping: npt.ArrayLike, *, scale: bool = True, text: str = ""
) -> Change:
    """Take another file for a video and bring its labels along, as one step.

    Args:
        mapping: see :data:`Mapping`; of doubles the first frame wins.
        scale: points and boxes follow where the pictures of the new file have another size.

    Raises:
        ProjectError: no such video, the mapping does not fit, or the project cannot be written.
    """
    before = _video(store, media)
    plan = plan_remap(store, media, mapping)
    if plan.mapping.size and int(plan.mapping.max()) >= new.frame_count:
        raise ProjectError(f"the mapping goes beyond the {new.frame_count} frames of the file", where=new.path)
    after = _after(store, new, new.frame_count)
    touched = list(_moved_instances(store, media, plan.mapping, new.size if scale else None))
    states = list(_moved_states(store, media, plan.mapping, max(before.frame_count, new.frame_count)))
    words = text or f"Re-map labels to {new.path.name}"
    return store.record(words, touched, states, [MediaDelta(media, before, after, moved=True)])


def relink_video(store: ProjectStore, media: int, new: NewFile) -> Change:
    """Take another file for a video as it is: all labels keep their numbers and places, as one step.

    Frames that the file has not stay in the project up to the last one that holds something.

    Raises:
        ProjectError: no such video, or the project cannot be written.
    """
    before = _video(store, media)
    indices, _ = used_frames(store, media)
    last = int(indices[-1]) + 1 if len(indices) else 0
    after = _after(store, new, max(new.frame_count, last))
    return store.record(f"Use {new.path.name}", [], [], [MediaDelta(media, before, after, moved=False)])


def _video(store: ProjectStore, media: int) -> MediaState:
    store.database.finish_chunks()
    media_row = next((m for m in store.media() if m.id == media), None)
    if media_row is None or media_row.kind != "video":
        raise ProjectError(f"media {media} is not a video", where=store.path)
    return read_state(store.database, media)


def _after(store: ProjectStore, new: NewFile, count: int) -> MediaState:
    runs = ((count, *new.size),) if count else ()
    return MediaState(store.stored_path(new.path), new.fingerprint, runs)


def _moved_instances(
    store: ProjectStore, media: int, mapping: Mapping, size: tuple[int, int] | None
) -> Iterator[InstanceDelta]:
    sizes = {
        index: (width, height)
        for index, width, height in store.database.rows(
            "SELECT idx, width, height FROM frame WHERE media = ?", (media,)
        )
    }
    for block in store.database.stream(f"{instance_rows.SELECT} WHERE media = ? ORDER BY idx, id", (media,)):
        for row in block:
            key, target = FrameKey(row[1], row[2]), int(mapping[row[2]])
            if target < 0:
                yield InstanceDelta(row[0], key, instance_rows.full(row), None)
                continue
            now = (*row[:2], target, *row[3:])
            if size is not None and 0 not in sizes[key.index] and sizes[key.index] != size:
                now = _scaled(row, FrameKey(media, target), sizes[key.index], size)
            if now != row:
                yield InstanceDelta(row[0], key, *instance_rows.changed(row, now))


def _scaled(row: instance_rows.Row, key: FrameKey, old: tuple[int, int], new: tuple[int, int]) -> instance_rows.Row:
    """Pixel centers are whole numbers: the corner of a picture is at -0.5, and stays there."""
    x, y = new[0] / old[0], new[1] / old[1]
    matrix = np.array([[x, 0.0, 0.5 * x - 0.5], [0.0, y, 0.5 * y - 0.5]])
    instance = instance_rows.from_row(row)
    box = None if instance.box is None else moved_box(instance.box, matrix)
    return instance_rows.to_row(replace(instance, keypoints=moved_points(instance.keypoints, matrix), box=box), key)


def _moved_states(store: ProjectStore, media: int, mapping: Mapping, count: int) -> Iterator[FrameDelta]:
    before = np.zeros(count, np.int64)
    for index, state in store.database.rows("SELECT idx, state FROM frame WHERE media = ? AND state", (media,)):
        before[index] = state
    after = np.zeros(count, np.int64)
    for index in np.flatnonzero(before).tolist():
        if mapping[index] >= 0:
            after[mapping[index]] = before[index]
    for index in np.flatnonzero(before != after).tolist():
        yield FrameDelta(FrameKey(media, index), int(before[index]), int(after[index]))
