"""Finding frames by what they are and hold; what is counted with each frame stays right whatever is written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.model import Edit, FrameCounts, FrameEdit, FrameKey, FrameState, Instance, State
from poseapp.project.queries.frame_keys import FrameKeys
from poseapp.project.queries.frame_query import FrameQuery, Labels, Points, Sort
from poseapp.project.storage.database import TABLES, is_of_older_version
from poseapp.project.store import ProjectStore

NAMES = ["nose", "left_ear", "right_ear"]
A, B, C, D, E = (FrameKey(1, n) for n in range(5))


def _pose(store: ProjectStore, category: int, seen: list[int], score: float | None = None, track: int | None = None):
    (index,) = store.new_ids(1)
    state = State.LABELLED if score is None else State.PREDICTED
    return Instance(
        index,
        category,
        np.ones((3, 2)),
        np.array(seen, np.uint8),
        np.zeros(3, bool),
        score=score,
        track=track,
        state=state,
    )


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[ProjectStore]:
    """Frames a (label), b (prediction 0.2, track 7), c (label and prediction 0.6), d (nothing here), e (of a second
    kind, flagged); the names are 100%.png, b_.png, CAT.png, d.png, cat dog.png."""
    with ProjectStore.create(tmp_path / "x.pose") as store:
        media = store.add_media("images", tmp_path)
        names = ("100%.png", "b_.png", "CAT.png", "d.png", "cat dog.png")
        store.add_frames(media.id, [(name, 9, 9) for name in names])
        one = store.add_category("mouse", schema_from_names("mouse", NAMES)).id
        two = store.add_category("rat", schema_from_names("rat", NAMES)).id
        store.apply(edits.add_instance(A, _pose(store, one, [2, 2, 2])))
        store.apply(edits.add_instance(B, _pose(store, one, [2, 1, 2], 0.2, track=7)))
        store.apply(edits.add_instance(C, _pose(store, one, [2, 0, 2]), _pose(store, one, [2, 2, 2], 0.6)))
        store.apply(edits.set_frame_state(D, FrameState(), negative=True, reviewed=True))
        store.apply(edits.add_instance(E, _pose(store, two, [2, 2, 2], 0.9)))
        store.apply(edits.set_frame_state(E, FrameState(), flagged=True))
        yield store


@pytest.mark.parametrize(
    ("query", "result"),
    [
        (FrameQuery(), [A, B, C, D, E]),
        (FrameQuery(labels=Labels.UNLABELLED), [D]),
        (FrameQuery(labels=Labels.LABELLED), [A]),
        (FrameQuery(labels=Labels.PREDICTED), [B, E]),
        (FrameQuery(labels=Labels.MIXED), [C]),
        (FrameQuery(labels=Labels.ANY_LABELLED), [A, C]),
        (FrameQuery(labels=Labels.ANY_PREDICTED), [B, C, E]),
        (FrameQuery(category=1), [A, B, C]),
        (FrameQuery(category=2), [E]),
        (FrameQuery(category=3), []),
        (FrameQuery(min_score=0.3), [C, E]),
        (FrameQuery(min_score=0.3, max_score=0.6), [C]),
        (FrameQuery(track=7), [B]),
        (FrameQuery(track=8), []),
        (FrameQuery(has_tracks=True), [B]),
        (FrameQuery(has_tracks=False), [A, C, D, E]),
        (FrameQuery(points=Points.OCCLUDED), [B]),
        (FrameQuery(points=Points.ABSENT), [C]),
        (FrameQuery(points=Points.NEITHER), [A, E]),
        (FrameQuery(flagged=True), [E]),
        (FrameQuery(flagged=False), [A, B, C, D]),
        (FrameQuery(reviewed=True), [D]),
        (FrameQuery(negative=True), [D]),
        (FrameQuery(media=2), []),
        (FrameQuery(text="cat"), [C, E]),
        (FrameQuery(text="dog cat"), [E]),
        (FrameQuery(text="%"), [A]),
        (FrameQuery(text="_"), [B]),
        (FrameQuery(text="cat", labels=Labels.MIXED), [C]),
        (FrameQuery(sort=Sort.NUMBER, descending=True), [E, D, C, B, A]),
        (FrameQuery(sort=Sort.NAME), [A, B, E, C, D]),
        (FrameQuery(sort=Sort.NAME, descending=True), [D, C, E, B, A]),
        (FrameQuery(sort=Sort.SCORE), [B, C, E, A, D]),
        (FrameQuery(sort=Sort.SCORE, descending=True), [E, C, B, A, D]),
    ],
)
def test_queries(filled: ProjectStore, query: FrameQuery, result: list[FrameKey]) -> None:
    assert filled.find_frames(query) == result


def test_the_frame_that_changed_last_comes_first(filled: ProjectStore) -> None:
    now = time.time()
    assert filled.find_frames(FrameQuery(changed_since=now - 600)) == [A, B, C, D, E]
    assert filled.find_frames(FrameQuery(changed_since=now + 600)) == []
    filled.database.run("UPDATE frame SET changed = changed - 1000 - idx")
    filled.apply(edits.move_keypoints(C, filled.instances(C)[0], {0: (3, 3)}))
    assert filled.find_frames(FrameQuery(sort=Sort.CHANGED, descending=True)) == [C, A, B, D, E]


def test_the_queue_is_the_least_certain_first(filled: ProjectStore) -> None:
    assert filled.review_queue() == [B, C, E]
    assert [filled.waits_for_review(key) for key in (A, B, C, D, E)] == [False, True, True, False, True]
    for key in (B, C, E):
        filled.apply(edits.accept(key, filled.instances(key)))
    assert not filled.waits_for_review(B)
    assert filled.review_queue() == []


def test_marks_and_tracks(filled: ProjectStore) -> None:
    assert filled.frame_marks().tolist() == [1, 2, 3, 4 + 16, 2 + 8]
    assert filled.tracks() == [7]


def _recounted(store: ProjectStore) -> list[tuple[object, ...]]:
    """The columns of each frame as they must be, counted from the instances."""
    results: list[tuple[object, ...]] = []
    for key in store.frame_keys():
        poses = store.instances(key)
        scores = [p.score for p in poses if p.state is State.PREDICTED and p.score is not None]
        results.append(
            (
                sum(p.state is State.LABELLED for p in poses),
                sum(p.state is State.PREDICTED for p in poses),
                min(scores, default=None),
                sum(bool((p.visibility == 1).any()) for p in poses),
                sum(bool((p.visibility == 0).any()) for p in poses),
                sum(p.track is not None for p in poses),
            )
        )
    return results


def _stored(store: ProjectStore) -> list[tuple[object, ...]]:
    columns = "labelled, predicted, low, occluded, absent, tracked"
    return store.database.rows(f"SELECT {columns} FROM frame ORDER BY media, idx")


def _categories(store: ProjectStore) -> bool:
    created = store.database.rows("SELECT * FROM frame_category ORDER BY 1, 2, 3")
    sql = "SELECT category, media, idx, count(*) FROM instance GROUP BY category, media, idx ORDER BY 1, 2, 3"
    return created == store.database.rows(sql)


def test_what_is_counted_stays_right_through_edits_undo_and_redo(filled: ProjectStore) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        key = FrameKey(1, int(rng.integers(5)))
        poses = filled.instances(key)
        pick = int(rng.integers(6))
        if pick == 0 or not poses:
            seen = rng.integers(0, 3, 3).tolist()
            score = None if rng.random() < 0.4 else float(rng.random())
            filled.apply(edits.add_instance(key, _pose(filled, int(rng.integers(1, 3)), seen, score)))
        elif pick == 1:
            filled.apply(edits.delete_instances(key, poses[:1]))
        elif pick == 2:
            filled.apply(edits.set_visibility(key, poses[0], [0], int(rng.integers(3))))
        elif pick == 3:
            other = replace(poses[0], category=3 - poses[0].category, track=4)
            filled.apply(Edit("change", (FrameEdit(key, (poses[0],), (other,)),)))
        elif pick == 4:
            filled.undo()
        else:
            filled.redo()
        assert _stored(filled) == _recounted(filled)
        assert _categories(filled)
    filled.jump_to(0)
    assert _stored(filled) == _recounted(filled)
    assert filled.counts() == {}
    assert filled.database.rows("SELECT * FROM frame_category") == []


def test_a_file_of_version_1_is_counted_when_it_is_opened(filled: ProjectStore, tmp_path: Path) -> None:
    rows = {t: filled.database.rows(f"SELECT * FROM {t}") for t in ("media", "category", "instance", "meta")}
    frames = filled.database.rows("SELECT media, idx, name, width, height, state FROM frame")
    old = tmp_path / "old.pose"
    connection = sqlite3.connect(old)
    connection.executescript(f"{TABLES} PRAGMA application_id = {0x504F5345}; PRAGMA user_version = 1;")
    for table, result in rows.items():
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(result[0]))})", result)
    connection.executemany("INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?)", frames)
    connection.commit()
    connection.close()
    assert is_of_older_version(old)
    assert not is_of_older_version(filled.path)
    assert not is_of_older_version(tmp_path / "none.pose")
    with ProjectStore.open(old) as opened:
        assert _stored(opened) == _recounted(opened) == _stored(filled)
        assert _categories(opened)
        opened.apply(edits.delete_instances(A, opened.instances(A)))
        assert opened.frame_counts(A) == FrameCounts()
        assert opened.review_queue() == [B, C, E]
    assert old.with_name("old.pose.v1").exists()


keys = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 2**31)).map(lambda p: FrameKey(*p)), unique=True, max_size=30
)


@settings(deadline=None)
@given(keys, st.tuples(st.integers(0, 5), st.integers(0, 2**31)))
def test_keys_are_a_list_that_holds_numbers(listed: list[FrameKey], other: tuple[int, int]) -> None:
    packed = FrameKeys.of(listed)
    assert packed == listed
    assert list(packed) == listed
    assert len(packed) == len(listed)
    assert [packed.position(key) for key in listed] == list(range(len(listed)))
    assert (FrameKey(*other) in packed) == (FrameKey(*other) in listed)
    assert packed[1:4] == listed[1:4]
    ordered = FrameKeys.of(sorted(listed))
    assert [ordered.index(key) for key in sorted(listed)] == list(range(len(listed)))
