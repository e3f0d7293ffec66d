"""Checks of labels (:mod:`engine.labels.checks`) over a project. Only reads; runs in any thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.labels import Frame, Instance, LabelReader
from engine.labels.checks import checks, find_check, run_checks
from poseapp.project.exporting import ProjectLabels
from poseapp.project.model import FrameKey
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
    labels = _LabelledOnly(store)

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


class _LabelledOnly(LabelReader):
    """The labels of a project without its predictions.

    Attributes:
        keys: of the frames, by position. ids: of the instances, by position, as far as they have been read.
    """

    def __init__(self, store: ProjectStore) -> None:
        self._labels = ProjectLabels(store)
        self.path, self.media, self.categories = self._labels.path, self._labels.media, self._labels.categories
        self.keys = [frame.key for media in store.media() for frame in store.frames(media.id)]
        self.ids: list[int] = []

    def frames(self) -> Iterator[Frame]:
        return self._labels.frames()

    def instances(self) -> Iterator[Instance]:
        self.ids = []
        for instance in self._labels.instances():
            if not instance.is_prediction:
                self.ids.append(int(instance.key))
                yield instance
