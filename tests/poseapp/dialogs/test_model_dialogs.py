from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from engine.models.catalog import list_models, user_models_dir
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from poseapp.app.application import make_application
from poseapp.dialogs.models import ModelsDialog
from poseapp.dialogs.run_model import ALL, CURRENT, EMPTY, GO_ON, RANGE, RunModelDialog, RunPlan
from poseapp.dialogs.training.fine_tune import FineTuneDialog
from poseapp.dialogs.training.monitor import TrainingMonitor
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training.export import TrainingPlan
from poseapp.jobs.training.run import RunState, TrainingRun
from poseapp.project.store import ProjectStore
from poseapp.session.session import Session
from resources import resource_path

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    make_application()
    created = JobRunner()
    yield created
    created.shutdown()


class Shown:
    """Shows dialogs that delete themselves when closed, and closes those that are left."""

    def __init__(self) -> None:
        self._dialogs: list[QDialog] = []

    def __call__(self, dialog: QDialog) -> None:
        self._dialogs.append(dialog)
        dialog.show()

    def close(self) -> None:
        for dialog in self._dialogs:
            if isValid(dialog):
                dialog.close()


@pytest.fixture
def shown(qtbot: QtBot) -> Iterator[Shown]:
    created = Shown()
    yield created
    created.close()


def press(widget: QWidget) -> None:
    QTest.mouseClick(widget, LEFT)


# --- fine-tune


@pytest.fixture
def fine_tune(runner: JobRunner, project: Path, shown: Shown, qtbot: QtBot) -> FineTuneDialog:
    dialog = FineTuneDialog(runner, project, "small")
    shown(dialog)
    qtbot.waitUntil(lambda: dialog.plan() is not None)
    return dialog


def test_the_dialog_counts_labels_and_warns_of_few(fine_tune: FineTuneDialog) -> None:
    item = fine_tune.categories.topLevelItem(0)
    assert [item.text(c) for c in range(4)] == ["figure", "4", "1", "2"]
    assert any("Only 2 poses" in text for text in fine_tune.findings.texts)
    assert fine_tune.start_button.isEnabled()


def test_start_hands_over_the_plan_and_closes(fine_tune: FineTuneDialog, qtbot: QtBot) -> None:
    fine_tune.epochs.setValue(7)
    with qtbot.waitSignal(fine_tune.start_requested) as messages:
        press(fine_tune.start_button)
    assert messages.args == [TrainingPlan("small-figure", 1, "movenet_lightning", epochs=7)]


def test_a_taken_name_cannot_be_started(fine_tune: FineTuneDialog) -> None:
    (user_models_dir() / "taken").mkdir(parents=True)
    fine_tune.name.setText("taken")
    assert not fine_tune.start_button.isEnabled()
    assert fine_tune.name_hint.text() == "A model of this name already exists."
    fine_tune.name.setText("free")
    assert fine_tune.start_button.isEnabled()
    assert not fine_tune.name_hint.isVisible()


def test_a_typed_name_stays_when_the_category_changes(fine_tune: FineTuneDialog) -> None:
    fine_tune.name.clear()
    QTest.keyClicks(fine_tune.name, "mine")
    fine_tune._on_category()
    assert fine_tune.name.text() == "mine"


def test_closing_at_once_ends_the_count(runner: JobRunner, project: Path, qtbot: QtBot) -> None:
    dialog = FineTuneDialog(runner, project, "small")
    dialog.close()
    qtbot.waitUntil(lambda: not runner.active())


def test_a_project_without_labels_cannot_be_trained_on(
    runner: JobRunner, tmp_path: Path, shown: Shown, qtbot: QtBot
) -> None:
    ProjectStore.create(tmp_path / "empty.pose").close()
    dialog = FineTuneDialog(runner, tmp_path / "empty.pose", "empty")
    shown(dialog)
    qtbot.waitUntil(lambda: not runner.active())
    assert not dialog.start_button.isEnabled()
    assert dialog.findings.texts == ["Nothing is labelled yet: label some poses first, or accept predictions."]


# --- monitor


@pytest.fixture
def run(runner: JobRunner, project: Path) -> TrainingRun:
    return TrainingRun(runner, project, TrainingPlan("tees", 1, "movenet_lightning"))


@pytest.fixture
def monitor(run: TrainingRun, qtbot: QtBot) -> Iterator[TrainingMonitor]:
    created = TrainingMonitor(run)
    qtbot.addWidget(created)
    created.show()
    yield created
    created.close()


def feed(run: TrainingRun, steps: int = 6) -> None:
    run._set(RunState.STARTING)
    run._on_event({"event": "start", "what": "pose", "epochs": 2, "steps_per_epoch": steps, "train_instances": 2})
    for step in range(1, steps + 1):
        line = {"event": "step", "what": "pose", "epoch": 1, "step": step, "total_steps": 2 * steps, "loss": 1 / step}
        run._on_event({**line, "seconds_left": 30.0})
    run._on_event(
        {"event": "epoch", "what": "pose", "epoch": 1, "train_loss": 0.2, "val_loss": 0.3, "best": True,
         "metrics": {"median_px": 2.1}}
    )  # fmt: skip


def test_the_monitor_draws_and_says_what_comes(monitor: TrainingMonitor, run: TrainingRun, qtbot: QtBot) -> None:
    feed(run)
    qtbot.waitUntil(lambda: monitor.plots.loss.points(0) == 6)
    assert monitor.plots.loss.points(1) == 1
    assert monitor.plots.figure.points(0) == 1
    assert monitor.cards[0].value.text() == "2.1 px"
    assert "30 s left" in monitor.progress.text()
    assert monitor.bar.value() == 500


def test_a_monitor_opened_late_shows_everything(run: TrainingRun, qtbot: QtBot) -> None:
    feed(run)
    late = TrainingMonitor(run)
    qtbot.addWidget(late)
    assert late.plots.loss.points(0) == 6


def test_cancel_asks_once_more(monitor: TrainingMonitor, run: TrainingRun) -> None:
    feed(run)
    monitor.refresh()
    press(monitor.cancel_button)
    assert run.state is RunState.TRAINING
    assert monitor.discard_button.isVisible()
    press(monitor.go_on_button)
    assert not monitor.discard_button.isVisible()
    press(monitor.cancel_button)
    press(monitor.discard_button)
    assert run.state is RunState.CANCELLED
    assert monitor.close_button.isVisible()
    assert not monitor.use_button.isVisible()


def test_a_finished_model_can_be_used(monitor: TrainingMonitor, run: TrainingRun, qtbot: QtBot) -> None:
    feed(run)
    run.model = "tees"
    run._end(RunState.DONE, "tees is in the model list.")
    assert monitor.outcome_text.text() == "tees is in the model list."
    with qtbot.waitSignal(monitor.use_requested) as messages:
        press(monitor.use_button)
    assert messages.args == ["tees"]
    assert not monitor.isVisible()


def test_a_failure_is_shown_with_its_reason(monitor: TrainingMonitor, run: TrainingRun) -> None:
    run._end(RunState.FAILED, "Not enough memory for training.")
    assert monitor.outcome.isVisible()
    assert "memory" in monitor.outcome_text.text()
    assert not monitor.stop_button.isVisible()


# --- model list


@pytest.fixture
def models(shown: Shown) -> ModelsDialog:
    make_application()
    dialog = ModelsDialog("movenet_thunder")
    shown(dialog)
    return dialog


def test_the_list_shows_every_model_and_the_one_in_use(models: ModelsDialog) -> None:
    assert models.ids() == [entry.id for entry in list_models(available=True)]
    chosen = models.entry()
    assert chosen is not None
    assert chosen.id == "movenet_thunder"
    assert not models.remove_button.isEnabled()
    assert "Apache-2.0" in models.details["License"].text()


def test_a_detector_cannot_be_used_for_poses(models: ModelsDialog) -> None:
    models.list.setCurrentItem(models.list.topLevelItem(models.ids().index("efficientdet_lite0")))
    assert not models.use_button.isEnabled()


def test_an_imported_model_is_listed_used_and_removed(models: ModelsDialog, tmp_path: Path, qtbot: QtBot) -> None:
    run = tmp_path / "my-run"
    run.mkdir()
    shutil.copyfile(resource_path("models/movenet_lightning.safetensors"), run / "best.safetensors")
    shutil.copyfile(resource_path("models/efficientdet_lite0.safetensors"), run / "detector.safetensors")
    models.import_file(run / "best.safetensors")
    models.import_file(run / "best.safetensors")
    own = [entry.id for entry in list_models() if entry.source == "user"]
    assert own == ["my-run", "my-run/detector", "my-run-2", "my-run-2/detector"]
    chosen = models.entry()
    assert chosen is not None
    assert chosen.id == "my-run-2"
    press(models.remove_button)
    assert "my-run-2" not in models.ids()
    assert "kept in" in models.note.text()
    models.refresh("my-run")
    with qtbot.waitSignal(models.model_chosen) as messages:
        press(models.use_button)
    assert messages.args == ["my-run"]


def test_a_foreign_file_is_refused_with_a_reason(models: ModelsDialog, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"PK\x03\x04 nothing")
    models.import_file(bad)
    assert models.note.text().startswith("Not imported. ")
    assert "bad.safetensors" in models.note.text()
    assert not user_models_dir().exists() or list(user_models_dir().iterdir()) == []


# --- run


@pytest.fixture
def session(project: Path, qtbot: QtBot) -> Iterator[Session]:
    make_application()
    created = Session()
    created.set_store(ProjectStore.open(project))
    yield created
    created.close()


@pytest.mark.parametrize(
    ("which", "indices"),
    [(ALL, [0, 1, 2]), (EMPTY, [1, 2]), (CURRENT, [0]), (RANGE, [1, 2]), (GO_ON, [0, 1, 2])],
)
def test_the_chosen_images_are_run(
    session: Session, which: str, indices: list[int], shown: Shown, qtbot: QtBot
) -> None:
    dialog = RunModelDialog(session, "movenet_lightning")
    shown(dialog)
    dialog.which.setCurrentIndex(dialog.which.findData(which))
    dialog.first.setValue(3)
    dialog.last.setValue(2)
    dialog.threshold.setValue(0.4)
    with qtbot.waitSignal(dialog.run_requested) as messages:
        press(dialog.run_button)
    assert messages.args is not None
    plan: RunPlan = messages.args[0]
    assert plan.frames == tuple(session.frames[i] for i in indices)
    assert plan.choice.model == "movenet_lightning"
    assert (np.isclose(plan.score_threshold, 0.4), plan.replace_predicted, plan.flip_test) == (True, True, False)


def test_the_flip_test_can_be_chosen_only_where_it_does_no_harm(session: Session, shown: Shown) -> None:
    info, state = load_checkpoint(resource_path("models/movenet_lightning.safetensors"))
    own = user_models_dir() / "mine.safetensors"
    own.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(own, state, info.replace(provenance={"mirrored_copies": False}))
    dialog = RunModelDialog(session, "movenet_lightning")
    shown(dialog)
    assert dialog.flip.isEnabled()
    dialog.flip.setChecked(True)
    assert dialog.plan().flip_test
    dialog.model.setCurrentIndex(dialog.model.findData("mine"))
    assert not dialog.flip.isEnabled()
    assert "trained without mirrored images" in dialog.flip.toolTip()
    assert not dialog.plan().flip_test
