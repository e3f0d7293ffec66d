"""CVAT's XML, as label formats: both kinds are read as one, and written as two."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from engine.errors import LabelError
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.text_files import head_of
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

_MAX_FILES = 1000
_ROOT = re.compile(rb"^\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<annotations[\s>]", re.DOTALL)
_CVAT = re.compile(rb"<version>|<meta>|<image\s|<track\s")


class CvatFormat:
    """``annotations.xml`` of "CVAT for images 1.1" and "CVAT for video 1.1"
    (https://docs.cvat.ai/docs/manual/advanced/xml_format/); written for images."""

    name = "cvat"
    title = "CVAT for images"
    suffixes: tuple[str, ...] = (".xml",)
    can_read = can_write = True
    keeps: Collection[Feature] = frozenset({Feature.OCCLUSION, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES})

    def sniff(self, path: Path) -> float:
        return NO if annotations_of(path) is None else CERTAIN

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        from engine.formats.cvat.reader import read_cvat

        labels = read_cvat(annotations_of(path) or path, context or Context())
        labels.image_folder = None if options is None else options.images
        return labels

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        from engine.formats.cvat.writer import write_images

        write_images(labels, path, options or WriteOptions(), context or Context())


class CvatVideoFormat:
    """Tracks of "CVAT for video 1.1"; a file for each video. Read by :class:`CvatFormat`."""

    name = "cvat_video"
    title = "CVAT for video"
    suffixes: tuple[str, ...] = (".xml",)
    can_read, can_write = False, True
    keeps: Collection[Feature] = frozenset(
        {Feature.OCCLUSION, Feature.SEVERAL_CATEGORIES, Feature.TRACKS, Feature.VIDEO_FRAMES, Feature.SEVERAL_MEDIA}
    )

    def sniff(self, path: Path) -> float:
        return NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        raise LabelError("is read as the format cvat", where=path)

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        from engine.formats.cvat.writer import write_videos

        write_videos(labels, path, options or WriteOptions(), context or Context())


def annotations_of(path: Path) -> Path | None:
    """CVAT's XML file: the path itself, or the only one in this folder; None without one."""
    if path.is_dir():
        try:
            files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".xml")[:_MAX_FILES]
        except OSError:
            return None
        matches = [file for file in files if _is_cvat(file)]
        return matches[0] if len(matches) == 1 else None
    return path if _is_cvat(path) else None


def _is_cvat(path: Path) -> bool:
    head = head_of(path)
    head = head.removeprefix(b"\xef\xbb\xbf")
    return _ROOT.match(head) is not None and _CVAT.search(head) is not None


register_format(CvatFormat())
register_format(CvatVideoFormat())
