"""Label formats as exports: whatever the registry of label formats can write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.convert import write_splits
from engine.formats.crops import CroppedLabels
from engine.formats.registry import LabelFormat, WriteOptions, formats
from engine.labels.features import Feature, count_features, lost_features
from engine.labels.reader import LabelReader
from engine.labels.splitting import FramesSubset, assign_splits, labelled_frames, parse_fractions
from engine.utils.context import Context
from poseapp.project.exporting import ProjectLabels
from poseapp.project.exports.files import FilesReport, Steps
from poseapp.project.exports.registry import Export, ExportOptions, find_export
from poseapp.project.store import ProjectStore


class LabelFormatExport:
    """A label format, written from all labels of a project."""

    action, unit = "export_labels", "poses"

    def __init__(self, format: LabelFormat) -> None:
        self._format = format
        self.name, self.title = format.name, format.title
        self.suffix = format.suffixes[0] if format.suffixes else ""

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        yield 0, 0
        everything = ProjectLabels(store)
        labels: LabelReader = everything
        if options.labelled_only:
            frames = labelled_frames(everything, include_predictions=options.include_predicted, context=context)
            labels = FramesSubset(everything, frames)
        images = options.images if getattr(self._format, "writes_images", False) else "none"
        if images == "crop":
            labels, images = CroppedLabels(labels, context=context), "copy"
        lost = lost_features(count_features(labels, context), {*self._format.keeps, Feature.UNKNOWN_KEYS})
        how = WriteOptions(include_predictions=options.include_predicted, images=images)
        if options.splits:
            splits = assign_splits(labels, parse_fractions(options.splits), options.split_by)
            written = write_splits(labels, self._format, target, how, splits, context)
        else:
            self._format.write(labels, target, how, context)
            written = target if target.exists() else target.with_suffix("")  # a data set in a folder of that name
        count = sum(i.is_pose and (options.include_predicted or not i.is_prediction) for i in labels.instances())
        problems = [f"{self.title} cannot keep {phrase}" for phrase in lost]
        return FilesReport(written, count, [*problems, *context.findings.sentences()])


def features_of(store: ProjectStore) -> Counter[Feature]:
    """How much of each feature a project holds."""
    return count_features(ProjectLabels(store))


def label_exports() -> list[Export]:
    """An export for each label format that can be written.

    An export of the project that has the name of a format goes before: it knows more of the project.
    """
    return [find_export(format.name) or LabelFormatExport(format) for format in formats() if format.can_write]
