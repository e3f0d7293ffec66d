"""HDF5 files of others: opened without trust, and tried in a process of its own before this one reads them.

The HDF5 library can run for ever or crash on a damaged file, which no exception tells. So a second process reads
everything first, with a limit on its processor time and memory; this process reads the file when that has ended well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from engine.errors import PoseError, ProjectError
from engine.utils.files import check_regular

ProgressCallback = Callable[[int, int], None]

HDF5_ERRORS = (
    RuntimeError, KeyError, IndexError, OSError, ValueError, TypeError, AttributeError, OverflowError, MemoryError,
    ZeroDivisionError, msgspec.MsgspecError,
)  # fmt: skip
"""What h5py and numpy raise for damaged files (RecursionError is a RuntimeError, UnicodeDecodeError a ValueError)."""

_MOST_BYTES = 4 << 30
_MOST_CHUNK = 1 << 30
_SMALL = 64 << 20
_MOST_PACKED = 300
"""Tables of numbers do not shrink by more than that: a larger one is a few bytes that claim to be gigabytes."""
_SECONDS = 3
_BYTES_PER_SECOND = 30e6
_START_SECONDS = 60
_SLOWER = 6  # processor time and time on the clock, on a busy machine
_MEMORY = 12 << 30
_POLL = 0.05


def open_hdf5(path: Path, what: str) -> tuple[ModuleType, Any]:
    """h5py, and the file opened for reading.

    Args:
        what: it should be, for messages ("SLEAP file").

    Raises:
        ProjectError: h5py is not installed, the file does not exist, is no regular file, or no HDF5 file.
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
        raise ProjectError(f"is no {what} ({str(error)[:200]})", where=path) from None


def check_table(stored: Any, name: str, path: Path, *, pictures: bool = False) -> None:
    """Refuse a data set that lies in another file, or that is larger than it can be.

    Args:
        stored: the h5py data set. pictures: it is read row by row.

    Raises:
        ProjectError: it is not to be read.
    """
    if stored.external or stored.is_virtual:
        raise ProjectError(f"{name} is stored in another file, which is not followed", where=path)
    size = int(stored.size or 0) * max(1, int(stored.dtype.itemsize))
    chunk = int(stored.dtype.itemsize)
    for length in stored.chunks or ():
        chunk *= int(length)
    packed = size > _SMALL and size > _MOST_PACKED * int(stored.id.get_storage_size())
    if packed or chunk > _MOST_CHUNK or (size > _MOST_BYTES and not pictures):
        raise ProjectError(f"{name} is too large to be true", where=path)


def try_in_a_process(path: Path, kind: str, progress: ProgressCallback | None = None) -> None:
    """Have another process read a file, so that this one can: returns when it can be read, or is refused in time.

    Args:
        kind: "sleap" or "dlc".
        progress: called all the while; what it raises stops the other process and goes on.

    Raises:
        ProjectError: reading it does not end, takes too much memory, or makes the HDF5 library crash.
    """
    try:
        size = path.stat().st_size
        seconds = round(_SECONDS + size / _BYTES_PER_SECOND)
        process = subprocess.Popen(
            [*_command(), kind, str(path), str(seconds), str(_MEMORY)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(),
        )  # fmt: skip
    except OSError:
        return  # opening the file tells what is wrong with it
    try:
        limit = time.monotonic() + _START_SECONDS + _SLOWER * seconds
        while process.poll() is None and time.monotonic() < limit:
            if progress is not None:
                progress(0, 0)
            try:
                process.wait(_POLL)
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
    if not getattr(sys, "frozen", False):  # also when the program runs from a folder that is not installed
        home = str(Path(__file__).resolve().parents[2])
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{home}{os.pathsep}{before}" if before else home
    return environment
