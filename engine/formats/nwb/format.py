"""NWB files with poses, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import LabelError, ProjectError
from engine.formats.base import BaseFormat
from engine.formats.hdf5 import SIGNATURE
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.formats.text_files import head_of
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class NwbFormat(BaseFormat):
    """Predictions as ``PoseEstimation`` and labels as ``PoseTraining`` of the extension ndx-pose
    (https://github.com/rly/ndx-pose). Writing needs the packages pynwb and ndx-pose."""

    name = "nwb"
    title = "NWB with poses"
    suffixes: tuple[str, ...] = (".nwb",)
    keeps: Collection[Feature] = frozenset(
        {
            Feature.OCCLUSION,
            Feature.TRACKS,
            Feature.TRACK_NAMES,
            Feature.SEVERAL_CATEGORIES,
            Feature.SEVERAL_MEDIA,
            Feature.VIDEO_FRAMES,
        }
    )

    def sniff(self, path: Path) -> float:
        is_hdf5 = path.suffix.lower() == ".nwb" and head_of(path, 8) == SIGNATURE
        return CERTAIN if is_hdf5 else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        from engine.formats.nwb.reader import read_nwb

        try:
            return read_nwb(path, context)
        except ProjectError as error:
            raise LabelError(error.message, where=error.where) from None

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        from engine.formats.nwb.writer import write_nwb

        write_nwb(labels, path, options, context)


register_format(NwbFormat())
