"""Exports of tracks, labelled frames and labelled videos, in the background. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.media.video.index.folder import index_home
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.exports.files import FilesReport, Steps
from poseapp.project.store import ProjectStore

if TYPE_CHECKING:
    from poseapp.project.exports.labelled_video import PoseColors

TABLES = ("csv", "parquet", "dlc")


class StepsJob:
    """Runs an export on the project as it stands on the disk. Yields one :class:`FilesReport`; cancelled, it leaves no
    file."""

    lane = Lane.IO

    def __init__(self, project: Path, title: str, start: Callable[[ProjectStore], Steps[FilesReport]]) -> None:
        self.title = title
        self._project, self._start = project, start

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, 0, self.title)
        with ProjectStore.open(self._project, read_only=True, context=context) as store:
            steps = self._start(store)
            done = total = 0
            try:
                while True:
                    done, total = next(steps)
                    yield Progress(done, total)
            except StopIteration as end:
                yield Progress(total, total, self.title, end.value)
            finally:
                steps.close()


def table_job(project: Path, target: Path, kind: str, media: int, include_predicted: bool) -> StepsJob:
    """Tracks as a table: "csv", "parquet", or "dlc", the one that DeepLabCut writes."""

    def steps(store: ProjectStore) -> Steps[FilesReport]:
        from poseapp.project.exports import tables

        yield 0, 0
        if kind == "dlc":
            return tables.export_dlc(store, target, media, include_predicted=include_predicted, cache=index_home())
        options = tables.TableOptions(include_predicted=include_predicted)
        write = tables.export_parquet if kind == "parquet" else tables.export_csv
        return write(store, target, options, cache=index_home())

    return StepsJob(project, f"Exporting {target.name}", steps)


def frames_job(project: Path, folder: Path, include_predicted: bool, picture_format: str) -> StepsJob:
    """Labelled frames as pictures with a COCO file."""

    def steps(store: ProjectStore) -> Steps[FilesReport]:
        from poseapp.project.exports.labelled_frames import export_labelled_frames

        return export_labelled_frames(
            store, folder, include_predicted=include_predicted, picture_format=picture_format, cache=index_home()
        )

    return StepsJob(project, f"Exporting frames to {folder.name}", steps)


def video_job(
    project: Path,
    target: Path,
    media: int,
    include_predicted: bool,
    frames: tuple[int, int] | None = None,
    colors: PoseColors | None = None,
) -> StepsJob:
    """A video with its poses drawn; of the frames from one to another, both included, or of all.

    Args:
        colors: of the poses; those of their schemas for None.
    """
    first, last = (0, None) if frames is None else frames

    def steps(store: ProjectStore) -> Steps[FilesReport]:
        from poseapp.project.exports.labelled_video import DrawOptions, export_labelled_video

        options = DrawOptions(include_predicted=include_predicted, colors=colors)
        return export_labelled_video(store, target, media, options, first=first, last=last, cache=index_home())

    return StepsJob(project, f"Exporting {target.name}", steps)
