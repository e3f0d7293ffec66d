"""Long work on the frames of one media: who is who, poses carried on, frames worth labelling. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.media.video.index.folder import index_home
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.model import FrameKey, Instance
from poseapp.project.store import ProjectStore

FrameItems = tuple[FrameKey, tuple[Instance, ...]]
WAYS = ("uniform", "scenes", "diverse", "uncertain")


@dataclass(frozen=True)
class Tracked:
    """Poses as the tracker saw them, and the number it gave each."""

    frames: list[FrameItems]
    numbers: list[list[int | None]]


class TrackJob:
    """Gives the poses of a media identities. Yields one :class:`Tracked`; nothing is written.

    Args:
        first_number: of new tracks (``new_track_numbers``).
    """

    lane = Lane.IO

    def __init__(self, project: Path, media: int, first_number: int) -> None:
        self.title = "Tracking poses"
        self._project, self._media, self._first = project, media, first_number

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.edits.tracks import track_frames
        from poseapp.project.queries.tracks import frames_with_instances

        yield Progress(0, 0, self.title)
        with ProjectStore.open(self._project, read_only=True, context=context) as store:
            frames = list(frames_with_instances(store, self._media))
            categories = {category.id: category for category in store.categories()}
            times = frame_times(store, self._media, [key.index for key, _ in frames])
        yield Progress(0, len(frames), self.title)
        tracks = track_frames(frames, categories, times, first_number=self._first)
        yield Progress(len(frames), len(frames), self.title, Tracked(frames, tracks))


class PropagateJob:
    """Carries a pose on through the frames after it. Yields an :class:`~poseapp.project.model.Edit` a frame.

    Args:
        ids: numbers for the new instances, at least ``count``.
    """

    lane = Lane.IO

    def __init__(self, project: Path, start: FrameKey, instance: Instance, ids: range, track: int) -> None:
        self.title = "Propagating the pose"
        self._project, self._start, self._instance, self._ids, self._track = project, start, instance, ids, track

    def run(self, context: Context) -> Iterator[Progress]:
        from poseapp.project.edits.keyframes import propagate_forward
        from poseapp.project.exports.labelled_video import open_source

        yield Progress(0, len(self._ids), self.title)
        left = iter(self._ids)
        with (
            ProjectStore.open(self._project, read_only=True, context=context) as store,
            open_source(store, self._start.media, index_home()) as source,
        ):
            last = min(self._start.index + len(self._ids), source.frame_count - 1)
            indices = range(self._start.index, last + 1)
            pictures = ((FrameKey(self._start.media, index), source.read(index)) for index in indices)
            carried = propagate_forward(
                self._start,
                self._instance,
                pictures,
                store.instances,
                lambda count: [next(left) for _ in range(count)],
                self._track,
            )
            for value, edit in enumerate(carried, 1):
                yield Progress(value, len(self._ids), "", edit)


class SelectFramesJob:
    """Finds frames of a media that are worth labelling. Yields one list of frame indices."""

    lane = Lane.IO

    def __init__(self, project: Path, media: int, way: str, count: int) -> None:
        self.title = "Choosing frames"
        self._project, self._media, self._way, self._count = project, media, way, count

    def run(self, context: Context) -> Iterator[Progress]:
        from engine import frame_selection
        from poseapp.project.exports.labelled_video import open_source
        from poseapp.project.queries.selection import frame_scores, labelled_frames

        yield Progress(0, 0, self.title)
        with (
            ProjectStore.open(self._project, read_only=True, context=context) as store,
            open_source(store, self._media, index_home()) as source,
        ):
            done = labelled_frames(store, self._media)
            every = range(source.frame_count)
            if self._way == "uncertain":
                spacing = max(1, source.frame_count // (10 * self._count))
                scores = frame_scores(store, self._media)
                result = frame_selection.select_uncertain(scores, self._count, spacing=spacing, exclude=done)
            elif self._way == "uniform":
                result = frame_selection.select_uniform([i for i in every if i not in done], self._count)
            else:
                choose = frame_selection.select_scenes if self._way == "scenes" else frame_selection.select_diverse
                # Neighbouring frames look alike: some two thousand of a long video tell as much as all.
                candidates = range(0, source.frame_count, max(1, source.frame_count // 2000))
                result = choose(source, self._count, candidates=candidates, exclude=done)
        yield Progress(1, 1, self.title, result)


def frame_times(store: ProjectStore, media: int, indices: list[int]) -> list[float] | None:
    """Seconds of frames; None where the media cannot be read now: evenly spaced then."""
    from engine.errors import PoseError
    from poseapp.project.exports.labelled_video import open_source

    try:
        with open_source(store, media, index_home()) as source:
            return [source.time(index) if index < source.frame_count else float(index) for index in indices]
    except PoseError:
        return None
