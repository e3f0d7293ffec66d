"""Lightning Pose's data sets: DeepLabCut's table in one file ``CollectedData.csv`` for all videos, one animal.

Format: https://lightning-pose.readthedocs.io/en/latest/source/directory_structure_reference/singleview_structure.html
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import LabelError
from engine.formats.deeplabcut.individuals import Individuals, PoseGroups, largest_first
from engine.formats.deeplabcut.project import Project
from engine.formats.frame_images import FrameImages, new_folder, safe_part
from engine.formats.registry import NO, ReadOptions, WriteOptions, register_format
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import ERROR, INFO, Context


class LightningPoseFormat:
    """A folder with ``CollectedData.csv``, ``labeled-data`` and ``videos``.

    It is read as DeepLabCut's labels, which recognize such a folder too.
    """

    name = "lightning_pose"
    title = "Lightning Pose data set"
    suffixes: tuple[str, ...] = ()
    can_read = can_write = True
    names_categories = False  # its tables have one kind of animal, without a name
    writes_images = True
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        return NO

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
        write_lightning_pose(labels, path, options or WriteOptions(), context or Context())


def write_lightning_pose(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a data set into a new folder; each further category gets one in a subfolder.

    Raises:
        LabelError: there are no labels, the folder is not empty, or it cannot be written.
        Cancelled: the context was cancelled; nothing is left behind.
    """
    groups = PoseGroups(labels, options, context, by_media=False, is_apart=set(range(len(labels.media))))
    tables = groups.tables(list(labels.frames()))
    predicted = sum(table.num_poses for key, table in tables.items() if key[2])
    if predicted:
        context.report("", "Predictions, which such a data set does not have", "left out", count=predicted)
    labelled = {key: table for key, table in tables.items() if not key[2]}
    if not labelled:
        raise LabelError("there are no labelled poses, which such a data set needs", where=path)
    images = FrameImages(labels)
    try:
        with new_folder(path) as temporary:
            for index, key in enumerate(largest_first(labelled)):
                category = labels.categories[key[1]]
                subfolder = safe_part(category.name) if index else ""
                if index:
                    what = f"Further category is a data set of its own in {subfolder}"
                    context.report(category.name, what, severity=INFO)
                animal = _first_of_each_frame(labelled[key], context)
                folder, location = temporary / subfolder, path.absolute() / subfolder
                Project(labels, images, [(animal, category.schema)], category.name, folder, location).write_one_table(
                    options, context
                )
    finally:
        images.close()


def _first_of_each_frame(table: Individuals, context: Context) -> Individuals:
    """One animal: the first individual that each frame has."""
    merged: Individuals = Individuals({"": {}})
    for name, by_frame in table.poses.items():
        for frame, instance in by_frame.items():
            if merged.poses[""].setdefault(frame, instance) is not instance:
                context.report(
                    f"{name}, frame {frame}", "Second animal in an image, which this format does not have", "left out",
                    severity=ERROR,
                )  # fmt: skip
    return merged


register_format(LightningPoseFormat())
