"""labelme and X-AnyLabeling, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.formats.base import BaseFormat
from engine.formats.file_labels import holds_one, subfolders
from engine.formats.labelme.pose_config import config_in
from engine.formats.registry import CERTAIN, LIKELY, NO, ReadOptions, WriteOptions, register_format
from engine.formats.results.files import first_keys
from engine.formats.text_files import head_of
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

_OTHERS = frozenset({"version", "flags", "imagePath", "imageData", "imageHeight", "imageWidth", "checked"})
_PARTS = frozenset({"annotations", "jsons", "json", "labels", "train", "val", "valid", "test", "images"})


class LabelmeFormat(BaseFormat):
    """A JSON file of labelme (https://github.com/wkentaro/labelme) or X-AnyLabeling
    (https://github.com/CVHub520/X-AnyLabeling), or a folder with one for each image."""

    name = "labelme"
    title = "labelme and X-AnyLabeling"
    suffixes: tuple[str, ...] = ()
    reads_subfolders = True
    writes_images = True
    keeps: Collection[Feature] = frozenset(
        {Feature.OCCLUSION, Feature.BOXES, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES}
    )

    def sniff(self, path: Path) -> float:
        if not path.is_dir():
            return _sureness(path)
        if holds_one(path, is_labelme):
            return LIKELY
        children = subfolders(path)
        has_config = bool(children) and config_in(path) is not None
        parts = [child for child in children if has_config or child.name.lower() in _PARTS]
        return LIKELY if any(_has_labels(part, depth=2) for part in parts) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        from engine.formats.labelme.reader import read_labelme

        return read_labelme(path, context)

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        from engine.formats.labelme.writer import write_labelme

        write_labelme(labels, path, options, context)


def is_labelme(path: Path) -> bool:
    """Whether a file is of labelme or X-AnyLabeling, by its beginning."""
    return _sureness(path) > NO


def _sureness(path: Path) -> float:
    if path.suffix.lower() != ".json":
        return NO
    is_list, keys, values = first_keys(path)
    if is_list or not isinstance(values.get("shapes", []), list):
        return NO
    if "shapes" in keys:
        return CERTAIN if keys & _OTHERS else LIKELY if b'"points"' in head_of(path) else NO
    return CERTAIN if "imageData" in keys and "imageData" not in values and keys & (_OTHERS - {"imageData"}) else NO


def _has_labels(folder: Path, depth: int) -> bool:
    return holds_one(folder, is_labelme) or (
        depth > 0 and any(_has_labels(child, depth - 1) for child in subfolders(folder))
    )


register_format(LabelmeFormat())
