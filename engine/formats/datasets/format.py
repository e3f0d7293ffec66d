"""Published data sets as label formats: read in the layouts of their makers, written as plain COCO."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from engine.errors import LabelError
from engine.formats.coco.reader import CocoReader
from engine.formats.datasets.conversion import to_document
from engine.formats.datasets.kinds import KINDS, Kind
from engine.formats.datasets.loading import is_coco_style, open_dataset, sniff
from engine.formats.registry import CERTAIN, LIKELY, NO, ReadOptions, WriteOptions, register_format
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context
from engine.utils.skipped import Skipped

_SEVERAL = "several"


class DatasetFormat:
    """One published data set.

    Its COCO-style files are read as COCO, unless this format is named: then all instances have the keypoints of the
    data set, whatever names the file gives them. Garments of DeepFashion2 have the points of their own category.

    Args:
        kind: its facts.
    """

    can_read, can_write = True, False
    keeps: Collection[Feature] = frozenset(
        {Feature.OCCLUSION, Feature.BOXES, Feature.CROWDS, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES}
    )

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name, self.title = kind.name, kind.title
        self.suffixes: tuple[str, ...] = (".txt",) if kind.name.startswith("deepfashion_") else (".json",)

    def sniff(self, path: Path) -> float:
        try:
            state = path.stat()
        except OSError:
            return NO
        name = _name_of(path, state.st_mtime_ns, state.st_size)
        if name == _SEVERAL:
            return LIKELY if self.name.startswith("deepfashion_") else NO
        return CERTAIN if name == self.name else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        context, options = context or Context(), options or ReadOptions()
        skipped = Skipped("records")
        data = open_dataset(self.name, path, options.images or "", split=options.split, skipped=skipped)
        for item in skipped:
            context.report(item.where, f"Unreadable record: it {item.reason}", "left out")
        for reason, count in data.dropped.items():
            context.report("", f"Records with {reason}", f"left out ({count:,})")
        reader = CocoReader(path, to_document(data, own_points=True), context)
        reader.image_folder = options.images or next((i.folder for i in data.images if i.path.is_file()), None)
        return reader

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        raise LabelError(f"{self.title} can be read, but not written; write it as COCO", where=path)


@lru_cache(16)
def _name_of(path: Path, _modified: int, _size: int) -> str:
    """The data set that a path holds; all of them ask in turn, so the last answers are kept.

    Returns: "" for none, and for COCO; _SEVERAL for a list of several types of clothes, of which a person must say one.
    """
    if is_coco_style(path):
        return ""
    try:
        return sniff(path)
    except LabelError:
        return _SEVERAL


for _kind in KINDS.values():
    if _kind.name != "coco":  # that is the format of all COCO files
        register_format(DatasetFormat(_kind))
