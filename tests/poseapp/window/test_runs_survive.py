"""Training runs survive their window, and are found when they were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.models.catalog import list_models, user_models_dir
from poseapp.commands import model
from poseapp.dialogs.training.monitor import TrainingMonitor
from poseapp.dialogs.training.questions import Broken, CloseDialog, Closing, FoundRunDialog
from poseapp.jobs.training import process as training_process
from poseapp.jobs.training import runs
from poseapp.jobs.training.export import RunFiles, TrainingPlan, runs_folder
from poseapp.jobs.training.run import RunState, TrainingRun
from poseapp.window.main_window import MainWindow
from resources import resource_path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
SECONDS = 90
PLAN = TrainingPlan("tees", 1, "movenet_lightning", epochs=1)
ENDLESS = """
    import json, os, pathlib, shutil, sys, time
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    def say(**event): print(json.dumps(event), flush=True)
    say(event="start", what="pose", epochs=9, steps_per_epoch=9, device="cpu")
    while not (out / "stop").exists():
        say(event="step", what="pose", step=1, total_steps=9, loss=0.5, epoch=1)
        time.sleep(0.01)
    shutil.copyfile(MODEL, out / "best.safetensors")
    (out / "run.json").write_text(json.dumps({"state": "interrupted"}))
    say(event="done", best={}, out=str(out), stopped="interrupted")
""".replace("MODEL", repr(str(resource_path("models/movenet_lightning.safetensors"))))


def wait_until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def run_folder() -> Path:
    (folder,) = [f for home in runs_folder().iterdir() if home.name != "trash" for f in home.iterdir()]
    return folder


def own_models() -> list[str]:
    return [entry.id for entry in list_models("pose") if entry.source == "user"]


def lines(folder: Path) -> int:
    file = folder / "progress.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.fixture
def trainers() -> Iterator[None]:
    """No trainer outlives the test, whatever becomes of it."""
    yield
    for home in runs_folder().glob("**/process.json"):
        record = runs.training_process(home.parent)
        if record is not None:
            os.killpg(record.pid, signal.SIGKILL)
            wait_until(lambda record=record: not record.alive)


@pytest.fixture
def training_window(project: Path, trainers: None) -> Iterator[subprocess.Popen[bytes]]:
    """A window in another process that has trained an epoch and goes on."""
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-m", "tests.poseapp.window.train_window", str(project)]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, env=env, cwd=root, stderr=subprocess.DEVNULL) as process:
        try:
            # The state to resume from is written after the best checkpoint.
            wait_until(lambda: bool(list(runs_folder().glob("*/tees/pose.state.pt"))))
            yield process
        finally:
            process.kill()


def found_dialog() -> FoundRunDialog | None:
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, FoundRunDialog) and w.isVisible()), None)


def choose(window: MainWindow, choice: Broken, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: found_dialog() is not None, timeout=5000)
    dialog = found_dialog()
    assert dialog is not None
    dialog.buttons[choice].click()


@pytest.mark.slow
def test_a_run_goes_on_without_its_killed_window_and_the_next_one_follows_it(
    training_window: subprocess.Popen[bytes], window: MainWindow, qtbot: QtBot
) -> None:
    folder = run_folder()
    training_window.kill()
    training_window.wait()
    before = lines(folder)
    wait_until(lambda: lines(folder) > before + 2)
    window.find_runs()
    (run,) = window.runs
    assert run.state is RunState.TRAINING
    assert len(run.events) >= before
    assert runs.find_runs() == []  # this window follows it
    run.stop_early()
    qtbot.waitUntil(lambda: run.is_over, timeout=SECONDS * 1000)
    assert (run.state, run.model) == (RunState.DONE, "tees"), run.message
    assert own_models() == ["tees"]
    assert runs.find_runs() == []


@pytest.mark.slow
def test_a_killed_trainer_is_told_and_can_go_on(
    training_window: subprocess.Popen[bytes], window: MainWindow, qtbot: QtBot
) -> None:
    folder = run_folder()
    training_window.kill()
    training_window.wait()
    window.find_runs()
    (run,) = window.runs
    record = runs.training_process(folder)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: run.is_over, timeout=SECONDS * 1000)
    assert run.state is RunState.FAILED
    assert "ended from outside" in run.message
    window.tray.open_requested.emit(run)
    monitor = window.monitors[-1]
    assert isinstance(monitor, TrainingMonitor)
    assert monitor.keep_button.isVisible()
    monitor.resume_button.click()
    again = window.runs[-1]
    assert again is not run
    qtbot.waitUntil(lambda: any(e["event"] == "step" for e in again.events), timeout=SECONDS * 1000)
    start = next(e for e in again.events if e["event"] == "start")
    assert start["resumed_at"] > 0
    again.stop_early()
    qtbot.waitUntil(lambda: again.is_over, timeout=SECONDS * 1000)
    assert again.state is RunState.DONE, again.message
    assert own_models() == ["tees"]


def test_when_both_are_killed_the_next_window_offers_what_there_is(
    training_window: subprocess.Popen[bytes], window: MainWindow, qtbot: QtBot
) -> None:
    folder = run_folder()
    record = runs.training_process(folder)
    assert record is not None
    training_window.kill()
    os.kill(record.pid, signal.SIGKILL)
    training_window.wait()
    wait_until(lambda: not runs.is_training(folder))
    best = (folder / "best.safetensors").read_bytes()
    window.find_runs()
    choose(window, Broken.LATER, qtbot)
    qtbot.waitUntil(lambda: found_dialog() is None, timeout=5000)
    window.find_runs()
    choose(window, Broken.KEEP, qtbot)
    qtbot.waitUntil(lambda: own_models() == ["tees"], timeout=SECONDS * 1000)
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=5000)
    assert (folder / "best.safetensors").read_bytes() == best
    assert (user_models_dir() / "tees" / "best.safetensors").is_file()
    assert runs.find_runs() == []


# --- closing


@pytest.fixture
def training(
    opened: MainWindow, tmp_path: Path, trainers: None, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> TrainingRun:
    """A run in the window, played by a script that ends when it is asked to."""
    script = tmp_path / "trainer.py"
    script.write_text(textwrap.dedent(ENDLESS))
    monkeypatch.setattr(training_process, "training_command", lambda: (sys.executable, [str(script)]))
    run = model.start_training(opened.context, PLAN)
    assert run is not None
    qtbot.waitUntil(lambda: run.state is RunState.TRAINING, timeout=20_000)
    return run


def close(window: MainWindow, choice: Closing | None) -> None:
    window.close()
    assert window.isVisible()
    dialog = next(w for w in window.findChildren(CloseDialog) if w.isVisible())
    if choice is None:
        dialog.cancel.click()
    else:
        dialog.buttons[choice].click()


def test_closing_asks_and_can_be_cancelled(opened: MainWindow, training: TrainingRun, qtbot: QtBot) -> None:
    close(opened, None)
    assert opened.isVisible()
    assert training.state is RunState.TRAINING
    training.cancel()


def test_closing_can_stop_early_and_keep_the_model(opened: MainWindow, training: TrainingRun, qtbot: QtBot) -> None:
    close(opened, Closing.STOP)
    qtbot.waitUntil(lambda: not opened.isVisible(), timeout=20_000)
    assert training.state is RunState.DONE, training.message
    assert own_models() == ["tees"]


def test_closing_can_leave_the_run_alone(opened: MainWindow, training: TrainingRun, qtbot: QtBot) -> None:
    close(opened, Closing.LEAVE)
    assert not opened.isVisible()
    assert training.state is RunState.LEFT
    folder = run_folder()
    before = lines(folder)
    wait_until(lambda: lines(folder) > before)
    second = MainWindow()
    second.find_runs()
    (run,) = second.runs
    run.stop_early()
    qtbot.waitUntil(lambda: run.is_over, timeout=20_000)
    assert run.state is RunState.DONE, run.message
    assert own_models() == ["tees"]
    second.close()
    second.deleteLater()


def test_a_run_that_ends_without_a_window_is_collected_by_the_next(
    opened: MainWindow, training: TrainingRun, qtbot: QtBot
) -> None:
    close(opened, Closing.LEAVE)
    folder = run_folder()
    runs.mark_stop_asked(folder)
    (folder / "stop").touch()
    wait_until(lambda: not runs.is_training(folder))
    second = MainWindow()
    second.find_runs()
    qtbot.waitUntil(lambda: own_models() == ["tees"] and second.runs[0].is_over, timeout=20_000)
    second.close()
    second.deleteLater()


def test_closing_can_discard_which_can_be_undone(opened: MainWindow, training: TrainingRun, qtbot: QtBot) -> None:
    close(opened, Closing.DISCARD)
    assert not opened.isVisible()
    assert training.state is RunState.CANCELLED
    assert training.trashed is not None
    assert (training.trashed / "labels.json").is_file()
    assert runs.find_runs() == []


def test_a_discarded_run_can_be_brought_back(opened: MainWindow, training: TrainingRun, qtbot: QtBot) -> None:
    training.cancel()
    (toast,) = [t for t in opened.toasts._toasts if t.button is not None]
    assert toast.button is not None
    toast.button.click()
    choose(opened, Broken.NEVER, qtbot)
    assert (run_folder() / "labels.json").is_file()
    assert runs.find_runs() == []


# --- what was killed half-way


def test_half_written_labels_of_a_killed_window_are_removed_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone_pid = gone.pid
    theirs, ours, run = (runs_folder() / name / "tees" for name in ("1", "2", "3"))
    for folder in (theirs, ours, run):
        folder.mkdir(parents=True)
        (folder / "labels.json").write_text("{")
    runs.mark_preparing(ours)
    (theirs / "preparing.json").write_text(
        (ours / "preparing.json").read_text().replace(f'"pid":{os.getpid()}', f'"pid":{gone_pid}')
    )
    half, other = user_models_dir() / f".tees.{gone_pid}.tmp", user_models_dir() / f".tees.{os.getpid()}.tmp"
    half.mkdir(parents=True)
    other.mkdir()
    runs.sweep()
    assert not theirs.exists()
    assert ours.is_dir()
    assert run.is_dir()
    assert not half.exists()
    assert other.is_dir()


def test_the_trash_keeps_a_run_for_a_month(tmp_path: Path) -> None:
    folders = [runs_folder() / name / "tees" for name in ("1", "2")]
    for folder in folders:
        folder.mkdir(parents=True)
    old, new = (runs.discard(folder) for folder in folders)
    month = time.time() - 31 * 86400
    os.utime(old.parent, (month, month))
    runs.sweep()
    assert not old.exists()
    assert new.is_dir()


def test_closing_asks_before_any_other_question(
    opened: MainWindow, training: TrainingRun, tmp_path: Path, qtbot: QtBot
) -> None:
    """Two broken runs wait for an answer, and the window is closed while the first question is shown."""
    for name in ("one", "two"):
        folder = runs_folder() / name / name
        folder.mkdir(parents=True)
        runs.save_plan(_files(folder), PLAN)
        for file in ("labels.json", "schema.toml", "wanted.toml"):
            (folder / file).write_text("")
    opened.find_runs()
    assert found_dialog() is not None
    opened.close()
    assert found_dialog() is None
    dialog = next(w for w in opened.findChildren(CloseDialog) if w.isVisible())
    dialog.buttons[Closing.DISCARD].click()
    assert not opened.isVisible()
    assert found_dialog() is None


def _files(folder: Path) -> RunFiles:
    return RunFiles(folder, folder / "labels.json", folder, folder / "schema.toml", folder / "wanted.toml", 1, 1)


def test_a_trainer_that_does_not_lead_its_process_group_is_ended_too(tmp_path: Path, qtbot: QtBot) -> None:
    """As when a script has resumed the run: its group is that of the script, here of this test."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as trainer:
        try:
            runs.mark_process(tmp_path, trainer.pid)
            process = training_process.TrainingProcess(tmp_path, [])
            process.attach()
            with qtbot.waitSignal(process.finished) as finished:
                process.kill()
            assert finished.args == [False, training_process.CANCELLED]
            assert trainer.wait(0) == -signal.SIGKILL
        finally:
            trainer.kill()
