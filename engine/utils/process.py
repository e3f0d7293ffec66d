"""Settings of the training process that must stand before torch is loaded. Both change speed only."""

from __future__ import annotations

import ctypes
import os
import sys
import time

PROCESS_BEGAN = time.time()
"""Seconds since 1970, near enough: this module is loaded before torch."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names and numbers of glibc's mallopt
KEEP_BYTES = 1 << 30


def prepare_process() -> None:
    """Make training quick on a processor that is shared with other programs, above all the window.

    - Worker threads sleep while they wait for each other. By default they spin, and as soon as another program takes
      one of the cores, a step takes several times as long (measured on two busy cores: 3.0 s against 0.6 s).
    - glibc gives every large block back to the system when it is freed and has it zeroed again at the next step; that
      is a sixth of the time. It is told to keep them.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)
