"""DeepLabCut labels (``CollectedData_*.csv``) into a project: one animal or several, paths of Windows too.

Coordinates are taken as they are: DeepLabCut counts pixels as this program does. A missing coordinate is an absent
point. Rows whose image does not exist are left out and told of.
Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract.coco import CocoCategory
from engine.contract.errors import MediaError, ProjectError
from engine.media.images import image_size
from poseapp.project import rows
from poseapp.project.importers.dlc_config import DlcConfig, read_config
from poseapp.project.importers.image_files import plain_name
from poseapp.project.importers.report import ImportReport, Problems
from poseapp.project.importers.schemas import schema_of_names
from poseapp.project.model import VISIBLE, Category, FrameKey, Instance
from poseapp.project.store import ProjectStore

_ANIMAL = "animal"
_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_LABEL_FOLDER = "labeled-data"


@dataclass(frozen=True)
class _Table:
    """A label file: points of each individual as columns (x, y), and rows of image name and cells."""

    points: dict[str, dict[str, tuple[int, int]]]
    rows: list[tuple[str, list[str]]]


def import_dlc(store: ProjectStore, path: Path | str) -> ImportReport:
    """Add labels to a project; all of them or nothing.

    Args:
        path: a csv of labels, or the folder of a DeepLabCut project, of which all labels are taken.

    Raises:
        ProjectError: no labels there, or a file that is no label table.
    """
    path = Path(path)
    files = label_files(path) if path.is_dir() else [path]
    if not files:
        raise ProjectError("has no labels: no CollectedData_*.csv below labeled-data", where=path)
    problems = Problems()
    report = ImportReport()
    try:
        with store.database.write():
            for file in files:
                _import_file(store, file, report, problems)
    finally:
        store.imported()
    report.problems = problems.sentences()
    return report


def label_files(folder: Path) -> list[Path]:
    """The label tables of a DeepLabCut project, or of the folder of one of its videos.

    One a video: that of the project's scorer where there are several.
    """
    scorer = read_config(folder / "config.yaml").scorer
    found: list[Path] = []
    for place in sorted((folder / _LABEL_FOLDER).glob("*/")) or [folder]:
        tables = sorted(place.glob("CollectedData_*.csv"))
        own = [table for table in tables if table.stem == f"CollectedData_{scorer}"]
        found += own[:1] or tables[:1]
    return found


def is_dlc_folder(folder: Path) -> bool:
    """Whether a folder is a DeepLabCut project with labels, or that of one of its videos."""
    return bool(label_files(folder))


def _import_file(store: ProjectStore, file: Path, report: ImportReport, problems: Problems) -> None:
    table = _read_table(file)
    root = _root_of(file)
    config = read_config(root / "config.yaml")
    categories = {name: _category(store, name, points, table, config) for name, points in table.points.items()}
    tracks = {name: n for n, name in enumerate(table.points)} if config.identity else {}
    keys = _add_frames(store, root, file, [name for name, _ in table.rows], problems)
    known = set(keys.values())
    for name, cells in table.rows:
        key = keys.get(name)
        if key is None:
            continue
        for individual, points in table.points.items():
            instance = _instance(
                store, categories[individual], points, cells, f"{file}: {name}", tracks.get(individual)
            )
            if instance is not None:
                store.database.run(rows.INSERT, rows.to_row(instance, key))
                report.annotations += 1
    report.images += len(known)
    store.database.set_meta("next_instance", store.new_ids(0).start)


def _instance(
    store: ProjectStore,
    category: Category,
    points: dict[str, tuple[int, int]],
    cells: Sequence[str],
    where: str,
    track: int | None,
) -> Instance | None:
    """None where no point of the individual is labelled."""
    places = np.array([[_coordinate(cells, column, where) for column in pair] for pair in points.values()])
    there = np.isfinite(places).all(axis=1)
    if not there.any():
        return None
    return Instance(
        id=store.new_ids(1)[0],
        category=category.id,
        keypoints=np.where(there[:, None], places, 0.0),
        visibility=np.where(there, VISIBLE, 0).astype(np.uint8),
        by_human=there.copy(),
        track=track,
    )


def _coordinate(cells: Sequence[str], column: int, where: str) -> float:
    text = cells[column].strip() if column < len(cells) else ""
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise ProjectError(f"{text!r} in column {column + 1} is not a number", where=where) from None
    return value if math.isfinite(value) else math.nan


def _add_frames(
    store: ProjectStore, root: Path, file: Path, names: Sequence[str], problems: Problems
) -> dict[str, FrameKey]:
    """The frame of every image that exists, by its name in the table."""
    media = next((m for m in store.media() if m.kind == "images" and Path(m.path) == root.absolute()), None)
    number = store.add_media("images", root).id if media is None else media.id
    known = {frame.name: frame.key for frame in store.frames(number)}
    keys: dict[str, FrameKey] = {}
    new: dict[str, tuple[str, int, int]] = {}
    for name in names:
        path = next((p for p in (root / name, file.parent / Path(name).name) if p.is_file()), None)
        if path is None:
            problems.add("Image not found, its labels are left out", name)
            continue
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        if relative in known:
            keys[name] = known[relative]
            continue
        try:
            new[name] = (relative, *image_size(path))
        except MediaError as error:
            problems.add("Image cannot be read, its labels are left out", str(error))
    keys.update(zip(new, store.add_frames(number, list(new.values()))))
    return keys


def _category(
    store: ProjectStore, individual: str, points: dict[str, tuple[int, int]], table: _Table, config: DlcConfig
) -> Category:
    names = list(points)
    # Points that only one thing in the picture has (a corner of the cage) are an "individual" of their own.
    alone = len(table.points) > 1 and sum(list(other) == names for other in table.points.values()) == 1
    name = individual if alone and individual == "single" else _ANIMAL
    for category in store.categories():
        if category.name == name and category.schema.names == tuple(names):
            return category
    index = {point: n for n, point in enumerate(names)}
    limbs = [(index[a], index[b]) for a, b in config.skeleton if a in index and b in index]
    return store.add_category(name, schema_of_names(names, CocoCategory(name, name, names, limbs)))


def _root_of(file: Path) -> Path:
    """The folder that the image names in a table start from."""
    parts = file.absolute().parts
    if _LABEL_FOLDER in parts:
        place = len(parts) - 1 - parts[::-1].index(_LABEL_FOLDER)
        return Path(*parts[:place])
    return file.absolute().parent


def _read_table(file: Path) -> _Table:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            lines = [line for line in csv.reader(text) if line]
    except OSError as error:
        raise ProjectError(f"cannot be read ({error.strerror or error})", where=file) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProjectError(f"is not a table of text ({error})", where=file) from None
    header = _header(lines, file)
    width = 1 + next(n for n, cell in enumerate(header["coords"][1:]) if cell)
    points: dict[str, dict[str, tuple[int, int]]] = {}
    individuals = header.get("individuals", [""] * len(header["coords"]))
    columns = zip(individuals, header["bodyparts"], header["coords"])
    place: dict[tuple[str, str, str], int] = {key: n for n, key in enumerate(columns) if n >= width}
    for individual, point, _ in place:
        pair = (place.get((individual, point, "x")), place.get((individual, point, "y")))
        if pair[0] is None or pair[1] is None:
            raise ProjectError(f"point {point!r} has no column for x or y", where=file)
        points.setdefault(individual, {})[point] = (pair[0], pair[1])
    return _Table(points, list(_rows(lines[len(header) :], width, file)))


def _header(lines: Sequence[list[str]], file: Path) -> dict[str, list[str]]:
    header: dict[str, list[str]] = {}
    for line in lines[: len(_LEVELS)]:
        if line[0] not in _LEVELS:
            break
        header[line[0]] = line
    if not {"bodyparts", "coords"} <= set(header) or not any(header["coords"][1:]):
        raise ProjectError(
            "is not a DeepLabCut label table: it does not start with scorer, bodyparts, coords", where=file
        )
    return header


def _rows(lines: Sequence[list[str]], width: int, file: Path) -> Iterator[tuple[str, list[str]]]:
    """Image name and cells of each row; the name may be spread over several columns."""
    for line in lines:
        name = plain_name("/".join(cell for cell in line[:width] if cell))
        if not any(cell.strip() for cell in line[width:]) and not name:
            continue
        if name.isdigit():
            raise ProjectError("holds frames of a video, not labels of images", where=file)
        yield name, line
