"""Poses as tables: one row per pose (CSV, Parquet), or the table that DeepLabCut writes for an analysed video.

Coordinates are image pixels, pixel centers at integers. DeepLabCut's table counts the stored pixels of a video, which
differ from the pixels that are shown if they are not square. An absent keypoint has empty cells.
"""

from __future__ import annotations

import contextlib
import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError, ProjectError
from engine.formats.deeplabcut.writer import Cell as DlcCell
from engine.formats.deeplabcut.writer import Pose, free_names, header, pose_cells, write_rows
from engine.formats.pose_table import PARTS, Cell, as_text, columns_of, load_pyarrow, unique_names, write_parquet
from engine.labels.image_size import GridTransform
from engine.media.source import open_media
from engine.media.video.frame_size import opencv_grid
from engine.utils.context import Context
from poseapp.project.exports.files import FilesReport, Steps, written
from poseapp.project.exports.registry import ExportOptions, register_export
from poseapp.project.model import Category, FrameKey, Instance, Media, State
from poseapp.project.queries.tracks import frames_with_instances
from poseapp.project.storage.file_names import readable
from poseapp.project.store import ProjectStore

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TableOptions:
    """What a table holds.

    Attributes:
        media: ids of media; None = all.
        include_predicted: also predictions that nobody has accepted.
        only_tracked: leave out poses without a track.
    """

    media: Sequence[int] | None = None
    include_predicted: bool = True
    only_tracked: bool = False

    def wants(self, instance: Instance) -> bool:
        """Whether the table holds a pose."""
        return (self.include_predicted or instance.state is State.LABELLED) and (
            not self.only_tracked or instance.track is not None
        )


def export_csv(
    store: ProjectStore,
    path: Path | str,
    options: TableOptions | None = None,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> FilesReport:
    """Write one row per pose: frame, time, track, scores, box, and x, y, visibility, score of every keypoint.

    Args:
        cache: folder where indices of videos are kept, for the times.
        progress: called now and then with frames done and in all; whatever it raises stops the export.

    Raises:
        ProjectError: the file cannot be written.
    """
    table = _Table(store, options or TableOptions(), cache)
    report = FilesReport(Path(path))
    with written(report.path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        changed = 0
        for row in table.rows(progress):
            cells = [as_text(cell) for cell in row]
            changed += sum(isinstance(cell, str) and cell != "" and cell is not own for cell, own in zip(cells, row))
            writer.writerow(cells)
            report.count += 1
    report.problems = table.problems
    if changed:
        report.problems = [
            *table.problems,
            f"{changed} names begin as a formula does (= + - @); an apostrophe was put before them, so that no "
            "spreadsheet runs them",
        ]
    return report


def export_parquet(
    store: ProjectStore,
    path: Path | str,
    options: TableOptions | None = None,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> FilesReport:
    """Write the table of :func:`export_csv` with types, for millions of rows.

    Raises:
        LabelError: pyarrow is not installed. ProjectError: the file cannot be written.
    """
    report = FilesReport(Path(path))
    pyarrow = load_pyarrow(report.path)
    table = _Table(store, options or TableOptions(), cache)
    with written(report.path) as temporary:
        report.count = write_parquet(pyarrow, temporary, table.columns, table.rows(progress))
    report.problems = table.problems
    return report


def export_dlc(
    store: ProjectStore,
    path: Path | str,
    media: int,
    *,
    include_predicted: bool = True,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> FilesReport:
    """Write the table that DeepLabCut writes for an analysed video.

    A row per frame holds x, y and likelihood of every keypoint of each individual; for labels the likelihood is 1.

    An individual is a track; without any tracks, the first, second, ... pose of a frame. Each further category gets a
    table of its own beside it, named after the category.

    Args:
        cache: folder where indices of videos are kept, for the pixel grid of the video.

    Raises:
        ProjectError: there is no such media, nothing to write, or the file cannot be written.
    """
    count = _frame_count(store, media)
    categories = {c.id: c for c in store.categories()}
    poses, problems = _poses_by_individual(store, media, include_predicted)
    report = FilesReport(Path(path), problems=problems)
    if not poses:
        raise ProjectError("there are no poses to write into such a table", where=report.path)
    grid = _grid_of(store, media, cache, report)
    sizes: Counter[int] = Counter()
    for (_, category), by_frame in poses.items():
        sizes[category] += len(by_frame)
    order = [category for category, _ in sizes.most_common()]
    targets = free_names(report.path, [categories[category].name for category in order])
    with contextlib.ExitStack() as stack:  # all of the tables or none
        for index, (category, target) in enumerate(zip(order, targets)):
            of_category = {name: by_frame for (name, other), by_frame in poses.items() if other == category}
            temporary = stack.enter_context(written(target))
            names = categories[category].schema.names

            def report_frames(done: int, total: int, index: int = index) -> None:
                if progress is not None:
                    progress(index * total + done, len(order) * total)

            _write_dlc(temporary, of_category, names, count, grid, report_frames)
    report.count = count
    for category, target in list(zip(order, targets))[1:]:
        report.problems.append(
            f"{categories[category].name!r} has other points and is in a table of its own: {target.name}"
        )
    return report


def _write_dlc(
    path: Path,
    poses: Mapping[str, Mapping[int, Instance]],
    names: Sequence[str],
    count: int,
    grid: GridTransform | None,
    progress: Progress,
) -> None:
    """Write one table: the pose of each individual by frame index, all of one category."""

    def rows() -> Iterator[tuple[int, list[DlcCell]]]:
        for index in range(count):
            if index % 1000 == 0:
                progress(index, count)
            cells = (pose_cells(_dlc_pose(of.get(index)), len(names), 3, grid) for of in poses.values())
            yield index, list(chain.from_iterable(cells))

    write_rows(path, header(list(poses), names), rows())


class _Table:
    """Columns and rows for the poses of a project."""

    def __init__(self, store: ProjectStore, options: TableOptions, cache: Path | None) -> None:
        self._store, self._options, self._cache = store, options, cache
        self._categories = {c.id: c for c in store.categories()}
        media = store.media()
        paths = [readable(m.path) for m in media]
        names = unique_names([Path(path).name for path in paths], paths)
        self._media_names = {m.id: name for m, name in zip(media, names, strict=True)}
        used = {category_id for (category_id,) in store.database.rows("SELECT DISTINCT category FROM instance")}
        self._used = [c for category_id, c in self._categories.items() if category_id in used] or list(
            self._categories.values()
        )
        points = dict.fromkeys(name for category in self._used for name in category.schema.names)
        self._place = {name: n for n, name in enumerate(points)}
        self.columns = columns_of(points)
        self.problems: list[str] = []

    def rows(self, progress: Progress | None) -> Iterator[list[Cell]]:
        total, done = self._store.frame_count(), 0
        for media in self._store.media():
            if self._options.media is not None and media.id not in self._options.media:
                continue
            times = self._times(media)
            names = {frame.key.index: frame.name for frame in self._store.frames(media.id)}
            for key, instances in frames_with_instances(self._store, media.id):
                if progress is not None and done % 200 == 0:
                    progress(done, total)
                done += 1
                time = float(times[key.index]) if key.index < len(times) else None
                for instance in filter(self._options.wants, instances):
                    yield self._row(media, key, names.get(key.index, ""), time, instance)

    def _row(self, media: Media, key: FrameKey, name: str, time: float | None, instance: Instance) -> list[Cell]:
        category = self._categories[instance.category]
        head: list[Cell] = [
            self._media_names[media.id],
            key.index,
            readable(name),
            time,
            instance.track,
            category.name,
            instance.state.value,
        ]
        head += [instance.source, instance.score]
        head += [None] * 4 if instance.box is None else instance.box.tolist()
        cells: list[Cell] = [None] * (len(PARTS) * len(self._place))
        for point, (x, y), seen, score in _points(category, instance):
            at = self._place[point] * len(PARTS)
            cells[at : at + 4] = [x, y, seen, score] if seen else [None, None, 0, score]
        return head + cells

    def _times(self, media: Media) -> npt.NDArray[np.float64]:
        """Time of each frame of a video in seconds; empty for images, and for a video that cannot be opened."""
        if media.kind != "video":
            return np.zeros(0)
        try:
            with open_media(media.path, cache=self._cache) as source:
                return np.array([source.time(n) for n in range(source.frame_count)])
        except PoseError as error:
            self.problems.append(f"Times are left out: {error}")
            return np.zeros(0)


def _points(category: Category, instance: Instance) -> Iterable[tuple[str, tuple[float, float], int, float | None]]:
    scores: list[Any] = [None] * instance.num_keypoints if instance.scores is None else instance.scores.tolist()
    return zip(category.schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), scores)


def _frame_count(store: ProjectStore, media: int) -> int:
    row = store.database.row("SELECT max(idx) FROM frame WHERE media = ?", (media,))
    if row is None or row[0] is None:
        raise ProjectError(f"there is no media {media} with frames", where=store.path)
    return int(row[0]) + 1


def _poses_by_individual(
    store: ProjectStore, media: int, include_predicted: bool
) -> tuple[dict[tuple[str, int], dict[int, Instance]], list[str]]:
    """The pose in each frame by individual and category, and what was left out, as sentences."""
    tracked: defaultdict[tuple[int, int], dict[int, Instance]] = defaultdict(dict)
    alone: defaultdict[tuple[int, int], dict[int, Instance]] = defaultdict(dict)
    lost: Counter[str] = Counter()
    for key, instances in frames_with_instances(store, media):
        untracked: Counter[int] = Counter()
        for i in sorted(instances, key=lambda i: i.state is State.PREDICTED):
            if i.state is State.PREDICTED and not include_predicted:
                continue
            if i.track is None:
                alone[untracked[i.category], i.category][key.index] = i
                untracked[i.category] += 1
            elif key.index in tracked[i.track, i.category]:
                lost["more than one pose of it in a frame"] += 1
            else:
                tracked[i.track, i.category][key.index] = i
    if tracked:
        lost["no track"] += sum(len(group) for group in alone.values())
        poses = {(f"track_{track}", category): tracked[track, category] for track, category in sorted(tracked)}
    else:
        poses = {(f"individual_{rank + 1}", category): alone[rank, category] for rank, category in sorted(alone)}
    return poses, [f"Poses left out, {why}: {count}" for why, count in lost.items() if count]


def _grid_of(store: ProjectStore, media: int, cache: Path | None, report: FilesReport) -> GridTransform | None:
    """Transform between the pixels that are shown and those that DeepLabCut sees; None if they are the same."""
    video = next(entry for entry in store.media() if entry.id == media)
    if video.kind != "video":
        return None
    try:
        return opencv_grid(video.path, cache)
    except PoseError as error:
        report.problems.append(f"Points are pixels as shown here, right for DeepLabCut if pixels are square: {error}")
        return None


def _dlc_pose(instance: Instance | None) -> Pose | None:
    """The values of a pose in the table; the keypoints of a label have likelihood 1."""
    if instance is None:
        return None
    is_labelled = instance.state is State.LABELLED
    return instance.keypoints, instance.visibility, None if is_labelled else instance.scores


class CsvExport:
    """A csv with a row per pose."""

    name, action, unit = "csv", "export_tracks", "poses"
    title, suffix = "Table, one row per pose", ".csv"

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        yield 0, 0
        chosen = TableOptions(include_predicted=options.include_predicted)
        return export_csv(store, target, chosen, cache=options.cache, progress=context.progress)


class ParquetExport:
    """The same table with types."""

    name, action, unit = "parquet", "export_tracks", "poses"
    title, suffix = "Table for large projects", ".parquet"

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        yield 0, 0
        chosen = TableOptions(include_predicted=options.include_predicted)
        return export_parquet(store, target, chosen, cache=options.cache, progress=context.progress)


class DlcTableExport:
    """The table that DeepLabCut writes for an analysed video."""

    name, action, unit = "deeplabcut_table", "export_tracks", "poses"
    title, suffix = "DeepLabCut table", ".csv"

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        yield 0, 0
        if options.media is None:
            raise ProjectError("say of which video or folder the table is to be", where=target)
        return export_dlc(
            store,
            target,
            options.media,
            include_predicted=options.include_predicted,
            cache=options.cache,
            progress=context.progress,
        )


register_export(CsvExport())
register_export(ParquetExport())
register_export(DlcTableExport())
