"""The training loop: epochs of steps, validation, best and last checkpoint, exact resume.

``state_file`` holds all that a run needs to go on: network, optimiser, gradient scaler, random state and place. It is
written at the end of each epoch and when the run is asked to stop, also in the middle of an epoch.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from engine.checkpoint import save_checkpoint
from engine.contract.errors import TrainingError
from engine.train.files import write_atomically
from engine.train.loader import prepared
from engine.train.optimiser import build_optimiser, learning_rate, set_learning_rate
from engine.train.order import batches
from engine.train.phase import Batch, Phase, Validation
from engine.train.report import Reporter
from engine.train.stop import StopRequest

Outcome = Literal["finished", "early", "interrupted"]


@dataclass
class Place:
    """Where a run stands. ``loss_sum`` is over the ``step`` steps of the unfinished epoch.

    ``lowest`` is the lowest validation error so far; ``best`` describes the epoch whose weights are kept.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    lowest: float = math.inf
    since_best: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Trainer:
    """Trains one phase.

    Args:
        phase: network and data; ``phase.config`` has its epochs, steps and rates filled in.
        seed, workers, device: see ``TrainConfig``.
        provenance: goes into the checkpoints.
    """

    def __init__(
        self,
        phase: Phase,
        *,
        seed: int,
        device: torch.device,
        workers: int,
        report: Reporter,
        stop: StopRequest,
        provenance: dict[str, Any],
    ) -> None:
        self.phase = phase
        self.place = Place()
        self._seed = seed
        self._device = device
        self._workers = workers
        self._report = report
        self._stop = stop
        self._provenance = provenance
        phase.network.to(device)
        self._optimiser = build_optimiser(phase.network.parameters(), phase.config.optimiser)
        self._half = device.type == "cuda"
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half)
        self._total = phase.config.epochs * phase.config.steps_per_epoch

    def run(self) -> Outcome:
        """Train to the end, to a stop, or until patience is spent."""
        config, what = self.phase.config, self.phase.what
        self._report(
            "start",
            what=what,
            epochs=config.epochs,
            steps_per_epoch=config.steps_per_epoch,
            device=str(self._device),
            train_instances=self.phase.train_count,
            val_instances=self.phase.val_count,
            resumed_at=self.place.epoch * config.steps_per_epoch + self.place.step,
        )
        while self.place.epoch < config.epochs:
            if config.patience and self.place.since_best >= config.patience:
                return "early"
            if not self._train_one_epoch():
                self._save_unfinished()
                return "interrupted"
            self._finish_epoch()
        return "finished"

    def _train_one_epoch(self) -> bool:
        """The rest of the current epoch; False where a stop was asked for."""
        config, place = self.phase.config, self.place
        self.phase.network.train()
        todo = batches(
            self.phase.train_count, config.steps_per_epoch, config.batch, self._seed, place.epoch, first_step=place.step
        )

        def make(items: list[Any]) -> Batch:
            return self.phase.collate([self.phase.sample(index, rng) for index, rng in items])

        started, first = time.perf_counter(), place.step
        with closing(prepared(make, todo, self._workers)) as ready:
            for batch in ready:
                if self._stop:
                    return False
                rate = learning_rate(place.epoch * config.steps_per_epoch + place.step, self._total, config.optimiser)
                loss = self._step(batch, rate)
                place.loss_sum += loss
                place.step += 1
                self._report_step(loss, rate, (time.perf_counter() - started) / (place.step - first))
        place.seconds += time.perf_counter() - started
        return True

    def _step(self, batch: Batch, rate: float) -> float:
        tensors = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.tensors.items()}
        set_learning_rate(self._optimiser, rate)
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, dtype=torch.float16, enabled=self._half):
            loss = self.phase.loss(tensors)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is no longer a number (epoch {self.place.epoch + 1}, step {self.place.step + 1}); "
                f"look at the annotations {_listed(batch.ids)}, or lower the learning rate"
            )
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self.phase.network.parameters(), self.phase.config.optimiser.grad_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return value

    def _report_step(self, loss: float, rate: float, seconds: float) -> None:
        config = self.phase.config
        done = self.place.epoch * config.steps_per_epoch + self.place.step
        self._report(
            "step",
            what=self.phase.what,
            epoch=self.place.epoch + 1,
            step=done,
            total_steps=self._total,
            loss=loss,
            lr=rate,
            images_per_second=round(config.batch / seconds, 2),
            seconds_left=round((self._total - done) * seconds, 1),
        )

    def _finish_epoch(self) -> None:
        place, steps = self.place, self.phase.config.steps_per_epoch
        found = self._validate()
        best = found.error <= min(place.lowest, found.error) * (1 + found.slack)
        place.lowest = min(place.lowest, found.error)
        train_loss = place.loss_sum / steps
        place.epoch, place.step, place.loss_sum = place.epoch + 1, 0, 0.0
        # Patience counts from the last epoch that was no worse than the best within what can be measured.
        place.since_best = 0 if best else place.since_best + 1
        if best:
            place.best = {"epoch": place.epoch, "val_loss": found.loss, **found.metrics}
        self._save(found.metrics, best=best)
        self._report(
            "epoch",
            what=self.phase.what,
            epoch=place.epoch,
            train_loss=train_loss,
            val_loss=found.loss,
            metrics=found.metrics,
            best=best,
            lr=self._optimiser.param_groups[0]["lr"],
            seconds=round(place.seconds, 1),
        )

    def _validate(self) -> Validation:
        self.phase.network.eval()
        with torch.inference_mode():
            return self.phase.validate()

    def _save_unfinished(self) -> None:
        self._save(self.place.best, best=not self.phase.best_file.exists())

    def _save(self, metrics: dict[str, Any], *, best: bool) -> None:
        state = self.phase.network.state_dict()
        record = {**self._provenance, "epoch": self.place.epoch, "steps_of_next_epoch": self.place.step}
        info = self.phase.describe({k: v for k, v in metrics.items() if k != "epoch"}, record)
        save_checkpoint(self.phase.last_file, state, info)
        if best:
            save_checkpoint(self.phase.best_file, state, info)
        self._write_state()
        self._report("saved", what=self.phase.what, file=str(self.phase.best_file if best else self.phase.last_file))

    def _write_state(self) -> None:
        buffer = io.BytesIO()
        torch.save(
            {
                "fingerprint": self.phase.fingerprint,
                "place": asdict(self.place),
                "network": self.phase.network.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "scaler": self._scaler.state_dict(),
                "torch_rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all() if self._half else [],
            },
            buffer,
        )
        write_atomically(self.phase.state_file, buffer.getvalue())

    def resume(self) -> None:
        """Go on where ``state_file`` says.

        Raises:
            TrainingError: the file is damaged, or the data or the network are not those of the run.
        """
        where = self.phase.state_file
        try:
            state = torch.load(where, map_location="cpu", weights_only=True)
        except OSError as error:
            raise TrainingError(f"nothing to resume ({error.strerror})", where=where) from None
        except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            raise TrainingError("the saved state is damaged; train anew into another folder", where=where) from None
        if state["fingerprint"] != self.phase.fingerprint:
            raise TrainingError(
                "annotations, schema or model are not those of the run to resume; train into another folder",
                where=where,
            )
        self.place = Place(**state["place"])
        self.phase.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["torch_rng"])
        if self._half and state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])


def mean_loss(losses: list[tuple[Tensor, int]]) -> float:
    """Mean of batch losses by their number of samples; NaN for none."""
    count = sum(n for _, n in losses)
    return sum(float(loss) * n for loss, n in losses) / count if count else math.nan


def _listed(ids: list[int | str]) -> str:
    shown = ", ".join(str(i) for i in dict.fromkeys(ids[:16]))
    return shown + (", ..." if len(ids) > 16 else "")
