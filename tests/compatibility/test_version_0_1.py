"""Everything that version 0.1 wrote opens with what it held, and everything that it understood is understood."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PySide6.QtCore import QSettings
from PySide6.QtGui import QKeySequence

from engine.models.metadata import CheckpointInfo, read_info
from engine.train.config import RENAMED_KEYS, TrainConfig, read_config
from engine.train.run_folder import read_run_state
from poseapp.app.settings import Settings
from poseapp.app.shortcuts import PRESETS, read_keymap
from poseapp.jobs.training.runs import Status, find_runs
from poseapp.project.formats.coco.exporter import export_coco
from poseapp.project.opening import open_any
from poseapp.project.store import ProjectStore
from poseapp.window.actions import ACTIONS, DEFAULT_KEYS
from tests.compatibility.dump import content

HERE = Path(__file__).parent
OLD = HERE / "version_0_1"
ROOT = HERE.parents[1]
COMMANDS = [
    "engine.train", "engine.predict", "engine.evaluate", "engine.export", "engine.zoo", "engine.datasets", "poseapp",
]  # fmt: skip
FILE_TIME = 1_700_000_000  # of the files that the stored journal names
PIXELS = 0.05  # keypoints of another processor or thread count differ by less


def stored(name: str) -> Any:
    return json.loads((OLD / name).read_text("utf-8"))


def run_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=250
    )


# The project.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(OLD / "project", tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def store(project: Path) -> Any:
    with ProjectStore.open(project / "labels.pose") as opened:
        yield opened


def test_a_project_has_the_same_categories_frames_and_instances(store: ProjectStore) -> None:
    expected = stored("project/expected.json")
    now = json.loads(json.dumps(content(store)))
    assert now["categories"] == expected["categories"]
    assert now["frames"] == expected["frames"]
    assert now["instances"] == expected["instances"]
    assert [[media.kind, Path(media.path).name] for media in store.media()][1:] == expected["media"][1:]
    assert all(store.frame_path(frame.key).exists() for frame in store.frames())


def test_its_history_can_be_walked_both_ways(store: ProjectStore) -> None:
    expected = stored("project/expected.json")
    assert [step.text for step in store.history()] == expected["history"]
    assert (store.undo_text(), store.redo_text()) == (expected["undo_text"], expected["redo_text"])
    store.jump_to(0)
    assert content(store)["instances"] == expected["before_everything"]
    store.jump_to(len(expected["history"]))
    assert content(store)["instances"] == expected["after_everything"]


@pytest.mark.parametrize(("name", "predictions"), [("export", False), ("export_with_predictions", True)])
def test_its_coco_export_is_the_same_byte_for_byte(
    name: str, predictions: bool, store: ProjectStore, tmp_path: Path
) -> None:
    export_coco(store, tmp_path / "now.json", include_predicted=predictions)
    assert (tmp_path / "now.json").read_bytes() == (OLD / "project" / f"{name}.json").read_bytes()


def test_an_untouched_label_file_is_exported_as_it_was(store: ProjectStore, tmp_path: Path) -> None:
    store.jump_to(0)
    export_coco(store, tmp_path / "now.json")
    now, original = json.loads((tmp_path / "now.json").read_text()), stored("project/labels.json")
    for section in original:
        assert now[section] == original[section]


def test_its_label_file_opens_the_project_and_adds_nothing(project: Path) -> None:
    with open_any(project / "labels.json") as opened:
        assert content(opened)["instances"] == stored("project/expected.json")["instances"]


# Models, and what is predicted with them.


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the stored predictions were made: models and pictures, of one time."""
    folder = tmp_path_factory.mktemp("models_0_1")
    for packed in (OLD / "models").glob("*.xz"):
        (folder / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    for picture in (OLD / "project").glob("*.png"):
        shutil.copy(picture, folder)
    for file in folder.iterdir():
        os.utime(file, (FILE_TIME, FILE_TIME))
    return folder


PREDICT = ("-m", "engine.predict", "001.png", "002.png", "003.png", "--model", "best.safetensors")
QUIET = ("--progress", "none", "--device", "cpu")


def test_a_checkpoint_says_the_same_about_itself(models: Path) -> None:
    info = read_info(models / "best.safetensors")
    assert (info.task, info.architecture, info.input_size) == ("pose", "movenet_heatmap", (64, 64))
    assert (info.codec, info.categories) == ({"name": "gaussian", "sigma": 2.0}, ["bar"])
    assert info.schema is not None
    assert [point["name"] for point in info.schema["keypoints"]] == ["head", "left_side", "right_side", "tail"]
    assert (info.detector, info.metrics) == ("detector.safetensors", {"mean_px": 3.5, "AP": 0.5})
    assert info.provenance["made"] == "2026-01-01T00:00:00+0000"
    assert info.extra == {"a key of a later version": {"kept": [1, 2]}}


def test_a_description_with_the_needed_entries_alone_is_enough() -> None:
    info = CheckpointInfo.from_dict({"task": "detector", "architecture": "efficientdet", "input_size": [320, 256]})
    assert (info.input_size, info.box_padding, info.score_threshold) == ((320, 256), 1.25, 0.3)
    assert info.normalization == {"mean": [0.0] * 3, "std": [255.0] * 3}


def test_a_pose_model_predicts_the_same(models: Path, tmp_path: Path) -> None:
    done = run_command(*PREDICT, "--detector", "none", *QUIET, "--out", str(tmp_path / "now.json"), folder=models)
    assert done.returncode == 0, done.stderr
    now, before = json.loads((tmp_path / "now.json").read_text()), stored("predicted_whole.json")
    assert now["images"] == before["images"]
    assert now["categories"] == before["categories"]
    assert len(now["annotations"]) == len(before["annotations"]) == 3
    for one, other in zip(now["annotations"], before["annotations"], strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=PIXELS)
        np.testing.assert_allclose(one["keypoint_scores"], other["keypoint_scores"], atol=1e-3)


def test_its_detector_finds_the_same_boxes(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "now.json"
    done = run_command(*PREDICT, "--box-threshold", "0.97", *QUIET, "--out", str(out), folder=models)
    assert done.returncode == 0, done.stderr

    def rows(annotations: list[dict[str, Any]]) -> np.ndarray:
        return np.array([[1000.0 * a["image_id"], *a["bbox"], *a["keypoints"]] for a in annotations])

    now, before = rows(json.loads(out.read_text())["annotations"]), rows(stored("predicted_boxes.json")["annotations"])
    same = (np.abs(now[None] - before[:, None]).max(2) < PIXELS).any(1)
    assert same.mean() > 0.9  # a box at the limit of the suppression may go either way on another processor
    assert abs(len(now) - len(before)) <= 4


def test_an_interrupted_prediction_goes_on(models: Path) -> None:
    out = models / "again.json"
    journal = (OLD / "predict_journal.part").read_text().replace("@FOLDER@", models.as_posix())
    out.with_name("again.json.part").write_text(journal)
    done = run_command(*PREDICT, "--detector", "none", "--resume", *QUIET, "--out", out.name, folder=models)
    assert done.returncode == 0, done.stderr
    now, before = json.loads(out.read_text()), stored("predicted_whole.json")
    assert now["annotations"][0]["keypoints"][0] == 11.5  # stands in the journal alone: this picture is not done again
    np.testing.assert_allclose(now["annotations"][2]["keypoints"], before["annotations"][2]["keypoints"], atol=PIXELS)
    assert not out.with_name("again.json.part").exists()


# Training.


def test_every_setting_of_a_training_file_has_the_same_value() -> None:
    now = msgspec.to_builtins(read_config(OLD / "every_setting.toml"))
    assert _differences(stored("every_setting.json"), now) == {}


def test_settings_that_are_left_out_have_the_same_defaults() -> None:
    assert _differences(stored("defaults.json"), msgspec.to_builtins(TrainConfig())) == {}


def _differences(before: Any, now: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Entries of ``before`` that are missing in ``now`` or have another value there. New ones are fine, and so are
    those with a new name."""
    if isinstance(before, dict):
        results: dict[str, tuple[Any, Any]] = {}
        for key, value in before.items():
            now_called = RENAMED_KEYS.get(key, key)
            results |= _differences(value, now.get(now_called, "missing"), f"{name}.{key}".strip("."))
        return results
    same = list(before) == list(now) if isinstance(before, list) else before == now
    return {} if same else {name: (before, now)}


@pytest.fixture
def interrupted_run(project: Path) -> Path:
    """A training run that was interrupted after its first step, beside the labels that it learns from."""
    folder = project.parent / "run"
    shutil.copytree(OLD / "run", folder)
    shutil.copy(OLD / "start.safetensors", project.parent)
    _fill_in(folder)
    return folder


def _fill_in(folder: Path) -> None:
    for name in ("config.toml", "log.jsonl", "run.json"):
        text = (folder / name).read_text("utf-8").replace("@FOLDER@", folder.parent.as_posix())
        (folder / name).write_text(text, "utf-8")


def test_an_interrupted_run_is_resumed_and_ends_as_it_would_have(interrupted_run: Path) -> None:
    expected = stored("run/after_resuming.json")
    done = run_command(
        str(HERE / "small_network.py"), "--out", str(interrupted_run), "--resume", "--progress", "json",
        folder=interrupted_run,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[0]["event"], events[0]["resumed_at"]) == ("start", 1)
    assert next(event["step"] for event in events if event["event"] == "step") == expected["first_step"] == 2
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    for epoch, before in zip(epochs, expected["epochs"], strict=True):
        assert epoch["lr"] == pytest.approx(before["lr"])
        # Sums in another order after hundreds of steps: near, not equal.
        assert epoch["train_loss"] == pytest.approx(before["train_loss"], rel=0.05)
        assert before["metrics"].keys() <= epoch["metrics"].keys()
    assert events[-1]["stopped"] == "finished"
    state = read_run_state(interrupted_run)
    assert state is not None
    assert state.state == "finished"


def test_the_state_of_a_run_reads_the_same() -> None:
    before = {name: read_run_state(OLD / name) for name in ("run", "finished_run")}
    assert {name: state and (state.state, state.host, state.changed > 0) for name, state in before.items()} == {
        "run": ("interrupted", "lab", True),
        "finished_run": ("finished", "lab", True),
    }


def test_the_window_finds_a_run_that_it_left(interrupted_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = interrupted_run.parent / "runs"
    folder = home / "2026-01-02 03.04.05" / "mice"
    shutil.copytree(interrupted_run, folder)
    shutil.copy(OLD / "window_run/plan.json", folder)
    monkeypatch.setenv("POSEAPP_RUNS", str(home))
    (run,) = find_runs()
    plan = run.plan
    assert (plan.name, plan.category, plan.model, plan.epochs) == ("mice", 2, "movenet_lightning", 7)
    assert (plan.val_fraction, plan.device, plan.steps_per_epoch, plan.batch, plan.seed) == (0.25, "cpu", 9, 4, 3)
    assert (run.files.images, run.files.instances, run.files.image_count) == (Path("/data/mice"), 12, 10)
    assert (run.status, run.has_best, run.can_resume) == (Status.BROKEN, True, True)
    shutil.copy(OLD / "window_run/model.json", folder)
    assert find_runs() == []


# Command lines.


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_the_same_options(command: str) -> None:
    done = run_command(str(HERE / "print_options.py"), command, folder=ROOT)
    assert done.returncode == 0, done.stderr
    now = json.loads(done.stdout)
    missing: list[str] = []
    for subcommand, options in stored("options.json")[command].items():
        assert subcommand in now
        taken = {text: row for row in now[subcommand].values() for text in row["strings"]}
        taken |= {name: row for name, row in now[subcommand].items() if not row["strings"]}
        for name, before in options.items():
            for text in before["strings"] or [name]:
                row = taken.get(text)
                if row is None:
                    missing.append(f"{subcommand} {text}: gone")
                elif row["takes_value"] != before["takes_value"] or row["default"] != before["default"]:
                    missing.append(f"{subcommand} {text}: another value or default")
                elif row["choices"] is not None and not set(before["choices"] or []) <= set(row["choices"]):
                    missing.append(f"{subcommand} {text}: fewer choices")
                elif row["choices"] is not None and before["choices"] is None:
                    missing.append(f"{subcommand} {text}: choices instead of any text")
    assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_its_help(command: str) -> None:
    done = run_command("-m", command, "--help", folder=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage:" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "zoo", "export", "datasets"])
def test_the_program_reaches_the_command_as_a_frozen_one_does(command: str) -> None:
    done = run_command("-m", "poseapp", f"--engine-{command}", "--help", folder=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: python -m engine.{command}" in done.stdout


# The window's settings.


def test_a_settings_file_reads_the_same(tmp_path: Path) -> None:
    shutil.copy(OLD / "settings.ini", tmp_path)
    file = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    settings, expected = Settings(file), stored("settings.json")
    mice, other = Path("/data/mice/labels.pose"), Path("/data/other.pose")
    assert set(expected["keys"]) == set(file.allKeys())
    for name in ("theme", "language", "model", "assist"):
        assert getattr(settings, name) == expected[name]
    assert settings.last_folder == Path("/")
    assert (settings.models_of(mice), settings.models_of(other)) == (expected["models"], expected["models_of_other"])
    assert settings.last_frame_of(mice) == tuple(expected["last_frame"])
    assert set(settings.recent) == {path for path in expected["recent"] if Path(path).exists()}
    assert settings.places() == expected["places"]
    assert {name: list(keys) for name, keys in settings.key_changes().items()} == expected["key_changes"]
    style = settings.canvas_style()
    assert {name: getattr(style, name) for name in expected["style"]} == expected["style"]
    assert expected["style"].keys() <= {field.name for field in fields(style)}
    assert [list(color) for color in style.colors] == expected["colors"]
    for name, value in expected["geometry"].items():
        geometry = settings.geometry(name)
        assert geometry is not None
        assert geometry.data().hex() == value


def test_every_action_has_the_same_id_and_default_keys() -> None:
    now = {action.id: action for action in ACTIONS}
    for before in stored("actions.json"):
        action = now[before["id"]]
        assert [action.keys, action.check] == [tuple(before["keys"]), before["check"]]


@pytest.mark.parametrize("name", ["keys.toml", "keys.json"])
def test_a_file_of_keys_reads_the_same(name: str) -> None:
    keymap, before = read_keymap(OLD / name, DEFAULT_KEYS), stored("keys.json")["keys"]
    assert {verb: _sequences(keymap[verb]) for verb in before} == {
        verb: _sequences(keys) for verb, keys in before.items()
    }
    assert keymap["fit"] == ("Ctrl+Alt+F",) != DEFAULT_KEYS["fit"]


def _sequences(keys: Iterable[str]) -> list[QKeySequence]:
    return [QKeySequence(key) for key in keys]


def test_the_presets_of_keys_are_the_same() -> None:
    for name, changes in stored("keymap_presets.json").items():
        now = PRESETS[name]
        assert {verb: list(now[verb]) for verb in changes} == changes
