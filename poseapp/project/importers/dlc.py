"""DeepLabCut labels (``CollectedData_*.csv`` or ``.h5``) into a project: one animal or several, paths of Windows too.

Tables of analysed videos become predictions on the video beside them.

Coordinates are taken as they are: DeepLabCut counts pixels as this program does. A missing coordinate is an absent
point. Rows whose image does not exist are left out and told of.
Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.contract.coco import CocoCategory
from engine.contract.errors import MediaError, ProjectError
from engine.contract.files import MAX_LABEL_BYTES, open_regular
from engine.media.images import image_size
from poseapp.project import rows
from poseapp.project.importers.dlc_config import DlcConfig, read_config
from poseapp.project.importers.dlc_h5 import read_h5
from poseapp.project.importers.dlc_video import import_predictions
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
    """A label file: points of each individual as columns (x, y), and rows of image name and cells.

    ``of_video``: the names are numbers of frames; ``likelihood``: columns of it; ``scorer``: who made the table.
    """

    points: dict[str, dict[str, tuple[int, int]]]
    rows: list[tuple[str, Sequence[str | float]]]
    of_video: bool = False
    likelihood: dict[tuple[str, str], int] = field(default_factory=dict)
    scorer: str = ""


def import_dlc(store: ProjectStore, path: Path | str, *, cache: Path | None = None) -> ImportReport:
    """Add labels to a project; all of them or nothing.

    Args:
        path: a csv or h5 of labels or of an analysed video, or the folder of a DeepLabCut project, of which all labels
            are taken.
        cache: folder where indices of videos are kept.

    Raises:
        ProjectError: no labels there, or a file that is no label table.
    """
    path = Path(path)
    files = label_files(path) if path.is_dir() else [path]
    if not files:
        raise ProjectError("has no labels: no CollectedData_*.csv or .h5 below labeled-data", where=path)
    problems = Problems()
    report = ImportReport()
    try:
        with store.database.write():
            for file in files:
                _import_file(store, file, report, problems, cache)
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
        texts = {table.stem for table in tables}
        tables += [table for table in sorted(place.glob("CollectedData_*.h5")) if table.stem not in texts]
        own = [table for table in tables if table.stem == f"CollectedData_{scorer}"]
        found += own[:1] or tables[:1]
    return found


def is_dlc_folder(folder: Path) -> bool:
    """Whether a folder is a DeepLabCut project with labels, or that of one of its videos."""
    return bool(label_files(folder))


def _import_file(store: ProjectStore, file: Path, report: ImportReport, problems: Problems, cache: Path | None) -> None:
    table = _read_h5(file) if file.suffix.lower() == ".h5" else _read_table(file)
    root = _root_of(file)
    config = read_config(root / "config.yaml")
    categories = {name: _category(store, name, points, table, config) for name, points in table.points.items()}
    if table.of_video:
        _import_video(store, file, table, categories, report, problems, cache)
        return
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


def _import_video(
    store: ProjectStore,
    file: Path,
    table: _Table,
    categories: dict[str, Category],
    report: ImportReport,
    problems: Problems,
    cache: Path | None,
) -> None:
    width = max((len(cells) for _, cells in table.rows), default=0)
    values = np.full((len(table.rows), width), np.nan)
    for row, (name, cells) in enumerate(table.rows):
        for column in range(len(cells)):
            if isinstance(cells[column], float) or _is_number(str(cells[column])):
                values[row, column] = _coordinate(cells, column, f"{file}: {name}")
    people = {
        one: (categories[one], {p: (x, y, table.likelihood.get((one, p))) for p, (x, y) in points.items()})
        for one, points in table.points.items()
    }
    numbers = [int(name) for name, _ in table.rows]
    found = import_predictions(
        store, file, numbers, values, people, table.scorer or "DeepLabCut", problems, cache=cache
    )
    report.images += found.images
    report.annotations += found.annotations
    store.database.set_meta("next_instance", store.new_ids(0).start)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _instance(
    store: ProjectStore,
    category: Category,
    points: dict[str, tuple[int, int]],
    cells: Sequence[str | float],
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


def _coordinate(cells: Sequence[str | float], column: int, where: str) -> float:
    cell = cells[column] if column < len(cells) else ""
    text = cell.strip() if isinstance(cell, str) else cell
    if text == "":
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


def _read_h5(file: Path) -> _Table:
    found = read_h5(file)
    place = {(names[1] if len(names) == 4 else "", names[-2], names[-1]): n for n, names in enumerate(found.columns)}
    points, likelihood = _points(place, file)
    names = found.rows if found.of_video else [plain_name(name) for name in found.rows]
    listed: list[tuple[str, Sequence[str | float]]] = list(zip(names, found.values.tolist()))
    scorer = found.columns[0][0] if found.columns else ""
    return _Table(points, listed, found.of_video, likelihood, scorer)


def _points(
    place: dict[tuple[str, str, str], int], file: Path
) -> tuple[dict[str, dict[str, tuple[int, int]]], dict[tuple[str, str], int]]:
    """Columns of x and y of each individual's points, and those of likelihood."""
    points: dict[str, dict[str, tuple[int, int]]] = {}
    for individual, point, _ in place:
        pair = (place.get((individual, point, "x")), place.get((individual, point, "y")))
        if pair[0] is None or pair[1] is None:
            raise ProjectError(f"point {point!r} has no column for x or y", where=file)
        points.setdefault(individual, {})[point] = (pair[0], pair[1])
    return points, {(one, point): n for (one, point, coord), n in place.items() if coord == "likelihood"}


def _read_table(file: Path) -> _Table:
    try:
        with (
            open_regular(file, MAX_LABEL_BYTES) as data,
            io.TextIOWrapper(data, encoding="utf-8-sig", newline="") as text,
        ):
            lines = [line for line in csv.reader(text) if line]
    except OSError as error:
        raise ProjectError(f"cannot be read ({error.strerror or error})", where=file) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProjectError(f"is not a table of text ({error})", where=file) from None
    header = _header(lines, file)
    width = 1 + next(n for n, cell in enumerate(header["coords"][1:]) if cell)
    individuals = header.get("individuals", [""] * len(header["coords"]))
    columns = zip(individuals, header["bodyparts"], header["coords"])
    place: dict[tuple[str, str, str], int] = {key: n for n, key in enumerate(columns) if n >= width}
    points, likelihood = _points(place, file)
    body = lines[len(header) :]
    of_video = bool(body) and width == 1 and all(line[0].strip().isdigit() for line in body)
    scorer = next((cell for cell in header.get("scorer", [""])[width:] if cell), "")
    listed: list[tuple[str, Sequence[str | float]]] = list(_rows(body, width, file, of_video))
    return _Table(points, listed, of_video, likelihood, scorer)


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


def _rows(lines: Sequence[list[str]], width: int, file: Path, of_video: bool) -> Iterator[tuple[str, list[str]]]:
    """Image name and cells of each row; the name may be spread over several columns."""
    for line in lines:
        name = plain_name("/".join(cell for cell in line[:width] if cell))
        if not any(cell.strip() for cell in line[width:]) and not name:
            continue
        if name.isdigit() and not of_video:
            raise ProjectError("holds frames of a video, not labels of images", where=file)
        yield name, line
