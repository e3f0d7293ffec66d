"""Keeps the garbage collector from stopping the window: what lives as long as the program is not looked at again.

A full collection walks over every object there is, some 300,000 after the start and several times that with torch, and
stops the window for 30 to 100 ms. Objects that are set aside are passed over, so that a collection costs what has come
since.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0


def freeze_objects(*, collect: bool = False) -> None:
    """Pass over all objects that there are now from now on. May be called from any thread.

    Args:
        collect: free what is garbage first, which takes as long as one full collection.
    """
    if collect:
        gc.collect()
    gc.freeze()


def pause() -> None:
    """No collection until :func:`resume`, for work that makes a hundred thousand objects and no garbage. Nests."""
    global _pauses
    with _lock:
        _pauses += 1
        gc.disable()


def resume() -> None:
    """One :func:`pause` less."""
    global _pauses
    with _lock:
        _pauses -= 1
        if _pauses == 0:
            gc.enable()


@contextmanager
def paused() -> Iterator[None]:
    """A pause around a block."""
    pause()
    try:
        yield
    finally:
        resume()
