"""COCO-style files: one list of images, one of annotations; COCO-WholeBody's five lists of points joined to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from engine.errors import CocoError
from engine.formats.coco.dataset import CocoAnnotation, CocoCategory, CocoDataset, Number, with_image_ids
from engine.formats.coco.document import Document, load_record
from engine.formats.coco.parsing import flat_keypoints, parse_annotations, parse_categories, parse_images
from engine.formats.datasets.builder import Points, assemble
from engine.formats.datasets.dataset import KeypointDataset
from engine.formats.datasets.kinds import Kind, kind_of_coco
from engine.utils.skipped import Skipped

_MANY = 200  # annotations looked at; files of one kind are alike


class CocoStyle:
    """A COCO-style file, split into records."""

    def __init__(self, file: Path, document: Document) -> None:
        self._file = file
        self._document = document

    def kind(self) -> Kind:
        """Raises: CocoError, see :func:`engine.formats.datasets.kinds.kind_of_coco`."""
        categories = list(parse_categories(self._document.categories, self._file))
        return kind_of_coco(self._document.annotations, categories, self._file)

    def is_plain(self, names: Sequence[str] = ()) -> bool:
        """Whether the file can be used as it is: a category has the points wanted, all of them in ``keypoints``.

        A file of no known kind is plain too: its own names are all there is to go by.

        Args:
            names: of the keypoints that are wanted; none = those of the schema that belongs to the kind.
        """
        try:
            kind = self.kind()
        except CocoError:
            return True
        requested = tuple(names) or kind.load_schema().names
        if len(requested) == kind.load_schema().num_keypoints and self._in_parts(kind):
            return False
        return any(tuple(c.keypoints) == requested for c in parse_categories(self._document.categories, self._file))

    def plain(self) -> CocoDataset:
        """The file as it is. Raises: CocoError naming the record that cannot be understood."""
        return CocoDataset.of_document(self._document, self._file)

    def _in_parts(self, kind: Kind) -> bool:
        marks = [f'"{name}"'.encode() for name, _ in kind.parts[1:]]
        return any(mark in bytes(raw) for raw in self._document.annotations[:_MANY] for mark in marks)

    def read(self, kind: Kind, folder: Path, skipped: Skipped | None = None) -> KeypointDataset:
        """Raises: CocoError naming the record that cannot be understood."""
        document = self._document
        categories = list(parse_categories(document.categories, self._file))
        unreadable = None if skipped is None else skipped.add_record
        images = list(parse_images(document.images, self._file, unreadable=unreadable))
        parsed = parse_annotations(document.annotations, categories, self._file, unreadable=unreadable)
        annotations = with_image_ids(parsed, (image.id for image in images))
        return assemble(
            kind,
            self._file,
            folder,
            images,
            annotations,
            categories or [CocoCategory(1, kind.load_schema().category)],
            header={key: msgspec.Raw(bytes(value)) for key, value in document.header.items()},
            points=points_in_parts(kind) if kind.parts else None,
            skipped=skipped,
        )


def points_in_parts(kind: Kind) -> Points:
    """How annotations of a kind whose points stand in several lists tell them: joined in the order of the kind.

    An annotation that has them all in ``keypoints`` already is taken as it is. A list that is missing, null or empty
    is a part without labels.
    """
    total = 3 * sum(count for _, count in kind.parts)
    first = 3 * kind.parts[0][1]
    rest = kind.parts[1:]
    decode = _decoder(tuple(name for name, _ in rest))

    def points(annotation: CocoAnnotation, where: str) -> list[Number] | None:
        body = annotation.keypoints
        if body is not None and len(body) == total:
            return body
        lists = decode(annotation.raw, where)
        if not body and not any(lists):
            return None
        if body and len(body) != first:
            raise CocoError(f"has {len(body) / 3:g} points in 'keypoints', expected {first // 3}", where=where)
        flat = list(body or [0] * first)
        for (name, count), part in zip(rest, lists):
            if part and len(part) != 3 * count:
                raise CocoError(f"has {len(part) / 3:g} points in '{name}', expected {count}", where=where)
            flat += part or [0] * (3 * count)
        return flat

    return points


def _decoder(names: tuple[str, ...]) -> Callable[[bytes, str], list[list[Number] | None]]:
    fields = [(name, list[int | float] | None, None) for name in names]
    quick = msgspec.json.Decoder(msgspec.defstruct("Parts", fields, gc=False)).decode

    def decode(raw: bytes, where: str) -> list[list[Number] | None]:
        try:
            parts = quick(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            data = load_record(raw, where)
            return [flat_keypoints(data.get(name), where) for name in names]
        return [getattr(parts, name) for name in names]

    return decode
