"""Stages in threads: order, bounds, errors, leaving early."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inference.threaded_stages import CheckStopped, Stage, Stopped, batched, run_stages


def mapped(function: Callable[[Any], Any]) -> Callable[[Iterator[Any], CheckStopped], Iterator[Any]]:
    def work(incoming: Iterator[Any], check: CheckStopped) -> Iterator[Any]:
        for thing in incoming:
            yield function(thing)

    return work


def stage_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stage")]


def stages(*functions: Callable[[Any], Any], count: int = 3, size: int = 1 << 30) -> list[Stage]:
    return [Stage(f"stage {n}", mapped(function), count, size) for n, function in enumerate(functions)]


@given(numbers=st.lists(st.integers()), count=st.integers(-1, 5))
def test_what_goes_in_comes_out_in_order(numbers: list[int], count: int) -> None:
    result = run_stages(numbers, stages(lambda n: n + 1, lambda n: n * 2, count=count))
    assert list(result) == [(n + 1) * 2 for n in numbers]
    assert not stage_threads()


def test_the_source_is_not_read_far_ahead() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for n in range(100):
            read.append(n)
            yield n

    running = run_stages(source(), stages(lambda n: n, lambda n: n, count=2))
    assert next(running) == 0
    time.sleep(0.05)
    # One was taken, two wait in each of the queues, one is in the hands of each stage.
    assert len(read) <= 1 + 2 * 2 + 2
    running.close()


def test_few_heavy_things_wait_at_a_time() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for n in range(100):
            read.append(n)
            yield n

    running = run_stages(source(), stages(lambda n: n, count=50, size=10), size_of=lambda n: 8)
    assert next(running) == 0
    time.sleep(0.05)
    assert len(read) <= 4
    assert list(running) == list(range(1, 100))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_error_arrives_once_after_what_came_before_it(position: int) -> None:
    def fail_at(n: int) -> int:
        if n == 5:
            raise ValueError("five")
        return n

    functions: list[Callable[[int], int]] = [lambda n: n, lambda n: n, lambda n: n]
    functions[position] = fail_at
    running = run_stages(range(100), stages(*functions))
    results: list[int] = []
    with pytest.raises(ValueError, match="five"):
        results.extend(running)
    assert results == [0, 1, 2, 3, 4]
    assert not stage_threads()
    assert list(running) == []


def test_an_error_of_the_source_arrives_too() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    running = run_stages(source(), stages(lambda n: n))
    assert next(running) == 1
    with pytest.raises(OSError, match="gone"):
        next(running)
    assert not stage_threads()


def test_leaving_early_closes_what_the_stages_hold_and_leaves_no_thread() -> None:
    closed: list[str] = []

    def holds(incoming: Iterator[Any], check: CheckStopped) -> Iterator[Any]:
        try:
            yield from incoming
        finally:
            closed.append(threading.current_thread().name)

    running = run_stages(iter(range(1000)), [Stage("stage a", holds), Stage("stage b", holds)])
    next(running)
    running.close()
    assert sorted(closed) == ["stage a", "stage b"]
    assert not stage_threads()


def test_long_work_hears_that_the_consumer_has_left() -> None:
    begun, heard = threading.Event(), threading.Event()

    def long(incoming: Iterator[int], check: CheckStopped) -> Iterator[int]:
        for n in incoming:
            if n:
                begun.set()
                try:
                    while True:
                        check()
                        time.sleep(0.001)
                except Stopped:
                    heard.set()
                    raise
            yield n

    running = run_stages(range(3), [Stage("stage", long)])
    next(running)
    begun.wait(120)
    running.close()
    assert heard.is_set()


def test_while_nothing_comes_the_consumer_is_told_so() -> None:
    go_on = threading.Event()

    def slow(n: int) -> int:
        go_on.wait(120)
        return n

    running = run_stages([7], stages(slow), tick=0.005)
    assert next(running) is None
    assert next(running) is None
    go_on.set()
    assert [thing for thing in running if thing is not None] == [7]


def test_a_stream_that_is_never_begun_starts_no_thread() -> None:
    run_stages(range(3), stages(lambda n: n)).close()
    assert not stage_threads()


@given(things=st.lists(st.tuples(st.integers(0, 2), st.integers())), size=st.integers(1, 4))
def test_batches_end_when_full_or_with_their_group(things: list[tuple[int, int]], size: int) -> None:
    results = list(batched(iter(things), lambda part: len(part) >= size, lambda thing: thing[0]))
    assert [thing for part, _ in results for thing in part] == things
    for part, _ in results:
        assert len(part) <= size
        assert len({group for group, _ in part}) <= 1
    assert results[-1][1]
    for (part, ended), (after, _) in itertools.pairwise(results):
        if part and after:
            assert ended == (part[-1][0] != after[0][0])


def test_what_came_before_an_error_is_given_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    running = batched(source(), lambda part: len(part) >= 9, lambda thing: None)
    assert next(running) == ([1], True)
    with pytest.raises(OSError, match="gone"):
        next(running)
