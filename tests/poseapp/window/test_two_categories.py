"""Several kinds in one project and one picture: chosen, drawn, exported, read again; poses moved to other points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.schema.builtin import find_schema
from poseapp.canvas.template_pose import template_pose
from poseapp.dialogs.export_coco import ExportCocoDialog
from poseapp.dialogs.schema.choice import KindChoice, SchemaChoiceDialog
from poseapp.dialogs.schema.mapping import ChangePointsDialog
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.window.main_window import MainWindow
from tests.poseapp.conftest import SIZE, Hands


def _choose(window: MainWindow, words: str) -> None:
    window.run("choose_kind")
    (dialog,) = [d for d in window.findChildren(SchemaChoiceDialog) if d.isVisible()]
    QTest.keyClicks(dialog.search, words)
    QTest.mouseClick(dialog.use_button, Qt.MouseButton.LeftButton)


def _place(hands: Hands, left: float) -> None:
    """All points of the kind in use, clicked one after the other."""
    session = hands.window.session
    assert session.category is not None
    points = template_pose(session.category.schema)
    low, high = points.min(axis=0), points.max(axis=0)
    positions = (points - low) / (high - low) * (60, 180) + (left, 30)
    hands.window.run("tool_place")
    for x, y in positions:
        hands.click(x, y)


@pytest.fixture
def dressed(hands: Hands) -> Hands:
    """A person of 17 points and a garment of 6 in the third picture."""
    hands.window.session.step(2)
    _choose(hands.window, "coco 17 body")
    _place(hands, 60)
    _choose(hands.window, "deepfashion upper")
    _place(hands, 200)
    hands.window.run("tool_edit")
    return hands


def test_a_person_and_a_garment_are_drawn_in_one_picture(dressed: Hands) -> None:
    session = dressed.window.session
    assert [i.num_keypoints for i in session.instances] == [17, 6]
    assert [c.name for c in session.categories()] == ["figure", "person", "fashion"]
    person, garment = session.instances
    session.select(instances=[person.id])
    assert session.category is not None
    assert session.category.name == "person"  # a new pose is of the selected one's kind
    session.select(instances=[garment.id])
    assert session.category.name == "fashion"
    dressed.drag(tuple(garment.keypoints[2]), (290, 200))
    moved = dressed.instance(1)
    assert np.abs(moved.keypoints[2] - (290, 200)).max() < 1
    assert dressed.instance(0) is person or dressed.instance(0).same_as(person)


def test_both_kinds_are_exported_and_come_back_equal(dressed: Hands, tmp_path: Path, qtbot: QtBot) -> None:
    window = dressed.window
    window.run("export_coco")
    (dialog,) = window.findChildren(ExportCocoDialog)
    target = tmp_path / "both.json"
    dialog.path.setText(str(target))
    QTest.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: target.exists() and not window.runner.active(), timeout=5000)
    data = json.loads(target.read_text())
    assert [c["name"] for c in data["categories"]] == ["figure", "person", "fashion"]
    assert {a["category_id"] for a in data["annotations"]} == {c["id"] for c in data["categories"]}
    before = {(i.num_keypoints, i.keypoints.tobytes(), i.visibility.tobytes()) for i in window.session.instances}
    names = [c.schema.names for c in window.session.categories()]
    path = window.session.path
    window.open_paths([target])
    qtbot.waitUntil(lambda: window.session.path != path and not window.runner.active(), timeout=5000)
    session = window.session
    assert [c.name for c in session.categories()] == ["figure", "person", "fashion"]
    assert [c.schema.names for c in session.categories()] == names
    session.go_to(session.frames[-1])
    assert {(i.num_keypoints, i.keypoints.tobytes(), i.visibility.tobytes()) for i in session.instances} == before
    qtbot.waitUntil(lambda: window.canvas.image_size == SIZE and not window.runner.active(), timeout=5000)


def test_two_kinds_may_have_the_same_points(opened: MainWindow) -> None:
    from poseapp.commands.category import use_kind

    animal = find_schema("ap10k")
    for name in ("cat", "dog", "cat"):
        use_kind(opened.context, KindChoice(name, animal))
        assert opened.session.category is not None
        assert opened.session.category.name == name
    assert [c.name for c in opened.session.categories()] == ["figure", "cat", "dog"]


def test_a_person_goes_from_17_to_133_to_136_points_and_back(dressed: Hands, tmp_path: Path) -> None:
    window, session = dressed.window, dressed.window.session
    person, garment = session.instances
    steps = session.store.history_length()  # type: ignore[union-attr]
    for name, count in (("coco_wholebody", 133), ("halpe", 136)):
        session.select(instances=[i.id for i in session.instances if i.id == person.id])
        window.run("change_points")
        (dialog,) = [d for d in window.findChildren(ChangePointsDialog) if d.isVisible()]
        assert dialog.source.name == "person"
        dialog.target.setCurrentIndex(dialog.target.findText(find_schema(name).title))
        QTest.mouseClick(dialog.change_button, Qt.MouseButton.LeftButton)
        now = next(i for i in session.instances if i.id == person.id)
        assert now.num_keypoints == count
        assert (now.keypoints[:17] == person.keypoints).all()
        assert int((now.visibility > 0).sum()) == 17
    assert session.instances[1].same_as(garment)
    assert [c.name for c in session.categories()][1:] == [
        "person (17 points)", "fashion", "person (133 points)", "person",
    ]  # fmt: skip
    assert session.store.history_length() == tuple(n + 2 for n in steps)  # type: ignore[union-attr]
    window.run("undo")
    window.run("undo")
    assert session.instances[0].same_as(person)
    session.select()
    assert (session.category.name, session.category.schema.num_keypoints) == ("person", 17)  # type: ignore[union-attr]
    assert sorted(c.name for c in session.categories()) == [
        "fashion", "figure", "person", "person (133 points)", "person (136 points)",
    ]  # fmt: skip
    target = tmp_path / "now.json"
    export_coco(session.store, target)  # type: ignore[arg-type]
    names = [c["name"] for c in json.loads(target.read_text())["categories"]]
    assert names == ["figure", "person", "fashion"]
    window.run("redo")
    assert session.instances[0].num_keypoints == 133
    assert session.schema_of(session.instances[0]).num_keypoints == 133
    assert next(c.name for c in session.categories() if c.id == session.instances[0].category) == "person"
