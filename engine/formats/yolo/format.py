"""YOLO-pose data sets, as a label format."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.text_files import head_of
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

SUFFIXES = (".yaml", ".yml")
_SHAPE = re.compile(rb"^[\"']?kpt_shape[\"']?\s*:", re.MULTILINE)
_MAX_FILES = 1000
_MAX_ENTRIES = 100_000
_MAX_ABOVE = 3


class YoloFormat:
    """A folder with ``data.yaml`` and a text file an image, which has a row an object: class, box, keypoints; all in
    parts of the image size (https://docs.ultralytics.com/datasets/pose/)."""

    name = "yolo"
    title = "YOLO-pose data set"
    suffixes: tuple[str, ...] = SUFFIXES
    can_read = can_write = True
    keeps: Collection[Feature] = frozenset(
        {Feature.OCCLUSION, Feature.BOXES, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES}
    )

    def sniff(self, path: Path) -> float:
        return NO if configuration_of(path) is None else CERTAIN

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        from engine.formats.yolo.reader import read_yolo

        folder = path if _is_labels_folder(path) else None
        return read_yolo(configuration_of(path) or path, context or Context(), options or ReadOptions(), folder)

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        from engine.formats.yolo.writer import write_yolo

        write_yolo(labels, path, options or WriteOptions(), context or Context())


def configuration_of(path: Path) -> Path | None:
    """The YAML file that describes a pose data set: the path itself, a file in this folder, or one in the folders above
    a folder ``labels``; None without one."""
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return path if _SHAPE.search(head_of(path)) else None
    if _is_labels_folder(path):
        return next((file for folder in path.absolute().parents[:_MAX_ABOVE] if (file := _file_in(folder))), None)
    return _file_in(path)


def _is_labels_folder(path: Path) -> bool:
    """Whether it is a folder ``labels``, or a split of one, with label files in it."""
    if "labels" not in path.absolute().parts[-2:]:
        return False
    try:
        return any(file.suffix.lower() == ".txt" for file in islice(path.iterdir(), _MAX_FILES))
    except OSError:
        return False


def _file_in(folder: Path) -> Path | None:
    try:
        files = sorted(file for file in islice(folder.iterdir(), _MAX_ENTRIES) if file.suffix.lower() in SUFFIXES)
    except OSError:
        return None
    files = sorted(files[:_MAX_FILES], key=lambda file: file.stem.lower() not in ("data", "dataset"))
    return next((file for file in files if _SHAPE.search(head_of(file))), None)


register_format(YoloFormat())
