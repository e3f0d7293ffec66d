"""Undo of very much: in pieces, told, in order, and nothing lost when something comes between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.errors import ProjectError
from engine.schema.builtin import find_schema
from poseapp.jobs.opening import SnapshotJob
from poseapp.jobs.runner import JobRunner
from poseapp.project import edits
from poseapp.project.model import Change
from poseapp.project.relink.remap import NewFile, remap_video
from poseapp.project.store import ProjectStore
from poseapp.project.tables import history
from poseapp.session import chunked_edits
from poseapp.session.session import Session

FRAMES = 1500


@pytest.fixture
def session(tmp_path: Path, qapp: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(chunked_edits, "AT_ONCE_SECONDS", 0.0)
    monkeypatch.setattr(chunked_edits, "AT_ONCE_INSTANCES", 1)
    monkeypatch.setattr(chunked_edits, "PIECE_SECONDS", 0.0)
    store = ProjectStore.create(tmp_path / "p.pose")
    media = store.add_media("images", tmp_path)
    category = store.add_category("person", find_schema("coco"))
    keys = store.add_frames(media.id, [(f"{n}.png", 64, 48) for n in range(FRAMES)])
    poses = [edits.make_instance(i, category, np.full((17, 2), 3.0)) for i in store.new_ids(FRAMES)]
    store.apply(edits.combined("all", [edits.add_instance(k, p) for k, p in zip(keys, poses)]))
    session = Session()
    session.set_store(store)
    yield session
    session.close()


def test_a_large_undo_goes_on_between_events_and_tells(session: Session, qtbot: QtBot) -> None:
    store, messages, words = session.store, [], []
    assert store is not None
    session.changed.connect(messages.append)
    session.chunked_edits.working.connect(words.append)
    session.undo()
    assert session.chunked_edits.busy
    assert not messages
    qtbot.waitUntil(lambda: not session.chunked_edits.busy, timeout=10000)
    (change,) = messages
    assert len(change.frames) == FRAMES
    assert words[0].startswith("Undoing: ")
    assert words[-1] == ""
    assert session.instances == ()
    assert store.history_length() == (1, 0)
    session.redo()
    qtbot.waitUntil(lambda: not session.chunked_edits.busy, timeout=10000)
    assert len(session.instances) == 1


def test_the_next_key_waits_for_the_one_before(session: Session) -> None:
    store = session.store
    assert store is not None
    session.undo()
    session.redo()  # finishes the undo first
    session.undo()
    session.chunked_edits.finish()
    assert store.history_length() == (1, 0)
    assert session.instances == ()


def test_an_edit_between_finishes_it_first(session: Session, qtbot: QtBot) -> None:
    store = session.store
    assert store is not None
    messages: list[Change] = []
    session.changed.connect(messages.append)
    session.undo()
    category = session.categories()[0]
    assert session.frame is not None
    pose = edits.make_instance(store.new_ids(1)[0], category, np.full((17, 2), 9.0))
    assert session.apply(edits.add_instance(session.frame, pose))
    qtbot.waitUntil(lambda: not session.chunked_edits.busy, timeout=10000)
    assert [i.id for i in session.instances] == [pose.id]
    assert {len(change.frames) for change in messages} == {1, FRAMES}
    assert store.history_length() == (1, 1)


def test_closing_keeps_what_was_begun(session: Session) -> None:
    path = session.path
    assert path is not None
    session.undo()
    session.close()
    with ProjectStore.open(path) as store:
        assert list(store.all_instances()) == []
        assert store.history_length() == (1, 0)


def test_what_is_refused_in_the_middle_is_told_and_read_again(
    session: Session, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, messages, changes = session.instances, [], []
    session.message.connect(lambda text, kind: messages.append((text, kind)))
    session.changed.connect(changes.append)
    assert session.store is not None
    monkeypatch.setattr(session.store.database, "set_meta", _refused)
    session.undo()
    session.go_to(session.frames[1])
    session.go_to(session.frames[0])
    assert session.instances == ()  # half done
    qtbot.waitUntil(lambda: not session.chunked_edits.busy, timeout=10000)
    assert messages == [("the disk is full", "error")]
    assert [i.id for i in session.instances] == [i.id for i in before]
    assert changes[-1].structure


def test_a_mistake_of_the_program_ends_it_and_the_project_can_be_closed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = session.path, history.write_instances
    assert path is not None
    calls = iter(range(100))

    def wrong(*arguments: Any) -> None:
        if next(calls):
            raise RuntimeError("a mistake")
        real(*arguments)

    monkeypatch.setattr(history, "write_instances", wrong)
    session.undo()
    with pytest.raises(RuntimeError, match="a mistake"):
        session.chunked_edits.finish()
    assert not session.chunked_edits.busy
    session.close()
    with ProjectStore.open(path) as store:
        assert len(list(store.all_instances())) == FRAMES


def test_a_job_reads_what_is_on_the_disk_when_it_has_ended(session: Session) -> None:
    runner = JobRunner()
    runner.before_submit = session.chunked_edits.finish
    assert session.path is not None
    session.undo()
    assert session.chunked_edits.busy
    runner.submit(SnapshotJob(session.path, "empty"))
    assert not session.chunked_edits.busy
    runner.shutdown()


def _refused(*_arguments: Any) -> None:
    raise ProjectError("the disk is full")


def test_frames_that_go_with_an_undo_are_never_asked_for(session: Session, qtbot: QtBot) -> None:
    store, kind = session.store, session.categories()[0]
    assert store is not None
    video = store.add_media("video", store.path.with_name("a.mp4"))
    keys = store.add_frames(video.id, [(f"{n:06d}", 64, 48) for n in range(FRAMES)])
    poses = [edits.make_instance(i, kind, np.full((17, 2), 3.0)) for i in store.new_ids(FRAMES)]
    store.apply(edits.combined("all", [edits.add_instance(k, p) for k, p in zip(keys, poses)]))
    new = NewFile(store.path.with_name("b.mp4"), "", 2 * FRAMES, (64, 48))
    remap_video(store, video.id, new, np.arange(FRAMES)[::-1] + FRAMES)
    store.apply(edits.delete_instances(keys[0]._replace(index=FRAMES), store.instances(keys[0]._replace(index=FRAMES))))
    assert store.history_length() == (4, 4)
    session.structure_changed()
    for step in (4, 3):
        store.jump_to(step)
        session.structure_changed()
        session.go_to(session.frames[-1])
        assert session.frame == (video.id, 2 * FRAMES - 1)
        session.jump_to(2)
        while session.chunked_edits.busy:
            assert session.frame_info() is not None
            session.chunked_edits._go_on()
        assert session.frame == (video.id, FRAMES - 1)
