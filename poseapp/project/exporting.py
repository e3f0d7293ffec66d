"""A project as labels, for the writer of any label format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.labels import IMAGES, VIDEO, Category, Frame, Instance, LabelReader, Media
from poseapp.project.label_update.sources import track_names
from poseapp.project.model import Instance as ProjectInstance
from poseapp.project.model import State
from poseapp.project.queries.tracks import frames_with_instances
from poseapp.project.store import ProjectStore


class ProjectLabels(LabelReader):
    """The labels of a project that is open; the project must stay open.

    Instances come in the order of their media and frames.

    Args:
        media: ids of media to take; None = all.
    """

    def __init__(self, store: ProjectStore, media: Sequence[int] | None = None) -> None:
        self._store = store
        self.path = store.path
        chosen = [m for m in store.media() if media is None or m.id in media]
        self.media = [Media(VIDEO if m.kind == "video" else IMAGES, m.path) for m in chosen]
        self._media_ids = [m.id for m in chosen]
        categories = store.categories()
        self.categories = [Category(c.name, c.schema) for c in categories]
        self._categories = {c.id: position for position, c in enumerate(categories)}
        self.tracks = track_names(store.database)

    def frames(self) -> Iterator[Frame]:
        for position, media in enumerate(self._media_ids):
            for frame in self._store.frames(media):
                yield Frame(
                    frame.name,
                    position,
                    frame.key.index,
                    frame.width,
                    frame.height,
                    is_negative=frame.state.negative,
                    is_flagged=frame.state.flagged,
                )

    def instances(self) -> Iterator[Instance]:
        start = 0
        for media in self._media_ids:
            positions = {frame.key: start + n for n, frame in enumerate(self._store.frames(media))}
            start += len(positions)
            for key, instances in frames_with_instances(self._store, media):
                yield from (self._instance(instance, positions[key]) for instance in instances)

    def num_instances(self) -> int:
        row = self._store.database.row("SELECT count(*) FROM instance")
        return int(row[0]) if row else 0

    def _instance(self, instance: ProjectInstance, frame: int) -> Instance:
        return Instance(
            frame,
            self._categories[instance.category],
            instance.keypoints,
            instance.visibility,
            scores=instance.scores,
            box=instance.box,
            score=instance.score,
            track=instance.track,
            is_prediction=instance.state is State.PREDICTED,
            source=instance.source,
            key=str(instance.id),
        )
