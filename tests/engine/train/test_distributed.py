"""Two processes under torchrun: the same training and the same figures as one, and what happens when one is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import TrainingError
from engine.models.checkpoint import load_checkpoint
from engine.train.data.sampler import epoch_batches
from engine.train.distributed import ProcessGroup
from tests.engine.train.conftest import SCHEMA, write_bars
from tests.engine.train.tiny_network import write_start

SCRIPT = Path(__file__).with_name("tiny_network.py")
ROOT = SCRIPT.parents[3]


def arguments(folder: Path, out: Path, batch: int) -> list[str]:
    labels, start = str(folder / "labels.json"), str(folder / "start.safetensors")
    # Statistics of batch normalisation are each process' own and so differ; frozen, everything else must be equal.
    settings = ["pose.optimizer.warmup_steps=5", "pose.freeze_norms=true", "threads=1"]
    return [
        *("--recipe", "coco_res50_256x192", "--model", start, "--train", labels, "--val", labels, "--out", str(out)),
        *("--batch", str(batch), "--set", "pose.total_batch=8", "--lr", "0.02", "--epochs", "12", "--device", "cpu"),
        *("--validate-every", "6", "--progress", "none"),
        *(part for setting in settings for part in ("--set", setting)),
    ]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240
    )


def two_processes(*options: str) -> subprocess.CompletedProcess[str]:
    return run(["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT), *options])


def epochs(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch"]


@pytest.mark.slow
def test_two_processes_train_as_one_even_when_one_was_killed(tmp_path: Path) -> None:
    write_bars(tmp_path, 16)
    write_start(tmp_path / "start.safetensors", SCHEMA)
    alone, pair = tmp_path / "alone", tmp_path / "pair"
    single = run([str(SCRIPT), *arguments(tmp_path, alone, 8)])
    assert single.returncode == 0, single.stderr

    killed = two_processes("--die-at", "15", "1", *arguments(tmp_path, pair, 4))
    assert killed.returncode != 0
    messages = [line for line in killed.stderr.splitlines() if line.startswith("error:")]
    assert len(messages) == 1, killed.stderr
    assert "rank 1" in messages[0]
    assert "vanished" in messages[0]
    assert "--resume" in messages[0]
    assert len(epochs(pair)) == 7

    resumed = two_processes("--out", str(pair), "--resume", "--progress", "none")
    assert resumed.returncode == 0, resumed.stderr

    expected, result = epochs(alone), epochs(pair)
    assert [e["epoch"] for e in result] == [e["epoch"] for e in expected] == list(range(1, 13))
    losses = [[e["train_loss"] for e in lines] for lines in (result, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < losses[0][0] / 2
    # The networks differ in the last digits of single precision, the figures in none that shows.
    assert result[-1]["metrics"]["AP"] == pytest.approx(expected[-1]["metrics"]["AP"], abs=5e-3)
    assert result[-1]["metrics"]["AP50"] > 0
    states = [load_checkpoint(out / "last.safetensors")[1] for out in (pair, alone)]
    for name, tensor in states[1].items():
        assert torch.allclose(states[0][name], tensor, atol=1e-4), name


def test_the_samples_of_a_step_do_not_depend_on_the_number_of_processes() -> None:
    def drawn(processes: int, batch: int) -> list[set[tuple[int, float]]]:
        shares = [
            list(epoch_batches(10, 3, 8, seed=4, epoch=2, batch=batch, rank=rank, processes=processes))
            for rank in range(processes)
        ]
        parts = 8 // (batch * processes)
        return [
            {
                (i, rng.random())
                for share in shares
                for one in share[step * parts : (step + 1) * parts]
                for i, rng in one
            }
            for step in range(3)
        ]

    whole = drawn(1, 8)
    assert [len(step) for step in whole] == [8, 8, 8]
    assert drawn(2, 4) == drawn(4, 1) == drawn(1, 2) == drawn(2, 1) == whole


def test_one_process_is_the_plain_case() -> None:
    world = ProcessGroup()
    world.start(torch.device("cpu"), 1.0)
    values = torch.ones(2)
    assert world.gathered(3) == world.to_main(3) == [3]
    assert world.from_main("x") == "x"
    assert np.array_equal(world.summed(values).numpy(), [1, 1])
    world.averaged([values])
    assert world.reason(RuntimeError("x")) is None
    world.stop()


def test_an_environment_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(TrainingError, match="torchrun"):
        ProcessGroup.from_environment()
