"""Named states: taken while the project is open, restored as one step, lost with nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ProjectError
from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.model import Edit, FrameEdit, FrameKey, FrameState
from poseapp.project.storage import snapshots as snapshots_module
from poseapp.project.storage.snapshots import (
    delete_snapshot,
    list_snapshots,
    restore_snapshot,
    snapshot_folder,
    take_snapshot,
)
from poseapp.project.store import ProjectStore


def _all(store: ProjectStore) -> object:
    return store.database.rows("SELECT * FROM instance ORDER BY id"), [f.state for f in store.frames()]


def _work(store: ProjectStore, frame: FrameKey, make) -> None:
    """Change, delete and add poses, and mark a frame."""
    one, two = store.instances(frame)
    store.apply(edits.move_keypoints(frame, one, {0: (7, 7)}))
    store.apply(edits.delete_instances(frame, [two]))
    store.apply(edits.add_instance(frame, make(9, score=0.5)))
    store.apply(edits.set_frame_state(frame, FrameState(), flagged=True))


def test_restoring_is_one_step_that_can_be_undone(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make(1), make(2, score=0.3)))
    before = _all(store)
    snapshot = take_snapshot(store.path, "before the second round")
    _work(store, frame, make)
    later = _all(store)
    steps = len(store.history())
    change = restore_snapshot(store, snapshot)
    assert frame in change.frames
    assert _all(store) == before
    assert len(store.history()) == steps + 1
    assert store.undo_text() == "Restore snapshot before the second round"
    assert (store.frame_counts(frame).labelled, store.frame_counts(frame).predicted) == (1, 1)
    store.undo()
    assert _all(store) == later
    store.redo()
    assert _all(store) == before
    assert restore_snapshot(store, snapshot).frames == frozenset()


def test_new_ids_stay_new_after_a_restore(store: ProjectStore, frame: FrameKey, make) -> None:
    snapshot = take_snapshot(store.path, "empty")
    created = make(1)
    store.apply(edits.add_instance(frame, created))
    restore_snapshot(store, snapshot)
    assert store.instances(frame) == ()
    assert store.new_ids(1)[0] > created.id


def test_snapshots_are_listed_and_deleted(store: ProjectStore) -> None:
    assert list_snapshots(store.path) == []
    taken = take_snapshot(store.path, ' a/b:c*? "x" ')
    assert taken.name == "a_b_c__ _x_"
    (snapshot_folder(store.path) / "notes.pose").write_bytes(b"")
    assert [s.path for s in list_snapshots(store.path)] == [taken.path]
    assert list_snapshots(store.path)[0].name == taken.name
    assert not [p for p in taken.path.parent.iterdir() if p.suffix == ".tmp"]
    delete_snapshot(taken)
    assert list_snapshots(store.path) == []
    with pytest.raises(ProjectError, match="cannot be deleted"):
        delete_snapshot(taken)


def test_a_snapshot_is_a_project_of_its_own_with_the_same_pictures(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make(1)))
    snapshot = take_snapshot(store.path, "x")
    with ProjectStore.open(snapshot.path) as copy:
        assert copy.frame_path(frame) == store.frame_path(frame)
        assert len(copy.instances(frame)) == 1


def test_a_snapshot_of_another_project_is_refused(store: ProjectStore, tmp_path: Path) -> None:
    with ProjectStore.create(tmp_path / "other.pose") as other:
        media = other.add_media("images", tmp_path)
        other.add_frames(media.id, [("z.png", 1, 1)])
        strange = take_snapshot(other.path, "z")
    with pytest.raises(ProjectError, match="other images"):
        restore_snapshot(store, strange)
    strange.path.write_bytes(b"nothing")
    with pytest.raises(ProjectError, match="not a project"):
        restore_snapshot(store, strange)
    with pytest.raises(ProjectError, match="cannot be opened"):
        restore_snapshot(store, replace(strange, path=tmp_path / "none.pose"))
    assert store.database.row("SELECT count(*) FROM pragma_database_list WHERE name = 'snap'") == (0,)


def test_points_that_were_renamed_since_are_told(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make(1)))
    snapshot = take_snapshot(store.path, "x")
    names = ["beak", "left_ear", "right_ear", "tail"]
    store.update_category(store.categories()[0].id, schema=schema_from_names("mouse", names))
    with pytest.raises(ProjectError, match="'mouse' have been changed"):
        restore_snapshot(store, snapshot)


def test_a_project_without_write_access_takes_none(store: ProjectStore) -> None:
    snapshot_folder(store.path).write_bytes(b"in the way")
    with pytest.raises(ProjectError, match="no snapshot was made"):
        take_snapshot(store.path, "x")


def test_a_hundred_thousand_steps_are_read_in_pages(store: ProjectStore, frame: FrameKey, make) -> None:
    store.apply(edits.add_instance(frame, make(1)))
    store.apply(Edit("mark", (FrameEdit(frame, state=(FrameState(), FrameState(flagged=True))),)))
    store.undo()
    assert store.history_length() == (2, 1)
    assert [(s.id, s.text, s.done) for s in store.history_page(2, 10)] == [(2, "mark", False)]
    assert store.history_page(3, 10) == []


def test_snapshots_of_one_name_and_second_do_not_replace_each_other(
    store: ProjectStore, frame: FrameKey, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots_module.time, "time", lambda: 1_700_000_000.4)
    states = []
    for index in range(3):
        store.apply(edits.add_instance(frame, make(index + 1)))
        states.append(_all(store))
        take_snapshot(store.path, "round")
    taken = sorted(list_snapshots(store.path), key=lambda snapshot: snapshot.name)
    assert [snapshot.name for snapshot in taken] == ["round", "round (2)", "round (3)"]
    assert {snapshot.time for snapshot in taken} == {1_700_000_000.0}
    for snapshot, state in zip(taken, states, strict=True):
        restore_snapshot(store, snapshot)
        assert _all(store) == state


def test_snapshots_taken_by_several_threads_at_once_are_all_kept(
    store: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots_module.time, "time", lambda: 1_700_000_000.4)
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: take_snapshot(store.path, "now"), range(6)))
    assert len({snapshot.path for snapshot in taken}) == 6
    assert {s.path for s in list_snapshots(store.path)} == {s.path for s in taken}
    assert all(snapshot.size > 0 for snapshot in taken)


@pytest.mark.parametrize("name", ["🐭" * 100, "鼠" * 100, " . ", "..", "a/b\\c\x1b[31m"])
def test_a_snapshot_may_have_any_name(name: str, store: ProjectStore) -> None:
    snapshot = take_snapshot(store.path, name)
    assert [s.path for s in list_snapshots(store.path)] == [snapshot.path]
    assert snapshot.path.parent == snapshot_folder(store.path)
    assert snapshot.name.isprintable()
