"""DeepLabCut's tables and projects, from any labels.

Images become a label table (``CollectedData``: a row per image, x and y of every keypoint), a video becomes the table
that DeepLabCut writes for an analysed video (a row per frame; x, y, likelihood). Points of a video are written in its
stored pixels, which DeepLabCut shows. Predictions on images, too, have a likelihood; beside labels of the same images
they are a table of their own.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, PoseError
from engine.formats.deeplabcut.h5_writer import write_h5
from engine.formats.deeplabcut.individuals import Individuals, PoseGroups, TableKey, largest_first
from engine.formats.registry import WriteOptions
from engine.labels.image_size import GridTransform
from engine.labels.model import UNKNOWN, VIDEO, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.media.video.frame_size import opencv_grid
from engine.utils.context import INFO, Context
from engine.utils.files import kept_mode, replacing

SCORER = "poseapp"
LIKELIHOOD = ("x", "y", "likelihood")
MISSING = "NaN"

Cell = str | int | float
Pose = tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8], npt.NDArray[np.float64] | None]
"""Coordinates (K, 2), visibility (K,), likelihood (K,) or None."""

_HDF5_SUFFIXES = (".h5", ".hdf5")
_MAX_ROWS = 20_000_000


def header(individuals: Sequence[str], keypoints: Sequence[str], coords: Sequence[str] = LIKELIHOOD) -> list[list[str]]:
    """The header lines of a table; a single individual has no line of its own."""
    columns = [(name, point, coord) for name in individuals for point in keypoints for coord in coords]
    return header_of_columns(columns, has_individuals=len(individuals) > 1)


def header_of_columns(
    columns: Sequence[tuple[str, str, str]], *, has_individuals: bool, row_levels: int = 1
) -> list[list[str]]:
    """The header lines of a table.

    Args:
        columns: individual, keypoint and coordinate of each.
        row_levels: number of cells in which rows have their names.
    """
    space = [""] * (row_levels - 1)
    lines = [["scorer", *space, *([SCORER] * len(columns))]]
    if has_individuals:
        lines.append(["individuals", *space, *(name for name, _, _ in columns)])
    lines.append(["bodyparts", *space, *(point for _, point, _ in columns)])
    lines.append(["coords", *space, *(coord for _, _, coord in columns)])
    return lines


def pose_cells(pose: Pose | None, count: int, coords: int, grid: GridTransform | None = None) -> list[Cell]:
    """The cells of one individual in one row; empty for absent points, and for all of them without a pose."""
    if pose is None:
        return [""] * (coords * count)
    keypoints, visibility, likelihood = pose
    points = keypoints if grid is None else grid.points_back(keypoints)
    scores = [1.0] * count if likelihood is None else likelihood.tolist()
    cells: list[Cell] = []
    for (x, y), seen, score in zip(points.tolist(), visibility.tolist(), scores):
        cells += [x, y, score][:coords] if seen else [""] * coords
    return cells


def write_rows(path: Path, lines: Iterable[Sequence[str]], rows: Iterable[tuple[str | int, list[Cell]]]) -> None:
    """Write a table of header lines and rows of a name and cells."""
    write_named_rows(path, lines, (((name,), cells) for name, cells in rows))


def write_named_rows(
    path: Path, lines: Iterable[Sequence[str]], rows: Iterable[tuple[Sequence[str | int], list[Cell]]]
) -> None:
    """Write a table of header lines, and of rows of a name in one or several cells and the other cells."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(lines)
        for index, (name, cells) in enumerate(rows):
            if index == 0 and not any(cell != "" for cell in cells):
                # pandas takes an empty first row below several header lines for index names, and drops it.
                cells = [MISSING] * len(cells)
            writer.writerow([*name, *cells])


def is_table_path(path: Path) -> bool:
    """Whether labels written to a path become tables, by its suffix, and not a project folder."""
    return path.suffix.lower() in (".csv", ".txt", ".tsv", *_HDF5_SUFFIXES)


def write_tables(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write one table for each media and category, as csv or HDF5 as the suffix says: the largest to ``path``, the
    others beside it.

    Raises:
        LabelError: there are no poses, or a file cannot be written.
        Cancelled: the context was cancelled; no file is left behind.
    """
    frames = list(labels.frames())
    images = {position for position, media in enumerate(labels.media) if media.type != VIDEO}
    tables = PoseGroups(labels, options, context, by_media=True, is_apart=images).tables(frames)
    if not tables:
        raise LabelError("there are no poses to write into such a table", where=path)
    order = largest_first(tables)
    names = [_beside_name(labels, key, order) for key in order]
    frames_of: dict[int, list[tuple[int, Frame]]] = {key[0]: [] for key in order}
    for position, frame in enumerate(frames):
        if frame.media in frames_of:
            frames_of[frame.media].append((position, frame))
    targets = free_names(path, names)
    try:
        with contextlib.ExitStack() as stack:  # all of the tables or none
            for index, (key, target) in enumerate(zip(order, targets)):
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = stack.enter_context(replacing(target, mode=kept_mode(target), suffix=target.suffix))
                _Table(labels, key, tables[key], frames_of[key[0]], context).write(temporary)
                if index:
                    context.report(target.name, f"{names[index]!r} is in a table of its own", severity=INFO)
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


def free_names(path: Path, names: Sequence[str]) -> list[Path]:
    """A file for each name: the first is ``path``; the others lie beside it and replace no existing file."""
    targets = [path]
    for name in names[1:]:
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60] or "category"
        stems = (f"{path.stem}_{safe}", *(f"{path.stem}_{safe}_{n}" for n in range(2, 10_000)))
        candidates = (path.with_name(f"{stem}{path.suffix}") for stem in stems)
        targets.append(next(target for target in candidates if target not in targets and not os.path.exists(target)))
    return targets


def _beside_name(labels: LabelReader, key: TableKey, keys: Sequence[TableKey]) -> str:
    """What tells a table from the others: its category, its media, whether it holds predictions."""
    media, category, is_predicted = key
    parts = []
    if len({other for other, _, _ in keys}) > 1:
        parts.append(Path(labels.media[media].path).stem or f"media{media + 1}")
    if len({other for _, other, _ in keys}) > 1:
        parts.append(labels.categories[category].name)
    if is_predicted and len({other for _, _, other in keys}) > 1:
        parts.append("predictions")
    return "_".join(parts) or labels.categories[category].name


class _Table:
    """One table: the individuals of one media and category."""

    def __init__(
        self,
        labels: LabelReader,
        key: TableKey,
        individuals: Individuals,
        frames: Sequence[tuple[int, Frame]],
        context: Context,
    ) -> None:
        media, schema = labels.media[key[0]], labels.categories[key[1]].schema
        assert schema is not None
        self._poses, self._frames, self._context = individuals.poses, frames, context
        self._is_video = media.type == VIDEO
        self._coords = LIKELIHOOD if self._is_video or key[2] else LIKELIHOOD[:2]
        self._names = schema.names
        self._grid = _grid_of(media, labels, context) if self._is_video else None
        tracked = [pose for poses in individuals.poses.values() for pose in poses.values() if pose.track is not None]
        if tracked and len(individuals.poses) == 1:
            what = "Track of the only animal of a table, which names no animals then"
            context.report(next(iter(individuals.poses)), what, count=len(tracked), severity=INFO)
        by_hand = sum(not pose.is_prediction for poses in individuals.poses.values() for pose in poses.values())
        if self._is_video and by_hand:
            context.report(
                media.path, "Labels in a table of a video, which programs read as results of a model", count=by_hand
            )

    def write(self, path: Path) -> None:
        if path.suffix.lower() not in _HDF5_SUFFIXES:
            write_rows(path, header(list(self._poses), self._names, self._coords), self._rows())
            return
        has_individuals = len(self._poses) > 1
        columns = [
            (SCORER, name, point, coord) if has_individuals else (SCORER, point, coord)
            for name in self._poses for point in self._names for coord in self._coords
        ]  # fmt: skip
        levels = max((len(_levels(frame.name)) for _, frame in self._frames), default=1)
        rows = (
            (name if isinstance(name, int) else padded_levels(name, levels), as_numbers(cells))
            for name, cells in self._rows()
        )
        write_h5(path, columns, rows, self._count())

    def _count(self) -> int:
        if not self._is_video:
            return len(self._frames)
        count = max((frame.index for _, frame in self._frames), default=-1) + 1
        if count > _MAX_ROWS:
            raise LabelError(f"a table of {count:,} frames is too long", where=self._frames[0][1].name or None)
        return count

    def _rows(self) -> Iterator[tuple[str | int, list[Cell]]]:
        """Every image, or every frame of a video up to the last one known."""
        names: Iterable[tuple[str | int, int]]
        if self._is_video:
            by_index = {frame.index: position for position, frame in self._frames}
            names = ((index, by_index.get(index, UNKNOWN)) for index in range(self._count()))
        else:
            names = ((frame.name, position) for position, frame in self._frames)
        for name, position in names:
            self._context.check_cancelled()
            poses = (by_frame.get(position) for by_frame in self._poses.values())
            cells = (pose_cells(pose_of(pose), len(self._names), len(self._coords), self._grid) for pose in poses)
            yield name, list(chain.from_iterable(cells))


def as_numbers(cells: Sequence[Cell]) -> npt.NDArray[np.float64]:
    """The cells of a row as numbers, NaN for empty ones."""
    return np.array([np.nan if cell == "" else float(cell) for cell in cells], np.float64)


def padded_levels(name: str, count: int) -> tuple[str, ...]:
    """The folders and the file of an image name, with empty folders in front where it has fewer."""
    levels = _levels(name)
    return (*[""] * (count - len(levels)), *levels)


def _levels(name: str) -> list[str]:
    return name.replace("\\", "/").split("/")


def pose_of(instance: Instance | None) -> Pose | None:
    """The values of an instance in a table; the keypoints of a label have likelihood 1."""
    if instance is None or instance.keypoints is None or instance.visibility is None:
        return None
    return instance.keypoints, instance.visibility, instance.scores if instance.is_prediction else None


def _grid_of(media: Media, labels: LabelReader, context: Context) -> GridTransform | None:
    """What brings points into the stored pixels of a video; None if they are in these."""
    if media.stored_pixels:
        return None
    path = Path(media.path)
    try:
        return opencv_grid(path if path.is_absolute() else labels.path.absolute().parent / path)
    except PoseError as error:
        context.report(str(error), "Points are pixels as shown here, right for DeepLabCut if pixels are square")
        return None
