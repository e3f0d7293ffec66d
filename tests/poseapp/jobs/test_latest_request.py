"""The newest request of a name is delivered, older ones are dropped or told to stop, and no thread is left."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from engine.errors import Cancelled, MediaError
from poseapp.jobs.latest_request import LatestRequestWorker, Request

Worker = LatestRequestWorker[list[str]]


class Resources:
    """Opens lists, and remembers in which threads they were opened and closed."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.closed: list[int] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[list[str]]:
        self.opened.append(threading.get_ident())
        yield []
        self.closed.append(threading.get_ident())


@pytest.fixture
def resources() -> Resources:
    return Resources()


@pytest.fixture
def worker(qtbot: QtBot, resources: Resources) -> Iterator[Worker]:
    created = Worker("test", resources)
    yield created
    created.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "poseapp-test"]
    assert len(resources.opened) == len(resources.closed)


class Gate:
    """Work that begins, and ends when it may."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _resource: Any, _request: Any) -> str:
        self.begun.set()
        assert self.go_on.wait(10)
        return "first"


def answer(value: Any) -> Any:
    return lambda _resource, _request: value


def test_work_runs_in_one_other_thread_and_its_result_comes_back_in_this_one(
    worker: Worker, resources: Resources, qtbot: QtBot
) -> None:
    results: list[tuple[int, int]] = []

    def take(thread: int) -> None:
        results.append((thread, threading.get_ident()))

    for name in "abc":
        worker.request(name, lambda _resource, _request: threading.get_ident(), take)
    qtbot.waitUntil(lambda: len(results) == 3)
    assert {here for _, here in results} == {threading.get_ident()}
    assert {present for present, _ in results} == set(resources.opened)
    assert len(resources.opened) == 1


def test_only_the_newest_of_a_name_is_delivered(worker: Worker, qtbot: QtBot) -> None:
    gate, results = Gate(), []
    worker.request("a", gate, results.append)
    assert gate.begun.wait(5)
    worker.request("a", answer("second"), results.append)
    worker.request("a", answer("third"), results.append)
    worker.request("b", answer("other"), results.append)
    gate.go_on.set()
    qtbot.waitUntil(lambda: len(results) == 2)
    assert results == ["third", "other"]
    assert not worker.is_pending("a")


def test_work_that_is_replaced_is_told_to_stop(worker: Worker, qtbot: QtBot) -> None:
    begun, results = threading.Event(), []

    def until_cancelled(_resource: Any, request: Request[Any]) -> None:
        begun.set()
        while not request.is_cancelled():
            threading.Event().wait(0.001)
        raise Cancelled("was stopped")

    worker.request("a", until_cancelled, results.append)
    assert begun.wait(5)
    worker.request("a", answer("new"), results.append)
    qtbot.waitUntil(lambda: results == ["new"])


def test_work_that_gives_way_of_its_own_runs_again(worker: Worker, qtbot: QtBot) -> None:
    attempts, results = [], []

    def second_time(_resource: Any, _request: Any) -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise Cancelled("something else first")
        return "done"

    worker.request("a", second_time, results.append)
    qtbot.waitUntil(lambda: results == ["done"])
    assert len(attempts) == 3


def test_parts_come_before_the_result_and_none_after_it_is_replaced(worker: Worker, qtbot: QtBot) -> None:
    log: list[Any] = []

    def work(_resource: Any, request: Request[Any]) -> str:
        request.send(1)
        request.send(2)
        return "end"

    worker.request("a", work, log.append, on_part=log.append)
    qtbot.waitUntil(lambda: len(log) == 3)
    assert log == [1, 2, "end"]
    gate = Gate()
    sent = threading.Event()

    def sends(resource: Any, request: Request[Any]) -> str:
        request.send("old part")
        sent.set()
        return gate(resource, request)

    worker.request("a", sends, log.append, on_part=log.append)
    assert sent.wait(5)
    worker.request("a", answer("new"), log.append)
    gate.go_on.set()
    qtbot.waitUntil(lambda: log[-1] == "new")
    assert "old part" not in log


def test_an_error_goes_to_its_own_handler_and_the_next_request_is_served(worker: Worker, qtbot: QtBot) -> None:
    def fails(_resource: Any, _request: Any) -> None:
        raise MediaError("is no image", where="a.png")

    def breaks(_resource: Any, _request: Any) -> None:
        raise ZeroDivisionError

    errors: list[Exception] = []
    results: list[str] = []
    worker.request("a", fails, results.append, on_error=errors.append)
    worker.request("b", breaks, results.append, on_error=errors.append)
    worker.request("c", fails, results.append)
    worker.request("d", answer("fine"), results.append)
    qtbot.waitUntil(lambda: results == ["fine"])
    assert [type(error) for error in errors] == [MediaError, ZeroDivisionError]
    assert not any(worker.is_pending(name) for name in "abcd")


def test_a_resource_that_cannot_be_opened_is_the_error_of_the_request(qtbot: QtBot) -> None:
    available = False

    @contextlib.contextmanager
    def open_resource() -> Iterator[str]:
        if not available:
            raise MediaError("cannot be opened")
        yield "resource"

    worker: LatestRequestWorker[str] = LatestRequestWorker("test", open_resource)
    try:
        errors, results = [], []
        worker.request("a", lambda resource, _request: resource, results.append, on_error=errors.append)
        qtbot.waitUntil(lambda: len(errors) == 1)
        available = True
        worker.request("a", lambda resource, _request: resource, results.append, on_error=errors.append)
        qtbot.waitUntil(lambda: results == ["resource"])
    finally:
        worker.stop()


def test_release_closes_the_resource_and_the_next_request_opens_it_anew(
    worker: Worker, resources: Resources, qtbot: QtBot
) -> None:
    gate, results = Gate(), []
    worker.request("a", gate, results.append)
    assert gate.begun.wait(5)
    worker.release()
    worker.request("b", answer("new"), results.append)
    gate.go_on.set()
    qtbot.waitUntil(lambda: results == ["new"])
    assert (len(resources.opened), len(resources.closed)) == (2, 1)
    assert resources.closed[0] == resources.opened[0]


def test_newest_first_serves_the_last_request_first_and_drops_the_oldest(qtbot: QtBot) -> None:
    worker: LatestRequestWorker[None] = LatestRequestWorker("test", newest_first=True, max_waiting=3)
    try:
        gate, results = Gate(), []
        worker.request("gate", gate, results.append)
        assert gate.begun.wait(5)
        for index in range(5):
            worker.request(index, answer(index), results.append)
        assert [index for index in range(5) if worker.is_pending(index)] == [2, 3, 4]
        gate.go_on.set()
        qtbot.waitUntil(lambda: len(results) == 4)
        assert results == ["first", 4, 3, 2]
    finally:
        worker.stop()


def test_a_request_waits_as_long_as_it_should(qtbot: QtBot) -> None:
    calls: list[object] = []

    def seconds_to_wait(name: object) -> float:
        calls.append(name)
        return 0.01 if len(calls) < 4 else 0.0

    worker: LatestRequestWorker[None] = LatestRequestWorker("test", seconds_to_wait=seconds_to_wait)
    try:
        results: list[str] = []
        worker.request("a", answer("done"), results.append)
        qtbot.waitUntil(lambda: results == ["done"])
        assert calls == ["a"] * 4
    finally:
        worker.stop()


def test_stop_interrupts_what_runs_however_often_it_enters_the_resource(qtbot: QtBot) -> None:
    interrupts: list[int] = []
    interrupted = threading.Event()

    def interrupt(_resource: object) -> None:
        interrupts.append(1)
        interrupted.set()

    worker: LatestRequestWorker[object] = LatestRequestWorker(
        "test", lambda: contextlib.nullcontext(object()), interrupt=interrupt
    )
    begun, results = threading.Event(), []

    def three_parts(_resource: object, _request: object) -> str:
        begun.set()
        for _ in range(3):
            assert interrupted.wait(10)
            interrupted.clear()
        return "late"

    worker.request("a", three_parts, results.append)
    assert begun.wait(5)
    worker.stop()
    assert len(interrupts) >= 3
    qtbot.wait(1)
    assert results == []


@pytest.mark.slow
def test_under_load_every_name_gets_its_newest_answer_and_nothing_else(
    worker: Worker, resources: Resources, qtbot: QtBot
) -> None:
    """Thousands of requests, busy threads beside it, and views that forget, release and stop at random."""
    ending = threading.Event()

    def spin() -> None:
        while not ending.is_set():
            sum(range(200))

    others = [threading.Thread(target=spin) for _ in range(3)]
    for thread in others:
        thread.start()
    choose = random.Random(7)
    newest: dict[int, int] = {}
    delivered: list[tuple[int, int, bool]] = []
    try:
        for index in range(3000):
            name = choose.randrange(6)
            newest[name] = index

            def take(result: tuple[int, int]) -> None:
                delivered.append((*result, newest.get(result[0]) == result[1]))

            worker.request(name, lambda _resource, _request, result=(name, index): result, take)
            if choose.random() < 0.02:
                newest.pop(name)
                worker.forget(name)
            if choose.random() < 0.005:
                newest.clear()
                (worker.release if choose.random() < 0.5 else worker.stop)()
            if choose.random() < 0.05:
                qtbot.wait(1)
        qtbot.waitUntil(lambda: not any(worker.is_pending(name) for name in range(6)), timeout=20_000)
    finally:
        ending.set()
        for thread in others:
            thread.join()
    assert all(is_newest for _, _, is_newest in delivered)
    last = {name: index for name, index, _ in delivered}
    assert {name: last[name] for name in newest} == newest


def test_a_closed_worker_ignores_later_requests(qtbot: QtBot) -> None:
    worker: LatestRequestWorker[None] = LatestRequestWorker("test")
    worker.close()
    worker.request("a", answer("late"), lambda _result: None)
    assert not worker.is_pending("a")
    assert not [thread for thread in threading.enumerate() if thread.name == "poseapp-test"]
