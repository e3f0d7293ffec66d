"""A project with a video's frames, and poses in tracks."""

from __future__ import annotations

import numpy as np

from poseapp.project.edits.basic import add_instance
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.store import ProjectStore


def add_video(store: ProjectStore, frames: int, path: str = "clip.mp4") -> int:
    media = store.add_media("video", store.path.parent / path)
    store.add_frames(media.id, [(f"{n}", 64, 48) for n in range(frames)])
    return media.id


def put(
    store: ProjectStore,
    key: FrameKey,
    x: float,
    track: int | None = None,
    *,
    labelled: bool = False,
    source: str = "model",
    box: bool = True,
) -> Instance:
    """A pose of four points around (x, 20), stored."""
    points = np.array([[0.0, 0], [8, 0], [0, 8], [8, 8]]) + np.array([x, 20])
    created = Instance(
        id=store.new_ids(1)[0],
        category=store.categories()[0].id,
        keypoints=points,
        visibility=np.full(4, 2, np.uint8),
        by_human=np.full(4, labelled),
        scores=None if labelled else np.full(4, 0.9),
        score=None if labelled else 0.9,
        box=np.array([x - 2, 18, x + 10, 30]) if box else None,
        track=track,
        source="human" if labelled else source,
        state=State.LABELLED if labelled else State.PREDICTED,
    )
    store.apply(add_instance(key, created))
    return created


def tracks_at(store: ProjectStore, media: int) -> dict[int, list[int | None]]:
    """Tracks of the poses of each frame that holds any, from left to right."""
    results: dict[int, list[int | None]] = {}
    for key, instance in sorted(store.all_instances(), key=lambda item: (item[0], item[1].keypoints[0, 0])):
        if key.media == media:
            results.setdefault(key.index, []).append(instance.track)
    return results
