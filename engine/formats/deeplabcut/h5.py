"""DeepLabCut's tables as HDF5 files, in both layouts in which pandas writes them. Nothing in them is run.

The names of the columns of the "table" layout stand in attributes that are pickled. Here such a text is read with a
machine that knows lists, tuples, words and whole numbers, and refuses whatever else a pickle could say.
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
_MOST_BYTES = 1 << 31
_MOST_PICKLE = 1 << 22
_ADVICE = "import the .csv of the same name beside it instead"


@dataclass(frozen=True, eq=False)
class H5Table:
    """A table of points.

    Attributes:
        columns: scorer, individual where there are several, point, "x", "y" or "likelihood" of each column.
        rows: names of images, or frame numbers as texts.
        values: (rows, columns) float64, NaN where there is nothing.
        of_video: rows are frames of a video.
    """

    columns: list[Names]
    rows: list[str]
    values: npt.NDArray[np.float64]
    of_video: bool


def read_h5(path: Path) -> H5Table:
    """Read a table.

    Raises:
        ProjectError: cannot be read, holds no such table, or one in a layout that is not known.
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
        kind = b""
        if self._there(_GROUP):
            kind = bytes(self._file[_GROUP].attrs.get("pandas_type", b""))
        if kind == b"frame":
            return self._fixed()
        if kind == b"frame_table" and self._there(f"{_GROUP}/table"):
            return self._appendable()
        raise ProjectError(f"holds no DeepLabCut table; {_ADVICE}", where=self._path)

    def _fixed(self) -> H5Table:
        blocks = int(self._file[_GROUP].attrs["nblocks"])
        parts = [self._array(f"block{n}_values") for n in range(blocks)]
        columns = [names for n in range(blocks) for names in self._index(f"block{n}_items")]
        numbers, rows = self._rows(self._index("axis1"))
        return self._joined(columns, parts, rows, numbers, [_words(names) for names in self._index("axis0")])

    def _appendable(self) -> H5Table:
        records = self._array("table")
        names = records.dtype.names or ()
        attributes = self._file[f"{_GROUP}/table"].attrs
        columns: list[Names] = []
        parts: list[npt.NDArray[Any]] = []
        for name in names:
            if name.startswith("values_block_"):
                parts.append(records[name].reshape(len(records), -1))
                columns += [_words(c) for c in plain_pickle(bytes(attributes[f"{name}_kind"]))]
        if "index" not in names:
            raise ValueError("no index")
        numbers, rows = self._rows([(value,) for value in records["index"].tolist()])
        order = columns
        axes = self._file[_GROUP].attrs.get("non_index_axes")
        if axes is not None:
            ((_, names),) = plain_pickle(bytes(axes))
            order = [_words(column) for column in names]
        return self._joined(columns, parts, rows, numbers, order)

    def _joined(
        self,
        columns: list[Names],
        parts: list[npt.NDArray[Any]],
        rows: list[str],
        numbers: bool,
        order: list[Names],
    ) -> H5Table:
        """Blocks, which lie by the type of their numbers, as columns in the order of the table."""
        values = np.concatenate([part.astype(np.float64) for part in parts], axis=1) if parts else np.zeros((0, 0))
        if values.shape != (len(rows), len(columns)) or any(len(names) not in (3, 4) for names in columns):
            raise ValueError(f"{values.shape} numbers for {len(rows)} rows and {len(columns)} columns")
        place = {names: n for n, names in enumerate(columns)}
        return H5Table(order, rows, values[:, [place[names] for names in order]], numbers)

    def _index(self, name: str) -> list[tuple[Any, ...]]:
        """The names along an axis: one level, or several with the place of each name in its level."""
        variety = bytes(self._file[_GROUP].attrs.get(f"{name}_variety", b"regular"))
        if variety != b"multi":
            return [(value,) for value in self._array(name).tolist()]
        count = int(self._file[_GROUP].attrs[f"{name}_nlevels"])
        levels: list[list[Any]] = []
        for n in range(count):
            words = self._array(f"{name}_level{n}").tolist()
            places = self._array(f"{name}_label{n}")
            if len(places) and not (int(places.min()) >= -1 and int(places.max()) < len(words)):
                raise ValueError(f"{name}: a name that is not there")
            levels.append([words[place] if place >= 0 else b"" for place in places.tolist()])
        return [_words(names) if name.startswith("block") else names for names in zip(*levels, strict=True)]

    def _rows(self, index: list[tuple[Any, ...]]) -> tuple[bool, list[str]]:
        """Whether the rows are numbers of frames, and their names; those of several levels are parts of a path."""
        if all(len(row) == 1 and isinstance(row[0], int) for row in index):
            return True, [str(row[0]) for row in index]
        return False, ["/".join(word for word in _words(row) if word) for row in index]

    def _there(self, name: str) -> bool:
        """Not through links, which could lead to other files."""
        at = ""
        for part in name.split("/"):
            at = f"{at}/{part}"
            if not isinstance(self._file.get(at, getlink=True), self._h5py.HardLink):
                return False
        return True

    def _array(self, name: str) -> npt.NDArray[Any]:
        full = f"{_GROUP}/{name}"
        stored = self._file[full] if self._there(full) else None
        if not isinstance(stored, self._h5py.Dataset) or stored.external or stored.is_virtual:
            raise ValueError(f"no {name}")
        check_table(stored, full, self._path)
        # All numbers become float64.
        if stored.dtype.hasobject or (stored.size or 0) * max(8, stored.dtype.itemsize) > _MOST_BYTES:
            raise ValueError(f"{name} is stored in a way that is not read")
        return np.asarray(stored[()])


def _words(names: tuple[Any, ...] | Any) -> Names:
    if not isinstance(names, tuple):
        raise TypeError("a column without levels")
    if not all(isinstance(name, bytes | str | int | float) for name in names):
        raise TypeError("a name that is none")  # of lists in lists the text could be without end
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
    """The lists, tuples, words and whole numbers that a pickle says; nothing is called, imported or built otherwise.

    Raises:
        ValueError: it says something else, or is damaged.
    """
    if len(data) > _MOST_PICKLE:
        raise ValueError("too long")
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    steps: dict[str, Callable[[], None]] = {
        "PROTO": lambda: None, "FRAME": lambda: None, "MARK": lambda: stack.append(_MARK),
        "EMPTY_LIST": lambda: stack.append([]), "LIST": lambda: stack.append(_above_mark(stack)),
        "TUPLE": lambda: stack.append(tuple(_above_mark(stack))),
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
            taken = tuple(stack[len(stack) - count :])
            del stack[len(stack) - count :]
            stack.append(taken)
        elif name in _PUT:
            memo[int(value)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _GET:
            stack.append(memo[int(value)])
        elif name in ("APPEND", "APPENDS"):
            more = [stack.pop()] if name == "APPEND" else _above_mark(stack)
            stack[-1].extend(more)
        else:
            raise ValueError(f"{name} in the names of the columns")
    raise ValueError("damaged")


def _above_mark(stack: list[Any]) -> list[Any]:
    place = next((n for n in range(len(stack) - 1, -1, -1) if stack[n] is _MARK), None)
    if place is None:
        raise ValueError("damaged")
    taken = stack[place + 1 :]
    del stack[place:]
    return taken
