"""Tracks as tables: a row a pose (CSV, Parquet), or the table that DeepLabCut writes for a video.

Coordinates are image pixels, pixel centres at integers: of the frame as it is shown, and in the table of DeepLabCut of
the frame as it is stored, which DeepLabCut shows. The two differ where pixels are not square. A point that is absent
has empty cells.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError, ProjectError
from engine.labels.image_size import GridTransform
from engine.media.source import open_media
from engine.media.video.frame_size import opencv_grid
from poseapp.project.formats.export_files import FilesReport, written
from poseapp.project.model import Category, FrameKey, Instance, Media, State
from poseapp.project.queries.tracks import frames_with_instances
from poseapp.project.storage.file_names import readable
from poseapp.project.store import ProjectStore

Progress = Callable[[int, int], None]
Cell = str | int | float | None

SCORER = "poseapp"
_MISSING = "NaN"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_HEAD = ("video", "frame_index", "frame", "time", "track", "category", "state", "source", "score")
_BOX = ("box.x1", "box.y1", "box.x2", "box.y2")
_PARTS = ("x", "y", "visibility", "score")
_TEXT = frozenset({"video", "frame", "category", "state", "source"})
_WHOLE = frozenset({"frame_index", "track"})
_BLOCK = 20_000


@dataclass(frozen=True)
class TableOptions:
    """What stands in a table.

    Attributes:
        media: only of these; None for all.
        include_predicted: also poses that no person has made or accepted.
        only_tracked: leave out poses without a track.
    """

    media: Sequence[int] | None = None
    include_predicted: bool = True
    only_tracked: bool = False

    def wants(self, instance: Instance) -> bool:
        """Whether a pose stands in the table."""
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
    """A row a pose: frame, time, track, scores, box, and x, y, visibility, score of every point.

    Args:
        cache: folder where indices of videos are kept; for the times.
        progress: called now and then with frames done and in all; what it raises ends the export.

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
            cells = ["" if cell is None else _as_text(cell) for cell in row]
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


def _as_text(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def export_parquet(
    store: ProjectStore,
    path: Path | str,
    options: TableOptions | None = None,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> FilesReport:
    """The same table as :func:`export_csv`, with types: for millions of rows.

    Raises:
        ProjectError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ProjectError(
            "Parquet needs the package pyarrow: pip install 'poseapp[formats]', or export as CSV", where=path
        ) from None
    table = _Table(store, options or TableOptions(), cache)
    report = FilesReport(Path(path))
    kinds = [(name, _arrow_type(pyarrow, name)) for name in table.columns]
    schema = pyarrow.schema(kinds)
    with written(report.path) as temporary, pyarrow.parquet.ParquetWriter(str(temporary), schema) as writer:
        for block in _blocks(table.rows(progress)):
            columns = [pyarrow.array(list(column), kind) for column, (_, kind) in zip(zip(*block), kinds)]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
            report.count += len(block)
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
    """The table that DeepLabCut writes for an analysed video: a row a frame; x, y, likelihood of every point of each
    individual. What a person has labelled has likelihood 1.

    An individual is a track; without any track, the first, second, ... pose of a frame. Poses of another category have
    other points and get a table of their own beside it, with the name of the category.

    Args:
        cache: folder where indices of videos are kept; for the pixels of the video.

    Raises:
        ProjectError: no such media, nothing to write, or the file cannot be written.
    """
    count = _frame_count(store, media)
    categories = {c.id: c for c in store.categories()}
    poses, problems = _poses_by_individual(store, media, include_predicted)
    report = FilesReport(Path(path), problems=problems)
    if not poses:
        raise ProjectError("has no poses with a track that could be put into such a table", where=report.path)
    grid = _grid_of(store, media, cache, report)
    sizes: Counter[int] = Counter()
    for (_, kind), of_one in poses.items():
        sizes[kind] += len(of_one)
    kinds = [kind for kind, _ in sizes.most_common()]
    targets = _targets(report.path, [categories[kind].name for kind in kinds])
    with contextlib.ExitStack() as stack:  # all of the tables or none
        for number, (kind, target) in enumerate(zip(kinds, targets)):
            of_kind = {name: of_one for (name, other), of_one in poses.items() if other == kind}
            temporary = stack.enter_context(written(target))
            names = categories[kind].schema.names

            def told(done: int, total: int, number: int = number) -> None:
                if progress is not None:
                    progress(number * total + done, len(kinds) * total)

            _write_dlc(temporary, of_kind, names, count, grid, told)
    report.count = count
    for kind, target in list(zip(kinds, targets))[1:]:
        report.problems.append(
            f"{categories[kind].name!r} has other points and is in a table of its own: {target.name}"
        )
    return report


def _targets(path: Path, names: Sequence[str]) -> list[Path]:
    """A file for each category: the first has the name that was asked for; the others take no file that is there."""
    targets = [path]
    for name in names[1:]:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60] or "category"
        stems = (f"{path.stem}_{plain}", *(f"{path.stem}_{plain}_{n}" for n in range(2, 10_000)))
        free = (path.with_name(f"{stem}{path.suffix}") for stem in stems)
        targets.append(next(target for target in free if target not in targets and not os.path.exists(target)))
    return targets


def _write_dlc(
    path: Path,
    poses: Mapping[str, Mapping[int, Instance]],
    names: Sequence[str],
    count: int,
    grid: GridTransform | None,
    progress: Progress,
) -> None:
    """One table: the pose of each individual by frame, all of them with the same points."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(_dlc_head([(individual, names) for individual in poses]))
        for index in range(count):
            if index % 1000 == 0:
                progress(index, count)
            cells = list(chain.from_iterable(_dlc_cells(of.get(index), len(names), grid) for of in poses.values()))
            if index == 0 and not any(cell != "" for cell in cells):
                # pandas takes an empty row below several header lines for names of the index, and drops the frame.
                cells = [_MISSING] * len(cells)
            writer.writerow([index, *cells])


class _Table:
    """Columns and rows of the poses of a project."""

    def __init__(self, store: ProjectStore, options: TableOptions, cache: Path | None) -> None:
        self._store, self._options, self._cache = store, options, cache
        self._categories = {c.id: c for c in store.categories()}
        used = {number for (number,) in store.database.rows("SELECT DISTINCT category FROM instance")}
        self._used = [c for number, c in self._categories.items() if number in used] or list(self._categories.values())
        points = dict.fromkeys(name for category in self._used for name in category.schema.names)
        self._place = {name: n for n, name in enumerate(points)}
        self.columns = [*_HEAD, *_BOX, *(f"{name}.{part}" for name in points for part in _PARTS)]
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
        video = readable(Path(media.path).name)
        head: list[Cell] = [video, key.index, readable(name), time, instance.track, category.name, instance.state.value]
        head += [instance.source, instance.score]
        head += [None] * 4 if instance.box is None else instance.box.tolist()
        cells: list[Cell] = [None] * (len(_PARTS) * len(self._place))
        for point, (x, y), seen, score in _points(category, instance):
            at = self._place[point] * len(_PARTS)
            cells[at : at + 4] = [x, y, seen, score] if seen else [None, None, 0, score]
        return head + cells

    def _times(self, media: Media) -> npt.NDArray[np.float64]:
        """Seconds of each frame of a video; empty for images, and for a video that cannot be opened."""
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


def _blocks(rows: Iterator[list[Cell]]) -> Iterator[list[list[Cell]]]:
    block: list[list[Cell]] = []
    for row in rows:
        block.append(row)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _arrow_type(pyarrow: Any, column: str) -> Any:
    if column in _TEXT:
        return pyarrow.string()
    if column in _WHOLE:
        return pyarrow.int64()
    return pyarrow.uint8() if column.endswith(".visibility") else pyarrow.float64()


def _frame_count(store: ProjectStore, media: int) -> int:
    row = store.database.row("SELECT max(idx) FROM frame WHERE media = ?", (media,))
    if row is None or row[0] is None:
        raise ProjectError(f"there is no media {media} with frames", where=store.path)
    return int(row[0]) + 1


def _poses_by_individual(
    store: ProjectStore, media: int, include_predicted: bool
) -> tuple[dict[tuple[str, int], dict[int, Instance]], list[str]]:
    """By name and category, the pose in each frame; and what was left out, as sentences."""
    tracked: defaultdict[tuple[int, int], dict[int, Instance]] = defaultdict(dict)
    alone: defaultdict[tuple[int, int], dict[int, Instance]] = defaultdict(dict)
    lost: Counter[str] = Counter()
    for key, instances in frames_with_instances(store, media):
        places: Counter[int] = Counter()
        for i in sorted(instances, key=lambda i: i.state is State.PREDICTED):
            if i.state is State.PREDICTED and not include_predicted:
                continue
            if i.track is None:
                alone[places[i.category], i.category][key.index] = i
                places[i.category] += 1
            elif key.index in tracked[i.track, i.category]:
                lost["more than one pose of it in a frame"] += 1
            else:
                tracked[i.track, i.category][key.index] = i
    if tracked:
        lost["no track"] += sum(len(group) for group in alone.values())
        found = {(f"track_{number}", kind): tracked[number, kind] for number, kind in sorted(tracked)}
    else:
        found = {(f"individual_{place + 1}", kind): alone[place, kind] for place, kind in sorted(alone)}
    return found, [f"Poses left out, {why}: {count}" for why, count in lost.items() if count]


def _dlc_head(heads: Sequence[tuple[str, Sequence[str]]]) -> Iterator[list[str]]:
    columns = [(name, point, part) for name, points in heads for point in points for part in ("x", "y", "likelihood")]
    yield ["scorer", *([SCORER] * len(columns))]
    if len(heads) > 1:
        yield ["individuals", *(name for name, _, _ in columns)]
    yield ["bodyparts", *(point for _, point, _ in columns)]
    yield ["coords", *(part for _, _, part in columns)]


def _grid_of(store: ProjectStore, media: int, cache: Path | None, report: FilesReport) -> GridTransform | None:
    """What brings points into the pixels that DeepLabCut sees; None where they are those that are shown here."""
    video = next(found for found in store.media() if found.id == media)
    if video.kind != "video":
        return None
    try:
        return opencv_grid(video.path, cache)
    except PoseError as error:
        report.problems.append(f"Points are pixels as shown here, right for DeepLabCut if pixels are square: {error}")
        return None


def _dlc_cells(instance: Instance | None, count: int, grid: GridTransform | None) -> list[Cell]:
    if instance is None:
        return [""] * (3 * count)
    labelled = instance.state is State.LABELLED or instance.scores is None
    scores = np.ones(count) if labelled or instance.scores is None else instance.scores
    cells: list[Cell] = []
    points = instance.keypoints if grid is None else grid.points_back(instance.keypoints)
    for (x, y), seen, score in zip(points.tolist(), instance.visibility.tolist(), scores.tolist()):
        cells += [x, y, score] if seen else ["", "", ""]
    return cells
