"""The training loop: epochs of steps, validation, best and last checkpoint, exact resume.

``state_file`` holds all that a run needs to go on: network, optimizer, gradient scaler, random state and place. It is
written at the end of each epoch and when the run is asked to stop, also in the middle of an epoch.

Several processes (``engine.train.distributed``) take their shares of each step and have the same weights throughout.
Statistics of batch normalisation are each process' own within an epoch, as they are of batches; they are averaged
before validation and saving. The first process writes the files.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.errors import MediaError, TrainingError
from engine.models.checkpoint import save_checkpoint
from engine.train.data.prefetch import prepared
from engine.train.data.sampler import epoch_batches
from engine.train.distributed import ProcessGroup, data_parallel
from engine.train.optimizer import WeightAverage, build_optimizer, learning_rate, set_learning_rate
from engine.train.reporting import Reporter
from engine.train.run_folder import StopRequest
from engine.train.tasks.task import Batch, TrainTask, Validation
from engine.utils.atomic_write import write_atomically

Outcome = Literal["finished", "early", "interrupted"]


@dataclass
class TrainState:
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
        world: the processes that train together; None = this one alone.
        part: which of how many networks of the run this is.
    """

    def __init__(
        self,
        phase: TrainTask,
        *,
        seed: int,
        device: torch.device,
        workers: int,
        report: Reporter,
        stop: StopRequest,
        provenance: dict[str, Any],
        world: ProcessGroup | None = None,
        part: tuple[int, int] = (1, 1),
    ) -> None:
        self._part = part
        self.phase = phase
        self._world = world or ProcessGroup()
        self.place = TrainState()
        self._seed = seed
        self._device = device
        self._workers = workers
        self._report = report
        self._stop = stop
        self._provenance = provenance
        config = phase.config
        phase.network.to(device)
        self._optimizer = build_optimizer(phase.network.parameters(), config.optimizer)
        self._dtype = autocast_type(config.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._mean = WeightAverage(phase.network, config.ema) if config.ema else None
        self._total = config.epochs * config.steps_per_epoch
        self._batches_a_step = max(1, config.step_size // (max(1, config.batch) * self._world.size))
        if config.compile:
            phase.network.compile()
        self._objective: nn.Module = Objective(phase)
        if self._world.size > 1:
            self._objective = data_parallel(self._objective, device)
        self._others_stop = False

    def run(self) -> Outcome:
        """Train to the end, to a stop, or until patience is spent.

        Raises:
            TrainingError: the loss is no number, or another process is gone; then what was reached is saved.
        """
        try:
            return self._run()
        except RuntimeError as error:
            reason = self._world.reason(error)
            if reason is None:
                raise
            if self._world.is_main:
                self._write_state()
            raise reason from None

    def _run(self) -> Outcome:
        config, what = self.phase.config, self.phase.what
        self._report(
            "start",
            what=what,
            part=self._part[0],
            parts=self._part[1],
            epochs=config.epochs,
            steps_per_epoch=config.steps_per_epoch,
            device=str(self._device),
            train_instances=self.phase.train_count,
            val_instances=self.phase.val_count,
            batch=config.batch,
            total_batch=config.step_size,
            processes=self._world.size,
            mirrored_copies=config.mirrors,
            rotation=config.topdown.rotation if config.topdown.enabled else config.augment.rotation,
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
        if config.freeze_norms:
            for module in self.phase.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        started, first = time.perf_counter(), place.step
        with closing(prepared(self._make, self._todo(), self._workers)) as ready:
            share: list[Batch] = []
            for batch in ready:
                if self._is_stopped():
                    return False
                share.append(batch)
                if len(share) < self._batches_a_step:
                    continue
                steps = config.steps_per_epoch
                rate = learning_rate(place.epoch * steps + place.step, self._total, config.optimizer, steps)
                loss = self._step(share, rate)
                share = []
                place.loss_sum += loss
                place.step += 1
                self._report_step(loss, rate, (time.perf_counter() - started) / (place.step - first))
        place.seconds += time.perf_counter() - started
        return True

    def _todo(self) -> Iterator[list[tuple[int, np.random.Generator]]]:
        """This process' batches of the rest of the epoch."""
        config, place, world = self.phase.config, self.place, self._world
        return epoch_batches(
            self.phase.train_count,
            config.steps_per_epoch,
            config.step_size,
            self._seed,
            place.epoch,
            place.step,
            batch=config.step_size // (self._batches_a_step * world.size),
            rank=world.rank,
            processes=world.size,
        )

    def _make(self, items: list[tuple[int, np.random.Generator]]) -> Batch:
        batch = self.phase.collate([self._sample(index, rng) for index, rng in items])
        if self._device.type != "cuda":
            return batch
        # From page-locked memory the copy to the card goes on beside the arithmetic.
        return Batch({name: tensor.pin_memory() for name, tensor in batch.tensors.items()}, batch.ids)

    def _sample(self, index: int, rng: np.random.Generator) -> Any:
        """A sample; in place of one whose image cannot be read, the next one whose image can. Which that is does not
        depend on anything but the files, so that a resumed run has the same samples.

        Raises:
            TrainingError: no image can be read.
        """
        count = self.phase.train_count
        for offset in range(count):
            try:
                return self.phase.sample((index + offset) % count, rng)
            except MediaError as error:
                last = error
        raise TrainingError(f"no training image can be read; the last one: {last.message}", where=last.where)

    def _is_stopped(self) -> bool:
        """Several processes stop at the same step: the one that all were told of with the loss before."""
        return self._others_stop if self._world.size > 1 else bool(self._stop)

    def _step(self, share: Sequence[Batch], rate: float) -> float:
        """One step on this process' batches; the mean loss over all processes."""
        set_learning_rate(self._optimizer, rate)
        self._optimizer.zero_grad(set_to_none=True)
        mean = 0.0
        for number, batch in enumerate(share, 1):
            mean += self._learn(batch, len(share), last=number == len(share)) / len(share)
        if self.phase.config.optimizer.grad_norm:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.phase.network.parameters(), self.phase.config.optimizer.grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._mean is not None:
            self._mean.update()
        return mean

    def _learn(self, batch: Batch, parts: int, *, last: bool) -> float:
        """Add a batch's gradient, which is exchanged between processes with the last one; its loss over all of them."""
        tensors = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.tensors.items()}
        waits = isinstance(self._objective, DistributedDataParallel) and not last
        with self._objective.no_sync() if waits else nullcontext():
            with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
                loss = self._objective(tensors)
            value = self._agreed(loss.detach(), batch)
            self._scaler.scale(loss / parts).backward()
        return value

    def _agreed(self, loss: Tensor, batch: Batch) -> float:
        """The mean loss over the processes.

        Raises:
            TrainingError: the loss is no number in one of them; on all.
        """
        value = float(loss)
        if self._world.size > 1:
            told = torch.tensor([value, float(bool(self._stop))], dtype=torch.float64, device=self._device)
            total, stops = self._world.summed(told).tolist()
            value, self._others_stop = total / self._world.size, stops > 0
        if not math.isfinite(value):
            bad = [] if math.isfinite(float(loss)) else batch.ids
            ids = [id for part in self._world.gathered(bad) for id in part]
            raise TrainingError(
                f"the loss is no longer a number (epoch {self.place.epoch + 1}, step {self.place.step + 1}); "
                f"look at the annotations {_listed(ids)}, or lower the learning rate"
            )
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
            images_per_second=round(config.step_size / seconds, 2),
            seconds_left=round((self._total - done) * seconds, 1),
        )

    def _finish_epoch(self) -> None:
        place, config = self.place, self.phase.config
        self._average_buffers()
        number = place.epoch + 1
        found = self._validate() if number % config.validate_every == 0 or number == config.epochs else None
        train_loss = place.loss_sum / config.steps_per_epoch
        place.epoch, place.step, place.loss_sum = number, 0, 0.0
        best = found is not None and self._is_best(found)
        metrics = {} if found is None else found.metrics
        self._save(metrics, best=best)
        self._report(
            "epoch",
            what=self.phase.what,
            epoch=place.epoch,
            train_loss=train_loss,
            val_loss=math.nan if found is None else found.loss,
            metrics=metrics,
            best=best,
            lr=self._optimizer.param_groups[0]["lr"],
            seconds=round(place.seconds, 1),
        )

    def _is_best(self, found: Validation) -> bool:
        place = self.place
        best = found.error <= min(place.lowest, found.error) * (1 + found.slack)
        place.lowest = min(place.lowest, found.error)
        # Patience counts from the last epoch that was no worse than the best within what can be measured.
        place.since_best = 0 if best else place.since_best + 1
        if best:
            place.best = {"epoch": place.epoch, "val_loss": found.loss, **found.metrics}
        return best

    def _validate(self) -> Validation:
        self.phase.network.eval()
        shared = getattr(self.phase, "validates_together", False)
        found: Validation | None = None
        if shared or self._world.is_main:
            with torch.inference_mode(), self._mean.applied() if self._mean is not None else nullcontext():
                found = self.phase.validate()
        found = self._world.from_main(found)
        assert found is not None
        return found

    def _average_buffers(self) -> None:
        self._world.averaged([b for b in self.phase.network.buffers() if b.is_floating_point()])

    def _save_unfinished(self) -> None:
        self._average_buffers()
        self._save(self.place.best, best=not self.phase.best_file.exists())

    def _save(self, metrics: dict[str, Any], *, best: bool) -> None:
        if not self._world.is_main:
            return
        record = {**self._provenance, "epoch": self.place.epoch, "steps_of_next_epoch": self.place.step}
        info = self.phase.describe({k: v for k, v in metrics.items() if k != "epoch"}, record)
        with self._mean.applied() if self._mean is not None else nullcontext():
            state = self.phase.network.state_dict()
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
                "optimiser": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "mean": None if self._mean is None else self._mean.state(),
                "torch_rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all() if self._device.type == "cuda" else [],
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
        self.place = TrainState(**state["place"])
        self.phase.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        if self._mean is not None and state.get("mean"):
            self._mean.load(state["mean"])
        torch.set_rng_state(state["torch_rng"])
        if self._device.type == "cuda" and len(state["cuda_rng"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_rng"])


class Objective(nn.Module):
    """A phase's loss as a module, so that what goes round networks can go round it."""

    def __init__(self, phase: TrainTask) -> None:
        super().__init__()
        self.network = phase.network
        self._loss = phase.loss

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        return self._loss(tensors)


def autocast_type(precision: str, device: torch.device) -> torch.dtype:
    """Number type of the forward pass."""
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" else "float32"
    return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _listed(ids: list[int | str]) -> str:
    shown = ", ".join(str(i) for i in dict.fromkeys(ids[:16]))
    return shown + (", ..." if len(ids) > 16 else "")
