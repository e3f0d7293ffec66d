"""DeepLabCut's csv tables, from any labels.

Images become a label table (``CollectedData``: a row per image, x and y of every keypoint), a video becomes the table
that DeepLabCut writes for an analysed video (a row per frame; x, y, likelihood). Points of a video are written in its
stored pixels, which DeepLabCut shows.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, PoseError
from engine.formats.registry import WriteOptions
from engine.labels.image_size import GridTransform
from engine.labels.model import UNKNOWN, VIDEO, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.media.video.frame_size import opencv_grid
from engine.utils.context import Context
from engine.utils.files import kept_mode, replacing

SCORER = "poseapp"
LIKELIHOOD = ("x", "y", "likelihood")
MISSING = "NaN"

Cell = str | int | float
Pose = tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8], npt.NDArray[np.float64] | None]
"""Coordinates (K, 2), visibility (K,), likelihood (K,) or None."""

_STEP = 1000


def header(individuals: Sequence[str], keypoints: Sequence[str], coords: Sequence[str] = LIKELIHOOD) -> list[list[str]]:
    """The header lines of a table; a single individual has no line of its own."""
    columns = [(name, point, coord) for name in individuals for point in keypoints for coord in coords]
    lines = [["scorer", *([SCORER] * len(columns))]]
    if len(individuals) > 1:
        lines.append(["individuals", *(name for name, _, _ in columns)])
    lines.append(["bodyparts", *(point for _, point, _ in columns)])
    lines.append(["coords", *(coord for _, _, coord in columns)])
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
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(lines)
        for index, (name, cells) in enumerate(rows):
            if index == 0 and not any(cell != "" for cell in cells):
                # pandas takes an empty first row below several header lines for index names, and drops it.
                cells = [MISSING] * len(cells)
            writer.writerow([name, *cells])


def write_dlc(labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
    """Write a table for each media and category: the largest to ``path``, the others beside it.

    Raises:
        LabelError: there are no poses, or a file cannot be written.
        Cancelled: the context was cancelled; no file is left behind.
    """
    tables = _collect(labels, options, context)
    if not tables:
        raise LabelError("there are no poses to write into such a table", where=path)
    order = sorted(tables, key=lambda key: -sum(len(rows) for rows in tables[key].values()))
    names = [_beside_name(labels, key, order) for key in order]
    frames: defaultdict[int, list[tuple[int, Frame]]] = defaultdict(list)
    for position, frame in enumerate(labels.frames()):
        frames[frame.media].append((position, frame))
    targets = free_names(path, names)
    try:
        with contextlib.ExitStack() as stack:  # all of the tables or none
            for index, (key, target) in enumerate(zip(order, targets)):
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = stack.enter_context(replacing(target, mode=kept_mode(target), suffix=target.suffix))
                _write(temporary, labels, key, tables[key], frames[key[0]], context)
                if index:
                    context.report(target.name, f"{names[index]!r} is in a table of its own")
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


_Key = tuple[int, int]
"""Positions of media and category."""


def _collect(
    labels: LabelReader, options: WriteOptions, context: Context
) -> dict[_Key, dict[str, dict[int, Instance]]]:
    """The poses by media and category, individual, and frame position."""
    media = [frame.media for frame in labels.frames()]
    tables: dict[_Key, dict[str, dict[int, Instance]]] = {}
    untracked: Counter[tuple[int, int]] = Counter()
    total = labels.num_instances()
    for index, instance in enumerate(labels.instances()):
        if index % _STEP == 0:
            context.progress(index, total)
        if not instance.is_pose or (instance.is_prediction and not options.include_predictions):
            continue
        if instance.track is None:
            untracked[instance.frame, instance.category] += 1
            individual = f"individual_{untracked[instance.frame, instance.category]}"
        else:
            individual = labels.tracks.get(instance.track) or f"track_{instance.track}"
        poses = tables.setdefault((media[instance.frame], instance.category), {}).setdefault(individual, {})
        if instance.frame in poses:
            context.report(
                f"{individual}, frame {instance.frame}", "Second pose of an individual in a frame", "left out"
            )
        else:
            poses[instance.frame] = instance
    return tables


def _beside_name(labels: LabelReader, key: _Key, keys: Sequence[_Key]) -> str:
    """What tells a table from the others: its category, its media, or both."""
    media, category = key
    parts = []
    if len({other for other, _ in keys}) > 1:
        parts.append(Path(labels.media[media].path).stem or f"media{media + 1}")
    if len({other for _, other in keys}) > 1 or not parts:
        parts.append(labels.categories[category].name)
    return "_".join(parts)


def _write(
    path: Path,
    labels: LabelReader,
    key: _Key,
    individuals: Mapping[str, Mapping[int, Instance]],
    frames: Sequence[tuple[int, Frame]],
    context: Context,
) -> None:
    media, schema = labels.media[key[0]], labels.categories[key[1]].schema
    assert schema is not None
    is_video = media.type == VIDEO
    coords = LIKELIHOOD if is_video else LIKELIHOOD[:2]
    grid = _grid_of(media, labels, context) if is_video else None

    def rows() -> Iterator[tuple[str | int, list[Cell]]]:
        for name, position in _rows_of(frames, is_video):
            context.check_cancelled()
            poses = (poses.get(position) for poses in individuals.values())
            cells = (pose_cells(_pose(pose), schema.num_keypoints, len(coords), grid) for pose in poses)
            yield name, list(chain.from_iterable(cells))

    write_rows(path, header(list(individuals), schema.names, coords), rows())


def _rows_of(frames: Sequence[tuple[int, Frame]], is_video: bool) -> Iterator[tuple[str | int, int]]:
    """Name and frame position of each row: every image, or every frame of a video up to the last one known."""
    if not is_video:
        yield from ((frame.name, position) for position, frame in frames)
        return
    by_index = {frame.index: position for position, frame in frames}
    yield from ((index, by_index.get(index, UNKNOWN)) for index in range(max(by_index, default=-1) + 1))


def _pose(instance: Instance | None) -> Pose | None:
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
