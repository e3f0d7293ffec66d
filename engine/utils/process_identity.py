"""Which process is meant by a number: process ids are used again, so the time at which a process began goes with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def process_start(pid: int) -> str:
    """When a process began, as text that stays the same while it lives; "" when there is no such process.

    Ended processes that nobody has waited for count as gone.
    """
    if pid <= 0:
        return ""
    if sys.platform == "linux":
        return _from_proc(pid)
    if sys.platform == "win32":
        return _from_windows(pid)
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    status, _, began = shown.stdout.strip().partition(" ")
    return "" if status.startswith("Z") else began.strip()


def is_alive(pid: int, started: str) -> bool:
    """Whether the process with this number that began then still runs."""
    return bool(started) and process_start(pid) == started


def _from_proc(pid: int) -> str:
    try:
        # The name in parentheses may hold anything; the fields after it are numbers (proc(5): 3 is the state, 22 the
        # start in clock ticks since the system started).
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return ""
    return f"{boot} {fields[19].decode('ascii')}"


def _from_windows(pid: int) -> str:  # pragma: no cover
    if sys.platform != "win32":
        return ""
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return ""
    try:
        code = wintypes.DWORD()
        times = [wintypes.FILETIME() for _ in range(4)]
        running = kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value == 259  # STILL_ACTIVE
        if not running or not kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times)):
            return ""
        return f"{times[0].dwHighDateTime}.{times[0].dwLowDateTime}"
    finally:
        kernel.CloseHandle(handle)


def own_identity() -> tuple[int, str]:
    """Number and start of this process."""
    return os.getpid(), process_start(os.getpid())
