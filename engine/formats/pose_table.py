"""Poses as a table with a row per pose: CSV, and Parquet for millions of rows.

Columns: video, frame_index, frame, time, track, category, state ("predicted" or "labelled"), source, score, box.x1 to
box.y2, and x, y, visibility, score of every keypoint ("nose.x"). Coordinates are image pixels, pixel centers at
integers; a keypoint that the category does not have has four empty cells, an absent one has visibility 0.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError, PoseError
from engine.formats.category_schema import schema_of_names
from engine.formats.registry import CERTAIN, NO, ReadOptions, WriteOptions, register_format
from engine.labels.features import Feature
from engine.labels.model import ABSENT, IMAGES, VIDEO, VISIBLE, Category, Floats, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.media.source import VIDEO_SUFFIXES
from engine.utils.context import ERROR, Context
from engine.utils.files import check_regular, kept_mode, open_regular, replacing

HEAD = ("video", "frame_index", "frame", "time", "track", "category", "state", "source", "score")
BOX = ("box.x1", "box.y1", "box.x2", "box.y2")
PARTS = ("x", "y", "visibility", "score")
PREDICTED, LABELLED = "predicted", "labelled"

Cell = str | int | float | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TEXT_COLUMNS = frozenset({"video", "frame", "category", "state", "source"})
_INTEGER_COLUMNS = frozenset({"frame_index", "track"})
_TEXT_POSITIONS = frozenset(n for n, name in enumerate(HEAD) if name in _TEXT_COLUMNS)
_MAX_INTEGER = 1 << 53
_HEAD_CHARACTERS = 100
_STEP = 1000
_BLOCK = 20_000


def columns_of(keypoints: Iterable[str]) -> list[str]:
    """Names of all columns of a table with these keypoints."""
    return [*HEAD, *BOX, *(f"{name}.{part}" for name in keypoints for part in PARTS)]


def as_text(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers, None becomes an empty cell."""
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def unique_names(names: Iterable[str], paths: Iterable[str] = ()) -> list[str]:
    """A different name for each: of those that are given twice the path, else a number is added."""
    given = list(names)
    longer = [*paths] or given
    counts = Counter(given)
    taken: set[str] = set()
    unique: list[str] = []
    for name, path in zip(given, longer, strict=True):
        base = name if counts[name] == 1 else path or name
        candidate, attempt = base, 1
        while candidate in taken:
            attempt += 1
            candidate = f"{base} ({attempt})"
        taken.add(candidate)
        unique.append(candidate)
    return unique


class _Rows:
    """The rows of labels."""

    def __init__(self, labels: LabelReader, options: WriteOptions, context: Context) -> None:
        self._labels, self._options, self._context = labels, options, context
        schemas = [category.schema for category in labels.categories if category.schema is not None]
        names = dict.fromkeys(name for schema in schemas for name in schema.names)
        self._column = {name: n * len(PARTS) for n, name in enumerate(names)}
        self.columns = columns_of(names)
        self._times: dict[int, Floats] = {}
        paths = [media.path for media in labels.media]
        self._media_names = unique_names([Path(path).name for path in paths], paths)
        self._category_names = unique_names(category.name for category in labels.categories)
        self._used: set[int] = set()

    def __iter__(self) -> Iterator[list[Cell]]:
        labels = self._labels
        frames = list(labels.frames())
        total = labels.num_instances()
        for index, instance in enumerate(labels.instances()):
            if index % _STEP == 0:
                self._context.progress(index, total)
            if instance.is_prediction and not self._options.include_predictions:
                continue
            if instance.is_pose:
                self._used.add(instance.category)
                yield self._row(frames[instance.frame], instance)
            else:
                what = "Crowd, or record without keypoints, which this format does not have"
                self._context.report(instance.key or f"record {index + 1}", what, "left out", severity=ERROR)

    def _row(self, frame: Frame, instance: Instance) -> list[Cell]:
        category = self._labels.categories[instance.category]
        media = self._labels.media[frame.media]
        state = PREDICTED if instance.is_prediction else LABELLED
        row: list[Cell] = [self._media_names[frame.media], frame.index, frame.name]
        row += [self._time(frame, media), instance.track]
        row += [self._category_names[instance.category], state, instance.source, instance.score]
        row += [None] * 4 if instance.box is None else instance.box.tolist()
        cells: list[Cell] = [None] * (len(PARTS) * len(self._column))
        if category.schema is not None and instance.keypoints is not None and instance.visibility is not None:
            count = len(instance.visibility)
            scores = [None] * count if instance.scores is None else instance.scores.tolist()
            points = zip(category.schema.names, instance.keypoints.tolist(), instance.visibility.tolist(), scores)
            for name, (x, y), visibility, score in points:
                at = self._column[name]
                cells[at : at + 4] = [x, y, visibility, score] if visibility else [None, None, ABSENT, score]
        return row + cells

    def report_unused_categories(self) -> None:
        """To be called after all rows were written."""
        for position, name in enumerate(self._category_names):
            if position not in self._used:
                self._context.report(name, "Category without poses, which a table of poses does not have", "left out")

    def _time(self, frame: Frame, media: Media) -> float | None:
        """Seconds; None for images, and for a video that cannot be opened."""
        if media.type != VIDEO:
            return None
        if frame.media not in self._times:
            self._times[frame.media] = self._read_times(media)
        times = self._times[frame.media]
        return float(times[frame.index]) if frame.index < len(times) else None

    def _read_times(self, media: Media) -> Floats:
        from engine.media.source import open_media  # loads the video libraries

        path = Path(media.path)
        try:
            with open_media(path if path.is_absolute() else self._labels.path.absolute().parent / path) as source:
                return np.array([source.time(n) for n in range(source.frame_count)])
        except PoseError as error:
            self._context.report(str(error), "Times are left out")
            return np.zeros(0)


class _TableReader(LabelReader):
    """A csv, read again for every pass over its instances."""

    def __init__(self, path: Path, context: Context) -> None:
        self.path = path
        self._context = context
        self._frames: dict[tuple[str, int], Frame] = {}
        self._count = 0
        self._bad_lines: set[int] = set()
        media: dict[str, int] = {}
        self.media: list[Media] = []
        keypoints: dict[str, dict[str, None]] = {}
        self._columns: dict[str, int] = {}
        self._names: list[str] = []
        for row in self._rows(first=True):
            self._count += 1
            video, index = _name(row[0]), _integer(row[1])
            if video not in media:
                media[video] = len(self.media)
                is_video = bool(row[3]) or not row[2] or Path(video).suffix.lower() in VIDEO_SUFFIXES
                self.media.append(Media(VIDEO if is_video else IMAGES, video))
            self._frames.setdefault((video, index), Frame(_name(row[2]), media[video], index))
            own = keypoints.setdefault(_name(row[5]), {})
            for name in self._names:
                if name not in own and row[self._columns[name] + 2]:
                    own[name] = None
        self.categories = [
            Category(name, schema_of_names([n for n in self._names if n in own], name))
            for name, own in keypoints.items()
        ]
        self._category = {category.name: n for n, category in enumerate(self.categories)}
        self._position = {key: n for n, key in enumerate(self._frames)}
        positions = {name: n for n, name in enumerate(self._names)}
        self._positions = [
            np.array([positions[name] for name in category.schema.names], np.intp)
            for category in self.categories if category.schema is not None
        ]  # fmt: skip

    def _rows(self, *, first: bool = False) -> Iterator[list[str]]:
        """The rows with as many cells as the header; others are reported, and left out."""
        file = _open_text(self.path)
        with file:
            try:
                head = file.read(_HEAD_CHARACTERS)
                delimiter = next((c for c in head if c in ",;\t"), ",")
                file.seek(0)
                reader = csv.reader(file, delimiter=delimiter)
                header = next(reader, [])
                self._check_header(header)
                for index, row in enumerate(reader):
                    if index % _STEP == 0:
                        self._context.check_cancelled()
                    if delimiter != ",":  # from a spreadsheet of a country with decimal commas
                        row = [c if n in _TEXT_POSITIONS else c.replace(",", ".") for n, c in enumerate(row)]
                    if not first:
                        if reader.line_num not in self._bad_lines and len(row) == len(header):
                            yield row
                        continue
                    fault = _fault(row, len(header))
                    if not fault:
                        yield row
                    else:
                        self._bad_lines.add(reader.line_num)
                        where = f"{self.path.name} line {reader.line_num}"
                        self._context.report(where, fault, "left out", listed=True)
            except (csv.Error, UnicodeDecodeError) as error:
                raise LabelError(f"is not a table of text ({error})", where=self.path) from None

    def _check_header(self, header: Sequence[str]) -> None:
        start = len(HEAD) + len(BOX)
        names = [column.removesuffix(".x") for column in header[start :: len(PARTS)]]
        if list(header) != columns_of(names):
            raise LabelError("is not a table of poses: its columns are others", where=self.path)
        self._names = names
        self._columns = {name: start + n * len(PARTS) for n, name in enumerate(names)}

    def frames(self) -> Iterator[Frame]:
        return iter(self._frames.values())

    def num_instances(self) -> int:
        return self._count

    def instances(self) -> Iterator[Instance]:
        for index, row in enumerate(self._rows()):
            category = self._category[_name(row[5])]
            schema = self.categories[category].schema
            assert schema is not None
            start = len(HEAD) + len(BOX)
            numbers = np.array([cell or "nan" for cell in row[start:]], np.float64).reshape(-1, len(PARTS))
            values = numbers[self._positions[category]]
            x, y, v, point_scores = values.T
            is_absent = ~(np.isfinite(x) & np.isfinite(y) & (v > ABSENT))  # an empty cell is NaN
            visibility = np.where(is_absent, ABSENT, np.minimum(v, VISIBLE)).astype(np.uint8)
            values[visibility == ABSENT, :2] = 0.0
            has_score = np.isfinite(point_scores)
            yield Instance(
                self._position[_name(row[0]), _integer(row[1])],
                category,
                values[:, :2].copy(),
                visibility,
                scores=np.where(has_score, point_scores, 0.0) if has_score.any() else None,
                box=_box(row[len(HEAD) : len(HEAD) + 4]),
                score=None if not row[8] else _float(row[8]),
                track=_integer(row[4]) if row[4] else None,
                is_prediction=row[6] == PREDICTED,
                source=_name(row[7]),
                key=str(index),
            )


class CsvTableFormat:
    """A csv with a row per pose."""

    name = "csv"
    title = "Table, one row per pose"
    suffixes: tuple[str, ...] = (".csv",)
    can_read = can_write = True
    keeps: Collection[Feature] = frozenset(
        {
            Feature.OCCLUSION,
            Feature.SCORES,
            Feature.BOXES,
            Feature.TRACKS,
            Feature.SEVERAL_CATEGORIES,
            Feature.SEVERAL_MEDIA,
            Feature.VIDEO_FRAMES,
        }
    )

    def sniff(self, path: Path) -> float:
        try:
            with open_regular(path) as file:
                head = file.read(4096).removeprefix(b"\xef\xbb\xbf")
                return CERTAIN if any(head.startswith(d.join(HEAD).encode()) for d in ",;\t") else NO
        except (OSError, PoseError):
            return NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        reader = _TableReader(path, context or Context())
        reader.image_folder = None if options is None else options.images
        return reader

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        rows = _Rows(labels, options or WriteOptions(), context or Context())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                replacing(path, mode=kept_mode(path), suffix=path.suffix) as temporary,
                open(temporary, "w", encoding="utf-8", newline="") as file,
            ):
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(rows.columns)
                for row in rows:
                    writer.writerow([as_text(cell) for cell in row])
            rows.report_unused_categories()
        except OSError as error:
            raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


class ParquetTableFormat:
    """The same table with types; needs pyarrow."""

    name = "parquet"
    title = "Table for large projects"
    suffixes: tuple[str, ...] = (".parquet",)
    can_read, can_write = False, True
    keeps = CsvTableFormat.keeps

    def sniff(self, path: Path) -> float:
        return NO

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        raise LabelError(f"{self.title} can be written, but not read", where=path)

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        pyarrow = load_pyarrow(path)
        rows = _Rows(labels, options or WriteOptions(), context or Context())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, mode=kept_mode(path), suffix=path.suffix) as temporary:
                write_parquet(pyarrow, temporary, rows.columns, rows)
        except OSError as error:
            raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


def load_pyarrow(path: Path) -> Any:
    """The module pyarrow.

    Args:
        path: the file to be written, for the message.

    Raises:
        LabelError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise LabelError(
            "Parquet needs the package pyarrow: pip install 'poseapp[formats]', or export as CSV", where=path
        ) from None
    return pyarrow


def write_parquet(pyarrow: Any, path: Path, columns: Sequence[str], rows: Iterable[list[Cell]]) -> int:
    """Write the rows of a table; returns how many there were."""
    types = [(name, _arrow_type(pyarrow, name)) for name in columns]
    schema = pyarrow.schema(types)
    count = 0
    with pyarrow.parquet.ParquetWriter(str(path), schema) as writer:
        for block in _blocks(rows):
            arrays = [pyarrow.array(list(column), type) for column, (_, type) in zip(zip(*block), types)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(block)
    return count


def _blocks(rows: Iterable[list[Cell]]) -> Iterator[list[list[Cell]]]:
    block: list[list[Cell]] = []
    for row in rows:
        block.append(row)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _arrow_type(pyarrow: Any, column: str) -> Any:
    if column in _TEXT_COLUMNS:
        return pyarrow.string()
    if column in _INTEGER_COLUMNS:
        return pyarrow.int64()
    return pyarrow.uint8() if column.endswith(".visibility") else pyarrow.float64()


def _open_text(path: Path) -> TextIO:
    try:
        check_regular(path)
        return open(path, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None


def _fault(row: Sequence[str], count: int) -> str:
    """Why a row cannot be used; "" if it can."""
    if len(row) != count:
        return f"Row with {'more' if len(row) > count else 'fewer'} cells than the {count} of the header"
    try:
        if any(map(math.isinf, map(float, filter(None, [row[8], *row[len(HEAD) :]])))):
            raise ValueError
    except ValueError:
        return "Row with a cell that is not a number"
    if not 0 <= _float(row[1]) < _MAX_INTEGER or (row[4] and not abs(_float(row[4])) < _MAX_INTEGER):
        return "Row with a cell that is not a number"
    return "" if row[5] else "Row without a category"


def _float(cell: str) -> float:
    """A number; NaN for an empty cell, infinity for a cell that is not a number."""
    if not cell:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return math.inf


def _integer(cell: str) -> int:
    return int(float(cell))


def _name(cell: str) -> str:
    """A text without the apostrophe that guards it against spreadsheets."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _box(cells: Sequence[str]) -> npt.NDArray[np.float64] | None:
    box = [_float(cell) for cell in cells]
    return np.array(box) if all(map(math.isfinite, box)) else None


register_format(CsvTableFormat())
register_format(ParquetTableFormat())
