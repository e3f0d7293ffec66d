"""Checks of labels (:mod:`engine.labels.checks`) over a project, and their fixes as edits. Only reads; runs in any
thread."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.labels import Frame, LabelReader, checks
from engine.labels import Instance as LabelInstance
from engine.labels.checks import Check, CheckedInstance, Finding, Problem, Summary, find_check, run_instances
from engine.labels.checks.running import ImageOfFrame, checked_frame
from engine.schema.schema import Schema
from engine.utils.context import Context
from poseapp.project.exporting import ProjectLabels
from poseapp.project.model import ABSENT, Edit, FrameEdit, FrameKey, Instance, State
from poseapp.project.store import ProjectStore

ALL_CHECKS = "all"
MOST_LISTED = 1000
"""Records of one check that a report lists."""


@dataclass(frozen=True)
class ProjectFinding:
    """What a check found.

    Attributes:
        check: its id.
        message: one sentence without the frame.
        frame: where; None if it concerns a category or the whole project.
        instance: id of the instance, None if the whole frame is concerned.
        keypoints: positions of the keypoints that are concerned.
        where: the record, for people.
    """

    check: str
    message: str
    frame: FrameKey | None
    instance: int | None = None
    keypoints: tuple[int, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class CheckReport:
    """What checks found in a project.

    Attributes:
        problems: one for each kind. findings: the first of each kind, by the check's id.
    """

    problems: list[Problem] = field(default_factory=list)
    findings: dict[str, list[ProjectFinding]] = field(default_factory=dict)


@dataclass(frozen=True)
class ProjectFix:
    """What the fix of a check does to a project.

    Attributes:
        edit: the change of the poses. schemas: new keypoints of categories, by their id.
        count: how many findings it mends.
    """

    edit: Edit
    schemas: Mapping[int, Schema] = field(default_factory=dict)
    count: int = 0


def project_checks() -> list[type[Check]]:
    """The checks that a project can be checked for, by title."""
    return [check for check in checks.checks() if not check.of_files]


def import_checks() -> list[type[Check]]:
    """The checks that run on everything that is imported, by title."""
    return [check for check in project_checks() if check.at_import]


def check_project(store: ProjectStore, check: str = ALL_CHECKS) -> list[ProjectFinding]:
    """Check the labels of a project; predictions are left out.

    Args:
        check: id of one check, or ALL_CHECKS.

    Raises:
        LabelError: there is no such check. ProjectError: the project cannot be read.
    """
    chosen = project_checks() if check == ALL_CHECKS else [find_check(check)]
    labels = _LabelledOnly(store)
    return [labels.finding(finding) for finding in _run(store, labels, [each() for each in chosen])]


def report_on_project(
    store: ProjectStore, chosen: Sequence[type[Check]] | None = None, context: Context | None = None
) -> CheckReport:
    """Check the labels of a project, and list what was found by kind.

    Args:
        chosen: the checks; None = all that a project can be checked for.

    Raises:
        ProjectError: the project cannot be read. Cancelled: the context was cancelled.
    """
    labels, summary, listed = _LabelledOnly(store), Summary(), dict[str, list[ProjectFinding]]()
    running = [check() for check in (project_checks() if chosen is None else chosen)]
    for finding in _run(store, labels, running, context):
        summary.add(finding)
        of_check = listed.setdefault(finding.check, [])
        if len(of_check) < MOST_LISTED:
            of_check.append(labels.finding(finding))
    return CheckReport(summary.problems(), listed)


def fix_project(store: ProjectStore, check_id: str, context: Context | None = None) -> ProjectFix:
    """What the fix of a check would do; the caller applies it.

    Raises:
        LabelError: there is no such check. ProjectError: the project cannot be read. Cancelled.
    """
    labels, check = _LabelledOnly(store), find_check(check_id)()
    findings = [finding for finding in _run(store, labels, [check], context) if finding.fix]
    positions = {finding.instance for finding in findings if finding.instance is not None}
    fixed = _fixed_labels(store, labels, check, positions)
    before: dict[FrameKey, list[Instance]] = {}
    after: dict[FrameKey, list[Instance]] = {}
    for key, instance in store.all_instances(State.LABELLED) if fixed else ():
        if instance.id in fixed:
            before.setdefault(key, []).append(instance)
            label = fixed[instance.id]
            if label is not None:
                after.setdefault(key, []).append(_fixed(instance, label))
    schemas: dict[int, Schema] = {}
    if any(finding.instance is None and finding.frame < 0 for finding in findings):
        for position, category in enumerate(labels.categories):
            schema = check.fix_category(position, category).schema
            if schema is not None and schema is not category.schema:
                schemas[labels.category_ids[position]] = schema
    edits = tuple(FrameEdit(key, tuple(before[key]), tuple(after.get(key, ()))) for key in before)
    return ProjectFix(Edit(check.fix_title, edits), schemas, len(fixed) + len(schemas))


def _fixed_labels(
    store: ProjectStore, labels: _LabelledOnly, check: Check, positions: Collection[int]
) -> dict[int, LabelInstance | None]:
    """The labels at some positions after the fix, by the id of the instance; None for those to be removed."""
    fixed: dict[int, LabelInstance | None] = {}
    if not positions:
        return fixed
    frames, image_of = list(labels.frames()), _images(store, labels)
    for position, label in enumerate(labels.instances()):
        if position in positions:
            frame = checked_frame(labels, frames, label.frame, (), image_of=image_of)
            checked = CheckedInstance(position, label, labels.categories[label.category])
            fixed[labels.ids[position]] = check.fix(frame, checked)
    return fixed


def _fixed(instance: Instance, label: LabelInstance) -> Instance:
    """The instance of a project with what a fix changed of its label."""
    changes: dict[str, object] = {}
    if "keypoints" in label.edited and label.keypoints is not None:
        changes["keypoints"] = np.array(label.keypoints, np.float64)
    if "visibility" in label.edited and label.visibility is not None:
        visibility = np.array(label.visibility, np.uint8)
        changes["visibility"] = visibility
        changes["by_human"] = instance.by_human | ((visibility != ABSENT) & (instance.visibility == ABSENT))
    if "box" in label.edited:
        changes["box"] = None if label.box is None else np.array(label.box, np.float64)
    return replace(instance, **changes)  # type: ignore[arg-type]


def _run(
    store: ProjectStore, labels: _LabelledOnly, running: Sequence[Check], context: Context | None = None
) -> Iterator[Finding]:
    return run_instances(labels, running, image_of=_images(store, labels), context=context)


def _images(store: ProjectStore, labels: _LabelledOnly) -> ImageOfFrame:
    def image_of(position: int, _frame: Frame) -> Path | None:
        path = store.frame_path(labels.keys[position])
        return path if path.is_file() else None

    return image_of


class _LabelledOnly(LabelReader):
    """The labels of a project without its predictions.

    Attributes:
        keys: of the frames, by position. category_ids: of the categories, by position.
        ids: of the instances, by position, as far as they have been read.
    """

    def __init__(self, store: ProjectStore) -> None:
        self._labels = ProjectLabels(store)
        self.path, self.media, self.categories = self._labels.path, self._labels.media, self._labels.categories
        self.keys = [frame.key for media in store.media() for frame in store.frames(media.id)]
        self.category_ids = [category.id for category in store.categories()]
        self.ids: list[int] = []

    def frames(self) -> Iterator[Frame]:
        return self._labels.frames()

    def instances(self) -> Iterator[LabelInstance]:
        self.ids = []
        for instance in self._labels.instances():
            if not instance.is_prediction:
                self.ids.append(int(instance.key))
                yield instance

    def finding(self, finding: Finding) -> ProjectFinding:
        """A finding with the numbers of the project."""
        return ProjectFinding(
            finding.check,
            finding.message,
            self.keys[finding.frame] if finding.frame >= 0 else None,
            None if finding.instance is None else self.ids[finding.instance],
            finding.keypoints,
            finding.where,
        )
