"""COCO keypoints, as a label format: everything that a file holds survives."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.formats.coco.reader import CocoReader
from engine.formats.coco.stream import open_document
from engine.formats.coco.writer import write_coco_labels
from engine.formats.registry import LIKELY, NO, POSSIBLE, ReadOptions, WriteOptions, register_format
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context
from engine.utils.files import open_regular

_LOOKED_AT = 64 << 10  # bytes at the beginning and at the end of a file
_BLANK = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"


class CocoFormat:
    """A JSON object with ``images``, ``annotations`` and ``categories``."""

    name = "coco"
    title = "COCO keypoints"
    suffixes: tuple[str, ...] = (".json",)
    can_read = can_write = True
    keeps: Collection[Feature] = frozenset(Feature) - {Feature.FRAME_MARKS}

    def sniff(self, path: Path) -> float:
        """LIKELY for an object with COCO's keys; POSSIBLE for any other JSON, which reading then says what it is."""
        try:
            with open_regular(path) as file:
                head = file.read(_LOOKED_AT)
                file.seek(max(0, path.stat().st_size - _LOOKED_AT))
                tail = file.read(_LOOKED_AT)
        except OSError:
            return NO
        content = head.replace(b"\0", b"") + tail.replace(b"\0", b"")  # UTF-16
        if head.lstrip(_BLANK)[:1] == b"{" and b'"images"' in content:
            return LIKELY
        return POSSIBLE if path.suffix.lower() == ".json" else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        reader = CocoReader(path, open_document(path, context), context)
        reader.image_folder = None if options is None else options.images
        return reader

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        write_coco_labels(labels, path, options, context)


register_format(CocoFormat())
