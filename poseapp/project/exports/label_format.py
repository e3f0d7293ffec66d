"""Label formats as exports: whatever the registry of label formats can write."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engine.formats.registry import LabelFormat, WriteOptions, formats
from engine.labels.features import count_features, lost_features
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
        labels = ProjectLabels(store)
        lost = lost_features(count_features(labels, context), self._format.keeps)
        # A data set for training that has splits is of no use without its images.
        images: Literal["none", "copy"] = "copy" if getattr(self._format, "writes_splits", False) else "none"
        write_options = WriteOptions(include_predictions=options.include_predicted, images=images)
        self._format.write(labels, target, write_options, context)
        problems = [f"{self.title} cannot keep {phrase}" for phrase in lost]
        written = target if target.exists() else target.with_suffix("")  # a data set in a folder of that name
        return FilesReport(written, labels.num_instances(), [*problems, *context.findings.sentences()])


def label_exports() -> list[Export]:
    """An export for each label format that can be written.

    An export of the project that has the name of a format goes before: it knows more of the project.
    """
    return [find_export(format.name) or LabelFormatExport(format) for format in formats() if format.can_write]
