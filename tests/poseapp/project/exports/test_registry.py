"""The registry of exports, with an export defined in one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import Cancelled
from engine.utils.context import Context
from poseapp.jobs.exporting import export_job
from poseapp.project.exports.files import FilesReport, Steps, run_steps
from poseapp.project.exports.label_format import label_exports
from poseapp.project.exports.registry import (
    Export,
    ExportOptions,
    all_exports,
    exports_of,
    register_export,
    unregister_export,
)
from poseapp.project.store import ProjectStore


class CountExport:
    """A file with the number of poses."""

    name, action, unit = "count", "export_tracks", "poses"
    title, suffix = "Number of poses", ".txt"

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        yield 0, 1
        count = sum(1 for _ in store.all_instances())
        target.write_text(str(count))
        return FilesReport(target, count)


@pytest.fixture
def counting() -> Iterator[Export]:
    yield register_export(CountExport())
    unregister_export("count")


def test_an_export_is_offered_by_its_menu_item_and_written_by_a_job(
    counting: Export, project: Path, tmp_path: Path
) -> None:
    assert counting in exports_of("export_tracks")
    target = tmp_path / "count.txt"
    *_, last = export_job(project, target, counting, ExportOptions()).run(Context())
    assert (last.result.path, last.result.count, target.read_text()) == (target, 3, "3")


def test_every_export_names_a_menu_item_and_no_two_share_a_type_of_file() -> None:
    from poseapp.window.actions import BY_ID

    for export in all_exports():
        assert export.action in BY_ID
    titles = [(export.action, export.title, export.suffix) for export in all_exports()]
    assert len(set(titles)) == len(titles)


def test_every_label_format_that_can_be_written_is_written(project: Path, tmp_path: Path) -> None:
    with ProjectStore.open(project, read_only=True) as store:
        media = store.media()[0].id
        for export in label_exports():
            if export.name == "parquet":
                pytest.importorskip("pyarrow")
            target = tmp_path / f"{export.name}{export.suffix}"
            report = run_steps(export.write(store, target, ExportOptions(media=media), Context()))
            assert report.path in (target, target.with_suffix(""))
            assert report.path.stat().st_size > 0


def test_a_cancelled_export_leaves_no_file(project: Path, tmp_path: Path) -> None:
    context = Context()
    context.cancel()
    folder = tmp_path / "out"
    folder.mkdir()
    with ProjectStore.open(project, read_only=True) as store:
        for export in label_exports():
            steps = export.write(store, folder / f"a{export.suffix}", ExportOptions(), context)
            with pytest.raises(Cancelled):
                run_steps(steps)
    assert list(folder.iterdir()) == []
