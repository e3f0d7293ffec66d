"""Batches prepared ahead in threads: OpenCV releases the interpreter lock, and the image cache is shared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

AHEAD = 3


def prepared(make: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Generator[Made, None, None]:
    """``map(make, items)`` in order, up to ``AHEAD`` per worker ahead; without workers each when asked for.

    Closing the iterator waits for what is being made; no thread outlives it.
    """
    if workers <= 0:
        yield from map(make, items)
        return
    source = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in source:
                waiting.append(pool.submit(make, item))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
