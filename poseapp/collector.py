"""Keeps the garbage collector from stopping the window: what lives as long as the program is not looked at again.

A full collection walks over every object there is, some 300,000 after the start and several times that with torch, and
stops the window for 30 to 100 ms. Objects that are set aside are passed over, so that a collection costs what has come
since.
"""

from __future__ import annotations

import gc


def set_aside(*, collect: bool = False) -> None:
    """Pass over all objects that there are now from now on. May be called from any thread.

    Args:
        collect: free what is garbage first, which takes as long as one full collection.
    """
    if collect:
        gc.collect()
    gc.freeze()
