"""The session keeps frame, selection and project in step, and tells of every change."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from poseapp.project import edits
from poseapp.project.store import ProjectStore
from poseapp.session.session import Session


@pytest.fixture
def session(project: Path, qtbot: QtBot) -> Session:
    created = Session()
    created.set_store(ProjectStore.open(project))
    yield created
    created.close()


def test_opens_on_the_first_frame(session: Session) -> None:
    assert session.position() == 0
    assert len(session.frames) == 3
    assert len(session.instances) == 2


def test_steps_stop_at_the_ends(session: Session) -> None:
    session.step(-1)
    assert session.position() == 0
    session.step(100)
    assert session.position() == 2


def test_going_to_another_frame_drops_the_selection(session: Session, qtbot: QtBot) -> None:
    session.select(instances=[session.instances[0].id])
    with qtbot.waitSignals([session.frame_changed, session.selection_changed]):
        session.step(1)
    assert session.selected == []


def test_selection_holds_only_what_is_there(session: Session) -> None:
    first = session.instances[0]
    session.select(instances=[first.id, 9999], points=[(first.id, 3), (first.id, 4), (9999, 0)])
    assert session.selected_instances == {first.id}
    assert session.selected_points == {(first.id, 3)}


def test_a_deleted_instance_leaves_the_selection(session: Session) -> None:
    first = session.instances[0]
    session.select(instances=[first.id])
    assert session.frame is not None
    assert session.apply(edits.delete_instances(session.frame, [first]))
    assert session.selected_instances == frozenset()


def test_undo_goes_to_the_frame_it_changes(session: Session) -> None:
    session.step(2)
    session.undo()  # took away the prediction of the second frame
    assert session.position() == 1
    assert session.instances == ()
    session.redo()
    assert len(session.instances) == 1


def test_a_stale_edit_is_told_and_changes_nothing(session: Session, qtbot: QtBot) -> None:
    assert session.frame is not None
    first = session.instances[0]
    edit = edits.move_keypoints(session.frame, first, {0: (1.0, 2.0)})
    assert session.apply(edit)
    with qtbot.waitSignal(session.message) as messages:
        assert not session.apply(edit)
    assert messages.args[1] == "error"
    assert tuple(session.instances[0].keypoints[0]) == (1.0, 2.0)


def test_review_queue_is_least_certain_first(session: Session) -> None:
    assert session.store is not None
    assert session.store.review_queue() == [session.frames[1]]


def test_a_category_with_the_same_points_is_used_again(session: Session) -> None:
    (category,) = session.categories()
    assert session.find_category(category.schema, "other name") == category


def test_views_read_the_frame_again_after_a_refused_edit(session: Session, qtbot: QtBot) -> None:
    assert session.frame is not None
    first = session.instances[0]
    edit = edits.move_keypoints(session.frame, first, {0: (1.0, 2.0)})
    assert session.apply(edit)
    with qtbot.waitSignal(session.changed) as messages:  # a canvas that drags shows the old state again
        assert not session.apply(edit)
    assert messages.args is not None
    assert session.frame in messages.args[0].frames
