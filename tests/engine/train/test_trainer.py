"""The loop, with a network of one layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.errors import MediaError, TrainingError
from engine.models.checkpoint import load_checkpoint
from engine.models.metadata import CheckpointInfo
from engine.train.config import OptimizerConfig, TaskConfig
from engine.train.distributed import ProcessGroup
from engine.train.reporting import Reporter
from engine.train.run_folder import StopRequest
from engine.train.tasks.task import Batch, Validation
from engine.train.trainer import Trainer
from tests.engine.train.conftest import SCHEMA

CODEC = {"name": "gaussian"}


class Line:
    """Fits y = 3 x + noise; ``errors`` are what its validations find, one after the other."""

    what = "pose"
    validates_together = False

    def __init__(self, out: Path, errors: Sequence[float] = (), slack: float = 0.0, **config: Any) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Linear(1, 1)
        self.config = TaskConfig(
            **{"epochs": 4, "steps_per_epoch": 3, "batch": 2, "optimizer": OptimizerConfig(lr=0.1)} | config
        )
        self.train_count, self.val_count = 5, 1
        self.best_file, self.last_file = out / "best.safetensors", out / "last.safetensors"
        self.state_file = out / "state.pt"
        self.fingerprint = "line"
        self.poison = -1
        self.made = 0
        self._errors = list(errors)
        self._slack = slack

    def sample(self, index: int, rng: np.random.Generator) -> tuple[int, float, float]:
        x = rng.normal()
        return index, x, 3 * x + rng.normal(scale=0.1)

    def collate(self, samples: Sequence[tuple[int, float, float]]) -> Batch:
        self.made += 1
        rows = torch.tensor([[x, y] for _, x, y in samples], dtype=torch.float32)
        if any(index == self.poison for index, _, _ in samples):
            rows[0] = torch.nan
        return Batch({"rows": rows}, [index for index, _, _ in samples])

    def loss(self, tensors: dict[str, Tensor]) -> Tensor:
        rows = tensors["rows"]
        return ((self.network(rows[:, :1]) - rows[:, 1:]) ** 2).mean()

    def validate(self) -> Validation:
        error = self._errors.pop(0) if self._errors else 1 / (1 + self.made)
        return Validation(loss=error, error=error, slack=self._slack, metrics={"mean_px": error})

    def describe(self, metrics: dict[str, Any], provenance: dict[str, Any]) -> CheckpointInfo:
        return CheckpointInfo(
            "pose", "movenet_heatmap", schema=SCHEMA.to_dict(), codec=CODEC, metrics=metrics, provenance=provenance
        )


def trainer(line: Line, out: Path, workers: int = 0) -> Trainer:
    report = Reporter("none", out / "log.jsonl")
    stop = StopRequest(out)
    device = torch.device("cpu")
    return Trainer(line, seed=1, device=device, workers=workers, report=report, stop=stop, provenance={"start": "x"})


def events(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def weights(line: Line) -> list[float]:
    return [float(p.detach()) for p in line.network.parameters()]


def stop_at(line: Line, out: Path, batch: int) -> None:
    """Ask for a stop once that many batches were made."""
    collate = line.collate

    def collating(samples: Sequence[tuple[int, float, float]]) -> Batch:
        if line.made + 1 == batch:
            (out / "stop").touch()
        return collate(samples)

    line.collate = collating  # type: ignore[method-assign]


@pytest.mark.parametrize("batch", [1, 5, 7])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, batch: int) -> None:
    for name in ("straight", "halves"):
        (tmp_path / name).mkdir()
    straight = Line(tmp_path / "straight")
    assert trainer(straight, tmp_path / "straight").run() == "finished"

    out = tmp_path / "halves"
    first = Line(out)
    stop_at(first, out, batch)
    assert trainer(first, out).run() == "interrupted"
    assert (out / "best.safetensors").is_file()
    assert (out / "last.safetensors").is_file()
    (out / "stop").unlink()

    second = Line(out)
    resumed = trainer(second, out)
    resumed.resume()
    assert resumed.run() == "finished"
    assert weights(second) == weights(straight)
    losses = [e["train_loss"] for e in events(tmp_path / "straight", "epoch")]
    assert [e["train_loss"] for e in events(out, "epoch")] == losses


def test_threads_that_make_batches_change_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    plain, threaded = Line(tmp_path / "a"), Line(tmp_path / "b")
    trainer(plain, tmp_path / "a").run()
    trainer(threaded, tmp_path / "b", workers=2).run()
    assert weights(plain) == weights(threaded)


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    line = Line(tmp_path, errors=[1.0, 2.0, 2.0, 2.0, 2.0], epochs=9, patience=2)
    assert trainer(line, tmp_path).run() == "early"
    assert [e["best"] for e in events(tmp_path, "epoch")] == [True, False, False]


def test_of_epochs_that_cannot_be_told_apart_the_last_is_kept(tmp_path: Path) -> None:
    line = Line(tmp_path, errors=[2.0, 1.0, 1.05, 1.3], slack=0.1)
    trainer(line, tmp_path).run()
    assert [e["best"] for e in events(tmp_path, "epoch")] == [True, True, True, False]
    info, state = load_checkpoint(tmp_path / "best.safetensors")
    assert info.provenance["epoch"] == 3
    assert info.metrics["mean_px"] == 1.05
    assert float(state["bias"]) != weights(line)[1]


def test_a_loss_that_is_no_number_stops_with_the_annotations(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.poison = 4
    with pytest.raises(TrainingError, match=r"no longer a number.*annotations .*4"):
        trainer(line, tmp_path).run()


def test_a_run_on_other_data_is_not_resumed(tmp_path: Path) -> None:
    trainer(Line(tmp_path, epochs=1), tmp_path).run()
    other = Line(tmp_path)
    other.fingerprint = "other"
    with pytest.raises(TrainingError, match="not those of the run"):
        trainer(other, tmp_path).resume()


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 no state")
    with pytest.raises(TrainingError, match="damaged"):
        trainer(Line(tmp_path), tmp_path).resume()


class Pair(ProcessGroup):
    """Two processes, of which the other has a loss that is no number in the third step."""

    def __init__(self) -> None:
        super().__init__(rank=0, size=1)
        self.steps = 0

    def summed(self, values: Tensor) -> Tensor:
        self.steps += 1
        return values + torch.tensor([torch.nan if self.steps == 3 else 1.0, 0.0])

    def gathered(self, thing: Any) -> list[Any]:
        return [thing, ["other 7"]]

    def averaged(self, tensors: Sequence[Tensor]) -> None:
        pass

    def from_main(self, thing: Any) -> Any:
        return thing


def test_a_loss_that_is_no_number_elsewhere_stops_all_with_the_annotations_there(tmp_path: Path) -> None:
    one = trainer(Line(tmp_path), tmp_path)
    pair = Pair()
    pair.size = 2
    one._group = pair
    with pytest.raises(TrainingError, match=r"step 3.*annotations other 7,"):
        one.run()


class SeenInValidation(Line):
    """Remembers the weights that its validations saw, and those that the last step left."""

    def __init__(self, out: Path, **config: Any) -> None:
        super().__init__(out, **config)
        self.seen: list[float] = []

    def validate(self) -> Validation:
        self.seen.append(weights(self)[0])
        return super().validate()


def test_validation_and_checkpoints_see_the_mean_of_the_weights(tmp_path: Path) -> None:
    line = SeenInValidation(tmp_path, epochs=2, ema=0.5)
    before = weights(line)[0]
    run = trainer(line, tmp_path)
    assert run._average is not None
    assert run.run() == "finished"
    mean = run._average.state()["weight"]
    assert isinstance(mean, Tensor)
    assert line.seen[-1] == float(mean)  # the mean was in place
    assert line.seen[-1] != weights(line)[0]  # which is not what the last step left
    assert line.seen[-1] != before  # and it follows the weights
    assert run._average.state()["steps"] == 6
    _, state = load_checkpoint(tmp_path / "last.safetensors")
    assert float(state["weight"]) == float(mean)


def test_an_unreadable_image_is_replaced_by_the_next_that_can_be_read(tmp_path: Path) -> None:
    line = Line(tmp_path)
    plain = line.sample
    asked: list[int] = []

    def sample(index: int, rng: np.random.Generator) -> tuple[int, float, float]:
        if index in (4, 0):
            raise MediaError("is broken", where=f"{index}.png")
        asked.append(index)
        return plain(index, rng)

    line.sample = sample  # type: ignore[method-assign]
    assert trainer(line, tmp_path).run() == "finished"
    assert len(asked) == 24
    assert set(asked) == {1, 2, 3}

    def none(index: int, rng: np.random.Generator) -> tuple[int, float, float]:
        raise MediaError("is broken", where=f"{index}.png")

    line.sample = none  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="no training image can be read"):
        trainer(line, tmp_path).run()


def test_figures_are_taken_every_so_many_epochs_and_at_the_end(tmp_path: Path) -> None:
    line = Line(tmp_path, errors=[3.0, 1.0, 2.0], epochs=5, validate_every=2)
    assert trainer(line, tmp_path).run() == "finished"
    result = events(tmp_path, "epoch")
    assert [e["metrics"].get("mean_px") for e in result] == [None, 3.0, None, 1.0, 2.0]
    assert [e["best"] for e in result] == [False, True, False, True, False]
