"""Whole runs with the real networks, a few steps each."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.models.checkpoint import load_checkpoint, load_network
from engine.models.metadata import read_info
from engine.train.__main__ import main
from engine.train.config import read_config
from engine.train.initial_weights import initial_detector, initial_pose_network
from engine.train.run import train
from engine.train.run_folder import STOP_FILE, is_running, read_run_state
from engine.utils import command_line
from engine.utils.context import Context
from tests.engine.train.conftest import SCHEMA, write_bars

TINY = """
workers = 0
threads = 1
[pose]
epochs = 2
steps_per_epoch = 2
batch = 2
[detect]
epochs = 1
steps_per_epoch = 2
batch = 1
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def arguments(train: Path, out: Path, tiny: Path, *more: str) -> list[str]:
    return ["--train", str(train), "--out", str(out), "--config", str(tiny), "--progress", "json", *more]


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_a_new_kind_of_object_gets_a_pose_model_and_a_detector(
    bars: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command_line.run(main, arguments(bars, out, tiny)) == 0
    messages = events(capsys.readouterr().out)
    kinds = [(e["event"], e.get("what")) for e in messages]
    pose = [("step", "pose")] * 2 + [("saved", "pose"), ("epoch", "pose")]
    result = [("step", "detector")] * 2 + [("saved", "detector"), ("epoch", "detector")]
    assert kinds == [("start", "pose"), *pose, *pose, ("start", "detector"), *result, ("done", None)]
    start, step, done = messages[0], messages[1], messages[-1]
    assert (start["epochs"], start["steps_per_epoch"], start["device"]) == (2, 2, "cpu")
    assert (start["train_instances"], start["val_instances"]) == (11, 1)
    assert {"epoch", "step", "total_steps", "loss", "lr", "images_per_second", "seconds_left"} <= set(step)
    assert {"mean_px", "median_px", "AP", "PCK@0.2"} <= set(done["best"])
    assert (done["stopped"], done["out"]) == ("finished", str(out))

    info = read_info(out / "best.safetensors")
    assert info.detector == "detector.safetensors"
    assert info.schema is not None
    assert [point["name"] for point in info.schema["keypoints"]] == list(SCHEMA.names)
    assert info.provenance["train_instances"] == 11
    for name in ("best", "last", "detector"):
        load_network(out / f"{name}.safetensors")
    assert read_info(out / "detector.safetensors").categories == ["bar"]

    config = read_config(out / "config.toml")
    assert (config.what, config.pose.augment.rotation, config.pose.optimizer.lr) == ("both", 180.0, 1e-3)
    assert Path(config.train).is_absolute()
    remaining = events((out / "log.jsonl").read_text())
    assert [e["event"] for e in remaining] == [e["event"] for e in messages if e["event"] != "step"]


@pytest.mark.slow
def test_a_stopped_run_is_resumed_bit_for_bit(bars: Path, tiny: Path, tmp_path: Path) -> None:
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    options = ["--what", "pose", "--progress", "none"]
    assert main([*arguments(bars, straight, tiny), *options]) == 0
    command = [
        sys.executable,
        "-m",
        "engine.train",
        *arguments(bars, halves, tiny, "--what", "pose", "--epochs", "500"),
    ]
    lines: list[dict[str, Any]] = []
    asked = False
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stopping:
        assert stopping.stdout is not None
        for line in stopping.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "step" and not asked:  # once: a second signal would end it without saving
                stopping.send_signal(signal.SIGINT)
                asked = True
    assert stopping.returncode == 0
    assert lines[-1]["event"] == "done"
    assert lines[-1]["stopped"] == "interrupted"
    assert not (halves / STOP_FILE).exists()
    # A run of two epochs from here has another learning rate than one of 500, so it starts anew and stops after one.
    again = tmp_path / "again"
    _stop_after_first_epoch(again, [*arguments(bars, again, tiny), *options])
    assert main(["--out", str(again), "--resume", "--progress", "none"]) == 0
    for name in ("best", "last"):
        _, expected = load_checkpoint(straight / f"{name}.safetensors")
        _, result = load_checkpoint(again / f"{name}.safetensors")
        assert all(torch.equal(result[key], expected[key]) for key in expected)


def _stop_after_first_epoch(out: Path, argv: list[str]) -> None:
    from engine.train import reporting as report

    original = report.Reporter.__call__

    def reporting(self: report.Reporter, event: str, **values: Any) -> None:
        original(self, event, **values)
        if event == "epoch":
            (out / STOP_FILE).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report.Reporter, "__call__", reporting)
        assert main(argv) == 0
    assert json.loads((out / "log.jsonl").read_text().splitlines()[-1])["stopped"] == "interrupted"


def test_people_keep_the_detector_that_knows_them(tiny: Path, tmp_path: Path) -> None:
    labels = write_bars(tmp_path / "people", 3)
    labels.write_text(labels.read_text().replace('"name":"bar"', '"name":"person"'))
    out = tmp_path / "out"
    assert main([*arguments(labels, out, tiny), "--progress", "none", "--epochs", "1"]) == 0
    assert read_info(out / "best.safetensors").detector == "efficientdet_lite0"
    assert not (out / "detector.safetensors").exists()
    assert read_config(out / "config.toml").pose.augment.rotation == 40.0


def test_a_name_that_the_detector_knows_as_something_else_gets_its_own(tiny: Path, tmp_path: Path) -> None:
    labels = write_bars(tmp_path / "mice", 2)
    labels.write_text(labels.read_text().replace('"name":"bar"', '"name":"mouse"'))
    out = tmp_path / "out"
    assert main([*arguments(labels, out, tiny), "--progress", "none", "--epochs", "1"]) == 0
    assert read_info(out / "detector.safetensors").categories == ["mouse"]


@pytest.mark.parametrize(
    ("points", "mirrored"),
    [(["head", "left_side", "right_side", "tail"], True), (["head", "one", "two", "tail"], False)],
)
def test_copies_are_mirrored_where_sides_are_known(
    points: list[str], mirrored: bool, tiny: Path, tmp_path: Path
) -> None:
    labels = write_bars(tmp_path / "bars", 3)
    content = json.loads(labels.read_text())
    content["categories"][0]["keypoints"] = points
    labels.write_text(json.dumps(content))
    out = tmp_path / "out"
    assert main([*arguments(labels, out, tiny), "--progress", "none", "--epochs", "1"]) == 0
    config = read_config(out / "config.toml")
    assert config.pose.augment.flip == (0.5 if mirrored else 0)
    assert config.detect.augment.flip == 0.5  # boxes have no sides
    assert read_info(out / "best.safetensors").provenance["mirrored_copies"] is mirrored
    start = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert (start["mirrored_copies"], start["rotation"]) == (mirrored, 180)


def test_only_a_detector(bars: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([*arguments(bars, out, tiny), "--progress", "none", "--what", "detector"]) == 0
    assert sorted(path.name for path in out.glob("*.safetensors")) == [
        "detector.last.safetensors",
        "detector.safetensors",
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--lr", "-1"], "--lr"),
        (["--device", "abacus"], "abacus"),
        (["--model", "no_such_model"], "no_such_model"),
        (["--images", "nowhere"], "001.png"),
        (["--train", "nothing.json"], "nothing.json"),
        (["--resume"], "no run to resume"),
        (["--what", "everything"], "everything"),
        (["--weights", "none.pth"], "none.pth"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    bars: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    out = tmp_path / "out"
    assert command_line.run(main, [*arguments(bars, out, tiny), *more]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not list(out.glob("*"))


def test_a_detector_of_the_users_own_goes_with_the_model(bars: Path, tiny: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main([*arguments(bars, first, tiny), "--progress", "none", "--what", "detector"]) == 0
    own = first / "detector.safetensors"
    assert main([*arguments(bars, second, tiny, "--detector", str(own)), "--what", "pose", "--progress", "none"]) == 0
    assert read_info(second / "best.safetensors").detector == "detector.safetensors"
    assert (second / "detector.safetensors").read_bytes() == own.read_bytes()


def test_a_start_that_fails_leaves_an_earlier_run_alone(bars: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([*arguments(bars, out, tiny), "--progress", "none", "--what", "pose", "--epochs", "1"]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert command_line.run(main, [*arguments(bars, out, tiny), "--weights", "none.pth"]) == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_folder_that_holds_a_run_is_refused(
    bars: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([*arguments(bars, out, tiny), "--progress", "none", "--what", "pose", "--epochs", "1"]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert command_line.run(main, [*arguments(bars, out, tiny), "--progress", "none"]) == 2
    messages = capsys.readouterr().err
    assert "holds a finished run" in messages
    assert "--resume" in messages
    assert "--overwrite" in messages
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert command_line.run(main, [*arguments(bars, out, tiny), "--resume", "--overwrite"]) == 2


@pytest.mark.slow
def test_a_replaced_run_keeps_its_best_until_there_is_a_new_one(bars: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = [*arguments(bars, out, tiny), "--progress", "none", "--overwrite"]
    assert main([*options, "--epochs", "1", "--what", "both"]) == 0  # also into a new folder
    first = (out / "best.safetensors").read_bytes()
    tiny_network = Path(__file__).with_name("tiny_network.py")
    killed = [sys.executable, str(tiny_network), "--die-at", "1", "0", *options, "--what", "pose"]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    assert (out / "best.safetensors").read_bytes() == first
    assert (out / "detector.safetensors").is_file()
    assert main([*options, "--epochs", "1", "--what", "pose", "--seed", "3"]) == 0
    assert (out / "best.safetensors").read_bytes() != first
    assert not (out / "detector.safetensors").exists()  # the new run did not make one


@pytest.mark.slow
def test_a_run_that_was_killed_is_told_from_one_that_goes_on(bars: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = [*arguments(bars, out, tiny), "--what", "pose"]
    tiny_network = str(Path(__file__).with_name("tiny_network.py"))
    command = [sys.executable, tiny_network, "--die-at", "3", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "start":
                assert is_running(out)
    assert not is_running(out)
    state = read_run_state(out)
    assert state is not None
    assert state.state == "running"
    torn = out / ".best.safetensors.abc.tmp"
    torn.write_bytes(b"half")
    with (out / "log.jsonl").open("a") as file:
        file.write('{"event": "ep')
    assert main(["--out", str(out), "--resume", "--progress", "none"]) == 0
    state = read_run_state(out)
    assert state is not None
    assert state.state == "finished"
    assert not torn.exists()
    assert json.loads((out / "log.jsonl").read_text().splitlines()[-1])["event"] == "done"


@pytest.mark.slow
def test_two_runs_do_not_share_a_folder(
    bars: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = [*arguments(bars, out, tiny), "--what", "pose", "--epochs", "500"]
    with subprocess.Popen([sys.executable, "-m", "engine.train", *options], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        next(first.stdout)
        assert command_line.run(main, [*arguments(bars, out, tiny), "--progress", "none"]) == 2
        first.send_signal(signal.SIGINT)
        for _ in first.stdout:
            pass
    assert f"another training run is using this folder (process {first.pid}" in capsys.readouterr().err
    assert first.returncode == 0


@pytest.mark.slow
def test_damaged_pictures_are_skipped_and_listed(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = write_bars(tmp_path / "bars", 4)
    broken = tmp_path / "bars" / "002.png"
    broken.write_bytes(broken.read_bytes()[:120])  # the header is whole
    (tmp_path / "bars" / "003.png").write_bytes(b"")
    out = tmp_path / "out"
    assert command_line.run(main, arguments(bars, out, tiny, "--epochs", "3")) == 0
    captured = capsys.readouterr()
    assert "warning: skipped 2 images:" in captured.err
    messages = events(captured.out)
    (skipped,) = [e for e in messages if e["event"] == "skipped"]
    assert sorted(Path(item["where"]).name for item in skipped["items"]) == ["002.png", "003.png"]
    assert messages[-1]["event"] == "done"
    assert any(e["event"] == "skipped" for e in events((out / "log.jsonl").read_text()))
    again = tmp_path / "again"
    assert command_line.run(main, arguments(bars, again, tiny, "--epochs", "3", "--strict")) == 2
    _, expected = load_checkpoint(out / "last.safetensors")
    _, result = load_checkpoint(again / "last.safetensors")
    assert all(torch.equal(result[key], expected[key]) for key in expected)  # the same samples stand in


def test_a_failed_run_says_why(bars: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "engine.train.tasks.pose.PoseTask.loss", lambda self, tensors: tensors["crops"].float().sum() * torch.nan
        )
        assert command_line.run(main, [*arguments(bars, out, tiny), "--progress", "none"]) == 2
    state = read_run_state(out)
    assert state is not None
    assert state.state == "failed"
    assert "no longer a number" in state.message


def test_a_fine_tuned_model_keeps_its_head_for_the_same_points(bars: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main([*arguments(bars, out, tiny), "--progress", "none", "--what", "pose", "--epochs", "1"])
    file = str(out / "best.safetensors")
    _, state = load_checkpoint(file)
    network, info = initial_pose_network(file, "", SCHEMA)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert info.codec["name"] == "gaussian"


def test_another_set_of_points_gets_a_new_head_on_the_old_trunk() -> None:
    network, info = initial_pose_network("movenet_lightning", "", SCHEMA)
    _, state = load_checkpoint("resources/models/movenet_lightning.safetensors")
    own = network.state_dict()
    assert own["heads.heatmap.output.weight"].shape[0] == 4
    assert all(torch.equal(own[name], state[name]) for name in own if name.startswith(("backbone.", "neck.")))
    assert (info.architecture, info.input_size) == ("movenet_heatmap", (192, 192))


def test_a_resnet_can_start_from_nothing() -> None:
    network, info = initial_pose_network("resnet50", "random", SCHEMA)
    assert info.arguments == {"depth": 50, "num_keypoints": 4}
    assert info.input_size == (192, 256)
    assert sum(p.numel() for p in network.parameters()) > 30e6


def test_classes_of_a_detector_follow_the_categories() -> None:
    network, info = initial_detector("efficientdet_lite0", ("rat", "vole"))
    assert info.categories == ["rat", "vole"]
    assert network.num_classes == 2


def test_training_from_python_gives_the_best_checkpoint_and_can_be_cancelled(
    bars: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    config = msgspec.structs.replace(read_config(tiny), train=str(bars), out=str(out), what="pose")
    steps: list[tuple[int, int, str]] = []
    context = Context(lambda done, total, text: steps.append((done, total, text)) or (done == 1 and context.cancel()))
    first = train(config, context=context)
    assert (first.outcome, first.best.is_file(), steps) == ("interrupted", True, [(1, 4, "pose")])
    second = train(read_config(out / "config.toml"), resume=True)
    assert (second.outcome, second.out, second.best) == ("finished", out, out / "best.safetensors")
    assert {"mean_px", "AP"} <= set(second.metrics)
    assert (second.detector, second.detector_metrics, second.skipped) == (None, {}, ())
    assert capsys.readouterr().out == ""
