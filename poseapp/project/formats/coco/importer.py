"""COCO files into a project, with nothing lost: what the window cannot show is kept and exported again.

Becomes an instance: every annotation of a category with points, also one without labelled points (then it is a box).
Kept aside: crowds, categories that have boxes and regions only, annotations of images or categories that do not exist,
records that cannot be understood. Each of them is in the report.
An annotation with a ``score``, or with scores for visibilities, is a prediction that nobody has accepted yet. An image
with ``video`` and ``frame_index`` is that frame of the video, where the video is found and no image file has its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.errors import quoted
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.dataset import CocoAnnotation, Id
from engine.formats.coco.document import Document, read_document
from engine.formats.coco.keypoints import flat_points
from engine.formats.coco.parsing import parse_annotations, parse_categories
from engine.formats.coco.reading import Reading, instance_score, point_scores, reading_of
from poseapp.project.formats.coco.archive import NOBODY, SECTION_READING, CocoArchive, Owners
from poseapp.project.formats.coco.categories import Kind, add_categories, sample_points
from poseapp.project.formats.coco.faults import Faulty, in_place
from poseapp.project.formats.coco.images import Frames, add_images
from poseapp.project.formats.coco.tracks import Tracks
from poseapp.project.formats.label_sizes import LabelSize
from poseapp.project.formats.report import ImportReport, Problems, ProgressCallback
from poseapp.project.model import Category, FrameKey
from poseapp.project.storage.file_names import to_stored
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows

IMPORTED = "imported"
_HUMAN = "human"
_BLOCK = 4096


def import_coco(
    store: ProjectStore,
    path: Path | str,
    image_root: Path | str | None = None,
    *,
    progress: ProgressCallback | None = None,
    document: Document | None = None,
    cache: Path | None = None,
    label_size: LabelSize = LabelSize.KEEP,
) -> ImportReport:
    """Add the images, categories and annotations of a COCO file to a project; all of it or nothing.

    A record that cannot be understood is kept aside and reported.

    Args:
        document: the content, where it does not stand in the file as COCO; then ``path`` only names it.
        image_root: where the images lie; left out, they are looked for around the file.
        cache: folder where indices of the videos are kept whose frames the file names.
        progress: called now and then with annotations done and in all; what it raises stops the import.
        label_size: what is done with labels that were made on pictures of another size or orientation.

    Raises:
        CocoError: the file cannot be understood. ProjectError: the project cannot be written.
        LabelSizesDiffer: with ``LabelSize.ASK``.
    """
    path = Path(path)
    document = read_document(path) if document is None else document
    problems = Problems()
    for sentence in document.problems:
        problems.add(sentence, "")
    faulty_categories = Faulty("category", problems)
    categories = list(parse_categories(document.categories, path, unreadable=faulty_categories))
    archive = CocoArchive(store.database)
    total = len(document.annotations)
    try:
        with store.database.write():
            file = archive.add_file(to_stored(str(path)), document.keys, document.header)
            frames = add_images(store, archive, file, path, document.images, image_root, problems, cache, label_size)
            reading = reading_of(partial(document.blocks, "annotations"), categories)
            archive.add_block(file, SECTION_READING, np.array([NOBODY]), [msgspec.json.encode(reading)])
            sample = sample_points(document.annotations, categories, path, reading)
            records = [bytes(record) for record in document.categories]
            kinds = add_categories(store, archive, file, categories, sample, records, faulty_categories, problems)
            tracks = Tracks(store.database)
            importer = _Annotations(store, archive, file, frames, kinds, tracks, problems, reading)
            pairs = reading.pairs_of(categories)
            for start in range(0, total, _BLOCK):
                if progress is not None:
                    progress(start, total)
                block = document.annotations[start : start + _BLOCK]
                faulty = Faulty("annotation", problems)
                parsed = list(parse_annotations(block, categories, path, start, pairs=pairs, unreadable=faulty))
                importer.add(in_place(parsed, faulty, range(start, start + len(block))), block)
            archive.set_tracks(file, tracks.names)
            store.database.set_meta("next_instance", importer.next_id)
    finally:
        store.imported()
    if reading.scores:
        problems.add("Scores in place of visibilities: each point with a score is visible", ", ".join(reading.scores))
    if reading.pairs:
        problems.add("Points with two numbers, without visibility: taken as visible", f"category {reading.pairs[0]}")
    return ImportReport(len(frames.keys), importer.shown, problems.sentences())


class _Ids(msgspec.Struct):
    category_id: Any = None


_ids = msgspec.json.Decoder(_Ids).decode


class _Annotations:
    """Annotations into rows, block by block."""

    def __init__(
        self,
        store: ProjectStore,
        archive: CocoArchive,
        file: int,
        frames: Frames,
        kinds: dict[Id, Kind],
        tracks: Tracks,
        problems: Problems,
        reading: Reading,
    ) -> None:
        self._db = store.database
        self._archive, self._file, self._reading = archive, file, reading
        self._frames, self._kinds, self._tracks, self._problems = frames.by_id, kinds, tracks, problems
        self._grids = frames.grids
        self._images = IdMatcher(frames.by_id)
        self._seen_categories: set[Id] = set()
        self.next_id = store.new_ids(0).start
        self.shown = 0

    def add(self, annotations: Sequence[CocoAnnotation | None], records: Sequence[msgspec.Raw]) -> None:
        """Take a block; None stands for a record that cannot be understood."""
        owners = np.full(len(annotations), NOBODY, np.int64)
        lots: dict[int, list[tuple[int, FrameKey, CocoAnnotation]]] = {}
        categories: dict[int, Category] = {}
        for position, annotation in enumerate(annotations):
            target = None if annotation is None else self._target(annotation)
            if annotation is not None and target is not None:
                key, category = target
                categories[category.id] = category
                lots.setdefault(category.id, []).append((position, key, annotation))
                owners[position] = self.next_id
                self.next_id += 1
        for category_id, lot in lots.items():
            self._db.many(instance_rows.INSERT, self._rows(categories[category_id], lot, owners))
            self.shown += len(lot)
        self._archive.add_block(self._file, "annotations", owners, [bytes(record) for record in records])

    def _target(self, a: CocoAnnotation) -> tuple[FrameKey, Category] | None:
        """Frame and category of an annotation that becomes an instance."""
        name = f"id {quoted(a.id)}"
        image_id = self._images.match(a.image_id)
        key, kind = self._frames.get(image_id), self._kinds.get(a.category_id)
        if key is not None and image_id != a.image_id:
            self._problems.add("Image id is text in one place and a number in another: taken as the same", name)
        if key is None:
            self._problems.add("Annotation of an image that is not in the file, kept aside", name)
        elif kind is None:
            self._problems.add("Annotation of a category that is not in the file, kept aside", name)
        elif kind.category is None:
            self._problems.add("Annotation of a category without points, kept aside", f"{name}, {quoted(kind.name)}")
        elif a.iscrowd:
            self._problems.add("Crowd, kept aside", name)
        else:
            self._report_category_id(a, name)
            count = kind.category.schema.num_keypoints
            if flat_points(a, count) is not None:
                if a.unreadable_points:
                    text = f"{name} has {a.unreadable_points} of them"
                    self._problems.add("Keypoint without finite coordinates, read as absent", text)
                return key, kind.category
            text_aside = f"Annotation without the {count} points of {quoted(kind.name)}, kept aside"
            self._problems.add(text_aside, f"{name} has {len(a.keypoints or [])} numbers instead of {3 * count}")
        return None

    def _report_category_id(self, a: CocoAnnotation, name: str) -> None:
        """Once a category: its id in the annotations is text and in the categories a number, or the other way round."""
        if a.category_id in self._seen_categories:
            return
        self._seen_categories.add(a.category_id)
        try:
            written = _ids(a.raw).category_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(written, int | str) and written != a.category_id:
            self._problems.add("Category id is text in one place and a number in another: taken as the same", name)

    def _rows(
        self, category: Category, lot: Sequence[tuple[int, FrameKey, CocoAnnotation]], owners: Owners
    ) -> Iterator[instance_rows.Row]:
        count = category.schema.num_keypoints
        annotations = [annotation for _, _, annotation in lot]
        arrays = self._reading.arrays(annotations, count, [self._grids.get(key) for _, key, _ in lot])
        visibility = arrays.visibility
        visible_counts = np.count_nonzero(visibility, axis=1).tolist()
        place_bytes, seen_bytes, box_bytes = arrays.points.tobytes(), visibility.tobytes(), arrays.boxes.tobytes()
        size = 16 * count
        for n, (position, key, a) in enumerate(lot):
            predicted = self._reading.is_prediction(a)
            mask = None if arrays.are_scores is None else arrays.are_scores[n]
            scores = point_scores(a, count, visibility[n], mask, is_prediction=predicted)
            lowest = None
            if scores is not None and len(scores):
                seen = scores[visibility[n] > 0]
                lowest = float(seen.min() if len(seen) else scores.min())
            human = visibility[n] > 0 if mask is None else (visibility[n] > 0) & ~mask
            yield (
                int(owners[position]),
                key[0],
                key[1],
                category.id,
                0 if predicted else 1,
                instance_score(a, scores, visibility[n]) if predicted else a.score,
                lowest,
                None if a.track_id is None else self._tracks.number(a.track_id),
                IMPORTED if predicted else _HUMAN,
                visible_counts[n],
                place_bytes[n * size : (n + 1) * size],
                seen_bytes[n * count : (n + 1) * count],
                bytes(count) if predicted else human.tobytes(),
                None if scores is None else scores.tobytes(),
                box_bytes[32 * n : 32 * n + 32] if arrays.has_box[n] else None,
            )
