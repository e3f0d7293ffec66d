"""``FORMAT PATH SECONDS BYTES``: read an HDF5 file to its end, silently; the child process of :mod:`.hdf5`.

Status 0: the file can be read, or is refused with an error that the parent will find itself.
Status 3: it takes too much memory.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import PoseError

if TYPE_CHECKING:
    from engine.formats.sleap.file import SleapFile

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """Read the file under the limits; returns the exit status."""
    format_name, path, seconds, memory = argv[0], Path(argv[1]), int(argv[2]), int(argv[3])
    read = _reader_of(format_name)  # what it imports is not on the file's account
    _set_limits(seconds, memory)
    try:
        read(path)
    except PoseError:
        return 0
    except MemoryError:
        return 3
    return 0


def _reader_of(format_name: str) -> Callable[[Path], object]:
    """What reads a file of a format to its end; only the modules of that format are imported."""
    if format_name == "sleap_analysis":
        from engine.formats.sleap.analysis_file import AnalysisFile

        return partial(_exhaust, AnalysisFile, AnalysisFile.blocks)
    if format_name == "jabs":
        from engine.formats.jabs.format import read_jabs_arrays

        return read_jabs_arrays
    if format_name == "nwb":
        from engine.formats.nwb.file import NwbFile

        return partial(_exhaust, NwbFile, NwbFile.poses)
    if format_name == "dlc":
        from engine.formats.deeplabcut.h5 import read_h5

        return read_h5
    from engine.formats.sleap.file import SleapFile

    return partial(_exhaust, SleapFile, _embedded_images)


def _exhaust(
    open_file: Callable[[Path], AbstractContextManager[T]], items: Callable[[T], Iterable[object]], path: Path
) -> None:
    with open_file(path) as file:
        for _ in items(file):
            pass


def _embedded_images(file: SleapFile) -> Iterator[object]:
    for video in file.videos:
        with contextlib.suppress(PoseError):
            yield from file.embedded(video)


def _set_limits(seconds: int, memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows; there the parent's wall-clock limit ends it
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, round(usage.ru_utime + usage.ru_stime) + seconds),
        (resource.RLIMIT_AS, memory),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value + 1 if value else 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
