"""What has become of the annotations of a COCO file: gone, as they were, or changed in this and that.

The state at import is computed again from the record itself, so that an edit taken back is no change, and a block of
annotations is compared with the project's rows at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.formats.coco.dataset import CocoAnnotation, Id
from engine.formats.coco.keypoints import changed_points, flat_points
from engine.formats.coco.reading import Reading
from engine.labels.image_size import GridTransform
from poseapp.project.formats.coco.archive import NOBODY, Owners
from poseapp.project.model import Category, FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

_MODEL_KEYS = ("score", "keypoint_scores")


@dataclass(frozen=True)
class CategoryIds:
    """COCO ids of the categories of a project.

    Attributes:
        written: the id under which new annotations of a category are written.
        read: all ids whose annotations belong to a category; files that an earlier version imported may have several.
    """

    written: Mapping[int, Id]
    read: Mapping[int, Collection[Id]] = field(default_factory=dict)

    def is_of(self, identity: Id, category: int) -> bool:
        return identity == self.written.get(category) or identity in self.read.get(category, ())


class BlockChanges:
    """Compares records of one file with the project.

    Args:
        tracks: number of every named track of the file.
        category_ids: of the categories of the project.
        reading: how the numbers of the file are understood.
        grids: frames whose labels were made on another pixel grid than they are shown in.
    """

    def __init__(
        self,
        store: ProjectStore,
        tracks: Mapping[str, int],
        category_ids: CategoryIds,
        reading: Reading,
        grids: Mapping[FrameKey, GridTransform],
    ) -> None:
        self._store = store
        self._tracks = tracks
        self._names = {track: name for name, track in tracks.items()}
        self._category_ids = category_ids
        self._reading, self._grids = reading, grids
        self._categories = {c.id: c for c in store.categories()}

    def of(self, owners: Owners, annotations: Sequence[CocoAnnotation]) -> Iterator[CocoAnnotation | None]:
        """Each annotation as it is to be written; None for one whose instance has been deleted."""
        stored = self._rows_of(owners)
        touched = self._touched(owners, annotations, stored)
        for position, (owner, annotation) in enumerate(zip(owners.tolist(), annotations)):
            if owner == NOBODY:
                yield annotation
            elif owner not in stored:
                yield None
            elif position not in touched:
                yield annotation
            else:
                row = stored[owner]
                yield self._changed(annotation, instance_rows.from_row(row), self._grids.get(FrameKey(row[1], row[2])))

    def _rows_of(self, owners: Owners) -> dict[int, instance_rows.Row]:
        instance_ids = owners[owners != NOBODY]
        if not len(instance_ids):
            return {}
        # Ids of a block were given one after the other.
        sql = f"{instance_rows.SELECT} WHERE id BETWEEN ? AND ?"
        return {
            row[0]: row for row in self._store.database.rows(sql, (int(instance_ids.min()), int(instance_ids.max())))
        }

    def _touched(
        self, owners: Owners, annotations: Sequence[CocoAnnotation], stored: Mapping[int, instance_rows.Row]
    ) -> set[int]:
        """Places of the annotations of which anything differs."""
        touched: set[int] = set()
        lots: dict[int, list[int]] = {}
        for position, owner in enumerate(owners.tolist()):
            row = stored.get(owner)
            if row is None:
                continue
            a = annotations[position]
            if (
                not self._category_ids.is_of(a.category_id, row[3])
                or row[4] == self._reading.is_prediction(a)
                or row[7] != self._track(a)
                or flat_points(a, len(row[11])) is None
            ):
                touched.add(position)
            else:
                lots.setdefault(len(row[11]), []).append(position)
        for count, positions in lots.items():
            mine = [annotations[position] for position in positions]
            theirs = [stored[int(owners[position])] for position in positions]
            touched.update(np.asarray(positions)[self._differs(mine, theirs, count)].tolist())
        return touched

    def _changed(self, annotation: CocoAnnotation, instance: Instance, grid: GridTransform | None) -> CocoAnnotation:
        """The annotation with what differs, and only that, written anew."""
        category = self._categories[instance.category]
        changes: dict[str, Any] = {}
        remove: list[str] = []
        if not self._category_ids.is_of(annotation.category_id, category.id):
            changes["category_id"] = self._category_ids.written[category.id]
        changes |= self._points(annotation, instance, category, grid)
        if instance.box is None:
            remove += ["bbox"] if annotation.bbox is not None else []
        else:
            old = self._reading.arrays([annotation], _count_of(annotation, category), [grid])
            if not old.has_box[0] or (old.boxes[0] != instance.box).any():
                x1, y1, x2, y2 = (instance.box if grid is None else grid.boxes_back(instance.box)).tolist()
                changes["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        if annotation.score is not None and instance.state is State.LABELLED:
            remove += _MODEL_KEYS
        if self._track(annotation) != instance.track:
            if instance.track is None:
                remove.append("track_id")
            else:
                changes["track_id"] = self._names.get(instance.track, instance.track)
        return annotation.patched(remove, **changes) if changes or remove else annotation

    def _track(self, annotation: CocoAnnotation) -> int | None:
        track = annotation.track_id
        if track is None:
            return None
        return self._tracks.get(str(track), track if isinstance(track, int) else None)

    def _points(
        self, annotation: CocoAnnotation, instance: Instance, category: Category, grid: GridTransform | None
    ) -> dict[str, Any]:
        count = category.schema.num_keypoints
        if flat_points(annotation, count) is not None:
            old = self._reading.arrays([annotation], count, [grid])
            accepted = instance.state is State.LABELLED and self._reading.is_prediction(annotation)
            return changed_points(annotation, old, instance.keypoints, instance.visibility, grid, accepted=accepted)
        # The category has another number of points than the one that the record was written for.
        seen = instance.visibility > 0
        points = instance.keypoints if grid is None else grid.points_back(instance.keypoints)
        table = np.column_stack([np.where(seen[:, None], points, 0.0), instance.visibility]).tolist()
        flat = [value for x, y, v in table for value in (x, y, int(v))]
        return {"keypoints": flat, "num_keypoints": int(np.count_nonzero(seen))}

    def _differs(
        self, annotations: Sequence[CocoAnnotation], stored: Sequence[instance_rows.Row], count: int
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(N,) where points, visibilities or boxes are other than in the record."""
        grids = [self._grids.get(FrameKey(row[1], row[2])) for row in stored]
        old = self._reading.arrays(annotations, count, grids)
        points = np.frombuffer(b"".join(row[10] for row in stored), "<f8").reshape(-1, count, 2)
        seen = np.frombuffer(b"".join(row[11] for row in stored), np.uint8).reshape(-1, count)
        has_box = np.array([row[14] is not None for row in stored])
        boxes = np.frombuffer(b"".join(row[14] or bytes(32) for row in stored), "<f8").reshape(-1, 4)
        moved = (points != old.points).any(axis=2) & (seen > 0)
        differs: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
            (moved | (seen != old.visibility)).any(axis=1)
            | (has_box != old.has_box)
            | (has_box & old.has_box & (boxes != old.boxes).any(axis=1))
        )
        return differs


def _count_of(annotation: CocoAnnotation, category: Category) -> int:
    """How many points the record has; those of the category where it has them or none."""
    count = category.schema.num_keypoints
    return count if flat_points(annotation, count) is not None else len(annotation.keypoints or []) // 3
