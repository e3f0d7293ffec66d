"""Checks of labels (:mod:`engine.labels.checks`) over a project. Only reads; runs in any thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.labels import Category, Frame, Instance, LabelReader, Media
from engine.labels.checks import checks, find_check, run_checks
from poseapp.project.model import FrameKey, State
from poseapp.project.store import ProjectStore

ALL_CHECKS = "all"


@dataclass(frozen=True)
class ProjectFinding:
    """What a check found.

    Attributes:
        check: its id.
        message: one sentence without the frame.
        frame: where.
        instance: id of the instance, None if the whole frame is concerned.
    """

    check: str
    message: str
    frame: FrameKey
    instance: int | None = None


def check_project(store: ProjectStore, check: str = ALL_CHECKS) -> list[ProjectFinding]:
    """Check the labels of a project; predictions are left out.

    Args:
        check: id of one check, or ALL_CHECKS.

    Raises:
        LabelError: there is no such check. ProjectError: the project cannot be read.
    """
    labels = _ProjectLabels(store)

    def image_of(position: int, _frame: Frame) -> Path | None:
        path = store.frame_path(labels.keys[position])
        return path if path.is_file() else None

    chosen = checks() if check == ALL_CHECKS else [find_check(check)]
    return [
        ProjectFinding(
            finding.check,
            finding.message,
            labels.keys[finding.frame],
            None if finding.instance is None else labels.ids[finding.instance],
        )
        for finding in run_checks(labels, chosen, image_of=image_of)
    ]


class _ProjectLabels(LabelReader):
    """The labels of a project as checks read them.

    Attributes:
        keys: of the frames, by position. ids: of the instances, by position, as far as they have been read.
    """

    def __init__(self, store: ProjectStore) -> None:
        self._store = store
        self._frames = store.frames()
        self.path = store.path
        self.keys: Sequence[FrameKey] = [frame.key for frame in self._frames]
        self.ids: list[int] = []
        categories = store.categories()
        media = store.media()
        self._category_of = {category.id: position for position, category in enumerate(categories)}
        self._media_of = {row.id: position for position, row in enumerate(media)}
        self.categories = [Category(category.name, category.schema, category.id) for category in categories]
        self.media = [Media(row.kind, row.path) for row in media]

    def frames(self) -> Iterator[Frame]:
        for frame in self._frames:
            yield Frame(frame.name, self._media_of[frame.key.media], frame.key.index, frame.width, frame.height)

    def instances(self) -> Iterator[Instance]:
        position_of = {key: position for position, key in enumerate(self.keys)}
        self.ids = []
        for key, instance in self._store.all_instances(State.LABELLED):
            self.ids.append(instance.id)
            yield Instance(
                position_of[key],
                self._category_of[instance.category],
                instance.keypoints,
                instance.visibility,
                box=instance.box,
                track=instance.track,
                key=f"instance {instance.id}",
            )
