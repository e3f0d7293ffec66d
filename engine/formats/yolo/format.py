"""YOLO-pose data sets, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.yolo.layout import SUFFIXES, configuration_of, is_labels_folder
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class YoloFormat:
    """A folder with ``data.yaml`` and a text file an image, which has a row an object: class, box, keypoints; all in
    parts of the image size (https://docs.ultralytics.com/datasets/pose/)."""

    name = "yolo"
    title = "YOLO-pose data set"
    suffixes: tuple[str, ...] = SUFFIXES
    can_read = can_write = True
    writes_splits = True
    writes_images = True
    keeps: Collection[Feature] = frozenset(
        {Feature.OCCLUSION, Feature.BOXES, Feature.SEVERAL_CATEGORIES, Feature.EMPTY_FRAMES}
    )

    def sniff(self, path: Path) -> float:
        return NO if configuration_of(path) is None else CERTAIN

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        from engine.formats.yolo.reader import read_yolo

        folder = path if is_labels_folder(path) else None
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


register_format(YoloFormat())
