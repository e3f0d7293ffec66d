"""DeepLabCut's tables, as csv or HDF5: which column is which keypoint, and the rows, each checked.

A csv may come from a spreadsheet: semicolons or tabs between cells, decimal commas, a byte order mark, line ends and
paths of Windows, Latin-1 bytes. A row with too many or too few cells is left out: nobody can tell which cell is wrong.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError, ProjectError
from engine.formats.deeplabcut.h5 import read_h5
from engine.formats.hdf5 import SIGNATURE, try_in_a_process
from engine.media.image_finder import plain_name
from engine.utils.context import INFO, Findings, ProgressCallback
from engine.utils.files import open_regular, read_bytes

LEVELS = ("scorer", "individuals", "bodyparts", "coords")

_MAX_BYTES = 1 << 30
_SNIFFED_BYTES = 1 << 20
_COORDS = ("x", "y", "likelihood")
_STATISTIC = re.compile(r"[xy]_(?:ens_median|ens_var|posterior_var|var|std|zscore)|zscore")  # ensembles of networks
Line = tuple[int, list[str]]
"""Number and cells of a line of text."""
Column = tuple[str, str, str]
"""Individual ("" if there is only one animal), keypoint, coordinate."""


@dataclass(frozen=True, eq=False, slots=True)
class TableRow:
    """One row.

    Attributes:
        line: of the csv, or row of the HDF5 table, from 1.
        name: of the image, or number of the frame.
        values: of each column, NaN for an empty cell.
    """

    line: int
    name: str
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class DlcTable:
    """A label file.

    Attributes:
        points: columns of x and y by individual and keypoint.
        rows: one per image or frame.
        of_video: row names are frame numbers.
        likelihood: its columns, by individual and keypoint.
        scorer: who made the table.
        unread: names of the images whose rows were left out.
    """

    file: Path
    points: dict[str, dict[str, tuple[int, int]]]
    rows: list[TableRow]
    of_video: bool = False
    likelihood: dict[tuple[str, str], int] = field(default_factory=dict)
    scorer: str = ""
    unread: tuple[str, ...] = ()


def is_table(file: Path) -> bool:
    """Whether the first bytes of a csv or h5 are those of a label table."""
    with open_regular(file) as stream:
        head = stream.read(_SNIFFED_BYTES)
    if file.suffix.lower() == ".h5":
        return head.startswith(SIGNATURE) and b"df_with_missing" in head
    levels = [re.split(r"[,;\t]", line, maxsplit=1)[0].strip().lower() for line in _decoded(head).splitlines()]
    first = list(itertools.takewhile(lambda level: level in LEVELS, levels))
    return {"bodyparts", "coords"} <= set(first)


def read_table(file: Path, findings: Findings, progress: ProgressCallback | None = None) -> DlcTable:
    """Read a csv or h5. Rows that cannot be used are listed in ``findings``.

    Raises:
        ProjectError: it cannot be read, or is not a table of DeepLabCut.
    """
    if file.suffix.lower() == ".h5":
        try_in_a_process(file, "dlc", progress)
        return _read_h5(file, findings)
    return _read_csv(file, findings)


def _read_h5(file: Path, findings: Findings) -> DlcTable:
    table = read_h5(file)
    columns = [(names[1] if len(names) == 4 else "", names[-2], names[-1]) for names in table.columns]
    points, likelihood = _points(columns, [names[0] for names in table.columns], file, findings)
    names = table.rows if table.of_video else [plain_name(name) for name in table.rows]
    values = np.where(np.isfinite(table.values), table.values, np.nan)
    rows = [TableRow(n, name, row) for n, (name, row) in enumerate(zip(names, values), 1)]
    scorer = table.columns[0][0] if table.columns else ""
    return DlcTable(file, points, _unique_rows(rows, file, findings, "row"), table.of_video, likelihood, scorer)


def _read_csv(file: Path, findings: Findings) -> DlcTable:
    lines, decimal_comma = _lines(file)
    first = list(itertools.islice(lines, len(LEVELS)))
    set_width = _width_with_set(first)
    first = [_without_set(line, set_width) for line in first]
    header = _header(first, file)
    width = 1 + next(n for n, cell in enumerate(header["coords"][1:]) if cell)
    count = len(header["coords"])
    individuals = header.get("individuals", [""] * count)
    columns = list(zip(individuals, header["bodyparts"], header["coords"]))[width:]
    scorers = header.get("scorer", [""] * count)[width:]
    points, likelihood = _points(columns, scorers, file, findings)
    rows: list[TableRow] = []
    faults: list[tuple[int, str, str]] = []
    numbered = total = 0
    for line, cells in itertools.chain(first[len(header) :], (_without_set(line, set_width) for line in lines)):
        name = "/".join(cell.strip() for cell in cells[:width] if cell.strip())
        row = _row(line, name, cells, width, count, decimal_comma)
        numbered += _is_number(name)
        total += 1
        if isinstance(row, str):
            faults.append((line, name, row))
        else:
            rows.append(row)
    of_video = width == 1 and numbered * 2 > total
    usable: list[TableRow] = []
    for row in rows:
        if not row.name:
            faults.append((row.line, "", "Row without a name of an image, left out"))
        elif _is_number(row.name) != of_video:
            what = "a name and no number of a frame" if of_video else "a number and no name of an image"
            faults.append((row.line, row.name, f"Row with {what}, left out"))
        else:
            usable.append(row)
    unread: list[str] = []
    for line, name, fault in sorted(faults):
        findings.add(fault, f"{file.name} line {line}" + (f" ({_short(name)})" if name else ""), listed=True)
        unread += [plain_name(name)] if name and not _is_number(name) else []
    if total and not usable and numbered == total:
        raise ProjectError("contains video frames, not image labels", where=file)
    usable = _unique_rows(usable, file, findings, "line")
    read = {row.name for row in usable}
    lost = () if of_video else tuple(name for name in dict.fromkeys(unread) if name not in read)
    return DlcTable(file, points, usable, of_video, likelihood, next(iter(scorers), ""), lost)


def _row(line: int, name: str, cells: list[str], width: int, count: int, decimal_comma: bool) -> TableRow | str:
    """The row, or the reason for leaving it out."""
    while len(cells) > count and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) < count and not any(cell.strip() for cell in cells[width:]):
        cells = [*cells[:width], *[""] * (count - width)]  # an unlabelled row, however many commas
    if len(cells) != count:
        return f"Row with {'more' if len(cells) > count else 'fewer'} cells than the {count} of the header, left out"
    values: list[float] = []
    for cell in cells[width:]:
        text = cell.strip()
        try:
            value = float(text.replace(",", ".") if decimal_comma else text) if text else math.nan
        except ValueError:
            return "Row with a cell that is not a number, left out"
        values.append(value if math.isfinite(value) else math.nan)
    return TableRow(line, name if _is_number(name) else plain_name(name), np.array(values, np.float64))


def _unique_rows(rows: Sequence[TableRow], file: Path, findings: Findings, unit: str) -> list[TableRow]:
    """One row per image: a repeated row does not mean a second animal."""
    unique: dict[str, TableRow] = {}
    for row in rows:
        first = unique.setdefault(row.name, row)
        if first is row:
            continue
        where = f"{file.name} {unit} {row.line} ({_short(row.name)})"
        if np.array_equal(first.values, row.values, equal_nan=True):
            findings.add("Repeated row, read once", where, listed=True)
        else:
            where += f", the one of {unit} {first.line} is taken"
            findings.add("Row of the same image with other values, left out", where, listed=True)
    return list(unique.values())


def _width_with_set(lines: Sequence[Line]) -> int:
    """Number of cells of a table whose last column says the set ("train") of each image, as Lightning Pose's
    predictions do; 0 if there is no such column."""
    width = max((len(cells) for _, cells in lines), default=0)
    return width if any(len(cells) == width and cells[-1].strip() == "set" for _, cells in lines) else 0


def _without_set(line: Line, width: int) -> Line:
    return (line[0], line[1][:-1]) if len(line[1]) == width else line


def _points(
    columns: Sequence[Column], scorers: Sequence[str], file: Path, findings: Findings
) -> tuple[dict[str, dict[str, tuple[int, int]]], dict[tuple[str, str], int]]:
    """Columns of x and y by individual and keypoint, and those of likelihood."""
    if len(set(scorers)) > 1:
        several = ", ".join(_short(name) for name in list(dict.fromkeys(scorers))[:4])
        raise ProjectError(f"holds tables of several scorers ({several}); save one table a file", where=file)
    position: dict[Column, int] = {}
    for index, column in enumerate(columns):
        if column in position:
            raise ProjectError(f"has two columns for {' '.join(_short(word) for word in column)}", where=file)
        position[column] = index
    points: dict[str, dict[str, tuple[int, int]]] = {}
    for individual, point, coordinate in position:
        if _STATISTIC.fullmatch(coordinate):
            findings.add("Column of statistics, not read", f"{file.name}: {_short(coordinate)}", severity=INFO)
            continue
        if coordinate not in _COORDS:
            raise ProjectError(f"has a column {_short(coordinate)!r} that is not x, y or likelihood", where=file)
        pair = (position.get((individual, point, "x")), position.get((individual, point, "y")))
        if pair[0] is None or pair[1] is None:
            raise ProjectError(f"point {_short(point)!r} has no column for x or y", where=file)
        points.setdefault(individual, {})[point] = (pair[0], pair[1])
    return points, {(who, point): n for (who, point, coord), n in position.items() if coord == "likelihood"}


def _lines(file: Path) -> tuple[Iterator[Line], bool]:
    """The lines that are not empty, and whether numbers use a decimal comma."""
    try:
        data = read_bytes(file, _MAX_BYTES)
    except PoseError as error:
        raise ProjectError(error.message, where=file) from None
    except OSError as error:
        raise ProjectError(f"cannot be read ({error.strerror or error})", where=file) from None
    encoding = _encoding_of(data)
    text = io.TextIOWrapper(io.BytesIO(data), encoding, errors="replace", newline="")
    first = text.read(len("individuals") + 3)
    text.seek(0)
    delimiter = next((c for c in first if c in ",;\t"), ",")
    return _split(text, delimiter, file), delimiter != ","


def _split(text: io.TextIOWrapper, delimiter: str, file: Path) -> Iterator[Line]:
    reader = csv.reader(text, delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ProjectError(f"is not a table of text ({error})", where=file) from None


def _decoded(data: bytes) -> str:
    return data.decode(_encoding_of(data), "replace")


def _encoding_of(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _header(lines: Sequence[tuple[int, list[str]]], file: Path) -> dict[str, list[str]]:
    header: dict[str, list[str]] = {}
    for _, line in lines[: len(LEVELS)]:
        level = line[0].strip().lower()
        if level not in LEVELS or level in header:
            break
        header[level] = [level, *(cell.strip() for cell in line[1:])]
    if not {"bodyparts", "coords"} <= set(header) or not any(header["coords"][1:]):
        raise ProjectError(
            "is not a DeepLabCut label table: it does not start with scorer, bodyparts, coords", where=file
        )
    count = max(n for line in header.values() for n, cell in enumerate(line, 1) if cell)
    if "scorer" in header:  # DeepLabCut itself writes too few of them after keypoints of a single animal were added
        header["scorer"] += [header["scorer"][-1]] * (count - len(header["scorer"]))
    short = next((level for level, line in header.items() if len(line) < count), None)
    if short is not None:
        raise ProjectError(
            f"has header lines with different numbers of cells: {short!r} has {len(header[short])} of {count}",
            where=file,
        )
    width = 1 + next(n for n, cell in enumerate(header["coords"][1:]) if cell)
    for level in ("bodyparts", "coords"):
        if not all(header[level][width:count]):
            raise ProjectError(f"has a column without a name in the line {level!r}", where=file)
    return {level: line[:count] for level, line in header.items()}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
