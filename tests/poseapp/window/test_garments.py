"""A category with the points of several kinds of objects: a new pose has those of one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from poseapp.commands import model
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.schema.choice import SchemaChoiceDialog
from poseapp.project.model import State
from poseapp.project.schema.subsets import possible_points, subset_named
from poseapp.project.store import ProjectStore
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import SIZE, Hands

CLOTHES = find_schema("deepfashion2")
BOX = (40.0, 30.0, 240.0, 200.0)


def span(name: str) -> slice:
    subset = subset_named(CLOTHES, name)
    assert subset is not None
    return slice(subset.start, subset.stop)


def open_with(window: MainWindow, folder: Path, name: str, qtbot: QtBot) -> Hands:
    assert cv2.imwrite(str(folder / "a.png"), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    with ProjectStore.create(folder / "clothes.pose") as store:
        media = store.add_media("images", folder)
        store.add_frames(media.id, [("a.png", *SIZE)])
        store.add_category(name, CLOTHES)
    window.open_paths([folder / "clothes.pose"])
    qtbot.waitUntil(lambda: window.canvas.image_size == SIZE and not window.runner.active(), timeout=5000)
    window.canvas.setFocus()
    return Hands(window, qtbot)


def answer(window: MainWindow, garment: str) -> None:
    (dialog,) = [d for d in window.findChildren(AskDialog) if d.isVisible()]
    assert dialog.choice is not None
    dialog.choice.setCurrentIndex(dialog.choice.findData(garment))
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)


def test_a_box_asks_for_the_garment_and_has_its_points_alone(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    hands = open_with(window, tmp_path, "clothes", qtbot)
    model.fill_box(window.context, BOX)
    assert window.session.instances == ()
    answer(window, "vest")
    pose = hands.instance()
    vest = span("vest")
    assert np.flatnonzero(pose.visibility).tolist() == list(range(vest.start, vest.stop))
    points = pose.keypoints[vest]
    assert np.allclose([*points.min(axis=0), *points.max(axis=0)], BOX)
    assert len(np.unique(points.round(1), axis=0)) == len(points)
    model.fill_box(window.context, BOX)
    (dialog,) = [d for d in window.findChildren(AskDialog) if d.isVisible()]
    assert dialog.chosen() == "vest"  # as the last time
    dialog.reject()
    assert len(window.session.instances) == 1


@pytest.mark.parametrize("name", ["long_sleeved_dress", "Long sleeved dress"])
def test_a_category_called_after_a_garment_needs_no_question(
    window: MainWindow, tmp_path: Path, qtbot: QtBot, name: str
) -> None:
    hands = open_with(window, tmp_path, name, qtbot)
    model.fill_box(window.context, BOX)
    dress = span("long_sleeved_dress")
    assert np.flatnonzero(hands.instance().visibility).tolist() == list(range(dress.start, dress.stop))


def test_points_are_placed_of_one_garment(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    hands = open_with(window, tmp_path, "clothes", qtbot)
    hands.key(Qt.Key.Key_P)
    answer(window, "skirt")
    skirt = span("skirt")
    for n in range(skirt.stop - skirt.start):
        hands.click(50 + 15 * n, 60 + 10 * (n % 3))
    pose = hands.instance()
    assert np.flatnonzero(pose.visibility).tolist() == list(range(skirt.start, skirt.stop))
    assert pose.by_human.all()
    window.run("tool_edit")
    window.session.select(instances=[pose.id])
    window.run("place_missing")
    assert window.toasts.messages()[-1] == "This pose has all its keypoints"


def test_only_points_of_its_own_garment_can_be_missing() -> None:
    seen = np.zeros(294, np.uint8)
    assert possible_points(CLOTHES, seen).all()
    trousers = span("trousers")
    seen[trousers.start] = 2
    assert np.flatnonzero(possible_points(CLOTHES, seen)).tolist() == list(range(trousers.start, trousers.stop))
    assert possible_points(find_schema("coco_wholebody"), np.eye(1, 133, dtype=np.uint8)[0]).all()


def test_each_garment_can_be_chosen_as_a_category_of_its_own(opened: MainWindow) -> None:
    opened.run("choose_kind")
    (dialog,) = [d for d in opened.findChildren(SchemaChoiceDialog) if d.isVisible()]
    dialog.search.setText("deepfashion2")
    QTest.mouseClick(dialog.use_button, Qt.MouseButton.LeftButton)
    (asked,) = [d for d in opened.findChildren(AskDialog) if d.isVisible()]
    assert asked.choice is not None
    assert asked.choice.count() == 14
    asked.choice.setCurrentText("vest dress (19 keypoints)")
    QTest.mouseClick(asked.do, Qt.MouseButton.LeftButton)
    category = opened.session.category
    assert category is not None
    assert (category.name, category.schema.num_keypoints) == ("vest_dress", 19)


def test_a_template_waits_until_a_person_touches_or_accepts_it(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    hands = open_with(window, tmp_path, "vest", qtbot)
    model.fill_box(window.context, BOX)
    store = window.session.store
    assert store is not None
    assert store.summary().labelled == 0
    assert store.review_queue() == list(window.session.frames)
    window.run("accept_everywhere")
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)
    assert hands.instance().state is State.PREDICTED
    hands.key(Qt.Key.Key_Return)
    assert hands.instance().state is State.LABELLED
    model.fill_box(window.context, BOX)
    first = span("vest").start
    x, y = hands.instance(1).keypoints[first]
    hands.drag((x, y), (x + 20, y + 9))
    assert hands.instance(1).state is State.LABELLED
