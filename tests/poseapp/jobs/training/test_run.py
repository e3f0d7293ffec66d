"""The training process, played by small scripts, and a whole run."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from engine.models.catalog import list_models
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training import process as training_process
from poseapp.jobs.training import runs
from poseapp.jobs.training.export import RunFiles, TrainingPlan, runs_folder
from poseapp.jobs.training.process import TrainingProcess, training_command
from poseapp.jobs.training.run import RunState, TrainingRun, training_arguments
from resources import resource_path

PLAN = TrainingPlan("tees", 1, "movenet_lightning", epochs=1)
Play = Callable[[str], None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Replace the trainer by a script; it finds its folder in ``out``."""

    def use(script: str) -> None:
        file = tmp_path / "trainer.py"
        head = """
            import json, os, pathlib, shutil, signal, sys, time
            out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]) if "--out" in sys.argv else None
            def say(**event): print(json.dumps(event), flush=True)
        """
        file.write_text(textwrap.dedent(head) + textwrap.dedent(script))
        monkeypatch.setattr(training_process, "training_command", lambda: (sys.executable, [str(file)]))

    return use


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    created = JobRunner()
    yield created
    created.shutdown()


def end_of(process: TrainingProcess, qtbot: QtBot) -> tuple[bool, str]:
    with qtbot.waitSignal(process.finished, timeout=20_000) as messages:
        process.start()
    assert messages.args is not None
    return messages.args[0], messages.args[1]


def test_progress_lines_arrive_in_order_and_whole(play: Play, qtbot: QtBot, tmp_path: Path) -> None:
    play("""
        for i in range(300): say(event="step", step=i, text="ä" * 50)
        sys.stdout.write('{"event": "sa'); sys.stdout.flush(); time.sleep(0.05)
        print('ved", "file": "x"}')
        print("a stray line")
        sys.stdout.write('{"event": "done"}')
    """)
    process = TrainingProcess(tmp_path, [])
    seen: list[dict[str, Any]] = []
    process.reported.connect(seen.append)
    assert end_of(process, qtbot) == (True, "")
    assert [e["step"] for e in seen[:300]] == list(range(300))
    assert [e["event"] for e in seen[300:]] == ["saved", "done"]
    assert "a stray line" in (tmp_path / "progress.jsonl").read_text().splitlines()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("sys.stderr.write('error: labels.json: no image\\n'); sys.exit(2)", "labels.json: no image."),
        ("say(event='error', message='nothing is labelled'); sys.exit(2)", "nothing is labelled."),
        ("raise MemoryError('out of memory')", "Not enough memory for training."),
        ("raise ValueError('odd')", "Training ended unexpectedly (status 1). Its last words: ValueError: odd"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "Training was ended from outside, most often because memory ran out."),
        ("sys.exit(0)", "Training ended unexpectedly (status 0)."),
    ],
)
def test_failures_are_told_in_plain_words(script: str, expected: str, play: Play, qtbot: QtBot, tmp_path: Path) -> None:
    play(script)
    ok, message = end_of(TrainingProcess(tmp_path, []), qtbot)
    assert not ok
    assert message.startswith(expected)


def test_a_program_that_is_not_there_is_told(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_process, "training_command", lambda: (str(tmp_path / "nothing"), []))
    ok, message = end_of(TrainingProcess(tmp_path, []), qtbot)
    assert not ok
    assert message.startswith("Training could not be started")


def test_the_command_is_one_that_a_person_can_type(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, tmp_path / "l.json", tmp_path, tmp_path / "s.toml", tmp_path / "w.toml")
    program, first = training_command()
    assert [program, *first] == [sys.executable, "-m", "engine.train"]
    arguments = training_arguments(files, PLAN)
    assert arguments[arguments.index("--out") + 1] == str(tmp_path)
    assert arguments[arguments.index("--model") + 1] == "movenet_lightning"


GOOD = f"""
    say(event="start", what="pose", epochs=1, steps_per_epoch=1, device="cpu", train_instances=2, val_instances=0)
    say(event="step", what="pose", epoch=1, step=1, total_steps=1, loss=0.5, images_per_second=3, seconds_left=0)
    shutil.copyfile({str(resource_path("models/movenet_lightning.safetensors"))!r}, out / "best.safetensors")
    say(event="done", best={{}}, out=str(out), stopped="finished")
"""
ENDLESS = """
    say(event="start", what="pose", epochs=9, steps_per_epoch=9, device="cpu")
    while not (out / "stop").exists(): time.sleep(0.01)
    shutil.copyfile(MODEL, out / "best.safetensors")
    say(event="done", best={}, out=str(out), stopped="early")
""".replace("MODEL", repr(str(resource_path("models/movenet_lightning.safetensors"))))


def wait_over(run: TrainingRun, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: run.is_over, timeout=20_000)


def test_a_run_ends_with_its_model_in_the_list(play: Play, runner: JobRunner, project: Path, qtbot: QtBot) -> None:
    play(GOOD)
    run = TrainingRun(runner, project, PLAN)
    states: list[RunState] = []
    run.state_changed.connect(states.append)
    run.start()
    wait_over(run, qtbot)
    assert states == [RunState.STARTING, RunState.TRAINING, RunState.KEEPING, RunState.DONE], run.message
    assert run.model == "tees"
    assert "tees" in [entry.id for entry in list_models("pose")]
    assert [e["event"] for e in run.events] == ["start", "step", "done"]


def test_stopping_early_keeps_the_model(play: Play, runner: JobRunner, project: Path, qtbot: QtBot) -> None:
    play(ENDLESS)
    run = TrainingRun(runner, project, PLAN)
    run.start()
    qtbot.waitUntil(lambda: run.state is RunState.TRAINING, timeout=20_000)
    run.stop_early()
    assert run.state is RunState.STOPPING
    wait_over(run, qtbot)
    assert (run.state, run.model) == (RunState.DONE, "tees"), run.message


def test_cancel_ends_the_process_and_moves_the_run_to_the_trash(
    play: Play, runner: JobRunner, project: Path, qtbot: QtBot, tmp_path: Path
) -> None:
    play(f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n" + textwrap.dedent(ENDLESS))
    run = TrainingRun(runner, project, PLAN)
    run.start()
    qtbot.waitUntil(lambda: run.state is RunState.TRAINING, timeout=20_000)
    run.cancel()
    assert run.state is RunState.CANCELLED
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    assert [path.name for path in runs_folder().iterdir()] == ["trash"]
    assert run.trashed is not None
    assert (run.trashed / "labels.json").is_file()
    assert [entry.id for entry in list_models() if entry.source == "user"] == []
    assert runs.find_runs() == []
    run.cancel()
    folder = runs.restore(run.trashed)
    assert run.files is not None
    assert folder == run.files.folder
    (result,) = runs.find_runs()
    assert (result.plan, result.status) == (PLAN, runs.Status.BROKEN)


def test_cancel_before_the_process_starts_leaves_nothing(
    play: Play, runner: JobRunner, project: Path, qtbot: QtBot
) -> None:
    play(ENDLESS)
    run = TrainingRun(runner, project, PLAN)
    run.start()
    run.cancel()
    assert run.state is RunState.CANCELLED
    qtbot.waitUntil(lambda: not runner.active(), timeout=5000)
    assert run.files is None
    assert not runs_folder().exists() or list(runs_folder().iterdir()) == []


def test_labels_that_cannot_be_trained_on_are_told(play: Play, runner: JobRunner, project: Path, qtbot: QtBot) -> None:
    play(GOOD)
    (project.parent / "a.png").unlink()
    run = TrainingRun(runner, project, PLAN)
    run.start()
    wait_over(run, qtbot)
    assert run.state is RunState.FAILED
    assert "none of the 1 labelled images was found" in run.message


def test_a_name_that_is_taken_meanwhile_gets_a_number(
    play: Play, runner: JobRunner, project: Path, qtbot: QtBot
) -> None:
    play(GOOD)
    for _ in range(2):
        run = TrainingRun(runner, project, PLAN)
        run.start()
        wait_over(run, qtbot)
    assert (run.state, run.model) == (RunState.DONE, "tees-2")
    assert {"tees", "tees-2"} <= {entry.id for entry in list_models("pose")}
