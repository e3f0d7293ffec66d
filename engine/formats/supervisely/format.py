"""Supervisely, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.formats.base import BaseFormat
from engine.formats.file_labels import subfolders
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.results.files import first_keys
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

META = "meta.json"


class SuperviselyFormat(BaseFormat):
    """A project: ``meta.json``, and in each data set the folders ``img`` and ``ann``
    (https://developer.supervisely.com/getting-started/supervisely-annotation-format)."""

    name = "supervisely"
    title = "Supervisely project"
    suffixes: tuple[str, ...] = ()
    reads_subfolders = True
    writes_images = True
    keeps: Collection[Feature] = frozenset({Feature.OCCLUSION, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES})

    def sniff(self, path: Path) -> float:
        return NO if project_of(path) is None else CERTAIN

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        from engine.formats.supervisely.reader import read_supervisely

        return read_supervisely(path, project_of(path) or path, context)

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        from engine.formats.supervisely.writer import write_supervisely

        write_supervisely(labels, path, options, context)


def project_of(path: Path) -> Path | None:
    """The folder of a project, from that folder or its ``meta.json``; None if it is none. Never raises."""
    folder = path if path.is_dir() else path.parent if path.name == META else None
    if folder is None:
        return None
    is_list, keys, values = first_keys(folder / META)
    if is_list or "classes" not in keys or not isinstance(values.get("classes", []), list):
        return None
    return folder if any((child / "ann").is_dir() for child in subfolders(folder)) else None


register_format(SuperviselyFormat())
