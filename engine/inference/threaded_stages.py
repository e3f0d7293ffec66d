"""Stages of work, each in its own thread, with bounded queues between them.

Results come out in the order of the source. The first error of any stage reaches the consumer after the results before
it, and a consumer that leaves early leaves no thread behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

COUNT, BYTES = 16, 128 << 20


class Stopped(BaseException):
    """The consumer has left. Not an ``Exception``, so that no stage takes it for an error of its work."""


CheckStopped = Callable[[], None]
"""Raises :class:`Stopped` once the consumer has left; called between two steps of long work."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: of its thread.
        work: takes an iterator of its input and a :data:`CheckStopped`, returns an iterator of its output.
        count, size: limits of the queue behind the stage, in items and in bytes; one item always fits.
    """

    name: str
    work: Callable[[Iterator[Any], CheckStopped], Iterator[Any]]
    count: int = COUNT
    size: int = BYTES


def run_stages(
    source: Iterable[Any],
    stages: Sequence[Stage],
    size_of: Callable[[Any], int] = lambda item: 0,
    tick: float | None = None,
) -> Generator[Any]:
    """The results of the last stage, in the order of the source.

    Args:
        source: is iterated in the thread of the first stage.
        size_of: bytes of an item in a queue.
        tick: None is yielded whenever there was no result for so many seconds; None = wait as long as it takes.

    Raises:
        Exception: what the source or a stage raised, once, after the results before it.
    """
    pipeline = _Pipeline()
    threads: list[threading.Thread] = []
    incoming: Iterator[Any] = iter(source)
    queue = _Queue(pipeline, 1, 0, size_of)
    for stage in stages:
        queue = _Queue(pipeline, stage.count, stage.size, size_of)
        thread = threading.Thread(target=_run, args=(stage, incoming, queue, pipeline), name=stage.name, daemon=True)
        threads.append(thread)
        incoming = queue.take()
    try:
        for thread in threads:
            thread.start()
        yield from queue.take(tick)
    finally:
        pipeline.stop()
        for thread in threads:
            thread.join()


def batched(
    incoming: Iterator[T], is_full: Callable[[list[T]], bool], group: Callable[[T], Hashable]
) -> Iterator[tuple[list[T], bool]]:
    """Lists of consecutive items; a list ends when it is full or when another group begins.

    Items before an error are yielded before it is raised.

    Yields:
        the list, which may be empty, and whether its group ends with it.
    """
    part: list[T] = []
    current: Hashable = None
    try:
        for item in incoming:
            if (item_group := group(item)) != current:
                ready, part, current = part, [], item_group
                yield ready, True
            part.append(item)
            if is_full(part):
                ready, part = part, []
                yield ready, False
            ready = []  # not kept alive while waiting for the next items
    except Exception:
        yield part, True
        raise
    yield part, True


class _Pipeline:
    """State that the stages of one run share."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.stopped = False

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()

    def check(self) -> None:
        if self.stopped:
            raise Stopped


class _Queue:
    """The queue between two stages: one thread puts, another iterates."""

    def __init__(self, pipeline: _Pipeline, count: int, size: int, size_of: Callable[[Any], int]) -> None:
        self._pipeline, self._count, self._size, self._size_of = pipeline, max(1, count), size, size_of
        self._items: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None

    def put(self, item: Any) -> None:
        size = self._size_of(item)
        with self._pipeline.changed:
            while not self._pipeline.stopped and self._is_full(size):
                self._pipeline.changed.wait()
            self._pipeline.check()
            self._items.append((item, size))
            self._bytes += size
            self._pipeline.changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        with self._pipeline.changed:
            self._ended, self._error = True, error
            self._pipeline.changed.notify_all()

    def take(self, tick: float | None = None) -> Iterator[Any]:
        """The items, until the end; None whenever there was none for ``tick`` seconds."""
        while True:
            item = None
            with self._pipeline.changed:
                is_ready = self._pipeline.changed.wait_for(self._is_ready, tick)
                self._pipeline.check()
                if is_ready and not self._items:
                    break
                if is_ready:
                    item, size = self._items.popleft()
                    self._bytes -= size
                    self._pipeline.changed.notify_all()
            yield item
            del item
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _is_ready(self) -> bool:
        return self._pipeline.stopped or bool(self._items) or self._ended

    def _is_full(self, size: int) -> bool:
        if not self._items:
            return False
        return len(self._items) >= self._count or self._bytes + size > self._size


def _run(stage: Stage, incoming: Iterator[Any], queue: _Queue, pipeline: _Pipeline) -> None:
    """The main function of a stage's thread."""
    work: Any = None
    error: BaseException | None = None
    try:
        work = iter(stage.work(incoming, pipeline.check))
        for item in work:
            queue.put(item)
    except Stopped:
        pass
    except BaseException as problem:
        error = problem
    finally:
        # What the stage holds open is closed in the stage's own thread.
        for iterator in (work, incoming):
            if hasattr(iterator, "close"):
                with suppress(Stopped):
                    iterator.close()
        queue.end(error)
