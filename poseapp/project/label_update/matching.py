"""Which pose of a label file is which pose of the project: by record, by content, by similarity (OKS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.metrics.oks import AREA_OF_BOX, oks
from poseapp.project.label_update.sources import NO_TRACK, SourceRecord, pose_digest, track_of_row
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

Key = tuple[int, str]
"""Of a record: id of the source in the draft, and the key of the record in that file."""

_NEAR = 1.0
"""Poses of one category whose points are all this close, in pixels, are the same pose."""
MIN_OKS = 0.5
"""Two labels of one category and frame at least this similar are labels of the same object, as in COCO's AP50."""
_CATEGORY = instance_rows.COLUMNS.index("category")


@dataclass
class DraftPose:
    """A pose of a label file, in the terms of the project.

    Attributes:
        frame: in the draft. target: the same frame in the project, None where it is new.
        instance: with the project's category and track; no track where the project has none for it yet.
        draft_track: number of its track in the draft.
        key: its record; positional: the key tells only where in the file the record is, not which animal it is.
        digest: of its content; None where its category is new to the project.
        record: what came from the same record at the last import; existing: the pose of the project that it is.
        is_similar: ``existing`` was found by similarity only: the same object, labelled differently.
    """

    frame: FrameKey
    target: FrameKey | None
    instance: Instance
    key: Key
    positional: bool = False
    draft_track: int | None = None
    digest: int | None = None
    record: SourceRecord | None = None
    existing: int | None = None
    is_similar: bool = False


@dataclass
class Matcher:
    """Finds the pose of the project for each pose of a file; every pose of the project is taken once.

    Args:
        base: what came from the files before, by record.
        originals: by frame, poses as they were before the first step of the history; for files that were imported by a
            version that did not remember records.
        same_records: by id in the draft, the pose that has the same COCO record.
    """

    store: ProjectStore
    base: Mapping[Key, SourceRecord]
    originals: Mapping[FrameKey, list[tuple[int, instance_rows.Row]]] = field(default_factory=dict)
    same_records: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._record_of = {record.instance: record for record in self.base.values()}
        self._taken: set[int] = set()
        self._sigmas = {category.id: np.asarray(category.schema.sigmas) for category in self.store.categories()}

    def match(self, poses: Iterable[DraftPose], target: FrameKey | None) -> None:
        """Match the poses of one frame of the project."""
        rest = [pose for pose in poses if not self._same_key(pose)]
        if not rest:
            return
        here = {} if target is None else self._rows(target)
        rest = [pose for pose in rest if not self._same_content(pose, here)]
        rest = [pose for pose in rest if pose.positional or not self._changed_record(pose)]
        for pose in [pose for pose in rest if pose.positional]:
            self._changed_neighbour(pose, here)
        rest = [pose for pose in rest if pose.existing is None]
        others = [(i, row) for i, row in here.items() if i not in self._record_of]
        if target is not None:
            others += [(i, row) for i, row in self.originals.get(target, ()) if i not in self._record_of]
        for pose in rest:
            near = next((i for i, row in others if i not in self._taken and _is_near(pose.instance, row)), None)
            if near is not None:
                self._take(pose, near, None)
        unclaimed = {i: instance_rows.from_row(row) for i, row in others if i in here and i not in self._taken}
        self._match_similar([pose for pose in rest if pose.existing is None], unclaimed)

    def _match_similar(self, poses: Iterable[DraftPose], unclaimed: Mapping[int, Instance]) -> None:
        """Match labels with labels, the most similar pair first. Predictions stay what they are: another opinion."""
        pairs = [
            (similarity, order, instance_id, pose)
            for order, pose in enumerate(poses)
            for instance_id, instance in unclaimed.items()
            if (similarity := self._similarity(pose.instance, instance)) >= MIN_OKS
        ]
        for _, _, instance_id, pose in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if pose.existing is None and instance_id not in self._taken:
                pose.is_similar = self._take(pose, instance_id, None)

    def _similarity(self, a: Instance, b: Instance) -> float:
        """OKS of two labels; points that only one of them has count as 0."""
        if a.category != b.category or a.num_keypoints != b.num_keypoints:
            return 0.0
        if not a.state == b.state == State.LABELLED:
            return 0.0
        both, either = (a.visibility > 0) & (b.visibility > 0), (a.visibility > 0) | (b.visibility > 0)
        if not both.any():
            return 0.0
        area = AREA_OF_BOX * (_area(a) + _area(b)) / 2
        similarity = oks(a.keypoints, b.keypoints, both, area, self._sigmas[a.category])
        return similarity * float(both.sum() / either.sum())

    def _same_key(self, pose: DraftPose) -> bool:
        record = self.base.get(pose.key)
        if record is not None and record.digest == pose.digest and record.instance not in self._taken:
            return self._take(pose, record.instance, record)
        owner = self.same_records.get(pose.instance.id)
        if record is not None or owner is None or owner in self._taken or not self._was_in(owner, pose.target):
            return False
        return self._take(pose, owner, None)

    def _was_in(self, instance: int, target: FrameKey | None) -> bool:
        """Whether a pose is in a frame, or was before it was deleted."""
        row = self.store.database.row("SELECT media, idx FROM instance WHERE id = ?", (instance,))
        if row is not None:
            return FrameKey(*row) == target
        return target is not None and any(index == instance for index, _ in self.originals.get(target, ()))

    def _same_content(self, pose: DraftPose, here: Mapping[int, instance_rows.Row]) -> bool:
        for instance in here:
            record = self._record_of.get(instance)
            if record is not None and record.digest == pose.digest and instance not in self._taken:
                return self._take(pose, instance, record)
        return False

    def _changed_record(self, pose: DraftPose) -> bool:
        record = self.base.get(pose.key)
        return record is not None and record.instance not in self._taken and self._take(pose, record.instance, record)

    def _changed_neighbour(self, pose: DraftPose, here: Mapping[int, instance_rows.Row]) -> None:
        """For files whose records have no ids: of those left in the frame the one of the same track, else the nearest;
        where none is left there, one that a person has deleted."""
        left = [(i, row) for i, row in here.items() if i in self._record_of and i not in self._taken]
        left = [(i, row) for i, row in left if row[_CATEGORY] == pose.instance.category]
        if left:
            best = min(left, key=lambda item: _distance(pose.instance, item[1]))[0]
            self._take(pose, best, self._record_of[best])
            return
        record = self.base.get(pose.key)
        if record is not None and record.instance not in self._taken and not self._exists(record.instance):
            self._take(pose, record.instance, record)

    def _take(self, pose: DraftPose, instance: int, record: SourceRecord | None) -> bool:
        pose.existing, pose.record = instance, record
        self._taken.add(instance)
        return True

    def _exists(self, instance: int) -> bool:
        return self.store.database.row("SELECT 1 FROM instance WHERE id = ?", (instance,)) is not None

    def _rows(self, key: FrameKey) -> dict[int, instance_rows.Row]:
        result = self.store.database.rows(f"{instance_rows.SELECT} WHERE media = ? AND idx = ? ORDER BY id", key)
        return {int(row[0]): row for row in result}


def is_as_imported(row: instance_rows.Row, record: SourceRecord) -> bool:
    """Whether nobody has changed a pose since its import."""
    return pose_digest(row) == record.digest and track_of_row(row) == record.track


def has_content(row: instance_rows.Row, digest: int | None, track: int) -> bool:
    """Whether a pose is what a file says."""
    return pose_digest(row) == digest and track_of_row(row) == track


def _is_near(instance: Instance, row: instance_rows.Row) -> bool:
    """The same category and visible points, all of them within a pixel; for poses without points the same box."""
    other = instance_rows.from_row(row)
    if other.category != instance.category or other.num_keypoints != instance.num_keypoints:
        return False
    seen = instance.visibility > 0
    if not np.array_equal(seen, other.visibility > 0):
        return False
    if seen.any():
        return bool((np.abs(instance.keypoints[seen] - other.keypoints[seen]) < _NEAR).all())
    if instance.box is None or other.box is None:
        return instance.box is None and other.box is None
    return bool((np.abs(instance.box - other.box) < _NEAR).all())


def _area(instance: Instance) -> float:
    """Area of the box, or of the box around the points, in square pixels."""
    if instance.box is not None:
        width, height = instance.box[2:] - instance.box[:2]
    else:
        width, height = np.ptp(instance.keypoints[instance.visibility > 0], axis=0)
    return float(max(width, 1) * max(height, 1))


def _distance(instance: Instance, row: instance_rows.Row) -> float:
    """Mean distance in pixels of the points that both have; infinite where there are none, below 0 for one track."""
    if instance.track is not None and instance.track == track_of_row(row) != NO_TRACK:
        return -1.0
    other = instance_rows.from_row(row)
    if other.num_keypoints != instance.num_keypoints:
        return float("inf")
    seen = (instance.visibility > 0) & (other.visibility > 0)
    if not seen.any():
        return float("inf")
    return float(np.linalg.norm(instance.keypoints[seen] - other.keypoints[seen], axis=1).mean())
