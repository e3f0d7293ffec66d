"""Reading from a project changes nothing in it, and what a writer has just read is not read again."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.schema.builtin import find_schema
from poseapp.project import edits, opening
from poseapp.project.model import FrameKey
from poseapp.project.queries.frame_query import FrameQuery
from poseapp.project.queries.selection import frame_scores, labelled_frames
from poseapp.project.queries.tracks import frames_with_instances, track_instances, tracks_of
from poseapp.project.relink.fingerprints import fingerprints
from poseapp.project.schema.migration import put_aside, successors
from poseapp.project.schema.part_colors import part_colors
from poseapp.project.store import ProjectStore
from poseapp.project.tables.sources import frames_of_model

WRITES = {
    "add_category", "add_category_step", "add_frames", "add_media", "apply", "apply_in_chunks", "apply_with_category",
    "close", "create", "edit_categories", "edit_category", "imported", "jump_in_chunks", "jump_to", "keep_new_numbers",
    "move_media", "open", "record", "redo", "set_frame_size", "stop_merging", "undo", "update_category",
}  # fmt: skip
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "category": (1,), "find_frames": (FrameQuery(text="1"),), "frame": (FrameKey(1, 0),),
    "frame_counts": (FrameKey(1, 0),), "frame_names": (1,), "frame_of": (1,), "frame_path": (FrameKey(1, 0),),
    "history_page": (1, 5), "instance": (1,), "instances": (FrameKey(1, 0),), "new_ids": (3,),
    "stored_path": ("a.png",), "waits_for_review": (FrameKey(1, 0),),
}  # fmt: skip
QUERIES: list[Callable[[ProjectStore], object]] = [
    fingerprints,
    part_colors,
    put_aside,
    successors,
    lambda store: frames_of_model(store, "m"),
    lambda store: frame_scores(store, 1),
    lambda store: labelled_frames(store, 1),
    lambda store: tracks_of(store, 1),
    lambda store: track_instances(store, 1, 1),
    lambda store: list(frames_with_instances(store, 1)),
    lambda store: store.read_only,
    lambda store: store.database.is_gone,
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    with ProjectStore.create(tmp_path / "p.pose") as created:
        media = created.add_media("images", tmp_path)
        keys = created.add_frames(media.id, [(f"{n}.png", 64, 48) for n in range(3)])
        category = created.add_category("person", find_schema("coco"))
        pose = edits.make_instance(created.new_ids(1)[0], category, np.ones((17, 2)), track=1)
        created.apply(edits.add_instance(keys[0], pose))
        created.apply(
            edits.add_instance(keys[1], edits.make_instance(created.new_ids(1)[0], category, np.ones((17, 2))))
        )
        created.undo()
        yield created


def reads() -> list[str]:
    methods = inspect.getmembers(ProjectStore, lambda member: callable(member) or inspect.ismethod(member))
    return [name for name, _ in methods if not name.startswith("_") and name not in WRITES]


@pytest.mark.parametrize("name", reads())
def test_a_read_writes_nothing(store: ProjectStore, name: str) -> None:
    changes = store.database.connection.total_changes
    store.database.run("PRAGMA query_only = ON")
    result = getattr(store, name)(*ARGUMENTS.get(name, ()))
    if isinstance(result, Iterator):
        list(result)
    assert store.database.connection.total_changes == changes


def test_no_query_writes(store: ProjectStore) -> None:
    store.database.run("PRAGMA query_only = ON")
    for query in QUERIES:
        query(store)


def test_the_place_of_a_project_is_told_without_making_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "user_data_dir", lambda _name: str(tmp_path / "data"))
    monkeypatch.setattr(opening, "project_name_room", lambda _folder: 39)
    path = opening.project_path([tmp_path])
    assert path.is_relative_to(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def selects(store: ProjectStore, work: Callable[[], object]) -> list[str]:
    statements: list[str] = []
    store.database.connection.set_trace_callback(statements.append)
    try:
        work()
    finally:
        store.database.connection.set_trace_callback(None)
    return [statement for statement in statements if statement.lstrip().upper().startswith(("SELECT", "PRAGMA"))]


def test_an_edit_of_a_frame_on_show_reads_nothing_and_the_views_after_it_three_rows(store: ProjectStore) -> None:
    key = FrameKey(1, 0)
    (pose,) = store.instances(key)
    store.frame(key)
    schema = store.category(pose.category).schema
    store.apply(edits.move_keypoints(key, pose, {0: (5.0, 6.0)}, schema))  # the first knows the counters from then on
    (pose,) = store.instances(key)
    store.frame(key)
    assert selects(store, lambda: store.apply(edits.move_keypoints(key, pose, {0: (7.0, 8.0)}, schema))) == []

    def views() -> None:
        for _ in range(3):
            store.instances(key)
            store.frame(key)
            store.frame_counts(key)
            store.waits_for_review(key)
            store.undo_text()
            store.redo_text()
            store.history_length()

    assert len(selects(store, views)) == 3


def test_what_is_remembered_is_forgotten_when_a_transaction_is_taken_back(store: ProjectStore) -> None:
    key = FrameKey(1, 0)
    before = store.frame(key)
    with contextlib.suppress(ZeroDivisionError), store.database.write():
        store.set_frame_size(key, 7, 9)
        assert (store.frame(key).width, store.frame(key).height) == (7, 9)
        raise ZeroDivisionError
    assert store.frame(key) == before
    with contextlib.suppress(ZeroDivisionError), store.database.write():
        store.undo()
        assert store.history_length() == (2, 0)
        assert store.instances(key) == ()
        raise ZeroDivisionError
    assert store.history_length() == (2, 1)
    assert len(store.instances(key)) == 1


def test_a_reader_beside_a_writer_sees_each_edit(store: ProjectStore) -> None:
    key = FrameKey(1, 0)
    with ProjectStore.open(store.path, read_only=True) as reader:
        for index in range(5):
            (pose,) = store.instances(key)
            schema = store.category(pose.category).schema
            store.apply(edits.move_keypoints(key, pose, {0: (float(index), 1.0)}, schema))
            assert reader.instances(key)[0].keypoints[0].tolist() == [index, 1.0]
            assert reader.history_length() == store.history_length()
            assert reader.undo_text() == store.undo_text()
