"""The category records of an export: as they were imported, with what was edited since and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.formats.category_schema import schema_of_names
from engine.formats.coco.dataset import CocoCategory, patch_record
from engine.schema.schema import Schema, schema_from_dict
from poseapp.project.formats.coco.archive import SECTION_SCHEMAS, CocoArchive
from poseapp.project.model import Category
from poseapp.project.schema.migration import put_aside, successors
from poseapp.project.store import ProjectStore


class _Skeleton(msgspec.Struct):
    skeleton: list[tuple[int, int]] | None = None


_skeleton = msgspec.json.Decoder(_Skeleton).decode


class CategoryEdits:
    """What has been edited of the categories of one imported file.

    A category whose poses were converted to other points is written as what it has become, under its id in the file.
    """

    def __init__(self, store: ProjectStore, archive: CocoArchive, file: int) -> None:
        self._known = {category.id: category for category in store.categories()}
        self._imported = {
            int(owner): schema_from_dict(msgspec.json.decode(record), where=store.path)
            for owner, record in archive.records(file, SECTION_SCHEMAS)
        }
        aside = put_aside(store)
        self._became = {old: new for old, new in successors(store).items() if old in aside and new not in aside}

    def now(self, owner: int) -> int:
        """The category that annotations of an imported one belong to now."""
        return self._became.get(owner, owner)

    def written(self, raw: bytes, category: CocoCategory, owner: int) -> bytes:
        """The record of a category of the file, with its edits.

        Args:
            raw: the record with the id that it has in the export.
            category: as it was read from the file. owner: the project's category that was made of it.
        """
        current = self._known.get(self.now(owner))
        if current is None:
            return raw
        changes: dict[str, Any] = {}
        if current.name != category.name:
            changes["name"] = current.name
        changes |= self._points(category, owner, current)
        return patch_record(raw, changes) if changes else raw

    def _points(self, category: CocoCategory, owner: int, current: Category) -> dict[str, Any]:
        schema = current.schema
        before = self._imported.get(owner) or _imported_earlier(category)
        if before is None:
            return {}
        changes: dict[str, Any] = {}
        if schema.names != before.names:
            changes["keypoints"] = list(schema.names)
        if _limbs(schema) != _limbs(before) or len(schema.names) != len(before.names):
            base = _base(category)
            changes["skeleton"] = [[int(a) + base, int(b) + base] for a, b in schema.limb_indices]
        return changes


def _imported_earlier(category: CocoCategory) -> Schema | None:
    """The schema that a category had at import, of a project made before this was kept; None where nobody can tell."""
    keypoint_numbers = {n for pair in category.skeleton for n in pair}
    if not category.keypoints or max(keypoint_numbers, default=0) >= len(category.keypoints):
        return None
    return schema_of_names(category.keypoints, category.name, category.skeleton)


def _limbs(schema: Schema) -> set[frozenset[int]]:
    return {frozenset((int(a), int(b))) for a, b in schema.limb_indices}


def _base(category: CocoCategory) -> int:
    """What the skeleton of a record counts from: 0, or 1 as COCO does."""
    try:
        pairs: Sequence[tuple[int, int]] = _skeleton(category.raw).skeleton or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1
    if not pairs or not category.skeleton:
        return 1
    return 0 if [tuple(pair) for pair in pairs[: len(category.skeleton)]] == category.skeleton else 1
