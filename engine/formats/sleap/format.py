"""SLEAP's label files, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import LabelError
from engine.formats.registry import CERTAIN, LIKELY, NO, ReadOptions, WriteOptions, register_format
from engine.formats.sleap.reader import SleapReader, is_hdf5, sniff_sleap
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class SleapFormat:
    """Skeletons, tracks, labels of people and predictions of a ``.slp`` file."""

    name = "sleap"
    title = "SLEAP labels"
    suffixes: tuple[str, ...] = (".slp",)
    can_read, can_write = True, False
    keeps: Collection[Feature] = frozenset(
        {
            Feature.OCCLUSION,
            Feature.SCORES,
            Feature.TRACKS,
            Feature.TRACK_NAMES,
            Feature.SEVERAL_CATEGORIES,
            Feature.SEVERAL_MEDIA,
            Feature.VIDEO_FRAMES,
            Feature.EMPTY_FRAMES,
            Feature.FRAME_MARKS,
        }
    )

    def sniff(self, path: Path) -> float:
        if sniff_sleap(path):
            return CERTAIN
        return LIKELY if path.suffix.lower() == ".slp" and is_hdf5(path) else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        reader = SleapReader(path, context)
        reader.image_folder = None if options is None else options.images
        return reader

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        raise LabelError(f"{self.title} can be read, but not written", where=path)


register_format(SleapFormat())
