"""Temporary files that a killed program left behind: named after their process, removed later by another."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_OWNER = re.compile(r"\.([0-9a-f]{6})-(\d{1,10})\.")
_OLD = 7 * 24 * 3600.0
"""Seconds after which a file is removed whose owner cannot be asked: on another computer, or not named."""


def own_temporary_name(prefix: str) -> str:
    """A prefix for names of temporary files, which tells the computer and the process."""
    return f"{prefix}.{_HOST}-{os.getpid()}."


def is_left_behind(path: Path) -> bool:
    """Whether the process that made a temporary file is gone."""
    owner = _OWNER.search(path.name)
    if owner is None or owner[1] != _HOST:
        try:
            return time.time() - os.lstat(path).st_mtime > _OLD
        except OSError:
            return False
    return not is_running(int(owner[2]))


def is_running(process: int) -> bool:
    """Whether there is such a process on this computer."""
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x00100000, False, process)  # SYNCHRONIZE
        if not handle:
            return False
        running: bool = ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == 0x102  # WAIT_TIMEOUT
        ctypes.windll.kernel32.CloseHandle(handle)
        return running
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove_left_behind(folder: Path, pattern: str) -> int:
    """Remove the temporary files of a folder whose owner is gone; returns how many."""
    count = 0
    with contextlib.suppress(OSError):
        for name in fnmatch.filter(os.listdir(folder), pattern):
            path = folder / name
            if path.is_file() and not path.is_symlink() and is_left_behind(path):
                with contextlib.suppress(OSError):
                    path.unlink()
                    count += 1
    return count


_RESTING = 60.0
"""Seconds since the last write after which a file of a process that is gone is removed."""
_swept: set[str] = set()


def sweep_once(folder: Path) -> None:
    """Remove what killed processes of this computer left in a folder; once a folder and process.

    Only names that :func:`own_temporary_name` made are touched, and only those that start with a dot. What was written
    in the last minute stays: containers may share a folder and a host name, but not their process numbers.
    """
    key = os.path.abspath(folder)
    if key in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError), os.scandir(key) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".")]
        for name in names:
            owner = _OWNER.search(name)
            if owner is None or owner[1] != _HOST or is_running(int(owner[2])):
                continue
            path = Path(key, name)
            with contextlib.suppress(OSError):
                state = os.lstat(path)
                if stat.S_ISREG(state.st_mode) and time.time() - state.st_mtime > _RESTING:
                    path.unlink()


_removed = False


def remove_old_copies() -> None:
    """Remove private copies of projects that killed processes left in the system's temporary folder, once a process."""
    global _removed
    if _removed:
        return
    _removed = True
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob("poseapp-copy.*"):
            if path.is_dir() and not path.is_symlink() and is_left_behind(path):
                shutil.rmtree(path, ignore_errors=True)
