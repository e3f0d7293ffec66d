"""COCO keypoints as an export: records that came from a COCO file go out as they came in."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine.convert import write_splits
from engine.formats.registry import WriteOptions, format_named, read_labels
from engine.labels.splitting import assign_splits, parse_fractions
from engine.utils.context import Context
from poseapp.project.exports.files import FilesReport, Steps
from poseapp.project.exports.registry import ExportOptions, register_export
from poseapp.project.store import ProjectStore


class CocoExport:
    """Offered by its own dialog, and among all label formats."""

    name, action, unit = "coco", "export_coco", "poses"
    title, suffix = "COCO keypoints", ".json"

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        from poseapp.project.formats.coco.exporter import export_coco

        yield 0, 0
        choices = {"include_predicted": options.include_predicted, "only_labelled_frames": options.labelled_only}
        if not options.splits:
            report = export_coco(store, target, **choices, context=context)
            return FilesReport(target, report.annotations, list(report.problems))
        with tempfile.TemporaryDirectory(prefix="poseapp-export-") as folder:
            whole = Path(folder, target.name)
            report = export_coco(store, whole, **choices, context=context)
            with read_labels(whole, format=self.name) as labels:  # records stay as they came
                splits = assign_splits(labels, parse_fractions(options.splits), options.split_by)
                written = write_splits(labels, format_named(self.name), target, WriteOptions(), splits, context)
        return FilesReport(written, report.annotations, list(report.problems))


register_export(CocoExport())
