"""Which model Run uses belongs to a category of a project; a category comes with the first poses that use it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.models.catalog import find_model, user_models_dir
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.schema.builtin import find_schema
from engine.schema.schema import schema_from_names
from poseapp.app.settings import DEFAULT_MODEL, Settings
from poseapp.commands import model
from poseapp.dialogs.prompt import AskDialog
from poseapp.dialogs.run_model import RunModelDialog
from poseapp.jobs.inference import ModelChoice
from poseapp.window.main_window import MainWindow

MOUSE = schema_from_names("mouse", [f"p{n}" for n in range(17)])
LIGHT = ModelChoice("movenet_lightning", device="cpu")


@pytest.fixture
def mouse_model(resources_dir: Path) -> str:
    """Id of a model of one's own with the keypoints of MOUSE."""
    info, state = load_checkpoint(find_model("movenet_lightning").file or "")
    folder = user_models_dir()
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / "mice.safetensors", state, info.replace(schema=MOUSE.to_dict()))
    return "mice"


@pytest.fixture
def photo(window: MainWindow, resources_dir: Path, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """A new project of one photograph of a person."""
    shutil.copyfile(resources_dir / "sample/astronaut.jpg", tmp_path / "astronaut.jpg")
    show(window, tmp_path, qtbot)
    return window


def show(window: MainWindow, path: Path, qtbot: QtBot) -> None:
    before = window.session.store
    window.open_paths([path])
    qtbot.waitUntil(lambda: window.session.store not in (None, before), timeout=10_000)
    qtbot.waitUntil(lambda: window.canvas.pixels is not None and not window.runner.active(), timeout=10_000)


def names(window: MainWindow) -> list[str]:
    return [category.name for category in window.session.categories()]


def question(window: MainWindow) -> AskDialog:
    (dialog,) = [d for d in window.findChildren(AskDialog) if d.isVisible()]
    return dialog


def test_a_model_chosen_in_one_project_is_not_run_in_another(
    photo: MainWindow, mouse_model: str, resources_dir: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session = photo.session
    session.add_category("mouse", MOUSE)
    model.use_model(photo.context, mouse_model)
    assert photo.context.model == mouse_model
    other = tmp_path / "people"
    other.mkdir()
    shutil.copyfile(resources_dir / "sample/astronaut.jpg", other / "a.jpg")
    show(photo, other, qtbot)
    assert photo.context.model == DEFAULT_MODEL
    assert Settings().model == DEFAULT_MODEL
    session.add_category("person", find_schema("coco"))
    assert photo.context.model == DEFAULT_MODEL
    show(photo, tmp_path, qtbot)
    assert photo.context.model == mouse_model


def test_each_category_has_its_model(photo: MainWindow, mouse_model: str) -> None:
    session, context = photo.session, photo.context
    mouse = session.add_category("mouse", MOUSE)
    person = session.add_category("person", find_schema("coco"))
    assert mouse is not None
    assert person is not None
    assert session.category == mouse
    assert context.model == mouse_model  # the only one with these keypoints
    session.choose_category(person.id)
    assert context.model == DEFAULT_MODEL
    model.use_model(context, "movenet_lightning")
    assert context.model == "movenet_lightning"
    session.choose_category(mouse.id)
    assert context.model == mouse_model
    model.use_model(context, "movenet_thunder")  # has the keypoints of the other category
    assert session.category == person
    assert context.model == "movenet_thunder"


def test_a_model_trained_elsewhere_is_asked_about_in_a_new_project(
    photo: MainWindow, mouse_model: str, qtbot: QtBot
) -> None:
    photo.settings.model = mouse_model  # as settings of earlier versions have it
    photo.context.memory.forget()
    photo.run("run_frame")
    dialog = question(photo)
    assert dialog.choice is not None
    assert not photo.runner.active()
    assert [dialog.choice.itemData(n) for n in range(dialog.choice.count())] == [DEFAULT_MODEL, mouse_model]
    QTest.mouseClick(dialog.do, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(photo.session.instances), timeout=60_000)
    qtbot.waitUntil(lambda: not photo.runner.active(), timeout=10_000)
    assert names(photo) == ["person"]
    assert photo.session.instances[0].source == DEFAULT_MODEL
    photo.run("run_frame")  # and never again
    assert not [d for d in photo.findChildren(AskDialog) if d.isVisible()]
    qtbot.waitUntil(lambda: not photo.runner.active(), timeout=60_000)


def test_a_model_that_fits_no_category_is_asked_about_and_may_add_its_own(
    photo: MainWindow, mouse_model: str, qtbot: QtBot
) -> None:
    photo.session.add_category("person", find_schema("coco"))
    model.use_model(photo.context, mouse_model)
    photo.run("run_frame")
    dialog = question(photo)
    assert dialog.choice is not None
    assert names(photo) == ["person"]
    dialog.reject()
    assert names(photo) == ["person"]
    assert not photo.runner.active()
    photo.run("run_range")
    (plan,) = [d for d in photo.findChildren(RunModelDialog) if d.isVisible()]
    assert "Adds the category mouse" in plan.note.text()
    plan.model.setCurrentIndex(plan.model.findData(DEFAULT_MODEL))
    assert "Adds the category" not in plan.note.text()
    plan.close()


def test_the_category_comes_with_the_first_poses_and_in_their_transaction(photo: MainWindow, qtbot: QtBot) -> None:
    frame, store = photo.session.frame, photo.session.store
    assert frame is not None
    assert store is not None
    assert model.run_on(photo.context, [frame], LIGHT, 0.2) is not None
    assert names(photo) == []
    qtbot.waitUntil(lambda: bool(photo.session.instances), timeout=60_000)
    qtbot.waitUntil(lambda: not photo.runner.active(), timeout=10_000)
    assert names(photo) == ["person"]
    assert photo.session.instances[0].category == photo.session.categories()[0].id
    assert store.undo_text() == "Run MoveNet Lightning"
    assert photo.context.model == "movenet_lightning"


def test_a_run_without_weights_leaves_no_category(photo: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    frame, store = photo.session.frame, photo.session.store
    assert frame is not None
    assert store is not None
    missing = ModelChoice("coco_res50_256x192", device="cpu")  # published, and not on this computer
    model.run_on(photo.context, [frame], missing, 0.2)
    qtbot.waitUntil(lambda: not photo.runner.active(), timeout=60_000)
    assert names(photo) == []
    assert store.undo_text() is None
    model.fill_box(photo.context, (10, 10, 200, 200))
    qtbot.waitUntil(lambda: not photo.runner.active(), timeout=60_000)
    assert names(photo) == ["person"]  # with the pose that it is for
    assert len(photo.session.instances) == 1


def test_a_run_that_finds_nothing_adds_no_category(photo: MainWindow, qtbot: QtBot) -> None:
    frame, store = photo.session.frame, photo.session.store
    assert frame is not None
    assert store is not None
    model.run_on(photo.context, [frame], LIGHT, 1.0)
    qtbot.waitUntil(lambda: not photo.runner.active(), timeout=60_000)
    assert store.frame(frame).state.nothing_found
    assert names(photo) == []


def test_a_category_whose_edit_is_refused_is_not_added(photo: MainWindow) -> None:
    from poseapp.project import edits
    from poseapp.project.model import Category, FrameKey

    category = Category(model.UNSAVED, "mouse", MOUSE)
    nowhere = FrameKey(77, 0)
    edit = edits.add_instance(nowhere, edits.make_instance(1, category, [[1.0, 2]] * 17))
    assert model.apply_with_category(photo.session, category, edit) == category
    assert names(photo) == []


def test_damaged_choices_in_the_settings_change_nothing(photo: MainWindow) -> None:
    photo.settings._store.setValue("models", '{"' + str(photo.session.path) + '": [1, 2]}')
    assert photo.settings.models_of(photo.session.path) == {}  # type: ignore[arg-type]
    photo.settings._store.setValue("models", "[")
    assert photo.context.model == DEFAULT_MODEL
