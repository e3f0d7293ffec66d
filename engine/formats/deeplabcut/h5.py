"""DeepLabCut's tables as HDF5 files, in both layouts that pandas writes. No code in them is executed.

The "table" layout keeps the column names in pickled attributes. They are read by a restricted machine that knows only
lists, tuples, strings and integers, and refuses everything else a pickle can contain.
Layouts: https://github.com/pandas-dev/pandas/blob/main/pandas/io/pytables.py
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import ProjectError
from engine.formats.hdf5 import HDF5_ERRORS, check_table, open_hdf5

Names = tuple[str, ...]

_GROUP = "df_with_missing"
_MAX_BYTES = 1 << 31
_MAX_PICKLE_BYTES = 1 << 22
_ADVICE = "import the .csv of the same name beside it instead"


@dataclass(frozen=True, eq=False)
class H5Table:
    """A table of points.

    Attributes:
        columns: of each column the scorer, the individual (if there are several), the keypoint, and "x", "y" or
            "likelihood".
        rows: image names, or frame numbers as text.
        values: (rows, columns) float64, NaN for empty cells.
        of_video: rows are frames of a video.
    """

    columns: list[Names]
    rows: list[str]
    values: npt.NDArray[np.float64]
    of_video: bool


def read_h5(path: Path) -> H5Table:
    """Read a table.

    Raises:
        ProjectError: it cannot be read, or holds no such table, or one in an unknown layout.
    """
    h5py, file = open_hdf5(path, "HDF5 file")
    with file:
        try:
            return _Reader(file, path, h5py).table()
        except ProjectError:
            raise
        except HDF5_ERRORS as error:
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            raise ProjectError(f"holds a table that cannot be understood ({reason}); {_ADVICE}", where=path) from None


class _Reader:
    def __init__(self, file: Any, path: Path, h5py: Any) -> None:
        self._file, self._path, self._h5py = file, path, h5py

    def table(self) -> H5Table:
        layout = b""
        if self._exists(_GROUP):
            layout = bytes(self._file[_GROUP].attrs.get("pandas_type", b""))
        if layout == b"frame":
            return self._read_fixed()
        if layout == b"frame_table" and self._exists(f"{_GROUP}/table"):
            return self._read_appendable()
        raise ProjectError(f"holds no DeepLabCut table; {_ADVICE}", where=self._path)

    def _read_fixed(self) -> H5Table:
        count = int(self._file[_GROUP].attrs["nblocks"])
        blocks = [self._array(f"block{n}_values") for n in range(count)]
        columns = [names for n in range(count) for names in self._index(f"block{n}_items")]
        of_video, rows = self._rows(self._index("axis1"))
        return self._join(columns, blocks, rows, of_video, [_words(names) for names in self._index("axis0")])

    def _read_appendable(self) -> H5Table:
        records = self._array("table")
        names = records.dtype.names or ()
        attributes = self._file[f"{_GROUP}/table"].attrs
        columns: list[Names] = []
        blocks: list[npt.NDArray[Any]] = []
        for name in names:
            if name.startswith("values_block_"):
                blocks.append(records[name].reshape(len(records), -1))
                columns += [_words(c) for c in plain_pickle(bytes(attributes[f"{name}_kind"]))]
        if "index" not in names:
            raise ValueError("no index")
        of_video, rows = self._rows([(value,) for value in records["index"].tolist()])
        order = columns
        axes = self._file[_GROUP].attrs.get("non_index_axes")
        if axes is not None:
            ((_, names),) = plain_pickle(bytes(axes))
            order = [_words(column) for column in names]
        return self._join(columns, blocks, rows, of_video, order)

    def _join(
        self,
        columns: list[Names],
        blocks: list[npt.NDArray[Any]],
        rows: list[str],
        of_video: bool,
        order: list[Names],
    ) -> H5Table:
        """Join the blocks, one per data type, into columns in the order of the table."""
        values = np.concatenate([block.astype(np.float64) for block in blocks], axis=1) if blocks else np.zeros((0, 0))
        if values.shape != (len(rows), len(columns)) or any(len(names) not in (3, 4) for names in columns):
            raise ValueError(f"{values.shape} numbers for {len(rows)} rows and {len(columns)} columns")
        position = {names: n for n, names in enumerate(columns)}
        return H5Table(order, rows, values[:, [position[names] for names in order]], of_video)

    def _index(self, name: str) -> list[tuple[Any, ...]]:
        """The names along an axis: one level, or several with the position of each name in its level."""
        variety = bytes(self._file[_GROUP].attrs.get(f"{name}_variety", b"regular"))
        if variety != b"multi":
            return [(value,) for value in self._array(name).tolist()]
        count = int(self._file[_GROUP].attrs[f"{name}_nlevels"])
        levels: list[list[Any]] = []
        for n in range(count):
            names = self._array(f"{name}_level{n}").tolist()
            codes = self._array(f"{name}_label{n}")
            if len(codes) and not (int(codes.min()) >= -1 and int(codes.max()) < len(names)):
                raise ValueError(f"{name}: a name that is missing")
            levels.append([names[code] if code >= 0 else b"" for code in codes.tolist()])
        return [_words(names) if name.startswith("block") else names for names in zip(*levels, strict=True)]

    def _rows(self, index: list[tuple[Any, ...]]) -> tuple[bool, list[str]]:
        """Whether rows are frame numbers, and their names; several levels are the parts of a path."""
        if all(len(row) == 1 and isinstance(row[0], int) for row in index):
            return True, [str(row[0]) for row in index]
        return False, ["/".join(word for word in _words(row) if word) for row in index]

    def _exists(self, name: str) -> bool:
        """Whether an object exists, without following links, which could lead to other files."""
        partial_path = ""
        for part in name.split("/"):
            partial_path = f"{partial_path}/{part}"
            if not isinstance(self._file.get(partial_path, getlink=True), self._h5py.HardLink):
                return False
        return True

    def _array(self, name: str) -> npt.NDArray[Any]:
        full_name = f"{_GROUP}/{name}"
        dataset = self._file[full_name] if self._exists(full_name) else None
        if not isinstance(dataset, self._h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise ValueError(f"no {name}")
        check_table(dataset, full_name, self._path)
        # All numbers become float64.
        if dataset.dtype.hasobject or (dataset.size or 0) * max(8, dataset.dtype.itemsize) > _MAX_BYTES:
            raise ValueError(f"{name} is stored in an unsupported way")
        return np.asarray(dataset[()])


def _words(names: tuple[Any, ...] | Any) -> Names:
    if not isinstance(names, tuple):
        raise TypeError("a column without levels")
    if not all(isinstance(name, bytes | str | int | float) for name in names):
        raise TypeError("a name of another type")  # the text of nested lists could be endless
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


_MARK = object()
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_TEXTS = frozenset(
    ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "SHORT_BINSTRING", "BINSTRING")
)
_NUMBERS = frozenset(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"))
_PUT = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GET = frozenset(("GET", "BINGET", "LONG_BINGET"))


def plain_pickle(data: bytes) -> Any:
    """Read the lists, tuples, strings and integers of a pickle. Nothing is called or imported.

    Raises:
        ValueError: it contains anything else, or is damaged.
    """
    if len(data) > _MAX_PICKLE_BYTES:
        raise ValueError("too long")
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    steps: dict[str, Callable[[], None]] = {
        "PROTO": lambda: None, "FRAME": lambda: None, "MARK": lambda: stack.append(_MARK),
        "EMPTY_LIST": lambda: stack.append([]), "LIST": lambda: stack.append(_pop_to_mark(stack)),
        "TUPLE": lambda: stack.append(tuple(_pop_to_mark(stack))),
    }  # fmt: skip
    value: Any
    for code, value, _ in pickletools.genops(data):
        name = code.name
        if name == "STOP":
            if len(stack) != 1:
                raise ValueError("damaged")
            return stack[0]
        if name in steps:
            steps[name]()
        elif name in _TEXTS or name in _NUMBERS:
            stack.append(value)
        elif name in _TUPLES:
            count = _TUPLES[name]
            group = tuple(stack[len(stack) - count :])
            del stack[len(stack) - count :]
            stack.append(group)
        elif name in _PUT:
            memo[int(value)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _GET:
            stack.append(memo[int(value)])
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else _pop_to_mark(stack)
            stack[-1].extend(items)
        else:
            raise ValueError(f"{name} in the names of the columns")
    raise ValueError("damaged")


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    mark = next((n for n in range(len(stack) - 1, -1, -1) if stack[n] is _MARK), None)
    if mark is None:
        raise ValueError("damaged")
    items = stack[mark + 1 :]
    del stack[mark:]
    return items
