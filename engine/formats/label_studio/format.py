"""Label Studio, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.formats.base import BaseFormat
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.results.files import first_keys
from engine.formats.text_files import head_of
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

_RESULTS = (b'"completed_by"', b'"original_width"', b'"model_version"', b'"from_name"')


class LabelStudioFormat(BaseFormat):
    """A JSON file of tasks with annotations and predictions
    (https://labelstud.io/guide/task_format); the labeling configuration is an XML file beside it."""

    name = "label_studio"
    title = "Label Studio"
    suffixes: tuple[str, ...] = (".json",)
    keeps: Collection[Feature] = frozenset(
        {Feature.OCCLUSION, Feature.BOXES, Feature.SCORES, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES}
    )

    def sniff(self, path: Path) -> float:
        if path.suffix.lower() != ".json" or path.is_dir():
            return NO
        _, keys, values = first_keys(path)
        if not keys & {"annotations", "predictions"} or "images" in keys:
            return NO
        if isinstance(values.get("data"), dict):
            return CERTAIN
        head = head_of(path)
        return CERTAIN if b'"result"' in head and any(key in head for key in _RESULTS) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        from engine.formats.label_studio.reader import read_label_studio

        return read_label_studio(path, context, options)

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        from engine.formats.label_studio.writer import write_label_studio

        write_label_studio(labels, path, options, context)


register_format(LabelStudioFormat())
