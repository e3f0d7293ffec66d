"""A project as a COCO file.

What came from a COCO file goes back as it was written: a record that nobody changed byte for byte, a changed one with
only what changed changed. What is new gets ids behind the largest there is. Files that were imported into one project
become one; where their ids collide, those of the later file give way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.errors import CocoError, MediaError
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.dataset import (
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    Id,
    make_annotation,
    make_category,
    make_image,
    patch_record,
    write_coco,
)
from engine.formats.coco.keypoints import in_parts
from engine.formats.coco.parsing import parse_annotations, parse_categories, parse_images
from engine.formats.coco.reading import OLD, Reading
from engine.labels.image_size import GridTransform
from engine.media.images import image_size
from engine.media.source import frame_file_name
from engine.utils.context import Context
from poseapp.project.edits.geometry import extent
from poseapp.project.formats.coco.archive import (
    LAYOUT_BOXES,
    LAYOUT_PARTS,
    NOBODY,
    SECTION_GRIDS,
    SECTION_READING,
    CocoArchive,
    CocoFile,
    Owners,
)
from poseapp.project.formats.coco.changes import BlockChanges, CategoryIds
from poseapp.project.formats.coco.export_categories import CategoryEdits
from poseapp.project.formats.coco.export_ids import IdMap
from poseapp.project.formats.report import Problems
from poseapp.project.model import Frame, FrameKey, Instance, State
from poseapp.project.schema.migration import put_aside
from poseapp.project.store import ProjectStore

_STEP = 1000  # records between two steps of progress

LABELLED, PREDICTED, REVIEWED, NEGATIVE = 1, 2, 4, 16
"""Bits of ``ProjectStore.frame_marks``."""


@dataclass(frozen=True)
class ExportReport:
    """How many records were written.

    Attributes:
        kept: of the annotations those that are no pose of the project (crowds, boxes alone): they went through as they
            came.
        left_out: images without labels that nobody has looked at, which were not written.
        problems: what was left out or changed on the way, as sentences.
    """

    images: int
    annotations: int
    kept: int = 0
    left_out: int = 0
    problems: list[str] = field(default_factory=list)


def export_coco(
    store: ProjectStore,
    path: Path | str,
    *,
    include_predicted: bool = False,
    only_labelled_frames: bool = False,
    unseen_frames: bool = False,
    context: Context | None = None,
) -> ExportReport:
    """Write the project to a COCO file, whole or not at all.

    A trainer takes an image without annotations for one in which there is nothing. So an image without labels is
    written only if it came from a COCO file, or if a person has reviewed it or said that there is nothing in it.

    Args:
        include_predicted: also predictions that nobody has accepted, with ``score`` and ``keypoint_scores``. Those that
            came from a COCO file are written in any case.
        only_labelled_frames: leave out images without a labelled instance, and their annotations.
        unseen_frames: also images without labels that nobody has looked at.
        context: shows progress; cancelled, no file is left behind.

    Raises:
        CocoError: the file cannot be written. Cancelled: the context was cancelled.
    """
    context = context or Context()
    export = _Export(store, include_predicted)
    export.choose_frames(only_labelled_frames, unseen_frames)
    header: dict[str, msgspec.Raw] = {}
    for file in export.files:
        header = {**file.header, **header}
    keys = list(dict.fromkeys(key for file in export.files for key in file.keys)) or [
        "images",
        "annotations",
        "categories",
    ]
    summary = store.summary()
    sections = {
        "images": _with_progress(export.images(), store.frame_count(), context),
        "annotations": _with_progress(export.annotations(), summary.labelled + summary.predicted, context),
        "categories": iter(export.category_records),
    }
    empty = {name for name in sections if not export.has_any(name)}
    write_coco(path, keys, header, sections, empty)
    return ExportReport(
        export.written_images, export.written_annotations, export.kept, export.left_out, export.problems.sentences()
    )


def _with_progress(records: Iterator[bytes], total: int, context: Context) -> Iterator[bytes]:
    for index, record in enumerate(records):
        if index % _STEP == 0:
            context.progress(index, max(total, index))
        yield record


def seen_frames(store: ProjectStore, *, include_predicted: bool = False) -> set[FrameKey]:
    """The images that an export holds by default: with labels, reviewed, without objects as a person has said, or of a
    COCO file that was imported.

    Args:
        include_predicted: also those with predictions.
    """
    frames = _marked_frames(store, LABELLED | REVIEWED | NEGATIVE | (PREDICTED if include_predicted else 0))
    owners = CocoArchive(store.database).owners("images").reshape(-1, 2)
    frames.update(FrameKey(*owner) for owner in owners.tolist() if owner[0] != NOBODY)
    return frames


def _marked_frames(store: ProjectStore, bits: int) -> set[FrameKey]:
    return {key for key, mark in zip(store.frame_keys(), store.frame_marks().tolist()) if mark & bits}


def annotation_of(instance: Instance, id: Id, image: Id, category: Id) -> CocoAnnotation:
    """The record of an instance that no file has one of."""
    seen = instance.visibility > 0
    points = np.column_stack([np.where(seen[:, None], instance.keypoints, 0.0), instance.visibility])
    box = extent(instance)
    predicted = instance.state is State.PREDICTED
    return make_annotation(
        id,
        image,
        category,
        points,
        None if box is None else (box[0], box[1], box[2] - box[0], box[3] - box[1]),
        score=instance.score if predicted else None,
        keypoint_scores=instance.scores if predicted else None,
        track_id=instance.track,
    )


class _Export:
    """One run: ids are settled first, records then flow from the project to the file."""

    def __init__(self, store: ProjectStore, include_predicted: bool) -> None:
        self._store, self._db = store, store.database
        self._include_predicted = include_predicted
        self._archive = CocoArchive(store.database)
        self.files: list[CocoFile] = self._archive.files()
        self._wanted: set[FrameKey] | None = None
        self._only_labelled = False
        self.left_out = 0
        self.problems = Problems()
        self._image_ids = IdMap()
        self._category_ids = IdMap()
        self._annotation_ids = IdMap()
        self._id_of_frame: dict[FrameKey, Id] = {}
        self._id_of_category: dict[int, Id] = {}
        self._ids_of_category: dict[int, set[Id]] = {}
        self.category_records: list[bytes] = []
        self.written_images = self.written_annotations = self.kept = 0
        self._categories_of_file: dict[int, list[CocoCategory]] = {}
        self._readings = {file.id: _reading(self._archive, file) for file in self.files}
        self._grids = {
            FrameKey(*owner): msgspec.json.decode(record, type=GridTransform)
            for file in self.files
            for owner, record in self._archive.records(file.id, SECTION_GRIDS)
        }
        self._layouts = {
            instance_id: layout for file in self.files for instance_id, layout in self._archive.layouts(file.id)
        }
        self._videos = video_names(store)
        self._settle_images()
        self._settle_categories()

    def choose_frames(self, only_labelled: bool, unseen: bool) -> None:
        """Settle which images are written; all where neither this nor that is left out."""
        if unseen and not only_labelled:
            return
        self._only_labelled = only_labelled
        self._wanted = (
            _marked_frames(self._store, LABELLED)
            if only_labelled
            else seen_frames(self._store, include_predicted=self._include_predicted)
        )
        self.left_out = self._store.frame_count() - len(self._wanted)

    def has_any(self, section: str) -> bool:
        if section == "categories":
            return bool(self.category_records)
        if section == "images":
            return self._store.frame_count() > 0
        return self._db.row("SELECT 1 FROM instance LIMIT 1") is not None or bool(len(self._archive.owners(section)))

    def images(self) -> Iterator[bytes]:
        seen: set[FrameKey] = set()
        for file in self.files:
            for owner, record in self._archive.records(file.id, "images"):
                for image in self._images(record, file):
                    key = FrameKey(*owner)
                    if key in seen:
                        continue  # the picture stands in two files
                    seen.add(key)
                    if self._is_wanted(key):
                        self.written_images += 1
                        yield self._image_ids.patched(file.id, image.id, image.raw, "id")
                if owner[0] == NOBODY and not self._only_labelled:
                    self.written_images += 1
                    yield record
        for frame in self._store.frames():
            if frame.key not in seen and self._is_wanted(frame.key):
                self.written_images += 1
                yield self._image(frame)

    def _images(self, record: bytes, file: CocoFile) -> list[CocoImage]:
        """The image of a record; none for a record that could not be understood at import either."""
        return list(parse_images([record], file.path, unreadable=lambda position, error: None))

    def _image(self, frame: Frame) -> bytes:
        """The record of a frame that no file has: of a video also which, and the number in it."""
        width, height = self._size(frame)
        image_id = self._id_of_frame[frame.key]
        video = self._videos.get(frame.key.media)
        if video is None:
            return make_image(image_id, frame.name, width, height).encoded()
        record = make_image(image_id, frame_file_name(video, frame.key.index), width, height).encoded()
        return patch_record(record, {"video": video, "frame_index": frame.key.index})

    def annotations(self) -> Iterator[bytes]:
        written: list[Owners] = []
        ids = CategoryIds(self._id_of_category, self._ids_of_category)
        for file in self.files:
            reading = self._readings[file.id]
            changes = BlockChanges(self._store, file.tracks, ids, reading, self._grids)
            categories = self._categories_of_file[file.id]
            pairs = reading.pairs_of(categories)
            images = IdMatcher(image for file_id, image in self._frame_of if file_id == file.id)
            for owners, records in self._archive.blocks(file.id, "annotations"):
                written.append(owners)
                unreadable: dict[int, CocoError] = {}
                parsed = list(
                    parse_annotations(records, categories, file.path, pairs=pairs, unreadable=unreadable.__setitem__)
                )
                readable = [position for position in range(len(records)) if position not in unreadable]
                for annotation in parsed:
                    self._annotation_ids.see(annotation.id)
                parsed = [msgspec.structs.replace(a, image_id=images.match(a.image_id)) for a in parsed]
                are_included = [self._is_annotation_wanted(file, annotation) for annotation in parsed]
                if len(self.files) > 1:
                    parsed = [self._renumbered(file, annotation) for annotation in parsed]
                now = iter(zip(changes.of(owners[readable], parsed), are_included))
                for position, (owner, record) in enumerate(zip(owners.tolist(), records)):
                    if position in unreadable:
                        raw = None if self._only_labelled else record
                    else:
                        annotation_now, is_wanted = next(now)
                        raw = annotation_now.raw if annotation_now is not None and is_wanted else None
                    if raw is not None:
                        self.written_annotations += 1
                        self.kept += owner == NOBODY
                        yield raw
        known = set(np.concatenate(written).tolist()) if written else set()
        yield from self._new(known)

    def _is_annotation_wanted(self, file: CocoFile, annotation: CocoAnnotation) -> bool:
        key = self._frame_of.get((file.id, annotation.image_id))
        if key is None:
            return not self._only_labelled
        return self._wanted is None or key in self._wanted

    def _renumbered(self, file: CocoFile, annotation: CocoAnnotation) -> CocoAnnotation:
        """The annotation with the ids that it has among those of all files."""
        new: dict[str, Any] = {
            "id": self._annotation_ids.add(file.id, annotation.id),
            "image_id": self._image_ids.of(file.id, annotation.image_id),
            "category_id": self._category_ids.of(file.id, annotation.category_id),
        }
        changed = {key: value for key, value in new.items() if value != getattr(annotation, key)}
        return annotation.patched(**changed) if changed else annotation

    def _new(self, known: set[int]) -> Iterator[bytes]:
        """Instances that no file has a record of."""
        state = None if self._include_predicted else State.LABELLED
        for key, instance in self._store.all_instances(state):
            if instance.id not in known and self._is_wanted(key):
                self.written_annotations += 1
                yield self._made(key, instance).encoded()

    def _made(self, key: FrameKey, instance: Instance) -> CocoAnnotation:
        grid = self._grids.get(key)
        annotation = annotation_of(
            instance if grid is None else _moved_back(instance, grid),
            self._annotation_ids.new(),
            self._id_of_frame[key],
            self._id_of_category[instance.category],
        )
        return in_parts(annotation) if self._layouts.get(instance.category) == LAYOUT_PARTS else annotation

    def _settle_images(self) -> None:
        self._frame_of: dict[tuple[int, Id], FrameKey] = {}
        for file in self.files:
            for owner, record in self._archive.records(file.id, "images"):
                for image in self._images(record, file):
                    key = FrameKey(*owner)
                    if (file.id, image.id) in self._frame_of:
                        continue
                    self._frame_of[file.id, image.id] = key
                    if key in self._id_of_frame:
                        self._image_ids.put(file.id, image.id, self._id_of_frame[key])
                    else:
                        self._id_of_frame[key] = self._image_ids.add(file.id, image.id)
        for key in self._store.frame_keys():
            if key not in self._id_of_frame:
                self._id_of_frame[key] = self._image_ids.new()

    def _settle_categories(self) -> None:
        for file in self.files:
            listed = self._categories_of_file[file.id] = []
            edits = CategoryEdits(self._store, self._archive, file.id)
            for owner, record in self._archive.records(file.id, "categories"):
                parsed = list(parse_categories([record], file.path, unreadable=lambda position, error: None))
                listed += parsed
                if not parsed:
                    self.category_records.append(record)
                for category in parsed:
                    now = NOBODY if owner == NOBODY else edits.now(owner)
                    if now in self._id_of_category and len(self.files) > 1:
                        self._category_ids.put(file.id, category.id, self._id_of_category[now])
                        continue
                    identity = self._category_ids.add(file.id, category.id)
                    raw = self._category_ids.patched(file.id, category.id, category.raw, "id")
                    if owner != NOBODY:
                        self._id_of_category.setdefault(now, identity)
                        self._ids_of_category.setdefault(now, set()).add(identity)
                        raw = self._with_points(edits.written(raw, category, owner), owner)
                    self.category_records.append(raw)
            for owners, ids in self._archive.blocks(file.id, "category_ids"):
                for owner, text in zip(owners.tolist(), ids):
                    given = self._category_ids.add(file.id, msgspec.json.decode(text))
                    self._id_of_category.setdefault(owner, given)
        self._add_categories()

    def _add_categories(self) -> None:
        """Categories that no file lists, if there is anything in them."""
        used = {category_id for (category_id,) in self._db.rows("SELECT DISTINCT category FROM instance")}
        aside = put_aside(self._store)
        for category in self._store.categories():
            is_included = category.id in used or (not self.files and category.id not in aside)
            if category.id not in self._id_of_category and is_included:
                identity = self._category_ids.new()
                self._id_of_category[category.id] = identity
                self.category_records.append(make_category(identity, category.schema, category.name).encoded())

    def _with_points(self, raw: bytes, category_id: int) -> bytes:
        """A category that came with boxes only, once there are poses in it: now it needs the names of the points."""
        if self._layouts.get(category_id) != LAYOUT_BOXES:
            return raw
        if (
            self._db.row("SELECT 1 FROM instance WHERE category = ? AND num_visible > 0 LIMIT 1", (category_id,))
            is None
        ):
            return raw
        schema = self._store.category(category_id).schema
        limbs = [[int(a) + 1, int(b) + 1] for a, b in schema.limb_indices]
        return patch_record(raw, {"keypoints": list(schema.names), "skeleton": limbs})

    def _is_wanted(self, key: FrameKey) -> bool:
        return self._wanted is None or key in self._wanted

    def _size(self, frame: Frame) -> tuple[int, int]:
        """Width and height, read from the image where the project does not know them yet; 0 where that fails."""
        if frame.width and frame.height:
            return frame.width, frame.height
        try:
            return image_size(self._store.frame_path(frame.key))
        except MediaError:
            return 0, 0


def video_names(store: ProjectStore) -> dict[int, str]:
    """What the videos of a project are called in files, by media; with the folder where two have one name."""
    paths = {media.id: Path(media.path) for media in store.media() if media.kind == "video"}
    count = Counter(path.name for path in paths.values())
    return {
        media: path.name if count[path.name] == 1 else f"{path.parent.name}/{path.name}"
        for media, path in paths.items()
    }


def _reading(archive: CocoArchive, file: CocoFile) -> Reading:
    """How a file was read at import."""
    records = [record for _, record in archive.records(file.id, SECTION_READING)]
    return msgspec.json.decode(records[0], type=Reading) if records else OLD


def _moved_back(instance: Instance, grid: GridTransform) -> Instance:
    """An instance in the pixels that the labels of its image count in."""
    box = None if instance.box is None else grid.boxes_back(instance.box)
    return replace(instance, keypoints=grid.points_back(instance.keypoints), box=box)
