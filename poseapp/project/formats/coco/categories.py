"""The categories of a COCO file as categories of a project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import SchemaError, quoted
from engine.formats.category_schema import KeypointCounts, schema_of
from engine.formats.coco.dataset import CocoCategory, Id
from engine.formats.coco.keypoints import has_parts
from engine.formats.coco.parsing import Unreadable, parse_annotations
from engine.formats.coco.reading import Reading
from engine.formats.coco.skeleton import skeleton_note
from engine.schema.schema import Schema
from poseapp.project.formats.coco.archive import (
    LAYOUT_BOXES,
    LAYOUT_FLAT,
    LAYOUT_PARTS,
    NOBODY,
    SECTION_SCHEMAS,
    CocoArchive,
)
from poseapp.project.formats.coco.faults import Faulty, in_place
from poseapp.project.formats.report import Problems
from poseapp.project.model import Category
from poseapp.project.store import ProjectStore

_SAMPLE = 4000


@dataclass(frozen=True)
class Kind:
    """A category of the file: the project's own, or None where its annotations are kept aside."""

    name: str
    category: Category | None


def sample_points(
    records: Sequence[msgspec.Raw], categories: Sequence[CocoCategory], path: Path, reading: Reading | None = None
) -> dict[Id, KeypointCounts]:
    """What annotations hold, category by category, told from some thousand of them."""
    pairs = None if reading is None else reading.pairs_of(categories)
    unreadable: Unreadable = lambda position, error: None  # noqa: E731 (these are reported when they are imported)
    step = max(1, len(records) // _SAMPLE)
    counts: dict[Id, Counter[int]] = {}
    in_parts: set[Id] = set()
    for position in range(0, len(records), step):
        one = records[position : position + 1]
        for annotation in parse_annotations(one, categories, path, position, pairs=pairs, unreadable=unreadable):
            met = counts.setdefault(annotation.category_id, Counter())
            if annotation.keypoints:
                met[len(annotation.keypoints) // 3] += 1
            if has_parts(annotation):
                in_parts.add(annotation.category_id)
    return {i: KeypointCounts(tuple(n for n, _ in c.most_common()), i in in_parts) for i, c in counts.items()}


def add_categories(
    store: ProjectStore,
    archive: CocoArchive,
    file: int,
    listed_categories: Sequence[CocoCategory],
    sample: dict[Id, KeypointCounts],
    records: Sequence[bytes],
    faulty: Faulty,
    problems: Problems,
) -> dict[Id, Kind]:
    """The project's category for each of the file; two of the file are two, also where all but their ids is equal."""
    listed = list(listed_categories) or [CocoCategory(identity, _invented(identity, sample)) for identity in sample]
    schemas = [_schema_of(category, sample.get(category.id, KeypointCounts()), problems) for category in listed]
    boxes_only = not any(schemas)
    if boxes_only:  # boxes only: people can be given poses all the same
        schemas = [_schema_of_person(c.name) if c.name.lower() == "person" else None for c in listed]
    kinds: dict[Id, Kind] = {}
    owners: list[int] = []
    layouts: list[tuple[int, str]] = []
    taken: set[int] = set()
    imported: dict[int, bytes] = {}
    for category, schema in zip(listed, schemas):
        own = None
        known = kinds.get(category.id)
        if known is not None:
            problems.add("Duplicate category id; its annotations go to the first one", quoted(category.id))
        if schema is not None:
            same = (c for c in store.categories() if c.name == category.name and c.schema.names == schema.names)
            free = next((c for c in same if c.id not in taken), None)
            own = (
                known.category
                if known is not None and known.category is not None and known.name == category.name
                else free
            )
            own = own or store.add_category(category.name, schema)
            taken.add(own.id)
            imported.setdefault(own.id, msgspec.json.encode(own.schema.to_dict()))
        owners.append(NOBODY if own is None else own.id)
        if own is not None:
            parts = sample.get(category.id, KeypointCounts()).in_parts
            layouts.append((own.id, LAYOUT_BOXES if boxes_only else LAYOUT_PARTS if parts else LAYOUT_FLAT))
        kinds.setdefault(category.id, Kind(category.name, own))
    archive.add_layouts(file, layouts)
    archive.add_block(file, SECTION_SCHEMAS, np.array(list(imported), np.int64), list(imported.values()))
    if records:
        placed = in_place(owners if listed_categories else [], faulty, range(len(records)))
        listed_owners = [NOBODY if owner is None else owner for owner in placed]
        archive.add_block(file, "categories", np.array(listed_owners, np.int64), records)
    if not listed_categories:
        # Written anew on export: owners tell which id the annotations use.
        ids = [msgspec.json.encode(category.id) for category in listed]
        archive.add_block(file, "category_ids", np.array(owners, np.int64), ids)
    return kinds


def _schema_of(category: CocoCategory, points: KeypointCounts, problems: Problems) -> Schema | None:
    """The schema of a category; None for one without points, or whose points contradict each other."""
    note = skeleton_note(category.raw, len(category.keypoints))
    if note:
        problems.add(note, quoted(category.name))
    try:
        return schema_of(category.name, category.keypoints, category.skeleton, points)
    except SchemaError as error:
        problems.add(f"Category whose points cannot be used, kept aside: {error.message}", quoted(category.name))
        return None


def _schema_of_person(name: str) -> Schema | None:
    return schema_of(name, [], [], KeypointCounts((17,)))


def _invented(identity: Id, sample: dict[Id, KeypointCounts]) -> str:
    """A name for a category that the file does not list."""
    return "person" if len(sample) == 1 and 17 in sample[identity].counts else f"category {identity}"
