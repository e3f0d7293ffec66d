"""SLEAP's label files, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import PoseError
from engine.formats.hdf5 import SIGNATURE
from engine.formats.registry import CERTAIN, LIKELY, NO, ReadOptions, WriteOptions, register_format
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context
from engine.utils.files import open_regular

_SNIFFED_BYTES = 1 << 20


class SleapFormat:
    """Skeletons, tracks, labels of people and predictions of a ``.slp`` file."""

    name = "sleap"
    title = "SLEAP labels"
    suffixes: tuple[str, ...] = (".slp",)
    can_read = can_write = True
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
        """By the names of SLEAP's tables in the first bytes; the HDF5 library is not used."""
        try:
            with open_regular(path) as file:
                head = file.read(_SNIFFED_BYTES)
        except (OSError, PoseError):
            return NO
        if not head.startswith(SIGNATURE):
            return NO
        if b"metadata" in head and b"videos_json" in head:
            return CERTAIN
        return LIKELY if path.suffix.lower() == ".slp" else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        from engine.formats.sleap.reader import SleapReader

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
        from engine.formats.sleap.writer import write_sleap

        write_sleap(labels, path, options or WriteOptions(), context or Context())


register_format(SleapFormat())
