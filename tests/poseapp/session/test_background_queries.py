"""Questions to a large project: answered beside the window, the newest only, and right in the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine.errors import ProjectError
from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_query import FrameQuery
from poseapp.project.store import ProjectStore
from poseapp.session.background_queries import Queries


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    with ProjectStore.create(tmp_path / "p.pose") as created:
        media = created.add_media("images", tmp_path)
        created.add_frames(media.id, [(f"{n}.png", 4, 4) for n in range(20)])
        yield created


@pytest.fixture
def queries(store: ProjectStore) -> Iterator[Queries]:
    created = Queries(at_once_below=0)
    created.use(store, 20)
    yield created
    created.use(None)


def few(store: ProjectStore) -> list[FrameKey]:
    return list(store.find_frames(FrameQuery(text="1.png")))


def test_a_small_project_answers_at_once(store: ProjectStore) -> None:
    queries = Queries()
    queries.use(store, 20)
    results: list[object] = []
    queries.ask("a", few, results.append)
    assert len(results) == 1
    assert not queries.is_pending("a")
    queries.use(None)


def test_a_large_one_answers_from_another_thread(queries: Queries, store: ProjectStore, qtbot: QtBot) -> None:
    results: list[object] = []
    where: list[int] = []

    def work(reader: ProjectStore) -> list[FrameKey]:
        assert reader is not store
        assert reader.read_only
        where.append(threading.get_ident())
        return few(reader)

    queries.ask("a", work, results.append)
    assert not results
    assert queries.is_pending("a")
    qtbot.waitUntil(lambda: bool(results), timeout=5000)
    assert results == [few(store)]
    assert where[0] != threading.get_ident()


def test_only_the_newest_of_a_name_is_answered(queries: Queries, qtbot: QtBot) -> None:
    begun, go_on = threading.Event(), threading.Event()
    results: list[str] = []

    def slow(_store: ProjectStore) -> str:
        begun.set()
        go_on.wait(120)
        return "old"

    queries.ask("a", slow, results.append)
    assert begun.wait(120)
    queries.ask("a", lambda _store: "middle", results.append)
    queries.ask("a", lambda _store: "new", results.append)
    queries.ask("b", lambda _store: "other", results.append)
    go_on.set()
    qtbot.waitUntil(lambda: len(results) == 2, timeout=5000)
    assert results == ["new", "other"]


def test_a_question_under_way_is_interrupted_by_a_newer(queries: Queries, qtbot: QtBot) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    results: list[object] = []
    begun = threading.Event()

    def forever(store: ProjectStore) -> object:
        begun.set()
        return store.database.row(endless)

    failed: list[str] = []
    queries.failed.connect(failed.append)
    queries.ask("a", forever, results.append)
    assert begun.wait(120)
    while not results:  # the statement may not have begun when it is interrupted for the first time
        queries.ask("a", lambda _store: "new", results.append)
        qtbot.wait(20)
    assert results[0] == "new"
    assert not failed


def test_what_is_edited_meanwhile_is_asked_again(queries: Queries, store: ProjectStore, qtbot: QtBot) -> None:
    begun, go_on = threading.Event(), threading.Event()
    results: list[int] = []

    def count(reader: ProjectStore) -> int:
        index = reader.frame_count()
        begun.set()
        go_on.wait(120)
        return index

    queries.ask("a", count, results.append)
    assert begun.wait(120)
    store.add_frames(1, [("more.png", 4, 4)])
    queries.edited()
    go_on.set()
    qtbot.waitUntil(lambda: results == [20, 21], timeout=5000)


def test_a_fault_is_told_and_the_next_question_answered(queries: Queries, qtbot: QtBot) -> None:
    def fails(_store: ProjectStore) -> None:
        raise ProjectError("no luck")

    results: list[str] = []
    with qtbot.waitSignal(queries.failed, timeout=5000) as messages:
        queries.ask("a", fails, results.append)
    assert messages.args == ["no luck"]
    queries.ask("a", lambda _store: "fine", results.append)
    qtbot.waitUntil(lambda: results == ["fine"], timeout=5000)


def test_another_project_hears_nothing_of_the_old_questions(
    queries: Queries, store: ProjectStore, tmp_path: Path, qtbot: QtBot
) -> None:
    results: list[str] = []
    queries.ask("a", lambda _store: "old", results.append)
    queries.use(None)
    store.close()
    assert not (tmp_path / "p.pose-wal").exists()  # the writer closed last and brought everything into the file
    with ProjectStore.create(tmp_path / "q.pose") as other:
        queries.use(other, 0)
        queries.ask("b", lambda _store: "new", results.append)
        qtbot.waitUntil(lambda: bool(results), timeout=5000)
        queries.use(None)
    assert results == ["new"]


def test_what_was_asked_before_frames_went_is_asked_again(queries: Queries, store: ProjectStore, qtbot: QtBot) -> None:
    results: list[int] = []
    go_on, asked = threading.Event(), []

    def work(reader: ProjectStore) -> int:
        count = len(reader.frame_keys())
        asked.append(count)
        go_on.wait(120)
        return count

    queries.ask("a", work, results.append)
    qtbot.waitUntil(lambda: bool(asked))
    store.database.run("DELETE FROM frame WHERE idx > 4")
    queries.use(store, 5)
    go_on.set()
    qtbot.waitUntil(lambda: bool(results))
    assert results == [5]


def test_a_question_of_many_parts_ends_with_the_project(queries: Queries, qtbot: QtBot) -> None:
    asked = threading.Event()

    def work(reader: ProjectStore) -> None:
        for _ in range(10_000):
            asked.set()
            reader.database.rows(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e6) SELECT max(i) FROM n"
            )

    queries.ask("a", work, lambda _answer: None)
    assert asked.wait(120)
    queries.use(None)
    assert not queries.is_pending("a")
