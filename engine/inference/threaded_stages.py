"""Stages of work in threads, one behind the other, with bounded queues between them.

What goes in comes out in order. The first error of any stage reaches the consumer after what was finished before it,
and whoever leaves early leaves no thread behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

Thing = TypeVar("Thing")

COUNT, BYTES = 16, 128 << 20


class Stopped(BaseException):
    """The consumer has left. No ``Exception``, so that no stage takes it for an error of its work."""


Check = Callable[[], None]
"""Raises :class:`Stopped` once the consumer has left; to be called between two steps of long work."""


@dataclass(frozen=True)
class Stage:
    """Work on what comes in.

    Attributes:
        name: of its thread.
        work: takes an iterator of what comes in and :data:`Check`, gives an iterator of what goes out.
        count, size: the queue behind the stage holds so many things, and so many bytes of them, but always one.
    """

    name: str
    work: Callable[[Iterator[Any], Check], Iterator[Any]]
    count: int = COUNT
    size: int = BYTES


def run_stages(
    source: Iterable[Any],
    stages: Sequence[Stage],
    weigh: Callable[[Any], int] = lambda thing: 0,
    tick: float | None = None,
) -> Generator[Any]:
    """What the last stage gives, in the order of the source, which the first stage's thread goes through.

    Args:
        weigh: bytes of what lies in the queues.
        tick: seconds after which None is given, when nothing has come; None = wait for as long as it takes.

    Raises:
        Exception: whatever the source or a stage raised, once, after what came before it.
    """
    line = _Line()
    threads: list[threading.Thread] = []
    incoming: Iterator[Any] = iter(source)
    queue = _Queue(line, 1, 0, weigh)
    for stage in stages:
        queue = _Queue(line, stage.count, stage.size, weigh)
        thread = threading.Thread(target=_run, args=(stage, incoming, queue, line), name=stage.name, daemon=True)
        threads.append(thread)
        incoming = queue.take()
    try:
        for thread in threads:
            thread.start()
        yield from queue.take(tick)
    finally:
        line.stop()
        for thread in threads:
            thread.join()


def batches(
    incoming: Iterator[Thing], is_full: Callable[[list[Thing]], bool], group: Callable[[Thing], Hashable]
) -> Iterator[tuple[list[Thing], bool]]:
    """Lists of what comes in, each ended as soon as it is full or another group begins.

    What came before an error is given before it.

    Yields:
        the list, which may be empty, and whether its group ends with it.
    """
    part: list[Thing] = []
    here: Hashable = None
    try:
        for thing in incoming:
            if (there := group(thing)) != here:
                ready, part, here = part, [], there
                yield ready, True
            part.append(thing)
            if is_full(part):
                ready, part = part, []
                yield ready, False
            ready = []  # not kept alive while the next ones are waited for
    except Exception:
        yield part, True
        raise
    yield part, True


class _Line:
    """What the stages of one run share."""

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
    """Between two stages: one thread puts, another iterates."""

    def __init__(self, line: _Line, count: int, size: int, weigh: Callable[[Any], int]) -> None:
        self._line, self._count, self._size, self._weigh = line, max(1, count), size, weigh
        self._things: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None

    def put(self, thing: Any) -> None:
        weight = self._weigh(thing)
        with self._line.changed:
            while not self._line.stopped and self._is_full(weight):
                self._line.changed.wait()
            self._line.check()
            self._things.append((thing, weight))
            self._bytes += weight
            self._line.changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        with self._line.changed:
            self._ended, self._error = True, error
            self._line.changed.notify_all()

    def take(self, tick: float | None = None) -> Iterator[Any]:
        """What was put, until the end; None whenever nothing has come for ``tick`` seconds."""
        while True:
            thing = None
            with self._line.changed:
                come = self._line.changed.wait_for(self._is_ready, tick)
                self._line.check()
                if come and not self._things:
                    break
                if come:
                    thing, weight = self._things.popleft()
                    self._bytes -= weight
                    self._line.changed.notify_all()
            yield thing
            del thing
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _is_ready(self) -> bool:
        return self._line.stopped or bool(self._things) or self._ended

    def _is_full(self, weight: int) -> bool:
        if not self._things:
            return False
        return len(self._things) >= self._count or self._bytes + weight > self._size


def _run(stage: Stage, incoming: Iterator[Any], queue: _Queue, line: _Line) -> None:
    """What the thread of a stage does."""
    work: Any = None
    error: BaseException | None = None
    try:
        work = iter(stage.work(incoming, line.check))
        for thing in work:
            queue.put(thing)
    except Stopped:
        pass
    except BaseException as problem:
        error = problem
    finally:
        # Whatever the stage holds open is closed in its own thread.
        for iterator in (work, incoming):
            if hasattr(iterator, "close"):
                with suppress(Stopped):
                    iterator.close()
        queue.end(error)
