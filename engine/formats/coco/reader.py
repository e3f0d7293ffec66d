"""A COCO file as labels, block by block.

What the label model cannot hold rides along as ``raw``, and every record gives a frame or an instance, in the order of
the file. A frame with the media UNKNOWN is a record that could not be understood. An instance is no pose
(:attr:`Instance.is_pose`) if it is a crowd, has no points or another number than its category, or if its record could
not be understood or names an image or a category that the file does not list.

A frame is one of a video if its record has ``video`` and ``frame_index``, counted from 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec

from engine.errors import CocoError, SchemaError, quoted
from engine.formats.category_schema import KeypointCounts, schema_of
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.document import Document
from engine.formats.coco.keypoints import flat_points, has_parts
from engine.formats.coco.parsing import Unreadable, parse_annotations, parse_categories, parse_images
from engine.formats.coco.reading import Reading, instance_score, point_scores, reading_of
from engine.formats.coco.records import CocoAnnotation, CocoCategory, CocoImage, Id
from engine.formats.coco.skeleton import skeleton_note
from engine.formats.coco.stream import StreamedDocument
from engine.labels.model import UNKNOWN, VIDEO, Category, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.schema.schema import Schema
from engine.utils.context import ERROR, Context

RAW_FORMAT = "coco"
SECTION_PLACEHOLDER = b""
"""In ``CocoReader.header``: here is a section of records."""

_SAMPLED = 4000  # annotations that tell how many points a category has
_FIRST_TRACK = 1_000_000  # number of the first track with a name; far above what files number by themselves


class VideoFrame(msgspec.Struct):
    """What the record of an image says about the video that it is a frame of."""

    video: str = ""
    frame_index: int = -1


_video_frame = msgspec.json.Decoder(VideoFrame).decode


def video_frame_of(raw: bytes) -> VideoFrame | None:
    """The video and frame that an image record names; None for an image."""
    if b'"frame_index"' not in raw:
        return None
    try:
        frame = _video_frame(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return frame if frame.video and frame.frame_index >= 0 and "\0" not in frame.video else None


class CocoReader(LabelReader):
    """A COCO file, in memory or on the disk.

    Args:
        path: of the file, for messages and for finding images.
        document: its records.
        context: gets progress, and findings: of annotations during the first pass over them.

    Raises:
        CocoError: the file cannot be read any more.
    """

    raw_format = RAW_FORMAT

    def __init__(self, path: Path, document: Document | StreamedDocument, context: Context | None = None) -> None:
        self.path = path
        self._document = document
        self._context = context or Context()
        self.header = {key: bytes(document.header.get(key, SECTION_PLACEHOLDER)) for key in document.keys}
        for sentence in document.problems:
            self._context.report("", sentence)
        self._category_records = list(chain.from_iterable(document.blocks("categories")))
        self._categories = list(parse_categories(self._category_records, path, unreadable=self._unreadable("category")))
        self._reading = reading_of(partial(document.blocks, "annotations"), self._categories)
        self._pairs = self._reading.pairs_of(self._categories)
        self._list_categories()
        self._list_images()
        self._track_numbers: dict[str, int] = {}
        self.tracks: dict[int, str] = {}
        self._has_reported = False

    @property
    def reading(self) -> Reading:
        """How the numbers of the file are understood."""
        return self._reading

    def frames(self) -> Iterator[Frame]:
        counts: Counter[int] = Counter()
        for image in self._images(None):
            if image is None:
                continue
            video_frame = video_frame_of(image.raw) if image.file_name else None
            if not image.file_name:
                yield Frame("", UNKNOWN, raw=image.raw)
                continue
            media = 0 if video_frame is None else self._videos[video_frame.video]
            index = counts[media] if video_frame is None else video_frame.frame_index
            counts[media] += 1
            yield Frame(image.file_name, media, index, image.width, image.height, raw=image.raw)

    def instances(self) -> Iterator[Instance]:
        start, total = 0, self.num_instances()
        unreadable = self._unreadable("annotation") if not self._has_reported else _ignore
        for records in self._document.blocks("annotations"):
            self._context.progress(start, total)
            yield from self._block(records, start, unreadable)
            start += len(records)
        self._has_reported = True

    def num_instances(self) -> int:
        return self._document.count("annotations")

    def _block(self, records: Sequence[msgspec.Raw], start: int, unreadable: Unreadable) -> Iterator[Instance]:
        missing: set[int] = set()

        def note(position: int, error: CocoError) -> None:
            missing.add(position - start)
            unreadable(position, error)

        parsed = list(
            parse_annotations(records, self._categories, self.path, start, pairs=self._pairs, unreadable=note)
        )
        instances = iter(self._instances(parsed))
        for position, record in enumerate(records):
            if position in missing:
                yield Instance(UNKNOWN, UNKNOWN, raw=bytes(record))
            else:
                yield next(instances)

    def _instances(self, annotations: Sequence[CocoAnnotation]) -> list[Instance]:
        """Instances of annotations, in order; their numbers become arrays category by category."""
        lots: dict[int, list[int]] = {}
        for position, annotation in enumerate(annotations):
            lots.setdefault(self._position_of_category(annotation.category_id), []).append(position)
        instances: dict[int, Instance] = {}
        for category, positions in lots.items():
            lot = [annotations[position] for position in positions]
            instances.update(zip(positions, self._of_category(category, lot)))
        return [instances[position] for position in range(len(annotations))]

    def _of_category(self, category: int, annotations: Sequence[CocoAnnotation]) -> Iterator[Instance]:
        schema = None if category == UNKNOWN else self.categories[category].schema
        count = 0 if schema is None else schema.num_keypoints
        has_points = [schema is not None and flat_points(a, count) is not None for a in annotations]
        if category == UNKNOWN and not self._has_reported:
            for annotation in annotations:
                what = "Annotation of a category that the file does not list"
                self._context.report(f"id {annotation.id}", what, "kept aside", severity=ERROR)
        usable = [a if ok else msgspec.structs.replace(a, keypoints=None) for a, ok in zip(annotations, has_points)]
        arrays = self._reading.arrays(usable, count, [None] * len(usable))
        for n, annotation in enumerate(annotations):
            is_prediction = self._reading.is_prediction(annotation)
            visibility = arrays.visibility[n]
            mask = None if arrays.are_scores is None else arrays.are_scores[n]
            scores = None
            if has_points[n]:
                scores = point_scores(annotation, count, visibility, mask, is_prediction=is_prediction)
            yield Instance(
                self._frame_of(annotation.image_id),
                category,
                arrays.points[n] if has_points[n] else None,
                visibility if has_points[n] else None,
                scores,
                arrays.boxes[n] if arrays.has_box[n] else None,
                instance_score(annotation, scores, visibility) if is_prediction else annotation.score,
                self._track(annotation.track_id),
                annotation.area,
                is_prediction,
                bool(annotation.iscrowd),
                "",
                str(annotation.id),
                annotation.raw,
            )

    def _track(self, track: Id | None) -> int | None:
        if track is None:
            return None
        if isinstance(track, int) and track >= 0:
            return track
        name = str(track)
        if name not in self._track_numbers:
            index = _FIRST_TRACK + len(self._track_numbers)
            self._track_numbers[name] = index
            self.tracks[index] = name
        return self._track_numbers[name]

    def _frame_of(self, image_id: Id) -> int:
        frame = self._frames.get(image_id)
        return self._frames.get(self._image_ids.match(image_id), UNKNOWN) if frame is None else frame

    def _position_of_category(self, category_id: Id) -> int:
        return self._category_positions.get(category_id, UNKNOWN)

    def _list_categories(self) -> None:
        counts = self._keypoint_counts()
        named = self._categories
        if not self._category_records:  # the annotations say which there are
            named = [CocoCategory(i, invented_name(i, counts)) for i in counts]
        readable = {category.raw: category for category in named}
        categories: list[Category] = []
        self._category_positions: dict[Id, int] = {}
        for raw in [bytes(record) for record in self._category_records] or [category.raw for category in named]:
            category = readable.get(raw) if raw else named[len(categories)]
            if category is None:
                categories.append(Category("", raw=raw))
                continue
            self._category_positions.setdefault(category.id, len(categories))
            schema = self._schema(category, counts.get(category.id, KeypointCounts()))
            categories.append(Category(category.name, schema, category.id, raw))
        if self._category_records:
            categories += self._unlisted_categories(counts, len(categories))
        self.categories = categories

    def _unlisted_categories(self, counts: dict[Id, KeypointCounts], position: int) -> Iterator[Category]:
        """Categories of poses that the file does not list. Their keypoints are those of the listed categories, if these
        have all the same and as many."""
        listed = {(tuple(c.keypoints), tuple(map(tuple, c.skeleton))) for c in self._categories if c.keypoints}
        names, skeleton = next(iter(listed)) if len(listed) == 1 else ((), ())
        for identity, points in counts.items():
            if identity in self._category_positions or not (points.counts or points.in_parts):
                continue
            self._category_positions[identity] = position
            position += 1
            name = f"category {identity}"
            self._context.report(str(identity), "Category that the file does not list", f"called {name!r}")
            fitting = names if points.counts and points.counts[0] == len(names) else ()
            unlisted = CocoCategory(identity, name, list(fitting), [(a, b) for a, b in skeleton if fitting])
            yield Category(name, self._schema(unlisted, points), identity)

    def _schema(self, category: CocoCategory, points: KeypointCounts) -> Schema | None:
        note = skeleton_note(category.raw, len(category.keypoints))
        if note:
            self._context.report(quoted(category.name), note)
        try:
            return schema_of(category.name, category.keypoints, category.skeleton, points)
        except SchemaError as error:
            what = "Category whose points cannot be used"
            self._context.report(quoted(category.name), what, f"kept aside: {error.message}")
            return None

    def _keypoint_counts(self) -> dict[Id, KeypointCounts]:
        """What the annotations of each category hold, as some thousand of them say."""
        step = max(1, self.num_instances() // _SAMPLED)
        sample = (record for n, record in enumerate(self._annotation_records()) if n % step == 0)
        counts: dict[Id, Counter[int]] = {}
        in_parts: set[Id] = set()
        parsed = parse_annotations(list(sample), self._categories, self.path, pairs=self._pairs, unreadable=_ignore)
        for annotation in parsed:
            of_category = counts.setdefault(annotation.category_id, Counter())
            if annotation.keypoints:
                of_category[len(annotation.keypoints) // 3] += 1
            if has_parts(annotation):
                in_parts.add(annotation.category_id)
        return {i: KeypointCounts(tuple(n for n, _ in c.most_common()), i in in_parts) for i, c in counts.items()}

    def _list_images(self) -> None:
        self._frames: dict[Id, int] = {}
        self._videos: dict[str, int] = {}
        has_images = False
        for position, image in enumerate(self._images(self._unreadable("image"))):
            if not image.file_name:
                continue
            self._frames.setdefault(image.id, position)
            video_frame = video_frame_of(image.raw)
            if video_frame is None:
                has_images = True
            else:
                self._videos.setdefault(video_frame.video, len(self._videos))
        images = [Media()] if has_images or not self._videos else []
        self._videos = {video: position + len(images) for video, position in self._videos.items()}
        self.media = [*images, *(Media(VIDEO, video) for video in self._videos)]
        self._image_ids = IdMatcher(self._frames)

    def _images(self, unreadable: Unreadable | None) -> Iterator[CocoImage]:
        """The image of every record; one without a name for a record that cannot be understood."""
        position = 0
        for records in self._document.blocks("images"):
            missing: dict[int, CocoError] = {}
            images = iter(list(parse_images(records, self.path, unreadable=missing.__setitem__)))
            for n, record in enumerate(records):
                if n in missing:
                    if unreadable is not None:
                        unreadable(position + n, missing[n])
                    yield CocoImage(-1, "", raw=bytes(record))
                else:
                    yield next(images)
            position += len(records)

    def _annotation_records(self) -> Iterable[msgspec.Raw]:
        return chain.from_iterable(self._document.blocks("annotations"))

    def _unreadable(self, what: str) -> Unreadable:
        def report(position: int, error: CocoError) -> None:
            self._context.report(f"number {position + 1}", f"Unreadable {what}", f"kept aside: it {error.message}")

        return report


def _ignore(position: int, error: CocoError) -> None:
    """These records are reported elsewhere."""


def invented_name(identity: Id, counts: dict[Id, KeypointCounts]) -> str:
    """A name for a category that the file does not list."""
    return "person" if len(counts) == 1 and 17 in counts[identity].counts else f"category {identity}"
