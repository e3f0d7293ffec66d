"""``FORMAT PATH SECONDS BYTES [NAME...]``: read an HDF5 file to its end, silently; the child process of :mod:`.hdf5`.

Status 0: the file can be read, or is refused with an error that the parent will find itself.
Status 3: it takes too much memory.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import PoseError


def main(argv: Sequence[str]) -> int:
    """Read the file under the limits; returns the exit status."""
    format_name, path, seconds, memory = argv[0], Path(argv[1]), int(argv[2]), int(argv[3])
    from engine.formats.deeplabcut.h5 import read_h5
    from engine.formats.hdf5 import read_arrays
    from engine.formats.jabs.format import read_jabs_arrays
    from engine.formats.nwb.file import NwbFile
    from engine.formats.sleap.analysis_file import AnalysisFile
    from engine.formats.sleap.file import SleapFile

    _set_limits(seconds, memory)
    try:
        if format_name == "arrays":
            read_arrays(path, "file", argv[4:])
        elif format_name == "sleap_analysis":
            with AnalysisFile(path) as analysis:
                for _ in analysis.blocks():
                    pass
        elif format_name == "jabs":
            read_jabs_arrays(path)
        elif format_name == "nwb":
            with NwbFile(path) as nwb:
                for _ in nwb.poses():
                    pass
        elif format_name == "dlc":
            read_h5(path)
        else:
            with SleapFile(path) as file:
                for video in file.videos:
                    with contextlib.suppress(PoseError):
                        for _ in file.embedded(video):
                            pass
    except PoseError:
        return 0
    except MemoryError:
        return 3
    return 0


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
