"""The review queue: what waits in it, and that its order stays while a person works through it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from poseapp.commands import model
from poseapp.jobs.inference import ModelChoice
from poseapp.project import edits
from poseapp.project.model import FrameKey, Instance, State
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import POSE, SCHEMA, SIZE, show_poses

CHOICE = ModelChoice("movenet_lightning", device="cpu")
SCORES = (0.9, 0.3, 0.5, 0.7, 0.2)


def guess(index: int, category: int, score: float) -> Instance:
    return Instance(
        index, category, POSE.copy(), np.full(4, 2, np.uint8), np.zeros(4, bool),
        scores=np.full(4, 0.9), score=score, box=np.array([40.0, 50, 160, 190]), source="net", state=State.PREDICTED,
    )  # fmt: skip


@pytest.fixture
def queue(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """A window with five frames that hold a prediction each, with SCORES."""
    for index in range(5):
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    with ProjectStore.create(tmp_path / "queue.pose") as store:
        media = store.add_media("images", tmp_path)
        keys = store.add_frames(media.id, [(f"{n}.png", *SIZE) for n in range(5)])
        category = store.add_category("figure", SCHEMA)
        for key, index, score in zip(keys, store.new_ids(5), SCORES):
            store.apply(edits.add_instance(key, guess(index, category.id, score)))
    window.open_paths([tmp_path / "queue.pose"])
    qtbot.waitUntil(lambda: window.session.store is not None, timeout=5000)
    qtbot.waitUntil(lambda: window.canvas.image_size == SIZE and not window.runner.active(), timeout=5000)
    window.docks[2].raise_()
    qtbot.waitUntil(lambda: len(window.review.model.keys) == 5, timeout=3000)
    return window


def numbers(keys: object) -> list[int]:
    return [key.index for key in keys]  # type: ignore[attr-defined]


def test_correcting_a_frame_does_not_change_the_order_or_the_place(queue: MainWindow, qtbot: QtBot) -> None:
    session = queue.session
    assert numbers(queue.review.model.keys) == [4, 1, 2, 3, 0]
    queue.run("next_review")
    queue.run("next_review")
    assert session.frame is not None
    assert session.frame.index == 1
    # Another model is less sure of frame 0, and this frame gets a far better score: sorted anew, both would move.
    store = session.store
    assert store is not None
    for index, score in ((0, 0.05), (1, 0.99)):
        key = FrameKey(session.frame.media, index)
        (pose,) = store.instances(key)
        (new,) = store.new_ids(1)
        session.apply(
            edits.combined(
                "Run", [edits.reject(key, [pose]), edits.add_instance(key, guess(new, pose.category, score))]
            )
        )
    qtbot.waitUntil(lambda: not queue.review._later.isActive(), timeout=3000)
    queue.review.refresh()
    assert numbers(queue.review.model.keys) == [4, 1, 2, 3, 0]
    assert queue.review.sort_again.isVisible()
    seen = []
    for _ in range(3):
        queue.run("next_review")
        seen.append(session.frame.index)
    assert seen == [2, 3, 0]
    QTest.mouseClick(queue.review.sort_again, Qt.MouseButton.LeftButton)
    assert numbers(queue.review.model.keys) == [0, 4, 2, 3, 1]


def test_space_goes_on_behind_a_frame_that_is_done(queue: MainWindow) -> None:
    seen = []
    for _ in range(5):
        queue.run("next_review")
        assert queue.session.frame is not None
        seen.append(queue.session.frame.index)
        queue.run("accept_all")
    assert seen == [4, 1, 2, 3, 0]
    queue.run("next_review")
    assert queue.toasts.messages()[-1] == "Nothing left to review"


def test_space_goes_on_from_a_frame_that_was_chosen_by_hand(queue: MainWindow) -> None:
    session = queue.session
    queue.run("next_review")
    session.go_to(session.frames[2])
    queue.run("accept_all")
    queue.run("next_review")
    assert session.frame == session.frames[3]
    queue.run("previous_review")
    assert session.frame == session.frames[1]  # 2 is done


def test_new_predictions_are_added_at_the_end_while_one_works(queue: MainWindow) -> None:
    session, store = queue.session, queue.session.store
    assert store is not None
    queue.run("next_review")
    first = session.frames[2]
    session.apply(edits.reject(first, store.instances(first)))
    queue.review.refresh()
    assert numbers(queue.review.model.keys) == [4, 1, 3, 0]
    category = session.categories()[0].id
    (index,) = store.new_ids(1)
    session.apply(edits.add_instance(first, guess(index, category, 0.01)))
    queue.review.refresh()
    assert numbers(queue.review.model.keys) == [4, 1, 2, 3, 0]  # it had a place already


@pytest.mark.parametrize("button", [Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton])
def test_either_button_selects_the_row_and_shows_its_picture(queue: MainWindow, button: Qt.MouseButton) -> None:
    view = queue.review.view
    position = view.visualRect(queue.review.model.index(2, 0)).center()
    QTest.mouseClick(view.viewport(), button, Qt.KeyboardModifier.NoModifier, position)
    assert queue.session.frame == queue.review.model.keys[2]
    assert view.currentIndex().row() == 2


def test_arrow_keys_in_the_queue_show_the_picture(queue: MainWindow) -> None:
    view = queue.review.view
    view.setFocus()
    view.selectRow(1)
    QTest.keyClick(view, Qt.Key.Key_Down)
    assert view.currentIndex().row() == 2
    assert queue.session.frame == queue.review.model.keys[2]


def run(window: MainWindow, frames: list[FrameKey], qtbot: QtBot) -> None:
    assert model.run_on(window.context, frames, CHOICE, 0.2) is not None
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=60_000)


@pytest.fixture
def people(window: MainWindow, resources_dir: Path, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """The window with two pictures: one of a person, one of nothing."""
    shutil.copyfile(resources_dir / "sample/astronaut.jpg", tmp_path / "a.jpg")
    assert cv2.imwrite(str(tmp_path / "b.png"), np.full((240, 320, 3), 120, np.uint8))
    window.open_paths([tmp_path])
    qtbot.waitUntil(lambda: window.canvas.pixels is not None and not window.runner.active(), timeout=10_000)
    return window


def test_a_frame_in_which_the_model_found_nobody_waits_for_review(people: MainWindow, qtbot: QtBot) -> None:
    session, store = people.session, people.session.store
    assert store is not None
    person, empty = session.frames
    assert store.review_queue() == []
    run(people, [person, empty], qtbot)
    assert store.review_queue() == [person, empty]
    assert store.frame(empty).state.nothing_found
    assert not store.frame(person).state.nothing_found
    assert "Nothing found in 1 of them" in people.toasts.messages()[-1]
    show_poses(people, qtbot)
    people.run("next_review")
    assert session.frame == empty
    assert people.instances.hint.text().startswith("Nothing found")
    QTest.keyClick(people.canvas, Qt.Key.Key_Return)
    state = store.frame(empty).state
    assert state.negative
    assert state.reviewed
    assert store.review_queue() == [person]
    session.undo()
    assert store.review_queue() == [person, empty]
    session.undo()  # the run
    assert store.review_queue() == []
    assert not store.frame(empty).state.nothing_found


def test_what_a_person_has_said_of_an_empty_frame_stays_said(people: MainWindow, qtbot: QtBot) -> None:
    session, store = people.session, people.session.store
    assert store is not None
    empty = session.frames[1]
    session.apply(edits.set_frame_state(empty, store.frame(empty).state, negative=True))
    run(people, [empty], qtbot)
    assert store.frame(empty).state.negative
    assert store.review_queue() == []


def test_a_frame_with_a_label_does_not_wait_because_the_model_missed_it(people: MainWindow, qtbot: QtBot) -> None:
    session, store = people.session, people.session.store
    assert store is not None
    person, empty = session.frames
    run(people, [person], qtbot)
    people.run("accept_all")
    label = store.instances(person)[0]
    session.apply(edits.paste(empty, [label], store.new_ids(1)))
    run(people, [empty], qtbot)
    assert store.review_queue() == []
