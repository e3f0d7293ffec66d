"""HDF5 files from elsewhere, opened without trusting them.

The HDF5 library can crash or run forever on a damaged file, and no exception reports either. So a child process reads
the whole file first, with limits on processor time and memory. This process reads the file only if that went well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.errors import PoseError, ProjectError
from engine.utils.files import check_regular

ProgressCallback = Callable[[int, int], None]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""

HDF5_ERRORS = (
    RuntimeError, KeyError, IndexError, OSError, ValueError, TypeError, AttributeError, OverflowError, MemoryError,
    ZeroDivisionError, msgspec.MsgspecError,
)  # fmt: skip
"""What h5py and numpy raise for damaged files (RecursionError is a RuntimeError, UnicodeDecodeError a ValueError)."""

_MAX_BYTES = 4 << 30
_MAX_SPARSE_BYTES = 64 << 30
_MAX_CHUNK_BYTES = 1 << 30
_SMALL_BYTES = 64 << 20
_MAX_COMPRESSION = 300
"""Tables of numbers do not compress better than this: a higher ratio is a few bytes that claim to be gigabytes."""
_BASE_SECONDS = 3
_BYTES_PER_SECOND = 30e6
_SLOWER = {"nwb": 15}
"""Formats of many small groups take longer for their bytes."""
_START_SECONDS = 60
_BUSY_FACTOR = 6  # wall time over processor time, on a busy machine
_MAX_MEMORY = 12 << 30
_POLL_SECONDS = 0.05
_MAX_TEXTS = 100_000


def open_hdf5(path: Path, description: str) -> tuple[ModuleType, Any]:
    """Open a file for reading.

    Args:
        description: what the file should be, for messages ("SLEAP file").

    Returns:
        the module h5py, and the open file.

    Raises:
        ProjectError: h5py is not installed, or the file does not exist, is not a regular file, or is not HDF5.
    """
    try:
        import h5py
    except ImportError:
        raise ProjectError("needs the package h5py to be read: pip install 'poseapp[formats]'", where=path) from None
    try:
        check_regular(path)
        return h5py, h5py.File(path, "r")
    except PoseError as error:
        raise ProjectError(error.message, where=path) from None
    except FileNotFoundError:
        raise ProjectError("does not exist", where=path) from None
    except HDF5_ERRORS as error:
        raise ProjectError(f"is not a {description} ({str(error)[:200]})", where=path) from None


def check_table(dataset: Any, name: str, path: Path, *, read_by_row: bool = False, is_sparse: bool = False) -> None:
    """Refuse an h5py data set that is stored in another file, or whose size cannot be real.

    Args:
        read_by_row: it is never read as a whole, so its total size does not matter.
        is_sparse: it is read in blocks and may be nearly empty, so that it takes little of the file.

    Raises:
        ProjectError: it must not be read.
    """
    if dataset.external or dataset.is_virtual:
        raise ProjectError(f"{name} is stored in another file, which is not followed", where=path)
    size = int(dataset.size or 0) * max(1, int(dataset.dtype.itemsize))
    chunk = int(dataset.dtype.itemsize)
    for length in dataset.chunks or ():
        chunk *= int(length)
    is_bomb = size > _SMALL_BYTES and size > _MAX_COMPRESSION * int(dataset.id.get_storage_size())
    if is_sparse:
        is_bomb, read_by_row = size > _MAX_SPARSE_BYTES, True
    if is_bomb or chunk > _MAX_CHUNK_BYTES or (size > _MAX_BYTES and not read_by_row):
        raise ProjectError(f"{name} claims a size that cannot be real", where=path)


def read_arrays(path: Path, description: str, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Data sets of numbers and texts, read whole; those that do not exist are left out.

    Args:
        description: what the file should be, for messages. names: HDF5 paths ("poseest/points").

    Raises:
        ProjectError: the file is not HDF5, or one of them is damaged, of an absurd size or stored elsewhere.
    """
    h5py, file = open_hdf5(path, description)
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with file:
            for name in names:
                dataset = dataset_of(h5py, file, name, path)
                if dataset is not None:
                    check_table(dataset, name, path)
                    arrays[name] = np.asarray(dataset[()])
    except PoseError:
        raise
    except HDF5_ERRORS as error:
        raise damaged(error, path) from None
    return arrays


def damaged(error: Exception, path: Path) -> ProjectError:
    """What to raise for one of :data:`HDF5_ERRORS`."""
    return ProjectError(f"is damaged ({type(error).__name__}: {str(error)[:200]})", where=path)


def dataset_of(h5py: ModuleType, file: Any, name: str, path: Path) -> Any:
    """The data set of numbers or texts with this HDF5 path in an open file, unread and unchecked for its size; None if
    there is none.

    Raises:
        ProjectError: it is a link to elsewhere, or holds something else.
    """
    if any(not isinstance(link, h5py.HardLink) for link in _links(file, name)):
        raise ProjectError(f"{name} is a link to elsewhere, which is not followed", where=path)
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        return None
    if dataset.dtype.kind not in "iufbSO" or (dataset.dtype.hasobject and dataset.size > _MAX_TEXTS):
        raise ProjectError(f"{name} holds neither numbers nor texts", where=path)
    return dataset


def _links(file: Any, name: str) -> Iterator[Any]:
    """The links on the way to an object that exist."""
    partial_path = ""
    for part in name.split("/"):
        partial_path = f"{partial_path}/{part}"
        link = file.get(partial_path, getlink=True)
        if link is None:
            return
        yield link


def try_in_a_process(path: Path, format_name: str, progress: ProgressCallback | None = None) -> None:
    """Let a child process read a file to its end first. Returns if this process can read it, or refuse it, in time.

    Args:
        format_name: "sleap", "sleap_analysis", "jabs", "nwb" or "dlc".
        progress: called again and again with (0, 0); whatever it raises ends the child process and is passed on.

    Raises:
        ProjectError: reading does not end, takes too much memory, or crashes the HDF5 library.
    """
    try:
        size = path.stat().st_size
        seconds = round(_BASE_SECONDS + size / _BYTES_PER_SECOND * _SLOWER.get(format_name, 1))
        process = subprocess.Popen(
            [*_command(), format_name, str(path), str(seconds), str(_MAX_MEMORY)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(),
        )  # fmt: skip
    except OSError:
        return  # opening the file tells what is wrong with it
    try:
        deadline = time.monotonic() + _START_SECONDS + _BUSY_FACTOR * seconds
        while process.poll() is None and time.monotonic() < deadline:
            if progress is not None:
                progress(0, 0)
            try:
                process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        status = process.poll()
    finally:
        process.kill()
        process.communicate()
    if status is None or status < 0 or status > 3:
        raise ProjectError("is damaged: the HDF5 library cannot read it to its end", where=path)
    if status == 3:
        raise ProjectError("is damaged or too large: reading it takes too much memory", where=path)


def _command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, "--try-hdf5"]
    return [sys.executable, "-m", "engine.formats.hdf5_trial"]


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    if not getattr(sys, "frozen", False):  # so that it also works from a folder that is not installed
        root = str(Path(__file__).resolve().parents[2])
        python_path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{python_path}" if python_path else root
    return environment
