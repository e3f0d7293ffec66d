"""DeepLabCut's label tables and project folders, as a label format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import PoseError
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class DlcFormat:
    """``CollectedData_*.csv`` or ``.h5``, the table of an analysed video, or the folder of a project.

    Written are tables for paths that end in ".csv" or ".h5", else a project folder.
    """

    name = "deeplabcut"
    title = "DeepLabCut labels"
    suffixes: tuple[str, ...] = (".csv", ".h5")
    can_read = can_write = True
    names_categories = False  # its tables have one kind of animal, without a name
    writes_images = True
    keeps: Collection[Feature] = frozenset(
        {
            Feature.SCORES,
            Feature.TRACKS,
            Feature.TRACK_NAMES,
            Feature.SEVERAL_CATEGORIES,  # each in a table of its own
            Feature.SEVERAL_MEDIA,
            Feature.VIDEO_FRAMES,
            Feature.EMPTY_FRAMES,
        }
    )

    def sniff(self, path: Path) -> float:
        from engine.formats.deeplabcut.folder import is_dlc_folder
        from engine.formats.deeplabcut.table import is_table

        try:
            is_dlc = is_dlc_folder(path) if path.is_dir() else is_table(path)
        except (OSError, PoseError):
            return NO
        return CERTAIN if is_dlc else NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        from engine.formats.deeplabcut.reader import DlcReader

        reader = DlcReader(path, context)
        reader.image_folder = None if options is None else options.images
        return reader

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        from engine.formats.deeplabcut.project import write_project
        from engine.formats.deeplabcut.writer import is_table_path, write_tables

        write = write_tables if is_table_path(path) else write_project
        write(labels, path, options or WriteOptions(), context or Context())


register_format(DlcFormat())
