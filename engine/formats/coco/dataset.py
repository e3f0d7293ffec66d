"""COCO files: read with nothing lost, written with nothing changed that nobody changed.

``CocoDataset.read(path).write(other)`` gives a file of equal JSON values. Every record keeps the text it was read from
(``raw``) and is written as that text; to change one, put ``annotation.patched(score=0.5)`` in its place.

Format: https://cocodataset.org/#format-data and #format-results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.errors import CocoError
from engine.formats.coco.category_match import IdMatcher
from engine.formats.coco.document import (
    SECTIONS,
    Document,
    encode_json,
    patch_record,
    read_document,
    read_json_bytes,
    split_list,
    write_atomic,
)
from engine.formats.coco.parsing import Unreadable, parse_annotations, parse_categories, parse_images, parse_results
from engine.formats.coco.records import (
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    CocoResult,
    Id,
    Number,
    make_annotation,
    make_category,
    make_image,
)

__all__ = [
    "CocoAnnotation",
    "CocoCategory",
    "CocoDataset",
    "CocoImage",
    "CocoResult",
    "Id",
    "Number",
    "Record",
    "make_annotation",
    "make_category",
    "make_image",
    "patch_record",
    "read_results",
    "with_image_ids",
    "write_coco",
    "write_results",
]

Record = CocoImage | CocoAnnotation | CocoCategory | CocoResult


class CocoDataset:
    """A COCO file in memory.

    Attributes:
        images, annotations, categories: in the order of the file; change the lists freely.
        header: every other top-level key (``info``, ``licenses``, what a tool adds) as JSON text.
        key_order: top-level keys in the order in which they are written.
    """

    def __init__(
        self,
        images: Iterable[CocoImage] = (),
        annotations: Iterable[CocoAnnotation] = (),
        categories: Iterable[CocoCategory] = (),
        header: dict[str, msgspec.Raw] | None = None,
        key_order: Sequence[str] = SECTIONS,
    ) -> None:
        self.images = list(images)
        self.annotations = list(annotations)
        self.categories = list(categories)
        self.header = dict(header or {})
        self.key_order = list(key_order)

    @classmethod
    def read(cls, path: Path | str, unreadable: Unreadable | None = None) -> CocoDataset:
        """Read a COCO file.

        Args:
            unreadable: called for each record that cannot be understood; it is left out. None = raise.

        Raises:
            CocoError: naming the file, and the record where one is at fault.
        """
        return cls.of_document(read_document(path), path, unreadable)

    @classmethod
    def of_document(cls, document: Document, path: Path | str, unreadable: Unreadable | None = None) -> CocoDataset:
        """The data set of a file that was split into records; ``path`` names it in messages.

        Annotations whose ``image_id`` is text while the images have numbers (or the other way round) get the id that
        the image has; their records stay as they were written.

        Raises:
            CocoError: naming the file, and the record that is at fault, unless ``unreadable`` takes it.
        """
        categories = list(parse_categories(document.categories, path, unreadable=unreadable))
        images = list(parse_images(document.images, path, unreadable=unreadable))
        annotations = parse_annotations(document.annotations, categories, path, unreadable=unreadable)
        return cls(
            images=images,
            annotations=with_image_ids(annotations, (image.id for image in images)),
            categories=categories,
            header={key: msgspec.Raw(bytes(value)) for key, value in document.header.items()},
            key_order=document.keys,
        )

    def write(self, path: Path | str) -> None:
        """Write the file whole or not at all.

        Raises:
            CocoError: the file cannot be written.
        """
        sections = {
            "images": (record.encoded() for record in self.images),
            "annotations": (record.encoded() for record in self.annotations),
            "categories": (record.encoded() for record in self.categories),
        }
        empty = {name for name in SECTIONS if not getattr(self, name)}
        write_coco(path, self.key_order, self.header, sections, empty)


def with_image_ids(annotations: Iterable[CocoAnnotation], ids: Iterable[Id]) -> Iterator[CocoAnnotation]:
    """Annotations with the ids that the images have, where one side writes text and the other numbers."""
    known = set(ids)
    matcher = IdMatcher(known)
    for annotation in annotations:
        if annotation.image_id in known:
            yield annotation
            continue
        meant = matcher.match(annotation.image_id)
        yield annotation if meant == annotation.image_id else msgspec.structs.replace(annotation, image_id=meant)


def write_coco(
    path: Path | str,
    keys: Sequence[str],
    header: Mapping[str, msgspec.Raw],
    sections: Mapping[str, Iterable[bytes]],
    empty: set[str],
) -> None:
    """Write a COCO file from encoded records, none of which need to be in memory at once.

    Args:
        keys: top-level keys in order; a section that is not among them is added unless it is empty.
        header: values of the keys that are no sections, and of empty sections that are written otherwise than ``[]``.
        sections: encoded records of ``images``, ``annotations`` and ``categories``.
        empty: names of the sections without records.

    Raises:
        CocoError: the file cannot be written.
    """
    names = [*keys, *(name for name in SECTIONS if name not in keys and name not in empty)]

    def parts() -> Iterator[bytes]:
        lead = b"{"
        for name in names:
            if name in sections and not (name in empty and name in header):
                yield lead + encode_json(name) + b":["
                between = b""
                for record in sections[name]:
                    yield between + record
                    between = b","
                yield b"]"
            elif name in header:
                yield lead + encode_json(name) + b":" + bytes(header[name])
            else:
                continue
            lead = b","
        yield b"}" if lead == b"," else b"{}"

    write_atomic(path, parts())


def read_results(path: Path | str, unreadable: Callable[[int, CocoError], object] | None = None) -> list[CocoResult]:
    """Read a COCO results list, or the annotations of a COCO file as one.

    Args:
        unreadable: called with the position of a line that cannot be understood, which is left out; None = raise.

    Raises:
        CocoError: naming the file, and the line where one is at fault.
    """
    return list(parse_results(split_list(read_json_bytes(path), path), path, unreadable))


def write_results(path: Path | str, results: Iterable[CocoResult]) -> None:
    """Write a COCO results list, whole or not at all.

    Raises:
        CocoError: the file cannot be written.
    """

    def parts() -> Iterator[bytes]:
        lead = b"["
        for result in results:
            yield lead + result.encoded()
            lead = b","
        yield b"]" if lead == b"," else b"[]"

    write_atomic(path, parts())
