"""COCO files into a project, with nothing lost: what the window cannot show is kept and exported again.

Becomes an instance: every annotation of a category with points, also one without labelled points (then it is a box).
Kept aside: crowds, categories that have boxes and regions only, annotations of images or categories that do not exist.
An annotation with a ``score`` is a prediction that nobody has accepted yet. An image with ``video`` and
``frame_index`` is that frame of the video, where the video is found and no image file has its name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from engine.contract.coco import CocoAnnotation, CocoCategory, Id
from engine.contract.coco_document import Document, read_document
from engine.contract.coco_parse import parse_annotations, parse_categories, parse_images
from poseapp.project import rows
from poseapp.project.coco_archive import LAYOUT_BOXES, LAYOUT_FLAT, LAYOUT_PARTS, NOBODY, CocoArchive, Owners
from poseapp.project.coco_points import flat_points, has_parts, to_arrays, to_boxes
from poseapp.project.file_names import to_stored
from poseapp.project.importers.coco_videos import frames_of_videos
from poseapp.project.importers.image_files import find_images, likely_folders
from poseapp.project.importers.report import ImportReport, Problems, ProgressCallback
from poseapp.project.importers.schemas import Points, schema_of
from poseapp.project.importers.tracks import Tracks
from poseapp.project.model import Bytes, Category, FrameKey
from poseapp.project.store import ProjectStore

IMPORTED = "imported"
_HUMAN = "human"
_BLOCK = 4096
_SAMPLE = 4000


@dataclass(frozen=True)
class _Kind:
    """A category of the file: the project's own, or None where its annotations are kept aside."""

    name: str
    category: Category | None


def import_coco(
    store: ProjectStore,
    path: Path | str,
    image_root: Path | str | None = None,
    *,
    progress: ProgressCallback | None = None,
    document: Document | None = None,
    cache: Path | None = None,
) -> ImportReport:
    """Add the images, categories and annotations of a COCO file to a project; all of it or nothing.

    Args:
        document: the content, where it does not stand in the file as COCO; then ``path`` only names it.
        image_root: where the images lie; left out, they are looked for around the file.
        cache: folder where indices of the videos are kept whose frames the file names.
        progress: called now and then with annotations done and in all; what it raises stops the import.

    Raises:
        CocoError: the file cannot be understood. ProjectError: the project cannot be written.
    """
    path = Path(path)
    document = read_document(path) if document is None else document
    categories = list(parse_categories(document.categories, path))
    problems = Problems()
    archive = CocoArchive(store.database)
    total = len(document.annotations)
    try:
        with store.database.write():
            file = archive.add_file(to_stored(str(path)), document.keys, document.header)
            frames = _add_images(store, archive, file, path, document.images, image_root, problems, cache)
            sample = sample_points(document.annotations, categories, path)
            kinds = _add_categories(store, archive, file, categories, sample)
            tracks = Tracks(store.database)
            importer = _Annotations(store, archive, file, frames, kinds, tracks, problems)
            for start in range(0, total, _BLOCK):
                if progress is not None:
                    progress(start, total)
                block = document.annotations[start : start + _BLOCK]
                importer.add(list(parse_annotations(block, categories, path, start)))
            archive.set_tracks(file, tracks.names)
            store.database.set_meta("next_instance", importer.next_id)
    finally:
        store.imported()
    if importer.seen_visibilities == {1}:
        problems.add("All points are marked occluded (v = 1)", "the file may mean visible")
    return ImportReport(len(frames.keys), importer.shown, problems.sentences())


@dataclass
class _Frames:
    keys: list[FrameKey]
    by_id: dict[Id, FrameKey]


def _add_images(
    store: ProjectStore,
    archive: CocoArchive,
    file: int,
    path: Path,
    records: Sequence[msgspec.Raw],
    image_root: Path | str | None,
    problems: Problems,
    cache: Path | None,
) -> _Frames:
    images = list(parse_images(records, path))
    root = None if image_root is None else Path(image_root)
    of_videos = frames_of_videos(store, images, likely_folders(path, root), problems, cache)
    stills = [n for n in range(len(images)) if n not in of_videos]
    record_sizes = [(images[n].width, images[n].height) for n in stills]
    found = find_images((images[n].file_name for n in stills), path, root, record_sizes)
    for finding in found.findings:
        problems.add(finding.kind.value, finding.case)
    names = dict(zip(stills, found.names))
    known = _known_frames(store)
    root_name = str(found.root)
    keys = [
        of_videos[n] if n in of_videos else known.pop(_joined(root_name, names[n]), None) for n in range(len(images))
    ]
    new = [n for n, key in enumerate(keys) if key is None]
    if new:
        media = _media_at(store, found.root)
        sizes = [(names[n], images[n].width, images[n].height) for n in new]
        for n, key in zip(new, store.add_frames(media, sizes)):
            keys[n] = key
    settled = [key for key in keys if key is not None]
    by_id: dict[Id, FrameKey] = {}
    for image, key in zip(images, settled):
        if image.id in by_id:
            problems.add("Image id stands twice, its annotations go to the first", str(image.id))
        by_id.setdefault(image.id, key)
    for start in range(0, len(images), _BLOCK):
        owners = np.array(settled[start : start + _BLOCK], dtype=np.int64).reshape(-1, 2)
        archive.add_block(file, "images", owners, [image.raw for image in images[start : start + _BLOCK]])
    return _Frames(settled, by_id)


def _known_frames(store: ProjectStore) -> dict[str, FrameKey]:
    """Frames that the project has already, by the path of their image."""
    roots = {media.id: media.path for media in store.media() if media.kind == "images"}
    return {_joined(roots[f.key.media], f.name): f.key for f in store.frames() if f.key.media in roots}


def _joined(root: str, name: str) -> str:
    """The path of an image, spelled always the same way."""
    path = os.path.join(root, name)
    return os.path.normpath(path) if ".." in name else path


def _media_at(store: ProjectStore, root: Path) -> int:
    for media in store.media():
        if media.kind == "images" and Path(media.path) == root:
            return media.id
    return store.add_media("images", root).id


def sample_points(records: Sequence[msgspec.Raw], categories: Sequence[CocoCategory], path: Path) -> dict[Id, Points]:
    """What annotations hold, category by category, told from some thousand of them."""
    step = max(1, len(records) // _SAMPLE)
    counts: dict[Id, Counter[int]] = {}
    in_parts: set[Id] = set()
    for position in range(0, len(records), step):
        for annotation in parse_annotations(records[position : position + 1], categories, path, position):
            met = counts.setdefault(annotation.category_id, Counter())
            if annotation.keypoints:
                met[len(annotation.keypoints) // 3] += 1
            if has_parts(annotation):
                in_parts.add(annotation.category_id)
    return {i: Points(tuple(n for n, _ in c.most_common()), i in in_parts) for i, c in counts.items()}


def _add_categories(
    store: ProjectStore, archive: CocoArchive, file: int, found: Sequence[CocoCategory], sample: dict[Id, Points]
) -> dict[Id, _Kind]:
    listed = list(found) or [CocoCategory(identity, _invented(identity, sample)) for identity in sample]
    schemas = [schema_of(category, sample.get(category.id, Points())) for category in listed]
    boxes_only = not any(schemas)
    if boxes_only:  # boxes only: people can be given poses all the same
        persons = (CocoCategory(c.id, c.name, raw=c.raw) for c in listed)
        schemas = [schema_of(c, Points((17,))) if c.name.lower() == "person" else None for c in persons]
    kinds: dict[Id, _Kind] = {}
    owners: list[int] = []
    layouts: list[tuple[int, str]] = []
    for category, schema in zip(listed, schemas):
        own = None
        if schema is not None:
            same = (c for c in store.categories() if c.name == category.name and c.schema.names == schema.names)
            own = next(same, None) or store.add_category(category.name, schema)
        owners.append(NOBODY if own is None else own.id)
        if own is not None:
            parts = sample.get(category.id, Points()).in_parts
            layouts.append((own.id, LAYOUT_BOXES if boxes_only else LAYOUT_PARTS if parts else LAYOUT_FLAT))
        kinds.setdefault(category.id, _Kind(category.name, own))
    archive.add_layouts(file, layouts)
    if found:
        archive.add_block(file, "categories", np.array(owners, np.int64), [category.raw for category in found])
    else:
        # Written anew on export: owners tell which id the annotations use.
        ids = [msgspec.json.encode(category.id) for category in listed]
        archive.add_block(file, "category_ids", np.array(owners, np.int64), ids)
    return kinds


def _invented(identity: Id, sample: dict[Id, Points]) -> str:
    """A name for a category that the file does not list."""
    return "person" if len(sample) == 1 and 17 in sample[identity].counts else f"category {identity}"


class _Annotations:
    """Annotations into rows, block by block."""

    def __init__(
        self,
        store: ProjectStore,
        archive: CocoArchive,
        file: int,
        frames: _Frames,
        kinds: dict[Id, _Kind],
        tracks: Tracks,
        problems: Problems,
    ) -> None:
        self._db = store.database
        self._archive, self._file = archive, file
        self._frames, self._kinds, self._tracks, self._problems = frames.by_id, kinds, tracks, problems
        self.next_id = store.new_ids(0).start
        self.shown = 0
        self.seen_visibilities: set[int] = set()

    def add(self, annotations: Sequence[CocoAnnotation]) -> None:
        owners = np.full(len(annotations), NOBODY, np.int64)
        lots: dict[int, list[tuple[int, FrameKey, list[int | float]]]] = {}
        categories: dict[int, Category] = {}
        for place, annotation in enumerate(annotations):
            found = self._place(annotation)
            if found is not None:
                key, category, flat = found
                categories[category.id] = category
                lots.setdefault(category.id, []).append((place, key, flat))
                owners[place] = self.next_id
                self.next_id += 1
        for number, lot in lots.items():
            self._db.many(rows.INSERT, self._rows(categories[number], lot, annotations, owners))
            self.shown += len(lot)
        self._archive.add_block(self._file, "annotations", owners, [a.raw for a in annotations])

    def _place(self, a: CocoAnnotation) -> tuple[FrameKey, Category, list[int | float]] | None:
        """Frame, category and points of an annotation that becomes an instance."""
        key, kind = self._frames.get(a.image_id), self._kinds.get(a.category_id)
        if key is None:
            self._problems.add("Annotation of an image that is not in the file, kept aside", f"id {a.id}")
        elif kind is None:
            self._problems.add("Annotation of a category that is not in the file, kept aside", f"id {a.id}")
        elif kind.category is None:
            self._problems.add("Annotation of a category without points, kept aside", f"id {a.id}, {kind.name!r}")
        elif a.iscrowd:
            self._problems.add("Crowd, kept aside", f"id {a.id}")
        else:
            count = kind.category.schema.num_keypoints
            flat = flat_points(a, count)
            if flat is not None:
                return key, kind.category, flat
            given = len(a.keypoints or []) // 3
            kept = f"Annotation without the {count} points of {kind.name!r}, kept aside"
            self._problems.add(kept, f"id {a.id} has {given}")
        return None

    def _rows(
        self,
        category: Category,
        lot: Sequence[tuple[int, FrameKey, list[int | float]]],
        annotations: Sequence[CocoAnnotation],
        owners: Owners,
    ) -> Iterator[rows.Row]:
        count = category.schema.num_keypoints
        points, visibility = to_arrays([flat for _, _, flat in lot], count)
        boxes, there = to_boxes([annotations[place].bbox for place, _, _ in lot])
        self.seen_visibilities |= set(np.unique(visibility[visibility > 0]).tolist())
        numbers = np.count_nonzero(visibility, axis=1).tolist()
        place_bytes, seen_bytes, box_bytes = points.tobytes(), visibility.tobytes(), boxes.tobytes()
        human_bytes = (visibility > 0).tobytes()
        size = 16 * count
        for n, (place, key, _) in enumerate(lot):
            a = annotations[place]
            scores, lowest = (None, None) if a.score is None else _scores(a, count, visibility[n])
            seen = seen_bytes[n * count : (n + 1) * count]
            yield (
                int(owners[place]),
                key[0],
                key[1],
                category.id,
                1 if a.score is None else 0,
                a.score,
                lowest,
                None if a.track_id is None else self._tracks.number(a.track_id),
                _HUMAN if a.score is None else IMPORTED,
                numbers[n],
                place_bytes[n * size : (n + 1) * size],
                seen,
                human_bytes[n * count : (n + 1) * count] if a.score is None else bytes(count),
                scores,
                box_bytes[32 * n : 32 * n + 32] if there[n] else None,
            )


def _scores(a: CocoAnnotation, count: int, visibility: Bytes) -> tuple[bytes | None, float | None]:
    """Keypoint scores as a blob, and the lowest one of a visible point."""
    if a.keypoint_scores is None or len(a.keypoint_scores) != count:
        return None, None
    scores = np.asarray(a.keypoint_scores, np.float64)
    seen = scores[visibility > 0]
    return scores.tobytes(), float(seen.min() if len(seen) else scores.min())
