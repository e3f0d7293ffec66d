"""V7 Darwin, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.formats.base import BaseFormat
from engine.formats.file_labels import holds_one, holds_one_below, subfolders
from engine.formats.registry import CERTAIN, LIKELY, NO, ReadOptions, WriteOptions, register_format
from engine.formats.results.files import first_keys
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class DarwinFormat(BaseFormat):
    """A JSON file of Darwin 2.0 or 1.0 (https://docs.v7labs.com/reference/darwin-json), or a folder with one for each
    image or video; written as 2.0."""

    name = "darwin"
    title = "V7 Darwin"
    suffixes: tuple[str, ...] = ()
    reads_subfolders = True
    writes_images = True
    keeps: Collection[Feature] = frozenset(
        {
            Feature.OCCLUSION,
            Feature.BOXES,
            Feature.TRACKS,
            Feature.SEVERAL_CATEGORIES,
            Feature.SEVERAL_MEDIA,
            Feature.VIDEO_FRAMES,
            Feature.EMPTY_FRAMES,
        }
    )

    def sniff(self, path: Path) -> float:
        if not path.is_dir():
            return CERTAIN if is_darwin(path) else NO
        parts = [child for child in subfolders(path) if child.name == "annotations"]
        is_one = holds_one(path, is_darwin) or any(holds_one_below(folder, is_darwin) for folder in parts)
        return LIKELY if is_one else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        from engine.formats.darwin.reader import read_darwin

        return read_darwin(path, context)

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        from engine.formats.darwin.writer import write_darwin

        write_darwin(labels, path, options, context)


def is_darwin(path: Path) -> bool:
    """Whether a file is of Darwin 2.0 or 1.0, by its beginning."""
    if path.suffix.lower() != ".json":
        return False
    is_list, keys, values = first_keys(path)
    if is_list or "images" in keys:
        return False
    item, image = values.get("item"), values.get("image")
    if isinstance(item, dict) and ("slots" in item or "annotations" in keys):
        return True
    if "item" in keys and item is None:  # longer than what was read
        return str(values.get("version", "")).startswith("2")
    return isinstance(image, dict) and "annotations" in keys and bool({"filename", "original_filename"} & image.keys())


register_format(DarwinFormat())
