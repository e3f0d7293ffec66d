"""Tables as HDF5 files in the "fixed" layout of pandas: ``pandas.read_hdf(path, key="df_with_missing")`` reads them.

Everything is a plain array or attribute: unlike pandas this writes no pickles.
Layout: https://github.com/pandas-dev/pandas/blob/main/pandas/io/pytables.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import LabelError

KEY = "df_with_missing"

_BLOCK_ROWS = 1000

Row = tuple[tuple[str, ...] | int, npt.NDArray[np.float64]]
"""The name of an image in levels (folder, folder, file), or the number of a frame; and a number a column."""


def write_h5(path: Path, columns: Sequence[tuple[str, ...]], rows: Iterable[Row], count: int) -> None:
    """Write a table.

    Args:
        columns: of each its names: scorer, individual (if there are several), keypoint, coordinate.
        rows: all of the same kind, and with as many levels.
        count: how many rows there are.

    Raises:
        LabelError: there are no rows or columns.
    """
    import h5py

    if not count or not columns:
        raise LabelError("there are no rows to write into such a table", where=path)
    names = ("scorer", "individuals", "bodyparts", "coords") if len(columns[0]) == 4 else (
        "scorer", "bodyparts", "coords",
    )  # fmt: skip
    with h5py.File(path, "w", libver="earliest") as file:
        _mark(file, CLASS="GROUP", PYTABLES_FORMAT_VERSION="2.1", TITLE="", VERSION="1.0")
        group = file.create_group(KEY)
        _mark(group, CLASS="GROUP", TITLE="", VERSION="1.0", pandas_type="frame", encoding="UTF-8", errors="strict")
        _mark(group, ndim=2, nblocks=1)
        _write_levels(group, "axis0", columns, names)
        _write_levels(group, "block0_items", columns, names)
        values = group.create_dataset("block0_values", (count, len(columns)), np.float64)
        _mark_array(values)
        labels = _write_values(values, rows)
        if isinstance(labels[0], tuple):
            _write_levels(group, "axis1", [name for name in labels if isinstance(name, tuple)])
        else:
            _mark(group, axis1_variety="regular")
            axis = group.create_dataset("axis1", data=np.array(labels, np.int64))
            _mark_array(axis)
            _mark(axis, kind="integer")


def _write_values(values: Any, rows: Iterable[Row]) -> list[tuple[str, ...] | int]:
    labels: list[tuple[str, ...] | int] = []
    iterator = iter(rows)
    while block := list(islice(iterator, _BLOCK_ROWS)):
        values[len(labels) : len(labels) + len(block)] = np.stack([numbers for _, numbers in block])
        labels += [name for name, _ in block]
    return labels


def _write_levels(group: Any, axis: str, labels: Sequence[tuple[str, ...]], names: Sequence[str] = ()) -> None:
    """An index of several levels: of each its different values, and which of them each label has."""
    marks: dict[str, str | int] = {f"{axis}_variety": "multi", f"{axis}_nlevels": len(labels[0])}
    _mark(group, **marks)
    for level, texts in enumerate(zip(*labels, strict=True)):
        codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
        encoded = [text.encode("utf-8", "surrogateescape") for text in codes]
        data = group.create_dataset(f"{axis}_level{level}", data=np.array(encoded, f"S{max(1, *map(len, encoded), 1)}"))
        _mark_array(data)
        _mark(data, kind="string", nan_rep="nan")
        if names:
            _mark(data, name=names[level])
        _mark_array(group.create_dataset(f"{axis}_label{level}", data=np.array([codes[t] for t in texts], np.int32)))


def _mark_array(dataset: Any) -> None:
    _mark(dataset, CLASS="ARRAY", FLAVOR="numpy", TITLE="", VERSION="2.4")
    dataset.attrs["transposed"] = np.uint8(1)


def _mark(target: Any, **attributes: str | int) -> None:
    """Set attributes; PyTables takes texts only as fixed-length UTF-8 for texts, and for bytes otherwise."""
    import h5py

    for name, value in attributes.items():
        if value == "":
            target.attrs[name] = h5py.Empty("S1")
        elif isinstance(value, str):
            encoded = value.encode()
            target.attrs.create(name, np.bytes_(encoded), dtype=h5py.string_dtype("utf-8", len(encoded)))
        else:
            target.attrs[name] = np.int64(value)
