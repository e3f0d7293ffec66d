"""COCO keypoints as an export: records that came from a COCO file go out as they came in."""

from __future__ import annotations

from pathlib import Path

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
        report = export_coco(store, target, include_predicted=options.include_predicted, context=context)
        return FilesReport(target, report.annotations, list(report.problems))


register_export(CocoExport())
